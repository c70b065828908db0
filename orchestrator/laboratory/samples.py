"""Samples of the simulated laboratory by the model that an experiment's ``simulate_as`` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import ProfileError
from orchestrator.inputs.problems import name_remedy
from sim.errors import SimulationError
from sim.samples.aged import aged
from sim.samples.blocking_pellet import BlockingPellet
from sim.samples.full_cell import FullCell
from sim.samples.linear_cell import LinearCell
from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.probed_pellet import ProbedPellet
from sim.samples.void_cell import VoidCell

DEFAULT_SAMPLE: Mapping[str, Any] = {"model": "llzo_cell", "preset": "small_4p8", "seed": 0}
"""The sample on a simulated bench where no experiment names one."""

MICROSCOPE_SAMPLE: Mapping[str, Any] = {
    "model": "void_interface",
    "preset": "li_lpscl_operando",
    "seed": 0,
}
"""The same on a bench with a microscope."""


LINEAR_CELL = "linear_cell"
"""Model of the cell that rehearsals use where nothing is known of the sample; no file names it."""


@dataclass(frozen=True)
class Surroundings:
    """What surrounds the sample when the world begins.

    Attributes:
        temperature_celsius: Temperature, degree Celsius; None: as the sample's preset has it.
        stack_pressure_mpa: Stack pressure, MPa; None: as the sample's preset has it.
    """

    temperature_celsius: float | None = None
    stack_pressure_mpa: float | None = None


def make_sample(recipe: Mapping[str, Any], surroundings: Surroundings) -> Any:
    """The sample that a recipe describes, as `sim.world.Sample`.

    Args:
        recipe: An experiment's ``simulate_as``: model, preset, seed and what the model takes.
        surroundings: What surrounds it from the beginning.

    Raises:
        ProfileError: There is no such model, or what was done before cannot be.
    """
    model = str(recipe["model"])
    if model not in SAMPLES:
        raise ProfileError(
            "sample.simulate_as.model",
            f"got {model!r}, expected a simulated sample",
            remedy=name_remedy(model, SAMPLES),
        )
    sample = SAMPLES[model](recipe, surroundings)
    try:
        if recipe.get("prior"):
            done = recipe["prior"]
            sample = aged(
                sample,
                current_ma_per_cm2=float(done["current_ma_per_cm2"]),
                mah_per_cm2=done.get("mah_per_cm2"),
            )
        if recipe.get("probe"):
            sample = ProbedPellet(sample, str(recipe["probe"]))
    except SimulationError as error:
        raise ProfileError(
            "sample.simulate_as", str(error), remedy="change what is simulated"
        ) from error
    return sample


def sample_area_cm2(recipe: Mapping[str, Any]) -> float:
    """Electrode area of the sample that a recipe describes, cm2."""
    bare = {key: value for key, value in recipe.items() if key not in ("prior", "probe", "faults")}
    return float(make_sample(bare, Surroundings()).area_cm2)


def _llzo_cell(recipe: Mapping[str, Any], surroundings: Surroundings) -> LlzoCell:
    del surroundings  # temperature and pressure do not act on this model
    return LlzoCell.from_preset(
        str(recipe["preset"]), seed=int(recipe["seed"]), jitter=float(recipe.get("jitter") or 0.0)
    )


def _void_interface(recipe: Mapping[str, Any], surroundings: Surroundings) -> VoidCell:
    celsius = surroundings.temperature_celsius
    return VoidCell.from_preset(
        str(recipe["preset"]),
        seed=int(recipe["seed"]),
        stack_pressure_mpa=surroundings.stack_pressure_mpa,
        **({} if celsius is None else {"temperature_celsius": celsius}),
    )


def _llzto_pellet(recipe: Mapping[str, Any], surroundings: Surroundings) -> LlztoPellet:
    celsius, density = surroundings.temperature_celsius, recipe.get("relative_density")
    return LlztoPellet.from_preset(
        str(recipe["preset"]),
        seed=int(recipe["seed"]),
        relative_density=None if density is None else float(density),
        **({} if celsius is None else {"temperature_celsius": celsius}),
    )


def _llzto_blocking(recipe: Mapping[str, Any], surroundings: Surroundings) -> BlockingPellet:
    del surroundings  # the paper's electronic conductivity is known at one temperature only
    return BlockingPellet.from_preset(str(recipe["preset"]), seed=int(recipe["seed"]))


def _full_cell(recipe: Mapping[str, Any], surroundings: Surroundings) -> FullCell:
    return FullCell.from_preset(
        str(recipe["preset"]),
        seed=int(recipe["seed"]),
        stack_pressure_mpa=surroundings.stack_pressure_mpa,
        temperature_celsius=surroundings.temperature_celsius,
    )


def _linear_cell(recipe: Mapping[str, Any], surroundings: Surroundings) -> LinearCell:
    del surroundings  # nothing acts on it
    return LinearCell(
        float(recipe.get("emf_v") or 0.0),
        float(recipe["resistance_ohm"]),
        stiffness_v_per_mah=float(recipe.get("stiffness_v_per_mah") or 0.0),
        area_cm2=float(recipe["area_cm2"]),
    )


SAMPLES: Mapping[str, Callable[[Mapping[str, Any], Surroundings], Any]] = {
    "llzo_cell": _llzo_cell,
    "void_interface": _void_interface,
    "llzto_pellet": _llzto_pellet,
    "llzto_blocking": _llzto_blocking,
    "full_cell": _full_cell,
    LINEAR_CELL: _linear_cell,
}
"""What makes a sample, by its model; `orchestrator.experiment.sample` names those of files."""
