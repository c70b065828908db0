"""The sample of an experiment and its surroundings."""

# ruff: noqa: N815 - capacity_mAh is aurora-unicycler's name
from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.experiment.faults import FORM, Fault
from orchestrator.inputs.fields import Choice, Count, Quantity, Text, at, problem
from orchestrator.inputs.models import StrictModel

SIMULATED_SAMPLES: dict[str, tuple[str, ...]] = {
    "llzo_cell": ("small_4p8", "insitu_8p9", "tracer_8p9"),
    "void_interface": ("li_lpscl", "limg_lpscl", "li_lpscl_operando", "limg_lpscl_operando"),
    "llzto_pellet": ("lithiophobic", "lithiophilic", "limg"),
    "llzto_blocking": ("nickel_2mm",),
    "full_cell": ("nmc83_limg",),
}
"""Models of samples that the simulated laboratory has, with their presets."""

_OPTIONS = {"jitter": "llzo_cell", "relative_density": "llzto_pellet", "probe": "llzto_pellet"}
"""Options of `simulate_as` that belong to one model."""

_AREA_TOLERANCE = 0.02


class Prior(StrictModel):
    """What was done to a simulated sample before the experiment begins.

    Attributes:
        current_ma_per_cm2: A constant current, mA/cm2; positive from A to B.
        until: `short`: until the cell shorted.
        mah_per_cm2: Or until this charge had passed, mAh/cm2.
    """

    current_ma_per_cm2: Annotated[float, Quantity("a current", "mA/cm2", ge=-1e3, le=1e3)]
    until: Annotated[Literal["short"], Choice("an end", ("short",))] | None = None
    mah_per_cm2: Annotated[float, Quantity("a charge", "mAh/cm2", gt=0, le=1e4)] | None = None

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.current_ma_per_cm2 == 0.0:
            raise problem("got a current of 0, expected one that passes charge", "give a current")
        if (self.until is None) == (self.mah_per_cm2 is None):
            what = "got both or neither of until and mah_per_cm2, expected one end"
            raise problem(what, "write `until: short`, or `mah_per_cm2: ...`")
        return self


class SimulateAs(StrictModel):
    """What stands in for the sample on a simulated bench.

    Attributes:
        model: Model of the sample.
        preset: Its set of parameters.
        seed: Seed of every random draw.
        jitter: Relative spread of the cell's parameters, drawn from the seed; 0 is the preset.
            For `llzo_cell`.
        relative_density: Density of the pellet as a fraction of the crystal's; None is the
            preset's. For `llzto_pellet`.
        prior: What was done to it before the experiment begins.
        probe: The terminals are a probe on a spallation of this kind, and the counter electrode;
            None: the cell's own. For `llzto_pellet`.
        faults: What goes wrong in the simulated laboratory, each as a text or a mapping.
    """

    model: Annotated[str, Choice("a model of a sample", tuple(SIMULATED_SAMPLES))]
    preset: Annotated[str, Text("a preset of the model")]
    seed: Annotated[int, Count("a seed", ge=0, le=2**32 - 1)] = 0
    jitter: Annotated[float, Quantity("a relative spread", "", ge=0, le=1)] = 0.0
    relative_density: Annotated[float, Quantity("a relative density", "", gt=0, le=1)] | None = None
    prior: Prior | None = None
    probe: Annotated[str, Choice("a kind of spallation", ("connected", "isolated"))] | None = None
    faults: tuple[Fault, ...] = Field(default=(), description=f"a list of faults: {FORM}")

    @model_validator(mode="after")
    def _known_preset(self) -> Self:
        presets = Choice(f"a preset of {self.model}", SIMULATED_SAMPLES[self.model])
        try:
            presets.check(self.preset)
        except PydanticCustomError as error:
            raise at(("preset",), error) from None
        return self

    @model_validator(mode="after")
    def _options_of_the_model(self) -> Self:
        for name, model in _OPTIONS.items():
            unused = type(self).model_fields[name].default
            if getattr(self, name) != unused and self.model != model:
                what = f"got {name} for {self.model}, expected it for {model} only"
                raise at((name,), problem(what, "remove it", at_key=True))
        return self


class Sample(StrictModel):
    """The cell that is measured; recorded in the start document.

    Attributes:
        name: Its name, as on the label.
        area_cm2: Area that the current is spread over, cm2: the smaller electrode's face.
        thickness_cm: Thickness of the electrolyte, cm.
        electrode_diameter_mm: Diameter of round electrodes, mm; must agree with the area.
        mass_mg: Mass of active material, mg.
        capacity_mAh: Capacity that C-rates refer to, mAh.
        electrodes: 2, or 3 with a reference electrode.
        face_a: Which face is terminal A: positive current flows from A to B.
        simulate_as: Read by simulated benches only.
    """

    name: Annotated[str, Text("a sample's name")]
    area_cm2: Annotated[float, Quantity("an area", "cm2", gt=0, le=1e4)]
    thickness_cm: Annotated[float, Quantity("a thickness", "cm", gt=0, le=10)] | None = None
    electrode_diameter_mm: Annotated[float, Quantity("a diameter", "mm", gt=0, le=1e3)] | None = (
        None
    )
    mass_mg: Annotated[float, Quantity("a mass", "mg", gt=0)] | None = None
    capacity_mAh: Annotated[float, Quantity("a capacity", "mAh", gt=0)] | None = None
    electrodes: Annotated[int, Choice("the number of electrodes", (2, 3))] = 2
    face_a: Annotated[str, Text("which face is terminal A")] | None = None
    simulate_as: SimulateAs | None = None

    @model_validator(mode="after")
    def _area_of_diameter(self) -> Self:
        if self.electrode_diameter_mm is None:
            return self
        round_cm2 = math.pi / 4 * (self.electrode_diameter_mm / 10) ** 2
        if abs(round_cm2 - self.area_cm2) > _AREA_TOLERANCE * self.area_cm2:
            raise problem(
                f"got an area of {self.area_cm2:g} cm2 and a diameter of "
                f"{self.electrode_diameter_mm:g} mm, which is {round_cm2:.4g} cm2, expected the "
                "two to agree within 2 %",
                "correct one of them, or leave the diameter out",
            )
        return self

    def to_document(self) -> dict[str, Any]:
        """The sample as the start document keeps it."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"simulate_as"})


class Environment(StrictModel):
    """What surrounds the cell: set where the bench has the device for it, else a statement.

    Attributes:
        temperature_celsius: Temperature of the cell, degree Celsius.
        stack_pressure_mpa: Stack pressure, MPa.
    """

    temperature_celsius: (
        Annotated[float, Quantity("a temperature", "degree Celsius", ge=-196, le=1200)] | None
    ) = Field(default=None)
    stack_pressure_mpa: Annotated[float, Quantity("a pressure", "MPa", ge=0, le=1e3)] | None = None
