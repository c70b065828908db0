"""Steps, times and sizes as people say them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aurora_unicycler import (
    ConstantCurrent,
    ConstantVoltage,
    ImpedanceSpectroscopy,
    Loop,
    OpenCircuitVoltage,
    Tag,
    VoltageScan,
)

from plans.steps import PressureStep, TemperatureStep

_DAY_S, _HOUR_S, _MINUTE_S = 86_400.0, 3600.0, 60.0


def span(seconds: float) -> str:
    """A duration: ``7.592 d``, ``4.44 h``, ``12 min``, ``8 s``."""
    if _HOUR_S <= seconds < 2 * _DAY_S and seconds % _HOUR_S == 0.0:
        return f"{seconds / _HOUR_S:g} h"
    if seconds >= 2 * _DAY_S:
        return f"{seconds / _DAY_S:.4g} d"
    if seconds >= 2 * _HOUR_S:
        return f"{seconds / _HOUR_S:.3g} h"
    if seconds >= 2 * _MINUTE_S:
        return f"{seconds / _MINUTE_S:.3g} min"
    return f"{seconds:.3g} s"


def clock(seconds: float, row_s: float) -> str:
    """A moment of a run as the timeline gives it: ``3d 04:00``, of short runs ``00:12:30``."""
    whole = round(seconds)
    days, rest = divmod(whole, int(_DAY_S))
    hours, rest = divmod(rest, int(_HOUR_S))
    minutes, secs = divmod(rest, int(_MINUTE_S))
    if row_s < _MINUTE_S:
        return f"{hours + 24 * days:02d}:{minutes:02d}:{secs:02d}"
    return f"{days:2d}d {hours:02d}:{minutes:02d}"


def size(count: float) -> str:
    """Bytes: ``812 B``, ``9.1 MB``."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} B"


def step_words(step: Any) -> str:
    """A step of the method in a few words; a rest begins with ``rest``."""
    for kind, words in _STEPS:
        if isinstance(step, kind):
            return words(step)
    return str(getattr(step, "step", type(step).__name__)).replace("_", " ")


_STEPS: tuple[tuple[type[Any], Callable[[Any], str]], ...] = (
    (TemperatureStep, lambda one: f"rest, until {one.celsius:g} degree Celsius"),
    (PressureStep, lambda one: f"rest, until {one.mpa:g} MPa"),
    (OpenCircuitVoltage, lambda one: f"rest, {span(one.until_time_s)}"),
    (ConstantCurrent, lambda one: f"{one.current_mA:+.4g} mA{_until(one)}"),
    (ConstantVoltage, lambda one: f"hold {one.voltage_V:g} V{_until(one)}"),
    (VoltageScan, lambda one: f"scan {one.start_voltage_V:g} to {one.end_voltage_V:g} V"),
    (ImpedanceSpectroscopy, lambda _: "impedance spectrum"),
    (Loop, lambda one: f"loop to {one.loop_to}, {one.cycle_count} passes"),
    (Tag, lambda one: f"tag {one.tag}"),
)


def _until(step: Any) -> str:
    ends = []
    if step.until_time_s:
        ends.append(span(step.until_time_s))
    if getattr(step, "until_voltage_V", None) is not None:
        ends.append(f"to {step.until_voltage_V:g} V")
    if getattr(step, "until_current_mA", None) is not None:
        ends.append(f"to {step.until_current_mA:g} mA")
    return f", {' or '.join(ends)}" if ends else ""
