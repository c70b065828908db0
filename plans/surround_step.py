"""Runs a step that concerns what surrounds the cell, which rests and is recorded meanwhile."""

from __future__ import annotations

import bluesky.plan_stubs as bps
from bluesky import Msg
from bluesky.utils import MsgGenerator

from devices.chamber import TemperatureChamber
from devices.load_cell import LoadCell
from devices.pressure_wait import PressureWait
from devices.reach import Reach
from devices.step_end import StepEnd
from plans.cell_step import Attempt, Outcome, outcome_of, rest_of, start
from plans.environment import Environment
from plans.progress import Progress
from plans.schedule import Position
from plans.steps import Surround, TemperatureStep
from plans.stubs import is_done, note

_LONGER_S = 60.0
"""The rest at open circuit lasts so much longer than the deadline, which so comes first, s."""


def measured_by(step: Surround, environment: Environment) -> TemperatureChamber | LoadCell:
    """The device of the environment that a step concerns.

    Raises:
        ValueError: There is none.
    """
    chamber = isinstance(step, TemperatureStep)
    device = environment.chamber if chamber else environment.load_cell
    if device is None:
        missing = "chamber" if chamber else "load cell"
        raise ValueError(f"{type(step).__name__}: needs a {missing}, the environment has none")
    return device


def surround_attempt(progress: Progress, position: Position) -> Attempt:
    """Attempts to bring about a temperature, or to see a pressure."""
    step: Surround = position.step
    device = measured_by(step, progress.surveillance.environment)
    target = PressureWait(device) if isinstance(device, LoadCell) else device
    reach = Reach(target, progress.cycling.pause_policy(position.step_index))

    def attempt(continues: bool) -> MsgGenerator[Outcome]:  # noqa: FBT001 - a rest has no charge
        del continues
        wanted, text, value = _wanted(step, device.name)
        yield from note(progress.event, "environment", text, value)
        if isinstance(step, TemperatureStep):
            progress.surveillance.celsius = step.celsius
        status = yield Msg("set", reach, *wanted, group=reach.name)
        while reach.error is None:
            ended = yield from start(
                progress, rest_of(progress, position, step.longest_s + _LONGER_S)
            )
            while not (is_done(ended) or is_done(status) or progress.leaves_step):
                progress.surveillance.hasten(progress.now_s)
                yield from progress.serve(ended, status)
            yield from bps.trigger(StepEnd(progress.cycling.potentiostat), wait=True)
            outcome = yield from outcome_of(progress, position)
            by_time = progress.cycling.potentiostat.end_reason.get() == "time"
            if is_done(status) or outcome != Outcome() or not by_time:
                break
        if reach.error is not None:
            return Outcome(error=reach.error)
        if outcome == Outcome():
            yield from _note_end(progress, device, reached=reach.reached)
        return outcome

    return attempt


def _wanted(step: Surround, name: str) -> tuple[tuple[float, object], str, float]:
    """What the device is set to, in words, and the number."""
    if isinstance(step, TemperatureStep):
        how = step.approach
        text = (
            f"{name}: goes to {step.celsius:g} C at {how.ramp_celsius_per_min:g} C/min; reached "
            f"within {how.band_celsius:g} C for {how.soak_s:g} s, in {how.deadline_s:g} s"
        )
        return (step.celsius, how), text, step.celsius
    settling = step.settling
    text = (
        f"{name}: turn the press to {step.mpa:g} MPa; reached within "
        f"{settling.tolerance_percent:g} % for {settling.soak_s:g} s, in {settling.deadline_s:g} s"
    )
    return (step.mpa, settling), text, step.mpa


def _note_end(
    progress: Progress, device: TemperatureChamber | LoadCell, *, reached: bool
) -> MsgGenerator[None]:
    """Say where the surroundings are; they are read once more for that."""
    yield from progress.surveillance.record()
    signal, unit = (
        (device.pressure_mpa, "MPa")
        if isinstance(device, LoadCell)
        else (device.temperature_celsius, "C")
    )
    got = float(signal.get())
    how = "settled at" if reached else "not waited for any longer, at"
    yield from note(progress.event, "environment", f"{device.name}: {how} {got:.4g} {unit}", got)
