"""Passwords and keys: named in a file, kept in the environment or in a file of its owner alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from orchestrator.errors import AlertError
from orchestrator.inputs.fields import Expected, problem

_LONGEST_BYTES = 4096
_FORM = "{env: NAME} or {file: PATH}"


@dataclass(frozen=True)
class Secret:
    """Where a secret is; never the secret itself.

    Attributes:
        env: Environment variable that holds it; empty where a file does.
        file: File that holds it, readable by its owner only.
    """

    env: str = ""
    file: str = ""

    @property
    def in_environment(self) -> bool:
        """Whether only processes with the right environment know it."""
        return bool(self.env)

    def read(self, environ: Mapping[str, str] | None = None) -> str:
        """The secret, without white space around it.

        Raises:
            AlertError: It is not there, or others can read the file.
        """
        if self.env:
            found = (os.environ if environ is None else environ).get(self.env, "").strip()
            who, remedy = f"${self.env}", "set it for this process, or keep the secret in a file"
        else:
            found, who = self._from_file(), self.file
            remedy = "write the secret into it"
        if not found or not found.isprintable():
            raise AlertError(who, "holds no secret, expected one line of text", remedy=remedy)
        return found

    def _from_file(self) -> str:
        path = Path(self.file).expanduser()
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if mode & (stat.S_IRWXG | stat.S_IRWXO):
                    raise AlertError(
                        self.file,
                        f"has the mode {stat.S_IMODE(mode):04o}, expected 0600",
                        remedy=f"`chmod 600 {path}`, and change the secret if others saw it",
                    )
                return file.read(_LONGEST_BYTES).decode("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is not UTF-8"
            what = f"cannot be read: {reason}"
            raise AlertError(self.file, what, remedy="check path, owner and mode") from None


@dataclass(frozen=True)
class SecretPlace(Expected):
    """Where a secret is; what is written there instead is never shown.

    Attributes:
        noun: What it is, with its article.
    """

    noun: str

    @property
    @override
    def words(self) -> str:
        return f"where {self.noun} is: {_FORM}"

    @override
    def check(self, value: Any) -> Secret:
        if isinstance(value, Secret):
            return value
        if not isinstance(value, dict) or set(value) not in ({"env"}, {"file"}):
            what = f"got something that is not shown here, expected {self.words}"
            raise problem(what, "a secret never stands in this file")
        place = next(iter(value.values()))
        if not isinstance(place, str) or not place.strip() or not place.isprintable():
            what = "got no name, expected that of a variable or a file"
            raise problem(what, f"write {_FORM}")
        return Secret(**value)

    @override
    def schema(self) -> dict[str, Any]:
        name = {"type": "string", "minLength": 1}
        return {
            "type": "object",
            "properties": {"env": name, "file": name},
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "description": f"{self.words[:1].upper()}{self.words[1:]}.",
        }
