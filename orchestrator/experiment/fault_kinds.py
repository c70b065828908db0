"""Every kind of fault that a simulated laboratory can have: a written table.

The simulation has its own values for them (`orchestrator.laboratory.faults` builds those); a test
compares names, options and defaults. `docs/reference/injectable-faults.md` shows the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

CELL = "cell"
"""The device of a fault of the cell itself."""

METER_ROLES = ("potentiostat", "voltmeter")
"""Roles of drivers whose instrument reads a voltage."""

Where = Literal["wire", "cell", "imager", "meter"]


@dataclass(frozen=True)
class FaultForm:
    """What a kind of fault is.

    Attributes:
        where: Whose it is: any instrument's wire, the cell, an instrument that takes images, or
            one that reads a voltage.
        text: What happens from START to END.
        options: What it takes, with defaults.
    """

    where: Where
    text: str
    options: Mapping[str, Any]


_MATCH = {"match": ""}

FAULTS: Mapping[str, FaultForm] = {
    "silence": FaultForm("wire", "the message does not reach it, nothing is sent", _MATCH),
    "late": FaultForm(
        "wire", "it acts at once, its reply comes `delay_s` later", {"delay_s": 2.0, **_MATCH}
    ),
    "garble": FaultForm(
        "wire",
        "about a third of the reply's bytes are damaged, drawn from `seed`",
        {"seed": 0, **_MATCH},
    ),
    "truncate": FaultForm(
        "wire", "the second half of the reply and its line feed are missing", _MATCH
    ),
    "close": FaultForm("wire", "it acts, then closes the connection instead of replying", _MATCH),
    "reset": FaultForm("wire", "the message does not reach it, the connection is reset", _MATCH),
    "refuse": FaultForm(
        "wire", "new connections are refused, an open one is closed at its next message", {}
    ),
    "busy": FaultForm(
        "wire", "messages wait, and are acted on in order at the first one after END", _MATCH
    ),
    "stuck": FaultForm("wire", "a query is answered as it was the first time", _MATCH),
    "ignored_off": FaultForm("wire", "a command to switch the output off is swallowed", _MATCH),
    "short": FaultForm(
        "cell", "an electronic short of `ohm` lies in parallel with the cell", {"ohm": 1.0}
    ),
    "open": FaultForm("cell", "the contact is lost: no current flows, a meter reads 0 V", {}),
    "abort": FaultForm("imager", "a scan that is under way fails", {}),
    "black": FaultForm("imager", "frames that end in this time hold nothing", {}),
    "drift": FaultForm(
        "imager",
        "the image drifts at `x_um_per_h`, `y_um_per_h`, and stays where it came to",
        {"x_um_per_h": 10.0, "y_um_per_h": 0.0},
    ),
    "occupied": FaultForm("imager", "somebody else uses it: no scan can be begun", {}),
    "overload": FaultForm("meter", "readings are over range", {}),
    "stuck_reading": FaultForm("meter", "readings stay at the last one before START", {}),
}
"""Every kind by its name."""

OPTIONS = ("ohm", "x_um_per_h", "y_um_per_h", "delay_s", "seed", "match")
"""Every option, the last of which is last in a text."""
