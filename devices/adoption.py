"""What a run that goes on after a crash finds at its potentiostat, and what is known of the gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from devices.cell_program import Program

Found = Literal["running", "finished", "off", "lost"]
"""``running``: the program of before still runs and is followed again. ``finished``: it had ended
by itself, which is its step's end. ``off``: the cell is off, and of the step `Adoption.left` is
left. ``lost``: what was found does not fit; the cell was switched off, verified."""


class Fit(StrEnum):
    """How an instrument fits what a checkpoint says was loaded in it."""

    OURS = "ours"
    """The program is there, running or over, and so are all of its records."""
    WAITING = "waiting"
    """The program is there and was never started."""
    GONE = "gone"
    """There is no program and nothing is driven: the instrument was switched off and on."""
    CLEARED = "cleared"
    """The program is there, and records that were read are not, or are others."""
    FOREIGN = "foreign"
    """Another program, or an output that is on without one."""


@dataclass(frozen=True)
class Attached:
    """What a driver found; it has written nothing that changes the cell.

    Attributes:
        fit: How it fits.
        text: What was got and what was expected, in words; empty where everything fits.
        elapsed_s: Time since the program's start on the instrument's own clock, s; NaN where the
            instrument does not say. Of a program that is over, until its end.
    """

    fit: Fit
    text: str = ""
    elapsed_s: float = math.nan


@dataclass(frozen=True)
class Gap:
    """A time for which there are no records, although the cell may have been driven.

    Attributes:
        from_s: Experiment time of the last record before it, Unix s.
        to_s: Experiment time from which the cell is known again, Unix s.
        charge_mah_bound: At most this charge passed meanwhile, in either direction, mAh; infinite
            where nobody knows what was driven.
    """

    from_s: float
    to_s: float
    charge_mah_bound: float

    @property
    def duration_s(self) -> float:
        """How long it lasts, s."""
        return self.to_s - self.from_s


@dataclass(frozen=True)
class Adoption:
    """What `devices.potentiostat.Potentiostat.adopt` found and did.

    Attributes:
        found: In one word.
        left: What is left of the step, as far as the records show; None where nothing is, or no
            step had begun.
        end_reason: How the step ended where it had (``time``, ``end_voltage``, ``end_current``,
            ``limit``), or what cut it off (``stopped``, ``fault``); else empty.
        gap: Where records are missing; None where none are.
        text: The same for people: what was found, what was done.
        rows: Records read back from the instrument that no journal had.
        clock_skew_s: The host's clock since the program's start less the instrument's, s; 0 where
            they agree as well as can be told. Not 0, somebody set the clock: records keep the
            instrument's times.
        holds: Exposures for which the cell is still held at rest, by the name of their
            `devices.cell_hold.HeldCell`; each goes on holding it until it is set to ``keep``.
    """

    found: Found
    left: Program | None = None
    end_reason: str = ""
    gap: Gap | None = None
    text: str = ""
    rows: int = 0
    clock_skew_s: float = 0.0
    holds: tuple[str, ...] = ()


FrameFound = Literal["running", "finished", "missing", "none"]
"""``running``: the instrument still acquires it. ``finished``: it is there, and not yet fetched.
``missing``: it was begun or about to be, and will never be there. ``none``: none was being taken,
or the journal has it."""


@dataclass(frozen=True)
class FrameAdoption:
    """What a device found of a frame of the run before.

    Attributes:
        found: In one word.
        text: The same for people.
    """

    found: FrameFound
    text: str


@dataclass(frozen=True)
class Journaled:
    """What the journal holds already, which is more than a checkpoint knows that was cut off.

    Attributes:
        until_s: Experiment time of the last record of the cell, Unix s.
        spectra: Number of whole spectra since the first run of the chain.
        charge_mah: Net charge at the last record, mAh; NaN where nobody knows.
        throughput_mah: Charge in either direction then, mAh.
        place: Step and cycle of the last record: one of another step at the same time is another.
    """

    until_s: float = -math.inf
    spectra: int = 0
    charge_mah: float = math.nan
    throughput_mah: float = math.nan
    place: tuple[int, int] | None = None


def largest_current_ma(program: Program) -> float:
    """The largest current that a program can pass, in either direction, mA.

    A forced current is known; at a forced voltage the program's own limits end it.
    """
    if program.mode == "rest":
        return 0.0
    if program.mode == "current":
        return abs(program.setpoint)
    limit_ma = max(abs(program.limits.min_current_ma), abs(program.limits.max_current_ma))
    if program.sweep is not None and program.sweep.quantity == "current":
        return min(limit_ma, abs(program.setpoint) + program.sweep.amplitude)
    return limit_ma


def charge_bound_mah(programs: Sequence[Program], from_s: float, to_s: float) -> float:
    """At most this charge passes in a part of programs that run one after another, mAh.

    Args:
        programs: They run without a gap.
        from_s: Where the part begins, s since their start.
        to_s: Where it ends, s since their start; what lies beyond their end passes nothing.
    """
    passed, began_s = 0.0, 0.0
    for program in programs:
        ended_s = began_s + program.duration_s
        inside_s = min(to_s, ended_s) - max(from_s, began_s)
        passed += largest_current_ma(program) * max(inside_s, 0.0) / 3600.0
        began_s = ended_s
    return passed
