"""The one stub that runs every protocol: a cell is cycled while images are taken beside it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import bluesky.preprocessors as bpp
from bluesky.utils import FailedStatus, MsgGenerator

from devices.errors import DeviceError
from plans.after_trip import take_evidence
from plans.conditions import Condition
from plans.control import engine_control
from plans.cycling import Cycling, StepPolicy
from plans.environment import Environment
from plans.imaging import Capture
from plans.keeping import Keeper, Place
from plans.preflight_run import check_before
from plans.progress import ECHEM, Progress
from plans.schedule import Position, block, walk
from plans.serving import STOPPED
from plans.step_run import run_step
from plans.steps import FrameStep, Surround, described
from plans.stubs import note
from plans.surround_step import measured_by
from plans.trip import INTERLOCK

log = logging.getLogger(__name__)

__all__ = ["ECHEM", "Cycling", "StepPolicy", "run_protocol"]


def run_protocol(
    cycling: Cycling,
    captures: Sequence[Capture] = (),
    conditions: Sequence[Condition] = (),
    environment: Environment | None = None,
    *,
    keeper: Keeper | None = None,
) -> MsgGenerator[str]:
    """Run a method on a cell with images and spectra beside it, to its end or a condition.

    The run must be open and the devices staged. First the environment is brought about, with the
    cell off, and what fails there ends the run before anything is energised; then the cell is
    checked as the pre-flight says, and the block `before` is run. Then steps, frames and conditions
    are waited for together; records become pages of the stream ``echem`` at most `journal_every_s`
    apart, each frame an event of its device's stream, each spectrum rows of the stream ``eis``.
    When the protocol has ended by itself, by a condition or by a limit, the block `after` follows;
    after a failure, an abort or a request to stop at once it does not. On every way out the cell is
    off and its last records are in the stream. May be paused at any message: nothing is repeated,
    since the caller runs it with ``rewindable`` False.

    Args:
        cycling: What is done to the cell.
        captures: Images and spectra to take meanwhile.
        conditions: End the protocol when met; fresh ones, for this run only.
        environment: What is to surround the cell and what measures it, into the stream
            ``environment``.
        keeper: Keeps what a run would go on from, and says where this one goes on; None: nothing
            can go on from it.

    Returns:
        The stop reason: ``completed``, ``limit``, ``stopped`` by a person's request (see
        `plans.control`), ``interlock``, or the name of the condition that was met.
    """
    control = yield from engine_control()
    progress = Progress.of(cycling, captures, conditions, environment, control)
    with control.serving(), progress.kept_by(keeper):
        place = None if keeper is None else keeper.place
        try:
            drained = progress.requests.drain()
            reason = yield from bpp.finalize_wrapper(_run(progress, place), drained)
        except (FailedStatus, DeviceError) as error:
            if control.tripped is None:
                raise
            log.warning("after %s: %s", control.tripped.sentence, error)
            reason = INTERLOCK
    return INTERLOCK if control.tripped is not None else str(reason)


def _run(progress: Progress, place: Place | None) -> MsgGenerator[str]:
    """Everything in its order; returns the stop reason."""
    requests, course = progress.requests, progress.course
    before, after = _blocks(progress.cycling, progress.surveillance.environment)
    yield from progress.declare()
    if place is not None:
        yield from progress.go_on(place)
    if course.enters("environment"):
        yield from progress.surveillance.prepare()
    if course.stage in ("environment", "preflight", "before", "steps"):
        driven = _driven(progress, before)
        reason = yield from bpp.finalize_wrapper(driven, progress.leave_off())
        course.reason = str(reason)
    orderly = course.reason in ("completed", "limit")
    orderly = orderly or (course.reason == STOPPED and not requests.cut_short)
    if course.enters("finish"):
        yield from progress.finish(cut_short=not orderly)
    yield from take_evidence(progress)
    if after and not requests.cut_short and course.enters("after"):
        yield from bpp.finalize_wrapper(_afterwards(progress, after), progress.leave_off())
    course.enters("over")
    yield from _note_closure(progress)
    yield from progress.surveillance.record()
    return course.reason


def _note_closure(progress: Progress) -> MsgGenerator[None]:
    """Compare the charge of the records with the instrument's own counter, where it has one."""
    error = progress.cycling.potentiostat.closure_error
    if error is not None:
        text = "records less the instrument's counter, relative to the charge moved"
        yield from note(progress.event, "charge_closure", f"{text}: {error:.3g}", error)


