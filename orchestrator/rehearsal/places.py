"""Where rehearsals are kept: beside the measured runs, never among them."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from orchestrator.records.directory import DataDirectory

_NOT_PLAIN = re.compile(r"[^a-z0-9]+")


def new_place(data: Path, name: str) -> Path:
    """A directory of its own for one rehearsal, ``DATA/rehearsals/<name>-<6 digits>``.

    Args:
        data: The data directory.
        name: Name of the experiment; what cannot be part of a file's name is left out.
    """
    plain = _NOT_PLAIN.sub("-", name.lower()).strip("-")[:60] or "rehearsal"
    return DataDirectory(data).rehearsals / f"{plain}-{secrets.token_hex(3)}"
