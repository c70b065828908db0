"""A probe on a spallation of an LLZTO pellet, with the counter electrode as the other terminal.

As in the electron-beam-induced-current measurements of Siniscalchi et al., Energy Environ. Sci.
2024 (doi 10.1039/d3ee03916a): a tungsten probe on a spallation, the stage on the other electrode.
On a spallation that a dendrite connects through the pellet, current against voltage is ohmic, 440
ohm [P]; the shorted cell's own terminals see 487 ohm, the leads and the pellet included. On an
isolated spallation, or before the short, the probe ends in the electrolyte and no current flows.

The probe moves no lithium: the pellet stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.errors import SimulationError
from sim.samples.impedance import CellResistances
from sim.samples.llzto_pores import ISOLATED, Spallation
from sim.world import Floats, Terminals

CONNECTED = "connected"
PROBES = (CONNECTED, ISOLATED)
"""Kinds of spallation on which the probe may stand."""

_BLOCKED_OHM_CM2 = 1e9
"""Stands for an electrolyte that a probe's tip does not reach through."""


@dataclass(frozen=True)
class _Drive:
    is_voltage: bool
    value: float


class ProbedPellet:
    """An LLZTO pellet whose terminals are a probe (A) and the counter electrode (B).

    Args:
        pellet: The pellet; nobody else may drive it.
        probe: Kind of spallation under the probe, one of `PROBES`.

    Attributes:
        area_cm2: Electrode area of the pellet, cm2.
        seed: The pellet's seed.
        probe: As given.
        geometry: The pellet's shape.

    Raises:
        SimulationError: There is no such kind of spallation.
    """

    def __init__(self, pellet: Any, probe: str) -> None:
        if probe not in PROBES:
            raise SimulationError(
                f"llzto_pellet: probe, got {probe!r}, expected one of {', '.join(PROBES)}"
                " (choose one of them)"
            )
        self._pellet, self.probe = pellet, probe
        self.area_cm2: float = pellet.area_cm2
        self.seed: int = pellet.seed
        self.geometry = pellet.geometry
        self._applied_s = 0.0
        self._drive = _Drive(is_voltage=False, value=0.0)

    def apply_current(self, t_s: float, current_ma: float) -> None:
        """Force a current through the probe from `t_s` on, mA."""
        self._apply(t_s, _Drive(is_voltage=False, value=current_ma))

    def apply_voltage(self, t_s: float, voltage_v: float) -> None:
        """Force a voltage on the probe from `t_s` on, V."""
        self._apply(t_s, _Drive(is_voltage=True, value=voltage_v))

    def terminals(self, times_s: Floats) -> Terminals:
        """Voltage (V) and current (mA) at times since the last `apply_*`, s."""
        times = np.asarray(times_s, dtype=np.float64)
        ohm, value = self._ohm(self._applied_s), self._drive.value
        if self._drive.is_voltage:
            return Terminals(
                np.full(times.shape, value),
                np.full(times.shape, 0.0 if ohm is None else 1e3 * value / ohm),
            )
        if ohm is not None:
            return Terminals(np.full(times.shape, 1e-3 * value * ohm), np.full(times.shape, value))
        volts = math.copysign(math.inf, value) if value else 0.0
        return Terminals(np.full(times.shape, volts), np.zeros(times.shape))

    def charge_mah(self, t_s: float) -> tuple[float, float]:
        """Charge that lithium carried until `t_s`: what the pellet had before the probe came."""
        charge: tuple[float, float] = self._pellet.charge_mah(t_s)
        return charge

    def short_time_s(self, t_now_s: float) -> float | None:
        """When a dendrite bridged the electrolyte, s; None until `t_now_s` has reached it."""
        found: float | None = self._pellet.short_time_s(t_now_s)
        return found

    def spallations(self, t_s: float) -> list[Spallation]:
        """Every crater at `t_s`."""
        found: list[Spallation] = self._pellet.spallations(t_s)
        return found

    def resistances(self, t_s: float) -> CellResistances:
        """What the impedance through the probe depends on."""
        return CellResistances(
            bulk_ohm_cm2=_BLOCKED_OHM_CM2,
            interface_ohm_cm2=self._pellet.resistances(t_s).interface_ohm_cm2,
            area_cm2=self.area_cm2,
            short_ohm=self._ohm(t_s),
        )

    def snapshot(self, t_s: float) -> dict[str, Any]:
        """The whole truth at `t_s`; voltage and current are the probe's."""
        seen = self.terminals(np.array([t_s]))
        voltage_v = float(seen.voltage_v[0])
        return {
            **self._pellet.snapshot(t_s),
            "voltage_v": voltage_v if math.isfinite(voltage_v) else None,
            "current_ma": float(seen.current_ma[0]),
            "probe": self.probe,
            "probe_ohm": self._ohm(t_s),
        }

    def describe(self) -> dict[str, Any]:
        """Provenance of the pellet, with the probe."""
        return {**self._pellet.describe(), "probe": self.probe}

    def _apply(self, t_s: float, drive: _Drive) -> None:
        if not (math.isfinite(t_s) and math.isfinite(drive.value) and t_s >= self._applied_s):
            raise SimulationError(
                f"llzto_pellet: probe, apply {drive.value} at {t_s} s after {self._applied_s} s,"
                " expected finite numbers and ascending times (check the caller)"
            )
        self._applied_s, self._drive = t_s, drive

    def _ohm(self, t_s: float) -> float | None:
        """Resistance from the probe to the counter electrode, ohm; None where nothing connects."""
        joined = self.probe == CONNECTED and self._pellet.short_time_s(t_s) is not None
        if not joined or all(one.stage == ISOLATED for one in self._pellet.spallations(t_s)):
            return None
        return float(self._pellet.filament_ohm)
