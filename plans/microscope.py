"""Lithium under an electron microscope: stripped, plated, and searched for what is connected.

Sources: Zhao et al. 2025 (operando series), Siniscalchi et al. 2024 (induced current).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage
from bluesky.utils import MsgGenerator

from devices.potentiostat import Potentiostat
from devices.sem import Sem
from plans.arguments import Limits, Metadata, NotZero, Number, Positive, Stop
from plans.cell import Cell
from plans.environment import Environment
from plans.imaging import Capture
from plans.named import named
from plans.runs import run_with_images

_FRAME: Mapping[str, Any] = {
    "method": "image",
    "frame_integration": 1,
    "line_integration": 1,
    "autocontrast": False,
    "reduced_area": [0.0, 0.0, 1.0, 1.0],
    "channels": ["SE"],
    "line_points": 100,
    "line_length_um": 40.0,
    "blank_between_frames": True,
}

INTERFACE: Mapping[str, Any] = {
    **_FRAME,
    "resolution_px": [1600, 600],
    "hfw_um": 160,
    "dwell_time_s": 1e-6,
    "voltage_kv": 5,
    "current_na": 0.1,
}
"""A frame of the interface, 160 um wide; source: Zhao et al. 2025, Fig. 1 (width analysed); pixels,
dwell, voltage and current assumed [A]."""

FACE: Mapping[str, Any] = {
    **_FRAME,
    "resolution_px": [1100, 1100],
    "hfw_um": 2200,
    "dwell_time_s": 1e-5,
    "voltage_kv": 10,
    "current_na": 0.5,
}
"""The whole face of an electrode of 2 mm; source: Siniscalchi et al. 2024, Methods (10 kV, 0.2 to
0.8 nA); raster and dwell assumed [A]."""

INDUCED_CURRENT: Mapping[str, Any] = {
    **_FRAME,
    "resolution_px": [1200, 1200],
    "hfw_um": 1200,
    "dwell_time_s": 1e-5,
    "ebic_time_constant_s": 1e-6,
    "ebic_gain_v_per_a": 1e9,
    "voltage_kv": 20,
    "current_na": 1,
    "channels": ["SE", "EBIC"],
}
"""Secondary electrons and induced current at 20 kV; source: Siniscalchi et al. 2024, Fig. 2 and
Methods (voltage); raster, gain and beam current assumed [A]."""


def _series(sem: Sem, every_mah: float, settings: Mapping[str, Any]) -> list[Capture]:
    """A frame each time so much charge has passed, and one before and after."""
    return [
        Capture(sem, every_mah=every_mah, settings=settings),
        Capture(sem, at=("start", "end"), settings=settings),
    ]


@named
def operando_sem(
    potentiostat: Potentiostat,
    sem: Sem,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    charge_mah_per_cm2: Positive,
    until_voltage_v: Number,
    current_ma_per_cm2: NotZero = 0.5,
    every_mah_per_cm2: Positive = 0.125,
    rest_s: Positive = 60.0,
    record_s: Positive = 10.0,
    settings: Mapping[str, Any] = INTERFACE,
    stop_when: Sequence[Stop] = (),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Strip a metal under the microscope, with a frame of the same place every so much charge.

    Source: Zhao et al. 2025, Fig. 1: 0.5 mA/cm2, a frame every 15 min. Example:
    `examples/operando_sem.yaml`.

    Args:
        potentiostat: Strips the metal.
        sem: Takes the frames.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        charge_mah_per_cm2: Charge to strip, mAh/cm2.
        until_voltage_v: Voltage that ends the stripping before, V.
        current_ma_per_cm2: Current density, mA/cm2; positive strips face A.
        every_mah_per_cm2: Charge between frames, mAh/cm2.
        rest_s: Time at rest before, s: the voltage at rest tells what a short looks like.
        record_s: Time between records, s.
        settings: Acquisition parameters of the frames.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    strip = cell.passing(current_ma_per_cm2, charge_mah_per_cm2, until_v=until_voltage_v)
    method = [OpenCircuitVoltage(until_time_s=rest_s), strip]
    cycling = cell.cycling(potentiostat, method, record_s)
    captures = _series(sem, cell.charge_mah(every_mah_per_cm2), settings)
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, captures, conditions, environment, md=md or {}))


@named
def strip_and_plate(
    potentiostat: Potentiostat,
    sem: Sem,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    strip_mah_per_cm2: Positive,
    plate_mah_per_cm2: Positive,
    current_ma_per_cm2: NotZero = 0.5,
    every_mah_per_cm2: Positive = 0.25,
    rest_s: Positive = 60.0,
    record_s: Positive = 10.0,
    settings: Mapping[str, Any] = INTERFACE,
    stop_when: Sequence[Stop] = ("hard_short",),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Strip a metal until it has lost its contact, then plate until filaments short the cell.

    Source: Zhao et al. 2025, Fig. 4: 0.5 mA/cm2, lithium shorts near 1.0 mAh/cm2 plated. Example:
    `examples/strip_and_plate.yaml`.

    Args:
        potentiostat: Strips and plates.
        sem: Takes the frames.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        strip_mah_per_cm2: Charge to strip, mAh/cm2.
        plate_mah_per_cm2: Charge to plate if nothing ends the run before, mAh/cm2.
        current_ma_per_cm2: Current density while stripping, mA/cm2; plating has the other sign.
        every_mah_per_cm2: Charge between frames, both directions added, mAh/cm2.
        rest_s: Time at rest before, s: the voltage at rest tells what a short looks like.
        record_s: Time between records, s.
        settings: Acquisition parameters of the frames.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    strip = cell.passing(current_ma_per_cm2, strip_mah_per_cm2)
    plate = cell.passing(-current_ma_per_cm2, plate_mah_per_cm2)
    method = [OpenCircuitVoltage(until_time_s=rest_s), strip, plate]
    cycling = cell.cycling(potentiostat, method, record_s)
    captures = _series(sem, cell.charge_mah(every_mah_per_cm2), settings)
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, captures, conditions, environment, md=md or {}))


@named
def ebic_map(
    potentiostat: Potentiostat,
    sem: Sem,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    currents_ma: Sequence[NotZero],
    step_s: Positive = 5.0,
    record_s: Positive = 0.5,
    settings: Mapping[str, Any] = INDUCED_CURRENT,
    stop_when: Sequence[Stop] = (),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Measure current against voltage through a probe, then map the electron-beam-induced current.

    Source: Siniscalchi et al. 2024, Fig. 2: a connected spallation is dark, its dendrite has
    440 ohm. Example: `examples/ebic_map.yaml`.

    Args:
        potentiostat: Drives the probe against the other electrode.
        sem: Takes the frame.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        currents_ma: Currents of the curve, one after another, mA.
        step_s: Time at each current, s.
        record_s: Time between records, s.
        settings: Acquisition parameters of the frame.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    method = [ConstantCurrent(current_mA=float(ma), until_time_s=step_s) for ma in currents_ma]
    cycling = cell.cycling(potentiostat, method, record_s)
    captures = [Capture(sem, at=("end",), settings=settings)]
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, captures, conditions, environment, md=md or {}))
