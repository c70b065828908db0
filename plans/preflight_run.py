"""Checks the cell before anything drives it, as `plans.preflight.Preflight` says."""

from __future__ import annotations

from dataclasses import replace

import bluesky.plan_stubs as bps
from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage
from bluesky.utils import MsgGenerator

from devices.errors import PreflightError
from devices.technique import CellStep
from plans.cell_step import start, technique_of
from plans.preflight import PULSE_S, Preflight
from plans.progress import Progress
from plans.schedule import Position
from plans.stubs import is_done, note

_PERIOD_S = 1.0
"""Longest time between records, s."""


class _Stopped(Exception):  # noqa: N818 - a person's wish, no error
    """A person ended the run during the checks."""


def check_before(progress: Progress) -> MsgGenerator[None]:
    """Check the cell, if that is asked; where it is not what was said, the cell is off.

    May be paused at any message: each check goes on with what was left of it.

    Raises:
        PreflightError: The cell is not what the experiment says.
    """
    asked = progress.cycling.preflight
    if asked is None:
        return
    try:
        found = yield from _checked(progress, asked)
    except _Stopped:
        return
    except PreflightError as error:
        yield from bps.stop(progress.cycling.potentiostat)
        yield from note(progress.event, "preflight_failed", str(error))
        raise
    yield from note(progress.event, "preflight", f"pre-flight passed: {found}")


def check_again(progress: Progress) -> MsgGenerator[None]:
    """Let the cell rest before an interrupted run drives it again, if a pre-flight was asked for.

    No current is passed. The charge has moved since the first pre-flight, so that the voltage is
    only compared with the limits at the cell, and its sign with the expected one: whether this is
    the same cell, connected as before.

    Raises:
        PreflightError: It is not.
    """
    asked, pstat = progress.cycling.preflight, progress.cycling.potentiostat
    if asked is None:
        return
    asked = replace(asked, ocv_window_v=None, max_contact_resistance_ohm=None)
    try:
        found = yield from _checked(progress, asked)
    except _Stopped:
        return
    except PreflightError as error:
        yield from note(progress.event, "preflight_failed", f"before it goes on: {error}")
        raise
    yield from note(progress.event, "preflight", f"{pstat.name} before it goes on: {found}")


def _checked(progress: Progress, asked: Preflight) -> MsgGenerator[str]:
    """Check one thing after another; what was found, in words."""
    pstat, limits = progress.cycling.potentiostat, progress.cycling.limits
    rest = OpenCircuitVoltage(until_time_s=asked.ocv_s)
    yield from _run(progress, rest, "the cell rests")
    usual_v = asked.usual_v(limits)
    volts = float((yield from bps.rd(pstat.voltage_v, default_value=usual_v)))
    what, remedy = asked.wrong_with_voltage(volts, limits)
    if what:
        raise _failed(progress, what, remedy)
    found, largest_ohm = f"open-circuit voltage {volts:.4g} V", asked.max_contact_resistance_ohm
    if largest_ohm is None:
        return found
    current_ma = asked.probe_ma(progress.cycling.method, limits)
    if pstat.takes_spectra:
        ohm = yield from _by_spectrum(progress, asked, current_ma)
    else:
        ohm = yield from _by_pulses(progress, current_ma, largest_ohm)
    if not ohm <= largest_ohm:
        what = f"resistance {ohm:.4g} ohm at {current_ma:.4g} mA, expected at most {largest_ohm:g}"
        raise _failed(progress, f"{what} ohm", "look at the contacts and the leads")
    return f"{found}, resistance of the cell with its contacts {ohm:.4g} ohm"


def _by_spectrum(progress: Progress, asked: Preflight, current_ma: float) -> MsgGenerator[float]:
    """Re Z at the highest frequency, about no current; its rows are in the stream ``eis``."""
    eis = progress.cycling.potentiostat.eis
    yield from _run(progress, asked.spectrum(current_ma), "its impedance is measured")
    yield from progress.collect_spectra()
    return float((yield from bps.rd(eis.z_real_ohm, default_value=0.0)))


def _by_pulses(progress: Progress, current_ma: float, usual_ohm: float) -> MsgGenerator[float]:
    """Difference of the voltages over that of the currents, after a second in each direction."""
    pstat, found = progress.cycling.potentiostat, []
    for milliampere in (current_ma, -current_ma):
        step = ConstantCurrent(current_mA=milliampere, until_time_s=PULSE_S)
        yield from _run(progress, step, f"{milliampere:.4g} mA pass")
        usual_v = 1e-3 * milliampere * usual_ohm
        volts = yield from bps.rd(pstat.voltage_v, default_value=usual_v)
        read_ma = yield from bps.rd(pstat.current_ma, default_value=milliampere)
        found.append((float(volts), float(read_ma)))
    (first_v, first_ma), (second_v, second_ma) = found
    return 1e3 * (first_v - second_v) / (first_ma - second_ma)


def _run(progress: Progress, step: CellStep, doing: str) -> MsgGenerator[None]:
    """Let the potentiostat do one thing, and wait for its end."""
    cycling = progress.cycling
    pstat = cycling.potentiostat
    position = Position(-1 - len(cycling.before), 0, step, "pre-flight")
    technique = technique_of(progress, position)
    period_s = min(cycling.period_s, _PERIOD_S)
    ended = yield from start(progress, replace(technique, period_s=period_s))
    while not (is_done(ended) or progress.leaves_step):
        yield from progress.serve(ended)
    progress.step_left()
    if progress.requests.stopped:
        raise _Stopped
    reason = yield from bps.rd(pstat.end_reason, default_value="time")
    if reason not in ("time", ""):
        volts, amps = pstat.voltage_v.get(), pstat.current_ma.get()
        what = f"while {doing}: {reason} at {volts:.4g} V, {amps:.4g} mA"
        raise _failed(progress, what, "look at the cell, its contacts and the limits")


def _failed(progress: Progress, what: str, remedy: str) -> PreflightError:
    return PreflightError(progress.cycling.potentiostat.name, f"pre-flight: {what}", remedy=remedy)
