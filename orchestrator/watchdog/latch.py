"""UNSAFE: a bench that could not be switched off stays refused until a person says otherwise.

The mark belongs to the bench and not to a data directory, and outlives processes and reboots: it
is a file in `state_directory`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.clock import wall_time
from orchestrator.errors import UnsafeBenchError
from orchestrator.records.directory import replace_durably
from orchestrator.state import state_directory


@dataclass(frozen=True)
class Latch:
    """The mark of one bench.

    Args:
        bench: Its name.
    """

    bench: str

    @property
    def path(self) -> Path:
        """The file; it exists while the bench is UNSAFE."""
        return state_directory() / "unsafe" / f"{self.bench}.json"

    def set(self, devices: Mapping[str, str], reason: str) -> None:
        """Mark the bench as UNSAFE.

        Args:
            devices: What is not known to be off, with the reason.
            reason: Why it was to be switched off.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        said = {
            "bench": self.bench,
            "since": wall_time(),
            "reason": reason,
            "devices": dict(devices),
        }
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(said, indent=1), encoding="utf-8")
        replace_durably(temporary, self.path)

    def read(self) -> dict[str, Any] | None:
        """What was said when it was marked; None where it is not. An unreadable mark counts."""
        try:
            said = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            said = None
        return said if isinstance(said, dict) else {"reason": "unreadable", "devices": {}}

    def check(self) -> None:
        """Refuse an UNSAFE bench.

        Raises:
            UnsafeBenchError: It is.
        """
        said = self.read()
        if said is not None:
            told = "; ".join(f"{name}: {why}" for name, why in said.get("devices", {}).items())
            raise UnsafeBenchError(
                self.bench,
                f"is UNSAFE: not known to be off ({told or said.get('reason')})",
                remedy=f"look at the cell, then `operando off {self.bench} --acknowledge`",
            )

    def clear(self) -> None:
        """A person has seen to it, and everything reads back as off."""
        self.path.unlink(missing_ok=True)
