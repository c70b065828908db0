"""Runs one step of a protocol, and does what its policy says where it fails."""

from __future__ import annotations

import bluesky.plan_stubs as bps
from bluesky import Msg
from bluesky.utils import MsgGenerator

from devices.answering import NEVER_AN_ANSWER
from devices.errors import LinkError
from devices.step_end import StepEnd
from plans.block_step import check_attempt, frame_attempt
from plans.cell_step import Attempt, Outcome, cell_attempt, outcome_of
from plans.cycling import StepPolicy
from plans.progress import Progress
from plans.schedule import Position
from plans.serving import STOPPED
from plans.steps import FrameStep, OwnStep, Surround, VoltageCheck
from plans.stubs import note
from plans.surround_step import surround_attempt
from plans.take_up import take_up

_TRIES_TO_READ = 3
"""How often a potentiostat that failed is asked before the run goes on without the step."""


def run_step(progress: Progress, position: Position) -> MsgGenerator[str | None]:
    """Run one step to its end; returns a reason if the protocol must end with it.

    Raises:
        DeviceError: It failed, and its policy says no more than that.
    """
    if progress.met() is not None:  # while the cell was at rest between steps
        return (yield from progress.note_condition())
    progress.step_begins(position)
    outcome = yield from _attempted(progress, position)
    progress.step_left()
    return STOPPED if progress.requests.stopped else outcome.reason


def _attempted(progress: Progress, position: Position) -> MsgGenerator[Outcome]:
    """Try a step as often as its policy says; what came of it."""
    policy, requests = progress.cycling.policy(position.step_index), progress.requests
    if requests.stopped:  # while the cell was at rest between steps
        return Outcome()
    attempt = attempts(progress, position)
    place = progress.taken_up(position)
    if place is None:
        if progress.course.resumed:  # what was due meanwhile has begun: a spectrum of the open cell
            yield from progress.settle()
        outcome = yield from attempt(False)  # noqa: FBT003 - see Attempt
    else:
        outcome = yield from take_up(progress, position, place, attempt)
    for number in range(1, policy.retries + 1):
        if outcome.error is None or isinstance(outcome.error, NEVER_AN_ANSWER):
            break
        if requests.leaves_step:
            break
        how = f"tried again, {number} of {policy.retries}, in {policy.wait_s:g} s"
        yield from _note(progress, position, outcome.error, how)
        yield from progress.spend(policy.wait_s)
        outcome = yield from _again(progress, position, attempt)
    if outcome.error is not None:
        outcome = yield from _give_up(progress, position, policy, outcome.error)
    return outcome


def attempts(progress: Progress, position: Position) -> Attempt:
    """Attempts at a step of any kind."""
    if isinstance(position.step, Surround):
        return surround_attempt(progress, position)
    if isinstance(position.step, VoltageCheck):
        return check_attempt(progress, position)
    if isinstance(position.step, FrameStep):
        return frame_attempt(progress, position)
    return cell_attempt(progress, position)


def _again(progress: Progress, position: Position, attempt: Attempt) -> MsgGenerator[Outcome]:
    """One more attempt: the instrument is read and off first, then what is left is run."""
    if progress.met() is not None:
        return Outcome(reason=(yield from progress.note_condition()))
    pstat, had_failed = progress.cycling.potentiostat, _failed(progress)
    outcome = yield from _read(progress, position, tries=1)
    if outcome.reason is not None or pstat.energised:  # nothing is energised blindly
        return outcome
    over = had_failed and not _failed(progress)
    if over and not isinstance(position.step, OwnStep):
        return Outcome()  # it had ended by itself meanwhile
    return (yield from attempt(_failed(progress)))


def _give_up(
    progress: Progress, position: Position, policy: StepPolicy, error: BaseException
) -> MsgGenerator[Outcome]:
    """What happens after the last attempt; the run goes on only with the cell off, verified."""
    how = _HOW[policy.then].format(policy.rest_s)
    if policy.then == "safe_state" or isinstance(error, NEVER_AN_ANSWER):
        if policy.survivable:
            yield from _note(progress, position, error, _HOW["safe_state"])
        raise error
    yield from _note(progress, position, error, how)
    outcome = yield from _read(progress, position, tries=_TRIES_TO_READ, wait_s=policy.wait_s)
    if progress.cycling.potentiostat.energised:
        raise outcome.error or error
    if outcome.reason is not None:
        return outcome
    yield from bps.trigger(StepEnd(progress.cycling.potentiostat), wait=True)
    if policy.then == "rest":
        yield from progress.spend(policy.rest_s)
    met = progress.met() is not None
    return Outcome(reason=(yield from progress.note_condition())) if met else Outcome()


_HOW = {
    "safe_state": "the run ends",
    "skip": "the rest of it is left out",
    "rest": "{:g} s of rest, then the rest of it is left out",
}


def _failed(progress: Progress) -> bool:
    """Whether the potentiostat has a step that failed, and of which something may be left."""
    return bool(progress.cycling.potentiostat.end_reason.get() == "failed")


def _read(
    progress: Progress, position: Position, *, tries: int, wait_s: float = 0.0
) -> MsgGenerator[Outcome]:
    """Read what a potentiostat that failed recorded since, and leave the cell off, verified."""
    outcome = Outcome()
    for number in range(tries if _failed(progress) else 0):
        if number:
            yield from progress.spend(wait_s)
        try:
            yield Msg("stop", progress.cycling.potentiostat)
        except LinkError as error:
            outcome = Outcome(error=error)
        else:
            return (yield from outcome_of(progress, position))
    return outcome


def _note(
    progress: Progress, position: Position, error: BaseException, how: str
) -> MsgGenerator[None]:
    yield from note(progress.event, "step_failed", f"{position}: {error}; {how}")
