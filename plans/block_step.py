"""Runs the steps that only the blocks before and after a protocol have: a check, frames."""

from __future__ import annotations

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from devices.errors import NotReachedError, PreflightError
from plans.cell_step import Attempt, Outcome, outcome_of, rest_of, start
from plans.imaging import Capture
from plans.progress import Progress
from plans.schedule import Position
from plans.steps import FrameStep, VoltageCheck
from plans.stubs import is_done


def check_attempt(progress: Progress, position: Position) -> Attempt:
    """Attempts at a rest after which the voltage must lie within a window."""
    step: VoltageCheck = position.step

    def attempt(continues: bool) -> MsgGenerator[Outcome]:  # noqa: FBT001 - a rest has no charge
        del continues
        pstat = progress.cycling.potentiostat
        ended = yield from start(progress, rest_of(progress, position, step.duration_s))
        while not (is_done(ended) or progress.leaves_step):
            yield from progress.serve(ended)
        outcome = yield from outcome_of(progress, position)
        if outcome != Outcome() or progress.requests.stopped:
            return outcome
        low_v, high_v = step.min_voltage_v, step.max_voltage_v
        volts = yield from bps.rd(pstat.voltage_v, default_value=0.5 * (low_v + high_v))
        if not low_v <= volts <= high_v:
            raise PreflightError(
                pstat.name,
                f"open-circuit voltage: got {volts:.4g} V, expected {low_v:g} to {high_v:g} V",
                remedy="look at the cell, its contacts and its polarity; nothing was energised",
            )
        return Outcome()

    return attempt


def frame_attempt(progress: Progress, position: Position) -> Attempt:
    """Attempts at frames one after another; those that were taken are not taken again."""
    step: FrameStep = position.step
    progress.frames_left = step.count

    def attempt(continues: bool) -> MsgGenerator[Outcome]:  # noqa: FBT001 - frames are counted
        del continues
        track = progress.track(Capture(step.device, settings=step.settings))
        while progress.frames_left > 0:
            yield from track.take()
            while track.running:
                yield from progress.serve(*track.waits_for())
                yield from track.serve(progress.now_s)
                if progress.requests.stopped:
                    yield from track.drop()
                    return Outcome()
            missing = yield from _missing(progress, step)
            if missing is not None:
                return Outcome(error=missing)
            progress.frames_left -= 1
            yield from progress.keep()
        return Outcome()

    return attempt


def _missing(progress: Progress, step: FrameStep) -> MsgGenerator[BaseException | None]:
    """Why the frame that was tried last is missing; None if it is not."""
    error = progress.attempt(step.device).error
    taken = yield from bps.rd(step.device.new_frame, default_value=1)
    if error is not None or taken:
        return error
    quality = str(step.device.quality.get())
    return NotReachedError(step.device.name, f"no frame: {quality}", remedy="take it again")
