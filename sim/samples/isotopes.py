"""Tracer exchange between 6Li electrodes and a 7Li electrolyte, as published.

Equations (1) and (2) of Liu et al., Nature Materials 2025 (doi 10.1038/s41563-024-02094-6): in
each half cycle the amount `n` leaves the electrodes with their isotope fraction, mixes with the
electrolyte, and the same amount returns with the mixture's fraction. The constants are those of
the authors' own script. `sim.samples.llzo_equations` contains the continuum form with dendrites;
without dendrites its difference of fractions decays as ``exp(-q (1/m1 + 1/m2))``.
"""

from __future__ import annotations

from dataclasses import dataclass

SENSITIVITY_6LI = 28.45
"""Signal of 7Li over that of 6Li for equal amounts; measured on natural LiCl [P]."""


@dataclass(frozen=True)
class TracerConstants:
    """The authors' published constants [C].

    Attributes:
        electrodes_c: Lithium in both electrodes, m1, C.
        electrolyte_c: Lithium in the electrolyte, m2, C.
        per_cycle_c: Lithium passed per iteration, n, C.
        x6_electrodes: Initial 6Li fraction of the electrodes, x1.
        x6_electrolyte: Initial 6Li fraction of the electrolyte, x2 (the text says 7.5 %).
    """

    electrodes_c: float = 100.0
    electrolyte_c: float = 300.47
    per_cycle_c: float = 0.1088
    x6_electrodes: float = 0.95
    x6_electrolyte: float = 0.069825


PUBLISHED = TracerConstants()


def tracer_step(
    x6_electrodes: float,
    x6_electrolyte: float,
    *,
    electrodes_c: float = PUBLISHED.electrodes_c,
    electrolyte_c: float = PUBLISHED.electrolyte_c,
    per_cycle_c: float = PUBLISHED.per_cycle_c,
) -> tuple[float, float]:
    """One iteration of equations (1) and (2), both from the old fractions.

    The total of 6Li, ``m1 x1 + m2 x2``, is conserved exactly.

    Args:
        x6_electrodes: 6Li fraction of the electrodes before, x1.
        x6_electrolyte: 6Li fraction of the electrolyte before, x2.
        electrodes_c: Lithium in the electrodes, m1, C.
        electrolyte_c: Lithium in the electrolyte, m2, C.
        per_cycle_c: Lithium passed, n, C.

    Returns:
        The fractions (x1', x2') after the iteration.
    """
    m1, m2, n = electrodes_c, electrolyte_c, per_cycle_c
    difference = x6_electrodes - x6_electrolyte
    return (
        x6_electrodes - n * m2 / (m1 * (m2 + n)) * difference,
        x6_electrolyte + n / (m2 + n) * difference,
    )


def signal_ratio_6_to_7(x6: float) -> float:
    """NMR signal of 6Li over that of 7Li, S6/S7 = x / (28.45 (1 - x)), for a 6Li fraction."""
    return x6 / (SENSITIVITY_6LI * (1.0 - x6))


def x6_from_signals(signal_6li: float, signal_7li: float) -> float:
    """6Li fraction from two NMR signals, 28.45 S6 / (28.45 S6 + S7) [P, Methods]."""
    scaled = SENSITIVITY_6LI * signal_6li
    return scaled / (scaled + signal_7li)
