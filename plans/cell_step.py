"""Runs one step of aurora-unicycler on the potentiostat, and says how that went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aurora_unicycler import ImpedanceSpectroscopy, OpenCircuitVoltage
from bluesky import Msg
from bluesky.utils import MsgGenerator
from ophyd.status import Status

from devices.technique import OnPause, Technique
from plans.progress import Progress
from plans.schedule import Position
from plans.stubs import is_done, note


@dataclass(frozen=True)
class Outcome:
    """How one attempt at a step went.

    Attributes:
        reason: Why the protocol must end with it; None where it goes on.
        error: Why the step failed; None where it did not.
    """

    reason: str | None = None
    error: BaseException | None = None


Attempt = Callable[[bool], MsgGenerator[Outcome]]
"""One attempt at a step; called with whether it goes on with what is left of one that failed."""


def cell_attempt(progress: Progress, position: Position) -> Attempt:
    """Attempts at a step that the potentiostat runs by itself."""

    def attempt(continues: bool) -> MsgGenerator[Outcome]:  # noqa: FBT001 - the only thing to say
        technique = technique_of(progress, position)
        ended = yield from start(progress, replace(technique, continues=continues))
        return (yield from followed(progress, position, ended))

    return attempt


def followed(progress: Progress, position: Position, ended: Status | None) -> MsgGenerator[Outcome]:
    """Wait for the end of a step that runs, with everything beside served."""
    while not (is_done(ended) or progress.leaves_step):
        yield from progress.serve(ended)
    outcome = yield from outcome_of(progress, position)
    if isinstance(position.step, ImpedanceSpectroscopy) and outcome == Outcome():
        yield from progress.collect_spectra()
    return outcome


def technique_of(progress: Progress, position: Position) -> Technique:
    """What the potentiostat is told of a step."""
    cycling = progress.cycling
    return Technique(
        step=position.step,
        limits=cycling.limits,
        period_s=cycling.period_s,
        max_capacity_mah=cycling.max_capacity_mah,
        step_index=position.step_index,
        cycle=position.cycle,
        on_pause=cycling.pause_policy(position.step_index),
        survivable=cycling.policy(position.step_index).survivable,
    )


def rest_of(
    progress: Progress, position: Position, duration_s: float, on_pause: OnPause = "continue"
) -> Technique:
    """A rest at open circuit in the place of a step."""
    rest = OpenCircuitVoltage(until_time_s=duration_s)
    return replace(technique_of(progress, replace(position, step=rest)), on_pause=on_pause)


def start(progress: Progress, technique: Technique) -> MsgGenerator[Status | None]:
    """Begin something on the potentiostat; returns the status of its end."""
    pstat = progress.cycling.potentiostat
    if progress.keeper is not None:  # the instrument is about to forget what it has recorded
        yield from progress.collect()
    # Bare messages: each of bluesky's stubs formats a traceback when it is made, and a week has
    # thousands of steps.
    yield Msg("prepare", pstat, technique, group="prepare")
    yield Msg("kickoff", pstat, group="kickoff")
    progress.present = technique
    ended: Status | None = yield Msg("complete", pstat, group="complete")
    return ended


def outcome_of(progress: Progress, position: Position) -> MsgGenerator[Outcome]:
    """How a step went whose end was waited for, or that a condition ended."""
    pstat = progress.cycling.potentiostat
    if progress.met() is not None:
        return Outcome(reason=(yield from progress.note_condition()))
    reason, failure = pstat.end_reason.get(), pstat.failure
    if reason == "limit":
        volts, amps = pstat.voltage_v.get(), pstat.current_ma.get()
        text = f"a limit was exceeded at {volts:.4g} V, {amps:.4g} mA"
        yield from note(progress.event, "limit", text, volts)
        progress.ends("limit")
        return Outcome(reason="limit")
    if reason == "failed":
        return Outcome(error=failure)
    if failure is not None:
        text = f"{position}: {failure}; the step had ended by itself meanwhile ({reason})"
        yield from note(progress.event, "step_failed", text)
    return Outcome()
