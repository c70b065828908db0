"""Simulated benches: the only module that knows the simulation.

A bench profile says of each device whether its resource is simulated (``sim://...``); this module
builds what answers there, around one sample, and the time in which it all happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from devices.clock import LoopClock, SystemClock, monotonic, wall_time
from orchestrator.errors import ProfileError
from orchestrator.inputs.problems import name_remedy
from orchestrator.profile.models import BenchProfile
from sim.clock import JumpingLoop
from sim.instruments.agilent_33500 import SimulatedAgilent33500
from sim.instruments.keithley_2450 import Keithley2450 as SimulatedKeithley2450
from sim.instruments.mri_console import SimulatedMriConsole, flash_imagers
from sim.samples.llzo_cell import LlzoCell
from sim.wire.fault_text import read_fault
from sim.wire.faults import FaultyInstrument
from sim.wire.tcp import Served, serve
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
        strict: Raise at a command that an instrument does not have; else it answers as the real
            one does, with an entry in its error queue.

    Attributes:
        world: The sample and its surroundings.
        instruments: What answers, by name in the resource.
        visa_library: Opens the simulated resources for PyVISA.
    """

    def __init__(
        self,
        profile: BenchProfile,
        sample: Mapping[str, Any] | None,
        time: TimeBase,
        *,
        strict: bool = True,
    ) -> None:
        self.recipe = {**DEFAULT_SAMPLE, **(sample or {})}
        cell = _sample(self.recipe)
        self.world = World(cell, now=time.elapsed, seed=int(self.recipe["seed"]))
        self._epoch_s, self._strict = time.epoch_s, strict
        self.instruments = {
            _simulated_name(link.resource): self._instrument(link.driver, number)
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
            identity = _SMU_IDENTITY.format(serial)
            return SimulatedKeithley2450(self.world, identity=identity, strict=self._strict)
        if driver == "agilent_33500":
            return SimulatedAgilent33500(
                self.world, cable=_CABLE, serial=serial, strict=self._strict
            )
        if driver == "console_bridge":
            return SimulatedMriConsole(
                self.world,
                flash_imagers(self.world.sample.geometry, self.world.seed),
                cable=_CABLE,
                serial=serial,
                clock_offset_s=self._epoch_s,
                strict=self._strict,
            )
        raise ProfileError(
            "bench",
            f"no simulated instrument answers to the driver {driver!r}",
            remedy="give the real instrument's address instead of sim://",
        )


@dataclass(frozen=True)
class ServedLaboratory:
    """A simulated laboratory that any client can reach.

    Attributes:
        laboratory: What is served.
        resources: VISA resource string by link, ``device`` or ``device.part``.
        identities: What answers to ``*IDN?``, by link.
        served: The server behind it.
    """

    laboratory: Laboratory
    resources: dict[str, str]
    identities: dict[str, str]
    served: Served

    def wait(self, timeout_s: float) -> bool:
        """Wait until the server has ended, at most `timeout_s` of real time; whether it has."""
        return self.served.ended.wait(timeout_s)

    def failures(self) -> list[BaseException]:
        """What the instruments raised, oldest first: errors of the simulation, not of a client."""
        return list(self.served.errors)


@contextmanager
def serve_laboratory(
    profile: BenchProfile,
    sample: Mapping[str, Any] | None = None,
    *,
    faults: Sequence[str] = (),
    ports: Mapping[str, int] | None = None,
    life_s: float,
) -> Iterator[ServedLaboratory]:
    """Serve the simulated instruments of a bench over TCP, on loopback and the system's clock.

    An instrument is named as in the profile (``pstat``, ``mri.console``) or as in its resource
    (``smu`` of ``sim://smu``).

    Args:
        profile: The bench; its instruments on hardware are left out.
        sample: What lies on it, as an experiment's ``simulate_as``.
        faults: As `sim.wire.fault_text.read_fault` reads them; times count from now on.
        ports: Port by instrument; any free one for those not named.
        life_s: Longest life of the server, s.

    Raises:
        ProfileError: Nothing on the bench is simulated; a fault or a port cannot be understood,
            names no instrument, or the port is in use. Nothing is served.
        Exception: The first that an instrument raised, when the context ends.
    """
    names = {
        who: _simulated_name(link.resource) for who, link in profile.links.items() if link.simulated
    }
    if not names:
        raise ProfileError(
            profile.bench, "nothing on it is simulated", remedy="name a bench with sim:// resources"
        )
    time = TimeBase.real()
    try:
        laboratory = Laboratory(profile, sample, time, strict=False)
        identities = {
            who: laboratory.instruments[name].answer(b"*IDN?").decode()
            for who, name in names.items()
        }
        instruments = _with_faults(laboratory, names, faults)
        wanted = {_named(names, who, f"--port {who}"): port for who, port in (ports or {}).items()}
        with _listening(instruments, wanted, life_s) as served:
            resources = {who: served.resource(name) for who, name in names.items()}
            yield ServedLaboratory(laboratory, resources, identities, served)
    finally:
        time.loop.close()


@contextmanager
def _listening(
    instruments: Mapping[str, Any], ports: Mapping[str, int], life_s: float
) -> Iterator[Served]:
    """Serve; a port that cannot be had is bad input."""
    started = False
    try:
        with serve(instruments, ports=ports, life_s=life_s) as served:
            started = True
            yield served
    except OSError as error:
        if started:
            raise
        raise ProfileError(
            "bench", f"cannot listen: {error}", remedy="choose another --port, or leave it out"
        ) from None


def _with_faults(
    laboratory: Laboratory, names: Mapping[str, str], faults: Sequence[str]
) -> dict[str, Any]:
    """The instruments, those on whose wire something goes wrong wrapped."""
    instruments: dict[str, Any] = dict(laboratory.instruments)
    for text in faults:
        who = f"--fault {text}"
        try:
            device, fault = read_fault(text)
        except ValueError as error:
            raise ProfileError(who, str(error), remedy="for example late:pstat:10:60") from None
        name = _named(names, device, who)
        if not isinstance(instruments[name], FaultyInstrument):
            instruments[name] = FaultyInstrument(instruments[name], laboratory.world.now)
        instruments[name].add(fault)
    return instruments


def _named(names: Mapping[str, str], given: str, who: str) -> str:
    """The instrument that a person means, by link or by the name in its resource."""
    if given in names.values():
        return given
    if given not in names:
        raise ProfileError(
            who,
            f"got {given!r}, expected a simulated instrument of this bench",
            remedy=name_remedy(given, names),
        )
    return names[given]


def _simulated_name(resource: str) -> str:
    return resource.removeprefix(_PREFIX)


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
