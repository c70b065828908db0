"""Where a machine keeps what must outlive processes, data directories and reboots."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


def state_directory() -> Path:
    """``$OPERANDO_STATE``, else the user's state directory."""
    told = os.environ.get("OPERANDO_STATE")
    return Path(told) if told else platformdirs.user_state_path("operando")


def config_directory() -> Path:
    """``$OPERANDO_CONFIG``, else the user's directory of configuration."""
    told = os.environ.get("OPERANDO_CONFIG")
    return Path(told) if told else platformdirs.user_config_path("operando")


def boot_id() -> str:
    """Which boot of the machine this is; empty where the system does not say."""
    try:
        return BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""
