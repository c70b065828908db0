"""Siniscalchi et al. 2024: impedance within and between steps, and what leaks through."""

from __future__ import annotations

from collections.abc import Sequence

from aurora_unicycler import ConstantVoltage, ImpedanceSpectroscopy, OpenCircuitVoltage
from bluesky.utils import MsgGenerator

from devices.potentiostat import Potentiostat
from devices.roles import Sweep
from plans.arguments import Count, Limits, Metadata, NotZero, Positive, Stop
from plans.cell import Cell
from plans.environment import Environment
from plans.imaging import Capture
from plans.named import named
from plans.runs import run_with_images


@named
def geis_plating(
    potentiostat: Potentiostat,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    charge_mah_per_cm2: Positive,
    every_s: Positive,
    current_ma_per_cm2: NotZero = 0.5,
    amplitude_ma_per_cm2: Positive = 0.05,
    start_frequency_hz: Positive = 7e6,
    end_frequency_hz: Positive = 0.5,
    points_per_decade: Count = 10,
    record_s: Positive = 10.0,
    stop_when: Sequence[Stop] = ("hard_short",),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Plate until the cell shorts, with impedance spectra within the step and one at the end.

    Source: Siniscalchi et al. 2024, Methods: 0.5 mA/cm2; GEIS from 7 MHz to 500 mHz with
    0.05 mA/cm2. Example: `examples/geis_plating.yaml`.

    Args:
        potentiostat: Plates the cell and takes the spectra.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        charge_mah_per_cm2: Charge to plate if nothing ends the run before, mAh/cm2.
        every_s: Time between spectra, s; the first one is taken before the current flows.
        current_ma_per_cm2: Current density, mA/cm2; positive plates face B.
        amplitude_ma_per_cm2: Peak amplitude about it, mA/cm2.
        start_frequency_hz: First frequency, Hz.
        end_frequency_hz: Last frequency, Hz.
        points_per_decade: Frequencies in each decade, evenly spaced in the logarithm.
        record_s: Time between records, s.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    amplitude_ma = cell.current_ma(amplitude_ma_per_cm2)
    sweep = Sweep("current", amplitude_ma, start_frequency_hz, end_frequency_hz, points_per_decade)
    method = [cell.passing(current_ma_per_cm2, charge_mah_per_cm2)]
    cycling = cell.cycling(potentiostat, method, record_s)
    captures = [
        Capture(cell.spectra(potentiostat, sweep, number=0), every_s=every_s),
        Capture(cell.spectra(potentiostat, sweep, number=1), at=("end",)),
    ]
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, captures, conditions, environment, md=md or {}))


@named
def impedance_sweep(
    potentiostat: Potentiostat,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    charges_mah_per_cm2: Sequence[Positive] = (),
    current_ma_per_cm2: NotZero = 0.5,
    amplitude_v: Positive = 0.01,
    start_frequency_hz: Positive = 3.7e6,
    end_frequency_hz: Positive = 1.0,
    points_per_decade: Count = 10,
    rest_s: Positive = 60.0,
    record_s: Positive = 5.0,
    stop_when: Sequence[Stop] = (),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Take a spectrum of the cell at rest, and another after each charge that is passed.

    Source: Siniscalchi et al. 2024, Methods: PEIS with 10 mV from 3.7 MHz to 1 Hz. Example:
    `examples/impedance_sweep.yaml`.

    Args:
        potentiostat: Takes the spectra and passes the charge.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        charges_mah_per_cm2: Charges to pass between spectra, mAh/cm2; none: a single spectrum.
        current_ma_per_cm2: Current density while they pass, mA/cm2; positive plates face B.
        amplitude_v: Peak amplitude about the voltage at rest, V.
        start_frequency_hz: First frequency, Hz.
        end_frequency_hz: Last frequency, Hz.
        points_per_decade: Frequencies in each decade, evenly spaced in the logarithm.
        rest_s: Time at rest before each spectrum, s.
        record_s: Time between records, s.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    spectrum = ImpedanceSpectroscopy(
        amplitude_V=amplitude_v,
        start_frequency_Hz=start_frequency_hz,
        end_frequency_Hz=end_frequency_hz,
        points_per_decade=points_per_decade,
    )
    measured = [OpenCircuitVoltage(until_time_s=rest_s), spectrum]
    passing = [cell.passing(current_ma_per_cm2, one) for one in charges_mah_per_cm2]
    method = [*measured, *(step for one in passing for step in (one, *measured))]
    cycling = cell.cycling(potentiostat, method, record_s)
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, (), conditions, environment, md=md or {}))


@named
def electronic_conductivity(
    potentiostat: Potentiostat,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    voltage_v: NotZero,
    hold_s: Positive,
    record_s: Positive = 1.0,
    stop_when: Sequence[Stop] = (),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Hold a voltage between electrodes that block the ions, until only electrons flow.

    Source: Siniscalchi et al. 2024, Methods: a step of the potential on Ni/LLZTO/Ni, 1e-8 S/cm.
    With the thickness L: sigma_e = I L / (V A). Example: `examples/electronic_conductivity.yaml`.

    Args:
        potentiostat: Holds the voltage.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        voltage_v: Voltage, V.
        hold_s: Time to hold it, s: many times the decay of the charging current (60 s [A]).
        record_s: Time between records, s.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    method = [ConstantVoltage(voltage_V=voltage_v, until_time_s=hold_s)]
    cycling = cell.cycling(potentiostat, method, record_s)
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, (), conditions, environment, md=md or {}))
