"""What stands for the sample in a rehearsal: what the file says, else a stated default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aurora_unicycler import ConstantCurrent, ConstantVoltage

from orchestrator.experiment import Experiment
from orchestrator.experiment.advice import Advice
from orchestrator.laboratory import LINEAR_CELL, MICROSCOPE_SAMPLE, sample_area_cm2
from orchestrator.profile.models import BenchProfile

SOLID_OHM_CM2 = 500.0
"""Area-specific resistance of the linear cell, ohm cm2 ([A]: of the order of a symmetric solid
cell, Liu et al. 2025: 50 mV at 0.1 mA/cm2)."""

_LLZO_PRESETS = ("small_4p8", "insitu_8p9", "tracer_8p9")
_AREA_TOLERANCE = 0.05
_UNKNOWN = (
    "durations, frames and bytes hold, and charges of currents that end by time; voltages, ends by"
    " voltage, and shorts are those of the stand-in"
)


@dataclass(frozen=True)
class StandIn:
    """A simulated sample.

    Attributes:
        recipe: As an experiment's ``simulate_as``.
        stated: Whether the file says it; else it is a default.
        advice: What cannot be known with it.
    """

    recipe: Mapping[str, Any]
    stated: bool
    advice: tuple[Advice, ...]


def stand_in(experiment: Experiment, profile: BenchProfile) -> StandIn:
    """The simulated sample of an experiment's rehearsal.

    Without ``sample.simulate_as``: on a bench with MRI the pellet cell of the nearest area, since
    nothing else shows lithium to a console; on one with a microscope a void interface; elsewhere a
    linear cell, of which everything is arithmetic.
    """
    own = experiment.sample.simulate_as
    recipe = _default(experiment, profile) if own is None else own.model_dump(exclude_none=True)
    advice = [_stated_default(recipe)] if own is None else []
    area_cm2, wanted_cm2 = sample_area_cm2(recipe), experiment.sample.area_cm2
    if abs(area_cm2 / wanted_cm2 - 1.0) > _AREA_TOLERANCE:
        advice.append(
            Advice(
                "stand_in_area",
                ("sample", "area_cm2"),
                f"the simulated sample has {area_cm2:.4g} cm2, the file says {wanted_cm2:g} cm2:"
                f" its current densities are {wanted_cm2 / area_cm2:.3g} times those of the file",
                "choose a preset of that area; durations, frames and charges hold",
                value=area_cm2,
                expected=wanted_cm2,
                unit="cm2",
            )
        )
    return StandIn(recipe, own is not None, tuple(advice))


def _stated_default(recipe: Mapping[str, Any]) -> Advice:
    named = ", ".join(f"{key} {value:g}" if isinstance(value, float) else f"{value}"
                      for key, value in recipe.items() if key != "seed")  # fmt: skip
    return Advice(
        "stand_in",
        ("sample",),
        f"simulate_as is missing, so a stand-in is rehearsed ({named}): {_UNKNOWN}",
        "add simulate_as with the model nearest to the sample",
    )


def _default(experiment: Experiment, profile: BenchProfile) -> Mapping[str, Any]:
    area_cm2 = experiment.sample.area_cm2
    if profile.of_kind("sem"):
        return dict(MICROSCOPE_SAMPLE)
    if profile.of_kind("mri"):
        recipes = [{"model": "llzo_cell", "preset": one, "seed": 0} for one in _LLZO_PRESETS]
        return min(recipes, key=lambda one: abs(math.log(sample_area_cm2(one) / area_cm2)))
    return _linear(experiment)


def _linear(experiment: Experiment) -> Mapping[str, Any]:
    """A resistor; where the protocol goes between two voltages of one sign, a battery of them."""
    area_cm2, capacity_mah = experiment.sample.area_cm2, experiment.sample.capacity_mAh
    recipe: dict[str, Any] = {
        "model": LINEAR_CELL,
        "resistance_ohm": SOLID_OHM_CM2 / area_cm2,
        "area_cm2": area_cm2,
        "seed": 0,
    }
    volts = [
        v
        for step in experiment.lower().method
        for v in (
            (step.until_voltage_V,)
            if isinstance(step, ConstantCurrent)
            else (step.voltage_V,)
            if isinstance(step, ConstantVoltage)
            else ()
        )
        if v is not None
    ]
    if volts and capacity_mah and min(volts) > 0.0 and max(volts) > min(volts):
        recipe["emf_v"] = min(volts)
        recipe["stiffness_v_per_mah"] = (max(volts) - min(volts)) / capacity_mah
        recipe["resistance_ohm"] = 0.02 * (max(volts) - min(volts)) / _c_rate_a(capacity_mah)
    return recipe


def _c_rate_a(capacity_mah: float) -> float:
    """Current of 1 C, A: the battery drops 2 % of its window at 1 C ([A])."""
    return capacity_mah / 1000.0
