"""The one stub that runs every protocol: a cell is cycled while images are taken beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from aurora_unicycler import ImpedanceSpectroscopy
from bluesky import Msg
from bluesky.utils import MsgGenerator
from ophyd.status import Status

from devices.attempt import Attempt
from devices.event import EventNote
from devices.potentiostat import Potentiostat
from devices.roles import CellLimits
from devices.technique import OnPause, Technique
from plans.conditions import Condition
from plans.environment import Environment, Surveillance
from plans.imaging import SPECTRA, Capture, Track
from plans.schedule import Position, walk
from plans.stubs import is_done, note, wait_any

ECHEM = "echem"
"""Stream of the potentiostat's records."""


@dataclass(frozen=True)
class Cycling:
    """What is done to the cell.

    Attributes:
        potentiostat: The device that does it.
        method: Steps of aurora-unicycler with absolute currents in mA, with loops and tags.
        period_s: Time between records, s.
        limits: Limits at the cell; exceeding one ends the run.
        max_capacity_mah: Ends the run when the net charge leaves +-this, mAh.
        journal_every_s: Longest time that records wait before they become a page, s.
        on_pause: What happens to the rest of a step after a pause.
    """

    potentiostat: Potentiostat
    method: Sequence[Any]
    period_s: float
    limits: CellLimits
    max_capacity_mah: float
    journal_every_s: float = 900.0
    on_pause: OnPause = "continue"


@dataclass
class _Progress:
    """What one run of the stub keeps."""

    cycling: Cycling
    conditions: Sequence[Condition]
    tracks: list[Track]
    event: EventNote
    surveillance: Surveillance
    watched: list[Status | None] = field(default_factory=list)
    flush_at_s: float = 0.0

    @property
    def takes_spectra(self) -> bool:
        """Whether anything asks for spectra: a series, or a step."""
        steps = any(isinstance(step, ImpedanceSpectroscopy) for step in self.cycling.method)
        return steps or any(track.capture.collects is not None for track in self.tracks)

    @property
    def now_s(self) -> float:
        return float(self.cycling.potentiostat.clock.time())

    def met(self) -> Condition | None:
        """The condition that was met first, if any."""
        met = [c for c in self.conditions if c.met is not None]
        return min(met, key=lambda c: c.met.t_s if c.met else 0.0, default=None)


def run_protocol(
    cycling: Cycling,
    captures: Sequence[Capture] = (),
    conditions: Sequence[Condition] = (),
    environment: Environment | None = None,
) -> MsgGenerator[str]:
    """Run a method on a cell with images and spectra beside it, to its end or a condition.

    The run must be open and the devices staged. First the environment is brought about, with the
    cell off, and what fails there ends the run before anything is energised. Then steps, frames
    and conditions are waited for together; records become pages of the stream ``echem`` at most
    `journal_every_s` apart, each frame an event of its device's stream, each spectrum rows of the
    stream ``eis``. On every way out the cell is off and its last records are in the stream. May be
    paused at any message: nothing is repeated, since the caller runs it with ``rewindable`` False.

    Args:
        cycling: What is done to the cell.
        captures: Images and spectra to take meanwhile.
        conditions: End the protocol when met; fresh ones, for this run only.
        environment: What is to surround the cell and what measures it, into the stream
            ``environment``.

    Returns:
        The stop reason: ``completed``, ``limit``, or the name of the condition that was met.
    """
    pstat = cycling.potentiostat
    event = EventNote(clock=pstat.clock)
    attempts = {id(c.device): Attempt(c.device) for c in captures}
    tracks = [Track(c, pstat, event, attempts[id(c.device)]) for c in captures]
    surveillance = Surveillance(environment or Environment(), event)
    progress = _Progress(cycling, conditions, tracks, event, surveillance)
    yield from bps.declare_stream(pstat, name=ECHEM, collect=True)
    if progress.takes_spectra:
        yield from bps.declare_stream(pstat.eis, name=SPECTRA, collect=True)
    yield from surveillance.prepare()
    reason = yield from bpp.finalize_wrapper(_cycle(progress), _leave_off(progress))
    for track in sorted(tracks, key=lambda track: not track.running):
        yield from track.finish(cut_short=reason not in ("completed", "limit"))
    yield from surveillance.record()
    return str(reason)


def _cycle(progress: _Progress) -> MsgGenerator[str]:
    """Everything that happens while the cell may be driven; returns the stop reason."""
    for condition in progress.conditions:
        status = yield from bps.trigger(condition, group=condition.name)
        progress.watched.append(status)
    progress.flush_at_s = progress.now_s + progress.cycling.journal_every_s
    for track in progress.tracks:
        yield from track.begin(progress.now_s)
    return (yield from _run_steps(progress))


