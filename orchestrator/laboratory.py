"""Simulated benches: the only module that knows the simulation.

A bench profile says of each device whether its resource is simulated (``sim://...``); this module
builds what answers there, around one sample, and the time in which it all happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from devices.clock import LoopClock, SystemClock, monotonic, wall_time
from orchestrator.errors import ProfileError
from orchestrator.profile.models import BenchProfile
from sim.clock import JumpingLoop
from sim.instruments.agilent_33500 import SimulatedAgilent33500
from sim.instruments.keithley_2450 import Keithley2450 as SimulatedKeithley2450
from sim.instruments.mri_console import SimulatedMriConsole, flash_imagers
from sim.samples.llzo_cell import LlzoCell
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

DEFAULT_SAMPLE: Mapping[str, Any] = {"model": "llzo_cell", "preset": "small_4p8", "seed": 0}
"""The sample on a simulated bench where no experiment names one."""

_CABLE, _PREFIX = "ttl", "sim://"
_SMU_IDENTITY = "KEITHLEY INSTRUMENTS,MODEL 2450,{},1.7.12b"


@dataclass(frozen=True)
class TimeBase:
    """The time of a bench.

    Attributes:
        loop: The engine's event loop.
        clock: The experiment's clock on that loop.
        elapsed: Seconds since the bench was opened, for the simulated world.
        epoch_s: Unix time at which `elapsed` is zero.
        hold: Gives a context in which virtual time stands still.
    """

    loop: asyncio.AbstractEventLoop
    clock: LoopClock
    elapsed: Callable[[], float]
    epoch_s: float
    hold: Callable[[], AbstractContextManager[None]]

    @classmethod
    def virtual(cls) -> TimeBase:
        """Hours pass in microseconds, beginning at a fixed date."""
        loop = JumpingLoop()
        clock = LoopClock(loop, loop.now, simulated=True)
        return cls(loop, clock, loop.time, loop.epoch_s, loop.hold)

    @classmethod
    def real(cls) -> TimeBase:
        """The system's time."""
        loop = asyncio.new_event_loop()
        began_s = monotonic()
        return cls(loop, SystemClock(loop), lambda: monotonic() - began_s, wall_time(), nullcontext)

    def set_moving(self, moving: Callable[[], bool]) -> None:
        """Let virtual time pass only while `moving` says so."""
        if isinstance(self.loop, JumpingLoop):
            self.loop.set_may_jump(moving)


def time_base(profile: BenchProfile, *, real_time: bool) -> TimeBase:
    """Virtual time only if every resource of the bench is simulated and nobody asked otherwise."""
    return TimeBase.virtual() if profile.simulated and not real_time else TimeBase.real()


class Laboratory:
    """The simulated instruments of one bench around one sample.

    Args:
        profile: The bench; only its simulated resources are built.
        sample: What lies on it, as an experiment's ``simulate_as``.
        time: The bench's time.

    Attributes:
        world: The sample and its surroundings.
        instruments: What answers, by name in the resource.
        visa_library: Opens the simulated resources for PyVISA.
    """

    def __init__(
        self, profile: BenchProfile, sample: Mapping[str, Any] | None, time: TimeBase
    ) -> None:
        self.recipe = {**DEFAULT_SAMPLE, **(sample or {})}
        cell = _sample(self.recipe)
        self.world = World(cell, now=time.elapsed, seed=int(self.recipe["seed"]))
        self._epoch_s = time.epoch_s
        self.instruments = {
            link.resource.removeprefix(_PREFIX): self._instrument(link.driver, number)
            for number, link in enumerate(profile.links.values(), start=1)
            if link.simulated
        }
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

    def _instrument(self, driver: str, number: int) -> Any:
        serial = f"SIM-{number:04d}"
        if driver == "keithley_2450":
            return SimulatedKeithley2450(self.world, identity=_SMU_IDENTITY.format(serial))
        if driver == "agilent_33500":
            return SimulatedAgilent33500(self.world, cable=_CABLE, serial=serial)
        if driver == "console_bridge":
            return SimulatedMriConsole(
                self.world,
                flash_imagers(self.world.sample.geometry, self.world.seed),
                cable=_CABLE,
                serial=serial,
                clock_offset_s=self._epoch_s,
            )
        raise ProfileError(
            "bench",
            f"no simulated instrument answers to the driver {driver!r}",
            remedy="give the real instrument's address instead of sim://",
        )


def _sample(recipe: Mapping[str, Any]) -> LlzoCell:
    if recipe["model"] != "llzo_cell":
        raise ProfileError(
            "sample.simulate_as.model",
            f"got {recipe['model']!r}, expected llzo_cell",
            remedy="only this sample is simulated so far",
        )
    return LlzoCell.from_preset(
        str(recipe["preset"]), seed=int(recipe["seed"]), jitter=float(recipe.get("jitter") or 0.0)
    )
