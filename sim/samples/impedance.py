"""Impedance of a cell: two depressed arcs, a short in parallel, and the leads.

``Z A = R_b/(1+(jw tau_b)^0.95) + R_int/(1+(jw tau_i)^0.85)`` with the capacitances of the bulk
and the interface constant: tau grows with its resistance. Constants are [A], placed so that the
high-frequency arc of 120 ohm cm2 peaks at 2 MHz and an interface of 2000 ohm cm2 at 200 Hz, as
Siniscalchi et al., Energy Environ. Sci. 2024 (doi 10.1039/d3ee03916a) fit two arcs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

BULK_EXPONENT, INTERFACE_EXPONENT = 0.95, 0.85
BULK_S_PER_OHM_CM2 = 1.0 / (120.0 * 2.0 * math.pi * 2e6)
INTERFACE_S_PER_OHM_CM2 = 1.0 / (2000.0 * 2.0 * math.pi * 200.0)
LEAD_INDUCTANCE_H = 0.2e-6
STRAY_CAPACITANCE_F = 10e-12
"""Of leads that end nowhere [A]."""
RELATIVE_NOISE = 0.003
_NOISE_STREAM = 4


@dataclass(frozen=True)
class CellResistances:
    """What the impedance of a cell depends on; every sample says it of itself, `resistances(t_s)`.

    Attributes:
        bulk_ohm_cm2: Electrolyte with its grain boundaries.
        interface_ohm_cm2: Both interfaces with their interphases.
        area_cm2: Electrode area.
        short_ohm: Electronic path through the electrolyte, ohm; None while there is none.
        is_open: Whether the contact to the cell is lost.
    """

    bulk_ohm_cm2: float
    interface_ohm_cm2: float
    area_cm2: float
    short_ohm: float | None = None
    is_open: bool = False


def impedance_ohm(frequencies_hz: Floats, cell: CellResistances) -> Complexes:
    """Noise-free impedance at each frequency (Hz), ohm; capacitive Im Z is negative."""
    jw = np.asarray(2j * math.pi * np.asarray(frequencies_hz), dtype=np.complex128)
    if cell.is_open:
        return np.asarray(1.0 / (jw * STRAY_CAPACITANCE_F), dtype=np.complex128)
    bulk = _arc(jw, cell.bulk_ohm_cm2, BULK_S_PER_OHM_CM2, BULK_EXPONENT)
    interface = _arc(jw, cell.interface_ohm_cm2, INTERFACE_S_PER_OHM_CM2, INTERFACE_EXPONENT)
    z = (bulk + interface) / cell.area_cm2
    if cell.short_ohm is not None:
        z = z * cell.short_ohm / (z + cell.short_ohm)
    return np.asarray(z + jw * LEAD_INDUCTANCE_H, dtype=np.complex128)


def with_noise(impedance: Complexes, *, seed: int, spectrum_index: int) -> Complexes:
    """Multiplicative complex noise of 0.3 % [A], the same for a spectrum whenever it is read."""
    stream = np.random.default_rng([seed, _NOISE_STREAM, spectrum_index])
    real, imaginary = stream.standard_normal((2, *impedance.shape))
    noise = RELATIVE_NOISE * (real + 1j * imaginary) / math.sqrt(2.0)
    return np.asarray(impedance * (1.0 + noise), dtype=np.complex128)


def _arc(jw: Complexes, ohm_cm2: float, s_per_ohm_cm2: float, exponent: float) -> Complexes:
    return np.asarray(ohm_cm2 / (1.0 + (jw * s_per_ohm_cm2 * ohm_cm2) ** exponent))
