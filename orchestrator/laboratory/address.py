"""Where a simulated laboratory in a process of its own is reached: a file for its owner alone.

The file holds the token of the control channel, so that it is written with mode 0600 and refused
where anybody else could have read or replaced it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from orchestrator.errors import ProfileError
from orchestrator.profile.models import BenchProfile

_FORMAT = 1
_MAX_BYTES = 65_536


@dataclass(frozen=True)
class LaboratoryAddress:
    """How to reach a laboratory.

    Attributes:
        id: Unique to this laboratory: the cell on it is the same as long as this is.
        bench: Name of the bench.
        profile_hash: Of the bench's profile.
        addresses: VISA resource string by ``sim://`` resource.
        channel: Port of the control channel, on loopback.
        dead_socket_port: Port at which a connection ends all others to the instruments.
        token: Of the control channel.
        virtual_time: Whether its time is handed over; else it is the system's.
        epoch_s: Unix time at which its world began, s.
        pid: Its process.
    """

    id: str
    bench: str
    profile_hash: str
    addresses: Mapping[str, str]
    channel: int
    dead_socket_port: int
    token: str
    virtual_time: bool
    epoch_s: float
    pid: int

    def __repr__(self) -> str:
        """Without the token: it must not get into a log."""
        return f"<LaboratoryAddress of {self.bench}, process {self.pid}, port {self.channel}>"

    def write(self, path: Path) -> None:
        """Write the file, for this user alone.

        Raises:
            ProfileError: It cannot be written.
        """
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.unlink(missing_ok=True)
            number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "wb") as file:
                file.write(orjson.dumps({"laboratory": _FORMAT, **asdict(self)}) + b"\n")
            temporary.replace(path)
        except OSError as error:
            raise ProfileError(
                str(path), f"cannot be written: {error.strerror}", remedy="choose another place"
            ) from None

    def reached(self, profile: BenchProfile) -> BenchProfile:
        """A bench as its instruments are reached, for what needs links of its own.

        Raises:
            ProfileError: This is the laboratory of another bench.
        """
        self.check(profile)
        document = readdressed(profile.to_document(), self.addresses, self.dead_socket_port)
        document.pop("journal_every_s", None)  # simulated, it may be longer than on hardware
        return BenchProfile.model_validate(document)

    def check(self, profile: BenchProfile) -> None:
        """Refuse a bench that this laboratory is not.

        Raises:
            ProfileError: It is not.
        """
        if profile.profile_hash == self.profile_hash:
            return
        same = profile.bench == self.bench
        what = f"is not the bench that process {self.pid} serves, which is {self.bench}"
        raise ProfileError(
            profile.bench,
            f"{what} with another profile" if same else what,
            remedy="serve the laboratory anew, or name another address file",
        )


def read_address(path: str | Path) -> LaboratoryAddress:
    """Read an address file.

    Raises:
        ProfileError: It is none, or not its owner's alone.
    """
    who = f"laboratory {path}"
    try:
        with Path(path).open("rb") as file:
            about = os.fstat(file.fileno())
            text = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ProfileError(
            who, f"cannot be read: {error.strerror}", remedy="`operando bench` writes it"
        ) from None
    if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
        raise ProfileError(
            who,
            f"got mode {stat.S_IMODE(about.st_mode):04o}, expected 0600 and your own file",
            remedy="it holds a token: serve the laboratory anew",
        )
    try:
        value: dict[str, Any] = dict(orjson.loads(text[:_MAX_BYTES]))
        if value.pop("laboratory") == _FORMAT:
            return LaboratoryAddress(**value)
    except (ValueError, KeyError, TypeError):
        pass
    raise ProfileError(
        who, "is no address file of a laboratory", remedy="name what `operando bench` wrote"
    )


def readdressed(value: Any, addresses: Mapping[str, str], dead_socket_port: int = 0) -> Any:
    """A profile's document with the addresses of simulated instruments replaced."""
    if isinstance(value, list):
        return [readdressed(one, addresses, dead_socket_port) for one in value]
    if not isinstance(value, dict):
        return value
    changed = {k: readdressed(one, addresses, dead_socket_port) for k, one in value.items()}
    resource = value.get("resource")
    if isinstance(resource, str) and resource in addresses:
        changed["resource"] = addresses[resource]
        if dead_socket_port:
            changed.setdefault("dead_socket_port", dead_socket_port)
    return changed
