"""Where a machine keeps what must outlive processes, data directories and reboots."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def state_directory() -> Path:
    """``$OPERANDO_STATE``, else the user's state directory."""
    told = os.environ.get("OPERANDO_STATE")
    return Path(told) if told else platformdirs.user_state_path("operando")
