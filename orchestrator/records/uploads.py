"""What the processes of a store and their users say to each other through files in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from orchestrator.records.directory import DataDirectory

INTERRUPTED = "interrupted: `operando recover` closes it"
"""Error of a run whose writer is gone and whose journal has no end."""

NO_START = "its start document is lost: it cannot be in the catalogue"
"""Error of a run that only its journal can tell about."""


def address_file(directory: DataDirectory) -> Path:
    """Where the server says that it serves, and its process id."""
    return directory.store / "server.json"


def server_url(directory: DataDirectory) -> str:
    """Where the server serves.

    Raises:
        OSError: No server has said so.
    """
    return str(orjson.loads(address_file(directory).read_bytes())["url"])


def api_key_file(directory: DataDirectory) -> Path:
    """The key of the server, readable by its owner only."""
    return directory.store / "api_key"


def uploads_file(directory: DataDirectory) -> Path:
    """How far each run has got."""
    return directory.store / "uploads.json"


def users_lock(directory: DataDirectory) -> Path:
    """Shared by everybody who uses the store."""
    return directory.store / "users.lock"


def server_lock(directory: DataDirectory) -> Path:
    """Held by the one server of a data directory."""
    return directory.store / "server.lock"


def uploader_lock(directory: DataDirectory) -> Path:
    """Held by the one uploader of a data directory."""
    return directory.store / "uploader.lock"


@dataclass
class Uploads:
    """How far each run has got, as its uploader says it.

    Args:
        path: The file, replaced atomically at each change.

    Attributes:
        runs: By uid: ``seq`` (last document uploaded), ``complete``, ``error``.
    """

    path: Path
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def set(self, uid: str, *, seq: int, complete: bool, error: str = "") -> None:
        """Say how far a run has got."""
        said = {"seq": seq, "complete": complete, "error": error}
        if self.runs.get(uid) != said:
            self.runs[uid] = said
            self.write()

    def write(self) -> None:
        """Replace the file."""
        temporary = self.path.with_suffix(".tmp")
        temporary.write_bytes(orjson.dumps(self.runs))
        temporary.replace(self.path)


def read_uploads(path: Path) -> dict[str, dict[str, Any]]:
    """What the uploader said last; empty if it has said nothing."""
    try:
        runs: dict[str, dict[str, Any]] = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return runs
