"""The devices of a bench: one maker for each kind that a profile names."""

from __future__ import annotations

import datetime
import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from devices.bridge.authentication import token_for
from devices.cell_records import Records
from devices.chamber import SafeAction, TemperatureChamber
from devices.clock import Clock
from devices.drivers.agilent_33500 import TtlTrigger
from devices.drivers.console_bridge import BridgeMriConsole
from devices.drivers.keithley_2450_backend import Keithley2450Backend
from devices.drivers.keithley_2750 import SwitchChannel
from devices.drivers.keithley_dmm6500 import DcVoltmeter
from devices.drivers.potentiostat_bridge import BridgePotentiostat
from devices.drivers.sem_bridge import BridgeMicroscope
from devices.drivers.temptronic_ats545 import ThermoStream
from devices.link import Link
from devices.load_cell import LoadCell
from devices.mri import MriScanner
from devices.permission import WithPermission
from devices.potentiostat import Potentiostat
from devices.roles import CellLimits, ChargeSource, FrameSink, Relay, Worker
from devices.second_path import WithSecondPath
from devices.sem import Sem
from devices.surroundings import Approach, Calibration
from orchestrator.errors import ProfileError
from orchestrator.profile.links import Link as LinkEntry
from orchestrator.profile.models import BenchProfile, MriEntry, PotentiostatEntry, SemEntry
from orchestrator.profile.surroundings import ChamberEntry, LoadCellEntry

DRIVERS: Mapping[str, Callable[..., Any]] = {
    "keithley_2450": Keithley2450Backend,
    "potentiostat_bridge": BridgePotentiostat,
    "console_bridge": BridgeMriConsole,
    "sem_bridge": BridgeMicroscope,
    "agilent_33500": TtlTrigger,
    "temptronic_ats545": ThermoStream,
    "keithley_dmm6500": DcVoltmeter,
    "keithley_2750": SwitchChannel,
}
"""What makes the driver of a link, by the driver's name in a profile."""

_WITH_TOKEN = frozenset({"potentiostat_bridge", "console_bridge", "sem_bridge"})
"""Drivers that prove a token to the agent they speak with."""


@dataclass
class Supplies:
    """What devices are made with.

    Attributes:
        profile: The bench.
        clock: The experiment's clock.
        open_link: Opens a link by ``device`` or ``device.part``; the bench closes it.
        frames: Where frames are written.
        worker: Does slow work off the engine's loop.
        guard: Lets the engine switch a device off on every exit.
        watch_records: Sees every batch of records, for live views.
        permit: Asked before a cell is energised; what it raises keeps it off. None: nobody is.
        devices: Devices made so far, by name; those that drive the cell come first.
    """

    profile: BenchProfile
    clock: Clock
    open_link: Callable[[str, LinkEntry], Link]
    frames: FrameSink
    worker: Worker
    guard: Callable[[Any], None]
    watch_records: Callable[[Records], None]
    permit: Callable[[], None] | None = None
    devices: dict[str, Any] = field(default_factory=dict)

    def driver(self, device: str, part: str = "") -> Callable[..., Any]:
        """What makes the driver of a device's link: ours by name, else the distribution's own.

        One that speaks with a bridge agent gets the token from the environment, never from the
        profile.

        Raises:
            ProfileError: Nothing does.
            DeviceError: The token's file cannot be used.
        """
        driver = self.profile.driver_of(device, part)
        factory = DRIVERS.get(driver.name) or driver.factory
        if factory is None:
            raise ProfileError(
                device, f"the driver {driver.name} cannot be made", remedy="use another driver"
            )
        if driver.name in _WITH_TOKEN:
            who = f"{device}.{part}" if part else device
            return functools.partial(factory, token=token_for(who, os.environ))
        return factory

    @property
    def charge(self) -> ChargeSource | None:
        """What knows the charge through the cell: the first potentiostat."""
        return next((d for d in self.devices.values() if isinstance(d, Potentiostat)), None)


def make_device(name: str, supplies: Supplies) -> Any:
    """Make one device of the bench and open its links.

    Raises:
        ProfileError: No device of its kind can be made.
        DeviceError: Its instrument is absent, or another one answers.
    """
    entry = supplies.profile.devices[name]
    if entry.kind not in MAKERS:
        raise ProfileError(
            name, f"no device of kind {entry.kind!r} can be made", remedy="use a known kind"
        )
    device = MAKERS[entry.kind](name, entry, supplies)
    supplies.devices[name] = device
    return device


