"""Addresses of instruments: simulated ones, and VISA resource strings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from orchestrator.inputs.fields import Expected

SIMULATED = "sim://"
"""Beginning of a simulated instrument's address."""

_LONGEST = 200
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?)"
_FORMS = (
    r"sim://[a-z][a-z0-9_\-]*",
    rf"TCPIP\d*::{_HOST}::(?P<port>\d{{1,5}})::SOCKET",
    rf"TCPIP\d*::{_HOST}(?:::[A-Za-z0-9_,]+)?::INSTR",
    r"USB\d*(?:::(?:0x)?[0-9A-Fa-f]+){2}::[^:\s]+(?:::\d+)?(?:::INSTR|::RAW)?",
    r"GPIB\d*::\d{1,2}(?:::\d{1,2})?(?:::INSTR)?",
    r"ASRL(?:\d+|/dev/[A-Za-z0-9_./\-]+|COM\d+)(?:::INSTR)?",
)
_PATTERNS = tuple(re.compile(form, re.IGNORECASE) for form in _FORMS)


@dataclass(frozen=True)
class Resource(Expected):
    """An address that is well formed; whether anything answers is seen when it is opened.

    The VISA forms are those of VPP-4.3, section 4.3.1, as far as PyVISA-py serves them.
    """

    @property
    @override
    def words(self) -> str:
        return (
            "an address such as sim://smu, TCPIP::192.0.2.7::5025::SOCKET, USB0::..., GPIB0::24 "
            "or ASRL/dev/ttyUSB0::INSTR"
        )

    @override
    def check(self, value: Any) -> str:
        if not isinstance(value, str) or len(value) > _LONGEST:
            raise self.refuse(value, "quote the address")
        found = next((m for p in _PATTERNS if (m := p.fullmatch(value)) is not None), None)
        if found is None:
            raise self.refuse(value, "check the parts between the '::'")
        port = found.groupdict().get("port")
        if port is not None and not 1 <= int(port) <= 65_535:
            raise self.refuse(value, "the port is a number from 1 to 65535")
        return value

    @override
    def schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "maxLength": _LONGEST,
            "description": f"{self.words[:1].upper()}{self.words[1:]}.",
            "examples": ["sim://smu", "TCPIP::192.0.2.7::5025::SOCKET"],
        }


def is_simulated(resource: str) -> bool:
    """Whether an address names a simulated instrument of this process.

    Only for choosing the clock and the wire; whether data are simulated is recorded from the
    instrument's own identity.
    """
    return resource.lower().startswith(SIMULATED)
