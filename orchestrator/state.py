"""Where a machine keeps what must outlive processes, data directories and reboots."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def state_directory() -> Path:
    """``$OPERANDO_STATE``, else the user's state directory."""
    told = os.environ.get("OPERANDO_STATE")
    return Path(told) if told else platformdirs.user_state_path("operando")


def boot_id() -> str:
    """Which boot of the machine this is; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
