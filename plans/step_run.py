"""Runs one step of a protocol, with everything beside it served meanwhile."""

from __future__ import annotations

from aurora_unicycler import ImpedanceSpectroscopy
from bluesky import Msg
from bluesky.utils import MsgGenerator
from ophyd.status import Status

from devices.technique import CellStep, Technique
from plans.progress import Progress
from plans.schedule import Position
from plans.stubs import is_done, note


def run_step(progress: Progress, position: Position) -> MsgGenerator[str | None]:
    """Run one step to its end; returns a reason if the protocol must end with it."""
    if progress.met() is not None:  # while the cell was at rest between steps
        return (yield from progress.note_condition())
    ended = yield from start(progress, position, position.step)
    while not is_done(ended) and progress.met() is None:
        yield from progress.serve(ended)
    if progress.met() is not None:
        return (yield from progress.note_condition())
    if progress.cycling.potentiostat.end_reason.get() == "limit":
        return (yield from note_limit(progress))
    if isinstance(position.step, ImpedanceSpectroscopy):
        yield from progress.collect_spectra()
    return None


def start(progress: Progress, position: Position, step: CellStep) -> MsgGenerator[Status | None]:
    """Begin something on the potentiostat; returns the status of its end."""
    cycling = progress.cycling
    technique = Technique(
        step=step,
        limits=cycling.limits,
        period_s=cycling.period_s,
        max_capacity_mah=cycling.max_capacity_mah,
        step_index=position.step_index,
        cycle=position.cycle,
        on_pause=cycling.pause_policy(position.step_index),
    )
    # Bare messages: each of bluesky's stubs formats a traceback when it is made, and a week has
    # thousands of steps.
    yield Msg("prepare", cycling.potentiostat, technique, group="prepare")
    yield Msg("kickoff", cycling.potentiostat, group="kickoff")
    ended: Status | None = yield Msg("complete", cycling.potentiostat, group="complete")
    return ended


def note_limit(progress: Progress) -> MsgGenerator[str]:
    """A limit ended the step: say where the cell stood."""
    pstat = progress.cycling.potentiostat
    volts, amps = pstat.voltage_v.get(), pstat.current_ma.get()
    text = f"a limit was exceeded at {volts:.4g} V, {amps:.4g} mA"
    yield from note(progress.event, "limit", text, volts)
    return "limit"
