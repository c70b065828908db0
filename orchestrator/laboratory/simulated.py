"""The simulated instruments of one bench around one sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.errors import ProfileError
from orchestrator.experiment.fault_kinds import CELL
from orchestrator.experiment.faults import Fault, Given, fault_findings, fault_of, target_of
from orchestrator.laboratory.faults import put, simulated_fault
from orchestrator.laboratory.instruments import Place, make_instrument
from orchestrator.laboratory.samples import (
    DEFAULT_SAMPLE,
    MICROSCOPE_SAMPLE,
    Surroundings,
    make_sample,
)
from orchestrator.laboratory.timebase import TimeBase
from orchestrator.profile.models import BenchProfile
from sim.faults.cell import CellFault
from sim.faults.faulty_sample import FaultySample
from sim.thermal import ROOM_CELSIUS
from sim.wire.faults import FaultyInstrument
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

_PREFIX = "sim://"


class Laboratory:
    """The simulated instruments of one bench around one sample.

    Args:
        profile: The bench; only its simulated resources are built.
        sample: What lies on it, as an experiment's ``simulate_as``.
        time: The bench's time.
        surroundings: Temperature and stack pressure from the beginning. Where a simulated
            chamber stands on the bench the temperature is the room's instead: the experiment has
            to bring it about.
        faults: What goes wrong, beside what `sample` says; times count from now on.
        strict: Raise at a command that an instrument does not have; else it answers as the real
            one does, with an entry in its error queue.

    Attributes:
        world: The sample and its surroundings.
        instruments: What answers, by name in the resource.
        wires: The same behind wires on which something may go wrong.
        faults: Every fault, in the order in which they were given.
        visa_library: Opens the simulated resources for PyVISA.

    Raises:
        ProfileError: Nothing simulated answers to a driver, the sample is not known, a fault
            cannot happen here, or a device is real, beside which there is no fault injection.
    """

    def __init__(
        self,
        profile: BenchProfile,
        sample: Mapping[str, Any] | None,
        time: TimeBase,
        *,
        surroundings: Surroundings | None = None,
        faults: Iterable[Given] = (),
        strict: bool = True,
    ) -> None:
        usual = MICROSCOPE_SAMPLE if profile.of_kind("sem") else DEFAULT_SAMPLE
        self.recipe = {**usual, **(sample or {})}
        own_faults = self.recipe.pop("faults", None) or ()
        self._profile = profile
        self.faults = [self._checked(given) for given in (*own_faults, *faults)]
        around = surroundings or Surroundings()
        if any(profile.links[name].simulated for name in profile.of_kind("chamber")):
            around = replace(around, temperature_celsius=ROOM_CELSIUS)
        values = [simulated_fault(one) for one in self.faults]
        of_cell = [one for one in values if isinstance(one, CellFault)]
        self._cell = FaultySample(make_sample(self.recipe, around), of_cell)
        self.world = World(self._cell, now=time.elapsed, seed=int(self.recipe["seed"]))
        self._surround(around)
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
        self.wires = {
            name: FaultyInstrument(one, self.world.now) for name, one in self.instruments.items()
        }
        self.visa_library = SimulatedVisaLibrary(self.wires)
        for fault in self.faults:
            if fault.device != CELL:
                self._put(fault)

    def inject(self, given: Given) -> Fault:
        """Let something go wrong; returns the fault as a value.

        Raises:
            ProfileError: It cannot be understood, cannot happen here, or begins in the past.
        """
        fault = self._checked(given)
        with self.world.lock:
            now_s = self.world.catch_up()
            if fault.start_s < now_s:
                raise ProfileError(
                    f"fault {fault}",
                    f"begins at {fault.start_s:g} s, expected from now on, {now_s:g} s",
                    remedy="the past cannot be changed: let it begin later",
                )
            self._put(fault)
            self.world.revision += 1
            self.faults.append(fault)
        return fault

    def _checked(self, given: Given) -> Fault:
        fault = fault_of(given)
        for one in fault_findings([fault], self._profile, ()):
            raise ProfileError(f"fault {fault}", one.what, remedy=one.remedy)
        return fault

    def _put(self, fault: Fault) -> None:
        target = target_of(fault, self._profile)
        name = "" if target is None else simulated_name(self._profile.links[target].resource)
        put(fault, self._cell, self.wires.get(name), self.instruments.get(name))

    def _surround(self, around: Surroundings) -> None:
        """What the world says of temperature and pressure is what the sample began in."""
        began = self.world.sample.describe()
        for name in ("temperature_celsius", "stack_pressure_mpa"):
            value = getattr(around, name)
            value = began.get(name) if value is None else value
            if value is not None:
                setattr(self.world, name, value)

    def describe(self) -> dict[str, Any]:
        """Provenance of the simulation: model, preset, seed, every parameter and every fault."""
        described: dict[str, Any] = self.world.sample.describe()
        if self.faults:
            described["faults"] = [str(fault) for fault in self.faults]
        return described

    def truth(self) -> dict[str, Any]:
        """What the sample really is now; for tests of analysis against the simulation."""
        with self.world.lock:
            snapshot: dict[str, Any] = self.world.sample.snapshot(self.world.catch_up())
        return snapshot


def simulated_name(resource: str) -> str:
    """Name of a simulated instrument, ``smu`` of ``sim://smu``."""
    return resource.removeprefix(_PREFIX)


def simulated_resource(name: str) -> str:
    """Resource of a simulated instrument, ``sim://smu`` of ``smu``."""
    return f"{_PREFIX}{name}"
