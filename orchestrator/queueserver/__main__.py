"""Print where the permissions file is: `python -m orchestrator.queueserver`."""

from __future__ import annotations

from pathlib import Path

print(Path(__file__).with_name("user_group_permissions.yaml"))  # noqa: T201 - what it is for