def _potentiostat(name: str, entry: PotentiostatEntry, supplies: Supplies) -> Potentiostat:
    relay = cell_relay(name, entry, supplies)
    backend = supplies.driver(name)(supplies.open_link(name, entry))
    if relay is not None:
        backend = WithSecondPath(name, backend, relay)
    if supplies.permit is not None:
        backend = WithPermission(backend, supplies.permit)
    low_v, high_v, low_ma, high_ma = entry.limits.span
    device = Potentiostat(
        name=name,
        clock=supplies.clock,
        backend=backend,
        limits=CellLimits(low_v, high_v, low_ma, high_ma),
        poll_period_s=entry.poll_period_s or supplies.profile.poll_period_s,
        worker=supplies.worker,
        journal_every_s=supplies.profile.journal_period_s,
        resource=entry.resource,
    )
    supplies.guard(device)
    device.subscribe_records(supplies.watch_records)
    return device


def cell_relay(name: str, entry: PotentiostatEntry, supplies: Supplies) -> Relay | None:
    """The relay in the lead of a potentiostat's cell; None where there is none."""
    if entry.disconnect is None:
        return None
    link = supplies.open_link(f"{name}.disconnect", entry.disconnect)
    relay: Relay = supplies.driver(name, "disconnect")(link, channel=entry.disconnect.channel)
    return relay


def _mri(name: str, entry: MriEntry, supplies: Supplies) -> MriScanner:
    console = supplies.open_link(f"{name}.console", entry.console)
    ttl = None
    if entry.trigger is not None:
        trigger = supplies.open_link(f"{name}.trigger", entry.trigger)
        ttl = supplies.driver(name, "trigger")(trigger)
    mode = "per_scan" if ttl else "off"
    return MriScanner(
        name=name,
        clock=supplies.clock,
        console=supplies.driver(name, "console")(console, trigger_mode=mode),
        ttl=ttl,
        frames=supplies.frames,
        worker=supplies.worker,
        charge=supplies.charge,
        resource=entry.console.resource,
    )


def _sem(name: str, entry: SemEntry, supplies: Supplies) -> Sem:
    return Sem(
        name=name,
        clock=supplies.clock,
        imager=supplies.driver(name)(supplies.open_link(name, entry)),
        frames=supplies.frames,
        worker=supplies.worker,
        charge=supplies.charge,
        resource=entry.resource,
    )


def _chamber(name: str, entry: ChamberEntry, supplies: Supplies) -> TemperatureChamber:
    link = supplies.open_link(name, entry)
    limits = entry.limits
    safe = next(one for one in supplies.profile.safe_actions if one.device == name)
    device = TemperatureChamber(
        name=name,
        clock=supplies.clock,
        backend=supplies.driver(name)(link),
        limits=(limits.min_celsius, limits.max_celsius),
        approach=Approach(
            ramp_celsius_per_min=limits.max_ramp_celsius_per_min,
            band_celsius=entry.settle_band_celsius,
            soak_s=entry.soak_s,
            deadline_s=entry.deadline_s,
        ),
        safe_action=cast("SafeAction", safe.action),  # as the table of kinds has it
        safe_celsius=25.0 if safe.celsius is None else safe.celsius,
        resource=entry.resource,
    )
    supplies.guard(device)
    return device


def _load_cell(name: str, entry: LoadCellEntry, supplies: Supplies) -> LoadCell:
    link = supplies.open_link(name, entry)
    said = entry.calibration
    return LoadCell(
        name=name,
        clock=supplies.clock,
        voltmeter=supplies.driver(name)(link),
        calibration=Calibration(
            gain_v_per_kn=said.gain_v_per_kn,
            gain_uncertainty_percent=said.gain_uncertainty_percent,
            offset_v=said.offset_v,
            offset_uncertainty_v=said.offset_uncertainty_v,
            area_cm2=entry.area_cm2,
            date=datetime.date.fromisoformat(said.date),
        ),
        tolerance_percent=entry.tolerance_percent,
        resource=entry.resource,
    )


MAKERS: Mapping[str, Callable[[str, Any, Supplies], Any]] = {
    "potentiostat": _potentiostat,
    "mri": _mri,
    "sem": _sem,
    "chamber": _chamber,
    "load_cell": _load_cell,
}
"""What makes a device, by the kind that a profile names."""
