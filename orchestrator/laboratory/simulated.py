"""The simulated instruments of one bench around one sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.laboratory.instruments import Place, make_instrument
from orchestrator.laboratory.samples import (
    DEFAULT_SAMPLE,
    MICROSCOPE_SAMPLE,
    Surroundings,
    make_sample,
)
from orchestrator.laboratory.timebase import TimeBase
from orchestrator.profile.models import BenchProfile
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

_PREFIX = "sim://"


class Laboratory:
    """The simulated instruments of one bench around one sample.

    Args:
        profile: The bench; only its simulated resources are built.
        sample: What lies on it, as an experiment's ``simulate_as``.
        time: The bench's time.
        surroundings: Temperature and stack pressure from the beginning.
        strict: Raise at a command that an instrument does not have; else it answers as the real
            one does, with an entry in its error queue.

    Attributes:
        world: The sample and its surroundings.
        instruments: What answers, by name in the resource.
        visa_library: Opens the simulated resources for PyVISA.

    Raises:
        ProfileError: Nothing simulated answers to a driver, or the sample is not known.
    """

    def __init__(
        self,
        profile: BenchProfile,
        sample: Mapping[str, Any] | None,
        time: TimeBase,
        *,
        surroundings: Surroundings | None = None,
        strict: bool = True,
    ) -> None:
        usual = MICROSCOPE_SAMPLE if profile.of_kind("sem") else DEFAULT_SAMPLE
        self.recipe = {**usual, **(sample or {})}
        around = surroundings or Surroundings()
        cell = make_sample(self.recipe, around)
        self.world = World(cell, now=time.elapsed, seed=int(self.recipe["seed"]))
        if around.temperature_celsius is not None:
            self.world.temperature_celsius = around.temperature_celsius
        if around.stack_pressure_mpa is not None:
            self.world.stack_pressure_mpa = around.stack_pressure_mpa
        self.instruments = {}
        for number, (who, link) in enumerate(profile.links.items(), start=1):
            if link.simulated:
                place = Place(
                    world=self.world,
                    serial=f"SIM-{number:04d}",
                    epoch_s=time.epoch_s,
                    strict=strict,
                    options=profile.devices[who.partition(".")[0]].model_dump(mode="json"),
                )
                name = simulated_name(link.resource)
                self.instruments[name] = make_instrument(link.driver, place)
        self.visa_library = SimulatedVisaLibrary(self.instruments)

    def describe(self) -> dict[str, Any]:
        """Provenance of the simulation: model, preset, seed and every parameter."""
        described: dict[str, Any] = self.world.sample.describe()
        return described

    def truth(self) -> dict[str, Any]:
        """What the sample really is now; for tests of analysis against the simulation."""
        with self.world.lock:
            snapshot: dict[str, Any] = self.world.sample.snapshot(self.world.catch_up())
        return snapshot


def simulated_name(resource: str) -> str:
    """Name of a simulated instrument, ``smu`` of ``sim://smu``."""
    return resource.removeprefix(_PREFIX)
