"""A step of the experiment's protocol as a potentiostat device takes it.

Steps are those of aurora-unicycler; this adds where the step stands in the method, what a pause
does to its rest, and lowers it to the one finite program an instrument runs by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from aurora_unicycler import (
    ConstantCurrent,
    ConstantVoltage,
    ImpedanceSpectroscopy,
    OpenCircuitVoltage,
    VoltageScan,
)

from devices.errors import LimitError
from devices.roles import CellLimits, Program, Sweep

OnPause = Literal["continue", "restart", "drop"]
"""What happens to the rest of a step after a pause."""

CellStep: TypeAlias = (
    ConstantCurrent | ConstantVoltage | OpenCircuitVoltage | VoltageScan | ImpedanceSpectroscopy
)

_LONGEST_STEP_S = 30 * 86_400.0
"""A step that ends by voltage or current alone still ends: no program is without an end, s."""

_LEAST_LEFT_S = 1e-3
"""A step with less left than this is over: instruments take no shorter program, s."""


@dataclass(frozen=True)
class Technique:
    """One step to run now.

    Attributes:
        step: The step with an absolute current in mA.
        limits: Limits at the cell; the instrument ends the step when one is exceeded.
        period_s: Time between records, s.
        max_capacity_mah: Ends the experiment when the net charge since the run began leaves
            +-this, mAh.
        step_index: Index of the step in the method, from 0.
        cycle: Number of the cycle, from 1.
        on_pause: What happens to the rest of the step after a pause.
        survivable: A link or an instrument that fails ends the step with the reason ``failed``
            and leaves the decision to the plan; otherwise it ends the run.
        continues: Run what is left of the step that failed, not the whole.
        left: Run this, which an interrupted run has left of the step; None: as `continues` says.
    """

    step: CellStep
    limits: CellLimits
    period_s: float
    max_capacity_mah: float
    step_index: int = 0
    cycle: int = 1
    on_pause: OnPause = "continue"
    survivable: bool = False
    continues: bool = False
    left: Program | None = None

    def is_same(self, other: Technique | None) -> bool:
        """Whether it is the same step, whatever part of it is to be run."""
        return other is not None and replace(self, continues=False, left=None) == replace(
            other, continues=False, left=None
        )

    def program(self) -> Program:
        """The instrument's program.

        Raises:
            LimitError: The setpoint lies outside the limits.
        """
        step = self.step
        common = Program("rest", 0.0, _LONGEST_STEP_S, self.period_s, self.limits)
        if isinstance(step, VoltageScan):
            return self._scan(step, common)
        if isinstance(step, ImpedanceSpectroscopy):
            if step.drift_correction:
                raise LimitError(
                    f"step {self.step_index}",
                    "got drift_correction, which no instrument here does",
                    remedy="leave it out",
                )
            return spectrum_program(sweep_of(step), common)
        common = replace(common, duration_s=step.until_time_s or _LONGEST_STEP_S)
        if isinstance(step, OpenCircuitVoltage):
            return common
        if isinstance(step, ConstantVoltage):
            self._check("voltage", step.voltage_V, "V")
            end_ma = abs(step.until_current_mA) if step.until_current_mA else None
            return replace(common, mode="voltage", setpoint=step.voltage_V, end_current_ma=end_ma)
        if step.current_mA is None:
            raise LimitError(
                f"step {self.step_index}",
                "constant_current without a current in mA",
                remedy="resolve rate_C with the sample's capacity before running",
            )
        self._check("current", step.current_mA, "mA")
        return replace(
            common, mode="current", setpoint=step.current_mA, end_voltage_v=step.until_voltage_V
        )

    def _scan(self, step: VoltageScan, common: Program) -> Program:
        for voltage_v in (step.start_voltage_V, step.end_voltage_V):
            self._check("voltage", voltage_v, "V")
        height_v = abs(step.end_voltage_V - step.start_voltage_V)
        return replace(
            common,
            mode="scan",
            setpoint=step.start_voltage_V,
            scan_to_v=step.end_voltage_V,
            duration_s=height_v / step.scan_rate_mV_per_s * 1e3,
        )

    def _check(self, what: Literal["current", "voltage"], value: float, unit: str) -> None:
        low, high = (
            (self.limits.min_current_ma, self.limits.max_current_ma)
            if what == "current"
            else (self.limits.min_voltage_v, self.limits.max_voltage_v)
        )
        if not low <= value <= high:
            raise LimitError(
                f"step {self.step_index}",
                f"{what} {value:g} {unit} is outside the limits {low:g} to {high:g} {unit}",
                remedy="change the step, or the protocol's safety block if the cell allows it",
            )


@dataclass(eq=False)
class Amendment:
    """The running step with other ends, limits or time between records.

    Attributes:
        technique: What it becomes; the same quantity at the same setpoint.
        of: The step that must still run; otherwise nothing is changed.
        refused: Why the instrument goes on with the former one; empty where it does not.
    """

    technique: Technique
    of: Technique
    refused: str = ""

    def rest(self, left: Program) -> Program | None:
        """What is left to run of the changed step, where `left` is left of the former one."""
        passed_s = self.of.program().duration_s - left.duration_s
        return remainder(self.technique.program(), passed_s)

    def refuse(self, reason: str, told: Callable[[], None]) -> None:
        """It does not hold; tell who waits for it."""
        self.refused = reason
        told()


def charge_of(program: Program) -> float:
    """Charge that a program moves if it runs to its end in time, mAh; NaN where nobody knows."""
    if program.mode == "rest":
        return 0.0
    if program.mode != "current" or program.duration_s > _LONGEST_STEP_S / 2:
        return math.nan
    return program.setpoint * program.duration_s / 3600.0


def sweep_of(step: ImpedanceSpectroscopy) -> Sweep:
    """Frequencies and amplitude of a spectrum."""
    galvano = step.amplitude_mA is not None
    return Sweep(
        quantity="current" if galvano else "voltage",
        amplitude=float((step.amplitude_mA if galvano else step.amplitude_V) or 0.0),
        start_hz=step.start_frequency_Hz,
        end_hz=step.end_frequency_Hz,
        points_per_decade=step.points_per_decade,
        cycles=step.measures_per_point,
    )


def spectrum_program(sweep: Sweep, common: Program) -> Program:
    """A spectrum of the cell at rest: about no current, or about its open-circuit voltage.

    Args:
        sweep: Frequencies and amplitude.
        common: Limits and time between records.
    """
    return replace(
        common,
        mode="impedance",
        setpoint=0.0,
        duration_s=sweep.duration_s,
        sweep=sweep,
        at_open_circuit=sweep.quantity == "voltage",
    )


def remainder(program: Program, ran_s: float) -> Program | None:
    """What is left of a program that ran for a while; None if nothing is.

    A spectrum is taken from its beginning again: half of one is none.
    """
    left_s = program.duration_s - ran_s
    if program.mode == "impedance":
        return program
    if left_s < _LEAST_LEFT_S:
        return None
    if program.mode == "scan" and program.scan_to_v is not None:
        passed = ran_s / program.duration_s
        reached_v = program.setpoint + passed * (program.scan_to_v - program.setpoint)
        return replace(program, setpoint=reached_v, duration_s=left_s)
    return replace(program, duration_s=left_s)