def _blocks(
    cycling: Cycling, environment: Environment
) -> tuple[Sequence[Position], Sequence[Position]]:
    """The blocks before and after the method; everything that they need is there.

    Raises:
        ValueError: A step needs a chamber or a load cell, and there is none.
        TypeError: A step cannot be run there.
    """
    before = list(block(cycling.before, "before", -len(cycling.before)))
    after = list(block(cycling.after, "after", len(cycling.method)))
    for step in (*cycling.before, *cycling.method, *cycling.after):
        if isinstance(step, Surround):
            measured_by(step, environment)
    return before, after


def _driven(progress: Progress, before: Sequence[Position]) -> MsgGenerator[str]:
    """Everything that happens while the cell may be driven; returns the stop reason."""
    course = progress.course
    if course.reason:
        return course.reason
    if course.enters("preflight"):
        yield from check_before(progress)
        if progress.requests.stopped:
            return STOPPED
    if course.enters("before"):
        for position in before:
            reason = yield from _in_block(progress, position)
            if reason is not None:
                return reason
    course.enters("steps")
    yield from progress.begin()
    return (yield from _run_steps(progress))


def _in_block(progress: Progress, position: Position) -> MsgGenerator[str | None]:
    """Run a step of a block, if it is not over; returns a reason why nothing may follow."""
    course = progress.course
    if course.is_past(position):
        return None
    course.comes_to(position)
    if course.turn != "run" and course.turns("step_start"):
        yield from _note_step(progress, position)
    reason = (yield from run_step(progress, position)) if course.turns("run") else None
    course.turns("over")
    return reason


def _afterwards(progress: Progress, after: Sequence[Position]) -> MsgGenerator[None]:
    """What is measured at the end; once the cell is outside its limits, frames only."""
    outside = False
    for position in after:
        if outside and not isinstance(position.step, FrameStep):
            continue
        outside |= (yield from _in_block(progress, position)) is not None
        if progress.requests.stopped:
            return


def _note_step(progress: Progress, position: Position) -> MsgGenerator[None]:
    """Say that a step of a block begins: it may leave no other trace."""
    text = f"{position}: {described(position.step)}"
    if position.step_index < 0:
        yield from note(progress.event, "before", text)
    else:
        yield from note(progress.event, "after", text)


def _run_steps(progress: Progress) -> MsgGenerator[str]:
    """Go through the method; returns the stop reason."""
    course = progress.course
    for position in walk(progress.cycling.method, course.here if course.resumed else None):
        course.comes_to(position)
        reason = yield from _one_step(progress, position)
        if reason is not None:
            return reason
    yield from progress.moment("cycle_end", course.here.cycle if course.here else 0)
    yield from progress.settle()
    yield from note(progress.event, "completed", "every step of the method has run")
    progress.ends("completed")
    return "completed"


def _one_step(progress: Progress, position: Position) -> MsgGenerator[str | None]:
    """Everything about one step, as far as it is still to be done; a reason where that ends it."""
    course, place = progress.course, (position.step_index, position.cycle)
    if course.turns("cycle_end") and course.former_cycle not in (0, position.cycle):
        yield from progress.moment("cycle_end", course.former_cycle)
        if progress.requests.ends_after("cycle"):
            return STOPPED
    if course.turns("step_start"):
        yield from progress.moment("step_start", *place)
    if course.turns("settle"):
        yield from progress.settle()
    reason = (yield from run_step(progress, position)) if course.turns("run") else None
    if reason is None and course.turns("step_end"):
        yield from progress.moment("step_end", *place)
        reason = STOPPED if progress.requests.ends_after("step") else None
    if reason is None:
        course.turns("over")
    return reason