def _leave_off(progress: _Progress) -> MsgGenerator[None]:
    """Whatever happened: the cell is off, and its last records are in the journal."""
    yield from bps.stop(progress.cycling.potentiostat)
    for condition in progress.conditions:
        yield from bps.stop(condition)
    yield from _collect(progress)


def _run_steps(progress: _Progress) -> MsgGenerator[str]:
    """Go through the method; returns the stop reason."""
    former: Position | None = None
    for position in walk(progress.cycling.method):
        if former is not None and position.cycle != former.cycle:
            yield from _moment(progress, "cycle_end")
        yield from _moment(progress, "step_start")
        yield from _settle(progress)
        reason = yield from _run_step(progress, position)
        if reason is not None:
            return reason
        yield from _moment(progress, "step_end")
        former = position
    yield from _moment(progress, "cycle_end")
    yield from _settle(progress)
    yield from note(progress.event, "completed", "every step of the method has run")
    return "completed"


def _run_step(progress: _Progress, position: Position) -> MsgGenerator[str | None]:
    """Run one step to its end; returns a reason if the protocol must end with it."""
    if progress.met() is not None:  # while the cell was at rest between steps
        return (yield from _note_condition(progress))
    cycling = progress.cycling
    pstat = cycling.potentiostat
    technique = Technique(
        step=position.step,
        limits=cycling.limits,
        period_s=cycling.period_s,
        max_capacity_mah=cycling.max_capacity_mah,
        step_index=position.step_index,
        cycle=position.cycle,
        on_pause=cycling.on_pause,
    )
    # Bare messages: each of bluesky's stubs formats a traceback when it is made, and a week has
    # thousands of steps.
    yield Msg("prepare", pstat, technique, group="prepare")
    yield Msg("kickoff", pstat, group="kickoff")
    ended = yield Msg("complete", pstat, group="complete")
    while not is_done(ended) and progress.met() is None:
        yield from _serve(progress, ended)
    if progress.met() is not None:
        return (yield from _note_condition(progress))
    if pstat.end_reason.get() == "limit":
        volts, amps = pstat.voltage_v.get(), pstat.current_ma.get()
        text = f"a limit was exceeded at {volts:.4g} V, {amps:.4g} mA"
        yield from note(progress.event, "limit", text, volts)
        return "limit"
    if isinstance(position.step, ImpedanceSpectroscopy):
        yield from _collect_spectra(progress)
    return None


def _serve(progress: _Progress, ended: Status | None) -> MsgGenerator[None]:
    """Wait for whatever comes next and deal with it."""
    wait_s = min(
        progress.flush_at_s - progress.now_s,
        *(track.due_in_s(progress.now_s) for track in progress.tracks),
        progress.surveillance.due_in_s(progress.now_s),
        progress.cycling.journal_every_s,
    )
    frames = [status for track in progress.tracks for status in track.waits_for()]
    yield from wait_any([ended, *frames, *progress.watched], max(wait_s, 0.0))
    if progress.now_s >= progress.flush_at_s:
        yield from _collect(progress)
    yield from progress.surveillance.serve(progress.now_s)
    for track in progress.tracks:
        yield from track.serve(progress.now_s)


def _collect(progress: _Progress) -> MsgGenerator[None]:
    progress.flush_at_s = progress.now_s + progress.cycling.journal_every_s
    yield Msg("collect", progress.cycling.potentiostat, name=ECHEM, return_payload=False)
    yield from _collect_spectra(progress)


def _collect_spectra(progress: _Progress) -> MsgGenerator[None]:
    if progress.takes_spectra:
        spectra = progress.cycling.potentiostat.eis
        yield Msg("collect", spectra, name=SPECTRA, return_payload=False)


def _settle(progress: _Progress) -> MsgGenerator[None]:
    """Spectra of the open cell are taken before anything else drives it."""
    for track in progress.tracks:
        yield from track.settle()


def _note_condition(progress: _Progress) -> MsgGenerator[str]:
    condition = progress.met()
    assert condition is not None  # noqa: S101 - the caller has asked
    assert condition.met is not None  # noqa: S101
    yield from bps.stop(progress.cycling.potentiostat)  # first of all the cell
    text = f"{condition.name}: {condition.met.text}"
    yield from note(progress.event, "condition", text, condition.met.value)
    return condition.name


def _moment(progress: _Progress, moment: Any) -> MsgGenerator[None]:
    for track in progress.tracks:
        yield from track.moment(moment)
