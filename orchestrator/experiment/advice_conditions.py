"""Advice on conditions: what the method cannot reach, or a limit forestalls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aurora_unicycler import ConstantCurrent, ConstantVoltage, Loop, Tag

from orchestrator.experiment.advice import Advice
from orchestrator.experiment.bench_checks import conditions_of
from orchestrator.profile.surroundings import ChamberEntry
from plans.schedule import longest_duration_s

if TYPE_CHECKING:
    from orchestrator.experiment.imaging import ImageSeries, SpectrumSeries
    from orchestrator.experiment.model import Experiment
    from orchestrator.profile.models import BenchProfile

_S_PER_H = 3600.0

Bound = tuple[float, str, str]
"""A value that nothing here exceeds, its unit, and what it is."""


def condition_advice(experiment: Experiment, profile: BenchProfile | None) -> list[Advice]:
    """Conditions that can never be met."""
    series: list[tuple[str, int, ImageSeries | SpectrumSeries]] = [
        *(("images", k, one) for k, one in enumerate(experiment.images)),
        *(("spectra", k, one) for k, one in enumerate(experiment.spectra)),
    ]
    bounds = _bounds(experiment, profile)
    found = []
    for path, one in conditions_of(experiment.stop_when, series):
        bound, unit, meaning = bounds.get(one.name, (math.inf, "", ""))
        if one.value is not None and one.value >= bound:
            found.append(
                Advice(
                    "condition_never_met",
                    path,
                    f"{one.name} {one.value:g}{unit} cannot be met: {meaning} is {bound:.4g}{unit}",
                    "lower it, or leave it out",
                    value=one.value,
                    expected=bound,
                    unit=unit.strip(),
                )
            )
    return found


def _bounds(experiment: Experiment, profile: BenchProfile | None) -> Mapping[str, Bound]:
    """What the method and the limits leave of each condition, by its name."""
    safety, method = experiment.protocol.safety, experiment.lower().method
    charge = (most_mah(method) / experiment.sample.area_cm2, " mAh/cm2", "all charge of the method")
    span_v = safety.max_voltage_V - safety.min_voltage_V
    most_v = max(abs(safety.max_voltage_V), abs(safety.min_voltage_V))
    bounds: dict[str, Bound] = {
        "duration_s": (longest_duration_s(method), " s", "the method's longest duration"),
        "charge_mah_per_cm2": charge,
        "throughput_mah_per_cm2": charge,
        "voltage_above_v": (most_v, " V", "what protocol.safety allows"),
        "voltage_jump_v": (span_v, " V", "the span of protocol.safety"),
        "overpotential_above_v": (span_v, " V", "the span of protocol.safety"),
        "cycle_number": (last_cycle(method) + 0.5, "", "half a cycle after the last"),
    }
    chambers = [
        entry for entry in (profile.devices.values() if profile else ())
        if isinstance(entry, ChamberEntry)
    ]  # fmt: skip
    if chambers:
        most_celsius = max(one.limits.max_celsius for one in chambers)
        bounds["temperature_above_celsius"] = (
            most_celsius, " degree Celsius", "what the chamber's limits allow",
        )  # fmt: skip
    return bounds


def most_mah(method: Sequence[Any]) -> float:
    """Charge in both directions that the currents of a method pass, mAh; loops multiplied.

    Infinite where a voltage is held, or a current flows until a voltage: its charge is not known.
    """

    def mah(step: Any) -> float:
        if isinstance(step, ConstantVoltage):
            return math.inf
        if isinstance(step, ConstantCurrent):
            lasts_s = float(step.until_time_s or math.inf)
            return abs(float(step.current_mA or 0.0)) * lasts_s / _S_PER_H
        return 0.0

    return _added(method, mah, lambda _loop: 0.0)


def last_cycle(method: Sequence[Any]) -> int:
    """Number of the last cycle of a method that runs to its end, from 1."""
    return 1 + int(_added(method, lambda _step: 0.0, lambda loop: float(loop.cycle_count - 1)))


def _added(
    method: Sequence[Any], of_step: Callable[[Any], float], of_loop: Callable[[Any], float]
) -> float:
    """What steps add up to; a loop multiplies what it repeats and adds its own."""
    tags = {step.tag: index for index, step in enumerate(method) if isinstance(step, Tag)}
    before: list[float] = []
    total = 0.0
    for step in method:
        before.append(total)
        if isinstance(step, Loop):
            to = step.loop_to
            begun = before[tags[to] if isinstance(to, str) else int(to) - 1]
            total = begun + (total - begun) * step.cycle_count + of_loop(step)
        else:
            total += of_step(step)
    return total
