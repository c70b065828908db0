"""Fills the unit files in that ship with this package.

They are kept beside this module, with `@names@` where a machine differs.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from orchestrator.errors import ControlError
from orchestrator.state import config_directory, state_directory

UNITS = ("operando-serve.service", "operando-safe.service", "operando-recover.service")
"""Names of the files."""

Manager = Literal["user", "system"]

_PASSED_ON = ("OPERANDO_BENCHES", "OPERANDO_LABORATORY")
_NETWORK = "Wants=network-online.target\nAfter=network-online.target time-sync.target"
_HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
UMask=0077"""
"""What keeps no instrument, file or control socket from being reached.

Not here: PrivateDevices and ProtectClock, which implies a list of devices without instruments;
PrivateTmp, since control sockets may be there; ProtectHome, since data, caches and experiment files
may be anywhere; RestrictAddressFamilies, since instruments may be on any bus.
"""


@dataclass(frozen=True)
class Machine:
    """What differs from machine to machine.

    Attributes:
        data: The data directory, absolute.
        user: User that the services of the system run as; empty for a user's own services.
        operando: The command and its first arguments.
        environment: Variables that they get.
    """

    data: Path
    user: str
    operando: tuple[str, ...]
    environment: Mapping[str, str]


def this_machine(data: Path, *, user: str = "") -> Machine:
    """This machine, with the interpreter and the directories of this process."""
    script = Path(sys.executable).with_name("operando")
    command = (str(script),) if script.is_file() else (sys.executable, "-P", "-c", _MAIN)
    told = {"OPERANDO_STATE": str(state_directory()), "OPERANDO_CONFIG": str(config_directory())}
    told |= {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}
    return Machine(data.resolve(), user, command, told)


_MAIN = "import sys; from orchestrator.cli import main; sys.exit(main())"


def filled_in(machine: Machine, manager: Manager) -> dict[str, str]:
    """The unit files by their names.

    Raises:
        ControlError: A path has a character that no unit file can hold.
    """
    system = manager == "system"
    words = {
        "operando": _command(machine.operando),
        "data": _quoted(str(machine.data), argument=True),
        "network": _NETWORK if system else "",
        "target": "multi-user.target" if system else "default.target",
        "environment": "\n".join(
            f"Environment={_quoted(f'{name}={value}')}"
            for name, value in machine.environment.items()
        ),
        "identity": f"User={machine.user}\n{_HARDENING}"
        if system
        else "NoNewPrivileges=yes\nUMask=0077",
    }
    return {name: _filled(_template(name), words) for name in UNITS}


def write_units(units: Mapping[str, str], folder: Path, *, force: bool = False) -> list[Path]:
    """Write unit files into a folder.

    Raises:
        ControlError: One is there already, or the folder cannot be written.
    """
    paths = [folder / name for name in units]
    there = [path for path in paths if path.exists()]
    if there and not force:
        raise ControlError(str(there[0]), "is there already", remedy="--force writes over it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, units.values(), strict=True):
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ControlError(
            str(folder), f"cannot be written: {error.strerror}", remedy="choose another --out"
        ) from error
    return paths


def _template(name: str) -> str:
    return (files("orchestrator.units") / name).read_text(encoding="utf-8")


def _command(words: tuple[str, ...]) -> str:
    """A program and its first arguments; in the program's own path ``$`` stands for itself."""
    return " ".join(_quoted(word, argument=word is not words[0]) for word in words)


def _filled(text: str, words: Mapping[str, str]) -> str:
    filled = re.sub(r"@(\w+)@", lambda found: words[found[1]], text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"\n\n(?=\[|$)", "\n\n", filled))


def _quoted(text: str, *, argument: bool = False) -> str:
    """A word of a unit file, quoted, with nothing in it expanded.

    systemd.unit(5), "Specifiers", and systemd.service(5), "Command lines", where ``$`` counts, too.

    Raises:
        ControlError: It holds a line break or another control character.
    """
    if any(not character.isprintable() for character in text):
        what = f"got {text!r}, expected no control characters"
        raise ControlError("units", what, remedy="rename it")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    escaped = escaped.replace("$", "$$") if argument else escaped
    return f'"{escaped}"' if re.search(r"[^\w/.,:=@+%$-]", escaped) else escaped
