"""What a potentiostat behind the bridge says of itself, as the driver wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devices.adoption import Attached, Fit
from devices.roles import CellLimits, EndReason, PotentiostatCapabilities, ProgramState

MODES: Mapping[str, str] = {
    "cc": "current",
    "cv": "voltage",
    "ocv": "rest",
    "scan": "scan",
    "geis": "impedance",
    "peis": "impedance",
}
"""Modes of a program by technique of the protocol."""

_STATES = {
    "idle": ProgramState.IDLE,
    "loaded": ProgramState.IDLE,
    "running": ProgramState.RUNNING,
    "finished": ProgramState.FINISHED,
}
_REASONS: Mapping[str, EndReason] = {
    "": "",
    "complete": "time",
    "limit": "limit",
    "stopped": "stopped",
    "fault": "fault",
}


@dataclass(frozen=True)
class Status:
    """Where a program stands.

    Attributes:
        word: The instrument's own word for it.
        state: The same in the role's words.
        program: Number of the program that was started last.
        technique: Number of its technique that runs or ran last.
        rows: Records that it holds.
        points: Points of spectra that it holds.
        cell_on: Whether the cell is connected and driven.
        reason: The instrument's own word for why it ended; empty while it runs.
        charge_mah: Its charge counter, net since the start, mAh.
        elapsed_s: Time since the program's start, until its end, s.
    """

    word: str
    state: ProgramState
    program: int
    technique: int
    rows: int
    points: int
    cell_on: bool
    reason: str
    charge_mah: float
    elapsed_s: float

    @property
    def driven(self) -> bool:
        """Whether a program runs or the cell is on."""
        return self.state is ProgramState.RUNNING or self.cell_on

    @property
    def text(self) -> str:
        """In words."""
        cell = "on" if self.cell_on else "open"
        return f"program {self.program} {self.word}, cell {cell}, {self.rows} records"

    @property
    def end_reason(self) -> EndReason:
        """Why it ended, in the role's words; a limit test depends on its technique."""
        return _REASONS.get(self.reason, "fault")


def judged(status: Status, mark: Mapping[str, Any], *, held: bool, ours: bool) -> Attached:
    """How an instrument fits the mark of a program.

    Args:
        status: One look at it.
        mark: As `potentiostat_bridge.BridgePotentiostat.mark` has given it.
        held: Whether it holds any program.
        ours: Whether the one that it holds is the mark's.
    """
    text = f"{status.text}, expected program {mark['program']} with token {mark['token'] or 'none'}"
    if not held and not status.driven:
        return Attached(Fit.GONE, text)
    if ours and status.word == "loaded" and status.program == mark["program"] - 1:
        return Attached(Fit.WAITING, text)
    if not ours or status.program != mark["program"] or status.word in {"idle", "loaded"}:
        return Attached(Fit.FOREIGN, text)
    if status.rows < mark["index"]:
        return Attached(Fit.CLEARED, f"{text}, {mark['index']} were read before")
    return Attached(Fit.OURS, elapsed_s=status.elapsed_s)


def status_of(reply: Mapping[str, Any]) -> Status:
    """Read a status.

    Raises:
        KeyError, TypeError, ValueError: It is not one.
    """
    word = str(reply["state"])
    if type(reply["cell_on"]) is not bool:
        raise TypeError(f"cell_on: got {reply['cell_on']!r}, expected true or false")
    return Status(
        word=word,
        state=_STATES[word],
        program=int(reply["program"]),
        technique=int(reply["technique"]),
        rows=int(reply["rows"]),
        points=int(reply["points"]),
        cell_on=reply["cell_on"],
        reason=str(reply["reason"]),
        charge_mah=float(reply["charge_mah"]),
        elapsed_s=float(reply["elapsed_s"]),
    )


def capabilities_of(reply: Mapping[str, Any]) -> PotentiostatCapabilities:
    """Read an instrument's capabilities.

    Raises:
        KeyError, TypeError, ValueError: They are not that.
    """
    limits, frequencies = reply["limits"], reply["frequency_hz"]
    return PotentiostatCapabilities(
        modes=tuple(dict.fromkeys(MODES[name] for name in reply["techniques"] if name in MODES)),
        limits=CellLimits(
            float(limits["min_voltage_v"]),
            float(limits["max_voltage_v"]),
            float(limits["min_current_ma"]),
            float(limits["max_current_ma"]),
        ),
        min_period_s=float(reply["min_period_s"]),
        max_records=int(reply["max_rows"]),
        counter=bool(reply["counter"]),
        frequency_hz=None
        if frequencies is None
        else (float(frequencies[0]), float(frequencies[1])),
    )
