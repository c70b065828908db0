"""What is to be checked of the cell before anything drives it; `plans.preflight_run` does it.

First the cell rests, connected and without current: its open-circuit voltage must lie within a
window and, where the cell has an electromotive force, have the expected sign. Only then, and only
where a largest contact resistance is given, a probe passes a small current: a spectrum near 100 kHz
where the potentiostat takes spectra, else a second in each direction, no net charge.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aurora_unicycler import ConstantCurrent, ImpedanceSpectroscopy

from devices.roles import CellLimits
from plans.collapse import EMF_V

PROBE_V = 0.01
"""What the probe's current would drop at the largest resistance allowed, V [A]: small-signal
(RT/F is 25.7 mV at 25 C), and a thousand times the resolution of a potentiostat."""

PULSE_S = 1.0
"""Length of the probe's current in each direction, s [A]."""

LOWEST_HZ, HIGHEST_HZ = 1e4, 1e5
"""Frequencies of the probe where the instrument takes spectra, Hz [A]: above the arcs of
electrodes, within reach of most potentiostats; a metre of leads adds less than an ohm."""


@dataclass(frozen=True)
class Preflight:
    """What is checked.

    Attributes:
        ocv_s: How long the cell rests before its voltage counts, s.
        ocv_window_v: Lowest and highest open-circuit voltage, V; None: the limits at the cell.
        expect_positive: Sign of the voltage of face A against face B at rest; None: not checked.
        max_contact_resistance_ohm: Largest resistance of the cell with its contacts, ohm; None:
            not measured, and no current is passed.
        probe_current_ma: Current of the probe, mA; None: what drops 10 mV at that resistance, and
            no more than the protocol's own largest current.
    """

    ocv_s: float = 10.0
    ocv_window_v: tuple[float, float] | None = None
    expect_positive: bool | None = None
    max_contact_resistance_ohm: float | None = None
    probe_current_ma: float | None = None

    def window_v(self, limits: CellLimits) -> tuple[float, float]:
        """Lowest and highest open-circuit voltage allowed, V."""
        return self.ocv_window_v or (limits.min_voltage_v, limits.max_voltage_v)

    def probe_ma(self, method: Iterable[Any], limits: CellLimits) -> float:
        """Current of the probe, mA.

        Args:
            method: The steps of the protocol.
            limits: Limits at the cell.
        """
        if self.probe_current_ma is not None:
            return self.probe_current_ma
        constant = (step for step in method if isinstance(step, ConstantCurrent))
        own = max((abs(step.current_mA or 0.0) for step in constant), default=0.0)
        wanted = 1e3 * PROBE_V / (self.max_contact_resistance_ohm or 1.0)
        return min(wanted, own or wanted, limits.max_current_ma, -limits.min_current_ma)

    def spectrum(self, current_ma: float) -> ImpedanceSpectroscopy:
        """The probe of a potentiostat that takes spectra; its last frequency is the highest."""
        return ImpedanceSpectroscopy(
            amplitude_mA=current_ma,
            start_frequency_Hz=LOWEST_HZ,
            end_frequency_Hz=HIGHEST_HZ,
            points_per_decade=5,
        )

    def usual_v(self, limits: CellLimits) -> float:
        """A voltage at rest that passes, V; for plans that are listed, not run."""
        low_v, high_v = self.window_v(limits)
        return low_v if self.expect_positive is False else high_v

    def wrong_with_voltage(self, volts: float, limits: CellLimits) -> tuple[str, str]:
        """What is wrong with a voltage at rest, and what to do; empty where nothing is.

        Args:
            volts: Voltage of face A against face B, V.
            limits: Limits at the cell.
        """
        low_v, high_v = self.window_v(limits)
        if not low_v <= volts <= high_v:
            what = f"open-circuit voltage {volts:.4g} V, expected {low_v:g} to {high_v:g} V"
            return what, "look at the cell, its contacts and its state of charge"
        if self.expect_positive is None:
            return "", ""
        sign = 1.0 if self.expect_positive else -1.0
        if sign * volts > EMF_V:
            return "", ""
        wanted = "above" if self.expect_positive else "below"
        what = f"face A against face B at rest {volts:.4g} V, expected {wanted} {sign * EMF_V:g} V"
        if abs(volts) <= EMF_V:
            return what, "it is shorted, not connected, or without an electromotive force"
        return what, "the leads are exchanged: see which face is A, or correct expect_positive"
