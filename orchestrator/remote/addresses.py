"""Where the process of a run listens: a socket that only its user can reach, and who has called.

`control/<uid>.json` names the socket, since the path of one must be short and that of a data
directory need not be. Directory, pointer and socket belong to the user alone, and both sides ask
the system who the other is.
"""

from __future__ import annotations

import os
import pwd
import socket
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from orchestrator.state import boot_id

_LONGEST_PATH = 100
"""Longest path of a socket, bytes: the system's bound is 104 (BSD, macOS) or 108 (Linux)."""

_CREDENTIALS = struct.Struct("3i")
_BACKLOG = 8


@dataclass(frozen=True)
class Pointer:
    """Where a run's process listens.

    Attributes:
        socket: Path of the socket.
        pid: Its process.
        boot_id: The boot of the machine in which that number means this process.
    """

    socket: str
    pid: int
    boot_id: str


@dataclass(frozen=True)
class Peer:
    """Who has called.

    Attributes:
        uid: Number of the user; that of this process where the system does not say.
        pid: Their process; 0 where the system does not say.
    """

    uid: int
    pid: int = 0

    def __str__(self) -> str:
        """As the records name them."""
        return f"{user_name(self.uid)}, process {self.pid}" if self.pid else user_name(self.uid)


def user_name(uid: int) -> str:
    """Name of a user, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def this_user() -> str:
    """Who this process belongs to."""
    return user_name(os.getuid())


@contextmanager
def listening(folder: Path) -> Iterator[tuple[socket.socket, Path]]:
    """A listening socket and its path: in the folder, or where that is too long, a private one.

    Args:
        folder: Made for this user alone if it does not exist.

    Raises:
        OSError: There can be no socket.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{os.getpid()}-{os.urandom(3).hex()}.sock"
    path, private = folder / name, None
    own = stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if (
            not own
            or len(os.fsencode(path.absolute())) > _LONGEST_PATH
            or not _bound(listener, path.absolute())
        ):
            private = Path(tempfile.mkdtemp(prefix="operando-"))  # 0700
            path = private / name
            listener.close()
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
        yield listener, path.absolute()
    finally:
        listener.close()
        path.unlink(missing_ok=True)
        if private is not None:
            with suppress(OSError):
                private.rmdir()


def _bound(listener: socket.socket, path: Path) -> bool:
    """Whether a socket could be put there: not every file system has sockets."""
    try:
        listener.bind(str(path))
    except OSError:
        return False
    return True


def write_pointer(file: Path, socket_path: Path) -> None:
    """Say where this process listens.

    Raises:
        OSError: The file cannot be written.
    """
    pointer = Pointer(str(socket_path), os.getpid(), boot_id())
    temporary = file.with_suffix(".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as out:
        out.write(orjson.dumps(asdict(pointer)))
    temporary.replace(file)


def read_pointer(file: Path) -> Pointer | None:
    """Where a run's process listens; None where nobody has said."""
    try:
        value = orjson.loads(file.read_bytes())
        return Pointer(str(value["socket"]), int(value["pid"]), str(value["boot_id"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end.

    Raises:
        PermissionError: Another user.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:  # the socket's mode and its folder's alone keep others out
        return Peer(os.getuid())
    raw = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    if uid != os.getuid():
        raise PermissionError(f"user {uid} may not")
    return Peer(uid, pid)
