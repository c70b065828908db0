"""Files of the HTTP interface in a data directory, for this user alone."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from orchestrator.errors import ControlError
from orchestrator.state import boot_id

_PRIVATE = 0o600
_OTHERS = 0o077


@dataclass(frozen=True)
class Address:
    """Where `operando serve` listens.

    Attributes:
        url: Beginning of every address, without a slash at its end.
        pid: The process.
        boot_id: The boot of the machine in which that number means this process.
    """

    url: str
    pid: int
    boot_id: str


@dataclass(frozen=True)
class HttpFiles:
    """The files.

    Args:
        data: The data directory.
    """

    data: Path

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.data / "http"

    @property
    def tokens(self) -> Path:
        """Who may ask: names, roles and hashes, never a token."""
        told = os.environ.get("OPERANDO_TOKENS_FILE")
        return Path(told) if told else self.folder / "tokens.json"

    @property
    def requests(self) -> Path:
        """What was asked for with which key, and what came of it."""
        return self.folder / "requests.sqlite"

    @property
    def address(self) -> Path:
        """Where it listens, while it does."""
        return self.folder / "address.json"

    @property
    def submitted(self) -> Path:
        """Experiment files that came as text."""
        return self.folder / "experiments"

    def make(self) -> None:
        """Make the folder, for this user alone."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def listening(self, url: str) -> None:
        """Say where this process listens."""
        self.make()
        write_private(self.address, asdict(Address(url, os.getpid(), boot_id())))

    def silent(self) -> None:
        """This process listens no more."""
        self.address.unlink(missing_ok=True)

    def address_now(self) -> Address | None:
        """Where `operando serve` listens; None where it does not."""
        try:
            value = orjson.loads(self.address.read_bytes())
            found = Address(str(value["url"]), int(value["pid"]), str(value["boot_id"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if found.boot_id == boot_id() and _alive(found.pid) else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_private(path: Path, value: Any) -> None:
    """Replace a file by JSON that only this user reads; after this a power loss keeps it.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)  # what is there may have another mode
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(fd, "wb") as out:
        out.write(orjson.dumps(value, option=orjson.OPT_INDENT_2))
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def require_private(path: Path) -> None:
    """Refuse a file that others may read or that belongs to somebody else.

    Raises:
        ControlError: They may.
        OSError: There is no such file.
    """
    found = path.stat()
    if found.st_mode & _OTHERS:
        raise ControlError(
            str(path),
            f"has the mode {found.st_mode & 0o777:o}, expected 600: others may read it",
            remedy=f"chmod 600 {path}, and revoke what was in it",
        )
    if found.st_uid not in (os.getuid(), 0):
        raise ControlError(
            str(path), f"belongs to user {found.st_uid}", remedy="let it belong to you or root"
        )
