"""Written tables of what a bench profile may name: kinds of device, and drivers.

A profile is data that a person wrote: the names in it are looked up here, never imported. Other
distributions add theirs with the entry points `operando.devices` (giving a `Kind`) and
`operando.drivers` (giving a `Driver`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

DEVICE_GROUP, DRIVER_GROUP = "operando.devices", "operando.drivers"
"""Entry-point groups that third parties fill."""


@dataclass(frozen=True)
class Kind:
    """What a device is.

    Attributes:
        name: Its name in a profile's `kind`.
        parts: Links it is made of, by name, with the role a driver must have; the part ``""`` is
            the device itself.
        takes_images: Whether `images` of an experiment may name it.
        drives_cell: Whether it can energise the cell, and so needs limits.
        signals: Readings that interlocks may watch; each name ends in its unit.
        safe_actions: What it can do to become safe, the first being the default.
        optional_parts: Parts that may be left out.
    """

    name: str
    parts: Mapping[str, str]
    takes_images: bool = False
    drives_cell: bool = False
    signals: tuple[str, ...] = ()
    safe_actions: tuple[str, ...] = ("stop",)
    optional_parts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Driver:
    """What a driver speaks to and what it can do.

    Attributes:
        name: Its name in a profile's `driver`.
        role: What it serves as: ``potentiostat``, ``mri_console``, ``trigger``.
        steps: Steps of a protocol that it runs, for potentiostats.
        records_changes: Whether it records on a change of current or voltage too.
        reason: Why a step that the instrument could do is not in `steps`, by step.
        factory: Makes the driver from a link, for drivers of other distributions; the bench
            knows the built-in ones.
    """

    name: str
    role: str
    steps: frozenset[str] = frozenset()
    records_changes: bool = False
    reason: Mapping[str, str] = field(default_factory=dict)
    factory: Callable[..., Any] | None = None


_KINDS = (
    Kind(
        "potentiostat",
        parts={"": "potentiostat", "disconnect": "relay"},
        optional_parts=frozenset({"disconnect"}),
        drives_cell=True,
        signals=("voltage_v", "current_ma", "charge_mah", "throughput_mah"),
        safe_actions=("off",),
    ),
    Kind(
        "mri",
        parts={"console": "mri_console", "trigger": "trigger"},
        takes_images=True,
        safe_actions=("abort", "keep", "trigger_off"),
        optional_parts=frozenset({"trigger"}),
    ),
    Kind(
        "sem",
        parts={"": "microscope"},
        takes_images=True,
        safe_actions=("abort", "keep", "blank"),
    ),
    Kind(
        "chamber",
        parts={"": "chamber"},
        signals=("temperature_celsius", "air_celsius", "setpoint_celsius"),
        safe_actions=("off", "hold", "go_to"),
    ),
    Kind(
        "load_cell",
        parts={"": "voltmeter"},
        signals=("pressure_mpa", "force_n", "raw_v"),
        safe_actions=("keep",),
    ),
)

_DRIVERS = (
    Driver(
        "keithley_2450",
        role="potentiostat",
        steps=frozenset({
            "tag", "loop", "open_circuit_voltage", "constant_current", "constant_voltage",
        }),
        reason={
            "impedance_spectroscopy": "a source-measure unit measures no impedance spectra",
            "voltage_scan": "its driver runs no sweeps yet",
        },
    ),
    Driver(
        "potentiostat_bridge",
        role="potentiostat",
        steps=frozenset({
            "tag", "loop", "open_circuit_voltage", "constant_current", "constant_voltage",
            "voltage_scan", "impedance_spectroscopy",
        }),
    ),
    Driver("console_bridge", role="mri_console"),
    Driver("sem_bridge", role="microscope"),
    Driver("agilent_33500", role="trigger"),
    Driver("temptronic_ats545", role="chamber"),
    Driver("keithley_dmm6500", role="voltmeter"),
    Driver("keithley_2750", role="relay"),
)  # fmt: skip


@cache
def kinds() -> Mapping[str, Kind]:
    """Every kind of device by name."""
    return MappingProxyType(_with_entry_points(_KINDS, DEVICE_GROUP, Kind))


@cache
def drivers() -> Mapping[str, Driver]:
    """Every driver by name."""
    return MappingProxyType(_with_entry_points(_DRIVERS, DRIVER_GROUP, Driver))


def _with_entry_points(own: tuple[Any, ...], group: str, wanted: type[Any]) -> dict[str, Any]:
    """Our table and what other distributions register; they cannot replace ours."""
    table = {one.name: one for one in own}
    for point in entry_points(group=group):
        entry = point.load()
        if not isinstance(entry, wanted):
            raise TypeError(
                f"entry point {group}: {point.name}, got {type(entry).__name__}, expected "
                f"{wanted.__name__} (correct the distribution that registers it, or remove it)"
            )
        table.setdefault(entry.name, entry)
    return table
