"""Simulated instruments by the driver that speaks to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import ProfileError
from sim.instruments.agilent_33500 import SimulatedAgilent33500
from sim.instruments.bridge_amplifier import BridgeAmplifier, BridgeCalibration
from sim.instruments.bridge_potentiostat import SimulatedPotentiostat
from sim.instruments.keithley_2450 import Keithley2450 as SimulatedKeithley2450
from sim.instruments.keithley_2750 import SimulatedKeithley2750
from sim.instruments.keithley_dmm6500 import SimulatedDmm6500
from sim.instruments.mri_acquirers import pellet_acquirers
from sim.instruments.mri_console import SimulatedMriConsole
from sim.instruments.sem import SimulatedSem
from sim.instruments.sem_views import view_of
from sim.instruments.temptronic_ats545 import SimulatedAts545
from sim.world import World

_CABLE = "ttl"
_SMU_IDENTITY = "KEITHLEY INSTRUMENTS,MODEL 2450,{},1.7.12b"


@dataclass(frozen=True)
class Place:
    """Where a simulated instrument stands.

    Attributes:
        world: The sample and its surroundings.
        serial: Third field of its identity; begins with ``SIM-``.
        epoch_s: Unix time at which the world begins, s.
        strict: Whether it raises at a command that it does not have.
        options: The device's entry in the profile, as a document.
    """

    world: World
    serial: str
    epoch_s: float
    strict: bool
    options: Mapping[str, Any]


def make_instrument(driver: str, place: Place) -> Any:
    """The simulated instrument that answers to a driver.

    Raises:
        ProfileError: None does.
    """
    if driver not in INSTRUMENTS:
        raise ProfileError(
            "bench",
            f"no simulated instrument answers to the driver {driver!r}",
            remedy="give the real instrument's address instead of sim://",
        )
    return INSTRUMENTS[driver](place)


def _keithley_2450(place: Place) -> Any:
    identity = _SMU_IDENTITY.format(place.serial)
    return SimulatedKeithley2450(place.world, identity=identity, strict=place.strict)


def _agilent_33500(place: Place) -> Any:
    return SimulatedAgilent33500(
        place.world, cable=_CABLE, serial=place.serial, strict=place.strict
    )


def _potentiostat(place: Place) -> Any:
    return SimulatedPotentiostat(
        place.world,
        serial=place.serial,
        clock_offset_s=place.epoch_s,
        strict=place.strict,
    )


def _mri_console(place: Place) -> Any:
    sample = place.world.sample
    if not hasattr(sample, "mean_layers_umol_per_cm2"):
        raise ProfileError(
            "sample.simulate_as.model",
            f"{sample.describe()['model']} shows nothing to a simulated MRI console",
            remedy="use llzo_cell, or a bench without MRI",
        )
    return SimulatedMriConsole(
        place.world,
        pellet_acquirers(sample.geometry, place.world.seed),
        cable=_CABLE,
        serial=place.serial,
        clock_offset_s=place.epoch_s,
        strict=place.strict,
    )


def _sem(place: Place) -> Any:
    view = view_of(place.world)
    if view is None:
        raise ProfileError(
            "sample.simulate_as.model",
            f"{place.world.sample.describe()['model']} shows nothing to a simulated microscope",
            remedy="use void_interface or llzto_pellet, or a bench without a microscope",
        )
    return SimulatedSem(
        place.world,
        view,
        serial=place.serial,
        clock_offset_s=place.epoch_s,
        strict=place.strict,
    )


def _temptronic_ats545(place: Place) -> Any:
    return SimulatedAts545(place.world, serial=place.serial, strict=place.strict)


def _keithley_dmm6500(place: Place) -> Any:
    """The multimeter and the amplifier at its terminals, as the profile's calibration has it."""
    said = dict(place.options["calibration"])
    said.pop("date")
    calibration = BridgeCalibration(area_cm2=place.options["area_cm2"], **said)
    amplifier = BridgeAmplifier(place.world, calibration)
    return SimulatedDmm6500(place.world, amplifier.volts, serial=place.serial, strict=place.strict)


def _keithley_2750(place: Place) -> Any:
    """The switch system with the cell's lead on the channel that the profile names."""
    channel = int(place.options["disconnect"]["channel"])
    return SimulatedKeithley2750(
        place.world, channel, closed=False, serial=place.serial, strict=place.strict
    )


INSTRUMENTS: Mapping[str, Callable[[Place], Any]] = {
    "keithley_2450": _keithley_2450,
    "potentiostat_bridge": _potentiostat,
    "agilent_33500": _agilent_33500,
    "console_bridge": _mri_console,
    "sem_bridge": _sem,
    "temptronic_ats545": _temptronic_ats545,
    "keithley_dmm6500": _keithley_dmm6500,
    "keithley_2750": _keithley_2750,
}
"""What makes a simulated instrument, by the driver that speaks to it."""

SWITCH_OFF: Mapping[str, tuple[bytes, ...]] = {
    "keithley_2450": (b":ABORt", b":OUTPut OFF"),
    "potentiostat_bridge": (b"TECHnique:STOP",),
}
"""What the keys at the front panel of an instrument that drives a cell do, by driver."""

IS_ON: Mapping[str, Callable[[Any], bool]] = {
    "keithley_2450": lambda instrument: instrument.answer(b":OUTPut?") == b"1",
    "potentiostat_bridge": lambda instrument: bool(
        json.loads(instrument.answer(b"TECHnique:STATus?")).get("cell_on")
    ),
}
"""Whether its output is on, as its front panel shows it, by driver."""
