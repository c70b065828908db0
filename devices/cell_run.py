"""Programs that a potentiostat runs by itself now, a spectrum among them perhaps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from devices.roles import CellLimits, Page, Program, SpectrumPoints, Sweep
from devices.technique import spectrum_program

INTERRUPTIBLE = frozenset({"current", "voltage", "rest"})
"""Modes of a step within which a spectrum may be taken; the others are over first."""

LEAST_REST_S = 0.5
"""A step with less left than this after a spectrum is over first, s."""

BY_ITSELF = frozenset({"time", "end_voltage", "end_current", "ended"})
"""Reasons after which the protocol goes on."""

SWEEP_PERIOD_S = 1.0
"""Longest time between the direct records during a sweep, s."""


@dataclass(frozen=True, eq=False)
class SpectrumRequest:
    """A spectrum that somebody waits for.

    Attributes:
        sweep: Frequencies and amplitude.
        limits: Limits at the cell where no step runs.
        series: Number of the series it belongs to, -1 for a step of the protocol.
        done: Called once with how it went: ``ok``, ``ok`` with a remark, or why there is none.
        at_rest: The running step stands still meanwhile, and the cell is measured at rest.
    """

    sweep: Sweep
    limits: CellLimits
    series: int
    done: Callable[[Outcome], None]
    at_rest: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a spectrum went.

    Attributes:
        taken: Whether there is a spectrum.
        text: A remark, or why there is none.
        error: The error that prevented it, if one did.
        began_s: Experiment time at which it began, Unix s; NaN where there is none.
    """

    taken: bool
    text: str
    error: Exception | None = None
    began_s: float = math.nan


@dataclass
class CellRun:
    """What was loaded together and started.

    Attributes:
        programs: They run one after another.
        began_s: Experiment time of the start, Unix s.
        request: The spectrum that the first program takes beside a step; None where there is
            none, or the step is itself a spectrum.
        ran_s: How long it has run by the last record, s.
        counter_mah: What the instrument's charge counter showed last, mAh; NaN without one.
        spectrum: Points read so far.
        stored: Whether its spectrum is whole and was kept.
        apart: The step, if there is one, stands still: none of this is part of it.
        skew_s: The host's clock has moved so much more than the instrument's since the start, s:
            somebody set it.
    """

    programs: tuple[Program, ...]
    began_s: float
    request: SpectrumRequest | None = None
    ran_s: float = 0.0
    counter_mah: float = math.nan
    spectrum: list[SpectrumPoints] = field(default_factory=list)
    stored: bool = False
    apart: bool = False
    skew_s: float = 0.0

    def elapsed_s(self, now_s: float) -> float:
        """How long it has run at a time of the host's clock, Unix s, by the instrument's; s."""
        return now_s - self.began_s - self.skew_s

    @property
    def duration_s(self) -> float:
        """How long all of it takes, s."""
        return sum(program.duration_s for program in self.programs)

    @property
    def sweep(self) -> Sweep | None:
        """The spectrum that it takes, if it does."""
        return self.programs[0].sweep

    def take(self, page: Page) -> None:
        """Take note of what was read."""
        self.counter_mah = page.counter_mah
        if len(page.elapsed_s):
            self.ran_s = float(page.elapsed_s[-1])
        if page.spectrum is not None:
            self.spectrum.append(page.spectrum)

    def points(self) -> SpectrumPoints | None:
        """The whole spectrum; None while points are missing."""
        if self.sweep is None or not self.spectrum:
            return None
        names = SpectrumPoints.__dataclass_fields__
        columns = {n: np.concatenate([getattr(p, n) for p in self.spectrum]) for n in names}
        whole = SpectrumPoints(**columns)
        return whole if len(whole.frequency_hz) >= self.sweep.points else None


def record_within_s(run: CellRun | None, poll_period_s: float) -> float:
    """Longest time until the next record of what runs is known, s; infinite where none is due.

    Nothing runs, or a spectrum is taken, which gives records of its own kind.

    Args:
        run: What runs.
        poll_period_s: Longest time between polls, s.
    """
    if run is None or run.sweep is not None:
        return math.inf
    return run.programs[0].period_s + poll_period_s


def with_spectrum(
    left: Program, request: SpectrumRequest, last: tuple[float, float]
) -> tuple[Program, Program] | None:
    """A spectrum within a step, then the rest of the step; None where it does not fit.

    The time of the sweep belongs to the step. A sweep that forces what the step forces is taken
    about the step's own value; one that forces the other quantity about what was measured last,
    or at rest about the open-circuit voltage.

    Args:
        left: What is left of the step.
        request: The spectrum.
        last: Last current (mA) and voltage (V) measured.
    """
    sweep_s = request.sweep.duration_s
    if left.mode not in INTERRUPTIBLE or left.duration_s < sweep_s + LEAST_REST_S:
        return None
    period_s = min(left.period_s, SWEEP_PERIOD_S)
    taken = spectrum_program(
        request.sweep,
        Program("rest", 0.0, sweep_s, period_s, left.limits),
    )
    last_ma, last_v = last
    if request.sweep.quantity == "current":
        about_ma = last_ma if left.mode == "voltage" else left.setpoint
        taken = replace(taken, setpoint=0.0 if math.isnan(about_ma) else about_ma)
    elif left.mode != "rest":
        about_v = last_v if left.mode == "current" else left.setpoint
        unknown = math.isnan(about_v)
        taken = replace(taken, setpoint=0.0 if unknown else about_v, at_open_circuit=unknown)
    return taken, replace(left, duration_s=left.duration_s - sweep_s)


def during(
    left: Program, request: SpectrumRequest, last: tuple[float, float]
) -> tuple[Program, ...]:
    """What runs next for a spectrum that is wanted during a step; empty where it does not fit.

    A spectrum at rest comes alone, the step stands still until it is over; else `with_spectrum`.
    """
    if request.at_rest and left.mode in INTERRUPTIBLE:
        return (free_spectrum(request),)
    return with_spectrum(left, request, last) or ()


def free_spectrum(request: SpectrumRequest) -> Program:
    """A spectrum of the cell at rest while no step runs."""
    period_s = SWEEP_PERIOD_S
    common = Program("rest", 0.0, request.sweep.duration_s, period_s, request.limits)
    return spectrum_program(request.sweep, common)
