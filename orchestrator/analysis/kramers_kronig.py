"""Linear Kramers-Kronig test of an impedance spectrum (Lin-KK).

A spectrum of a cell that is linear, causal and steady obeys the Kramers-Kronig relations, and so
does every series of RC elements. The test fits one with fixed time constants, which is a linear
problem, and looks at what is left (B. A. Boukamp, J. Electrochem. Soc. 142 (1995) 1885). The
number of elements follows M. Schoenleber, D. Klotz and E. Ivers-Tiffee, Electrochim. Acta 131
(2014) 20: one more until ``mu = 1 - sum|R_k < 0| / sum|R_k >= 0|`` falls below 0.85, where the
elements begin to describe noise by resistances of alternating sign.

Two additions of ours. The search begins at two elements per decade: with fewer, mu can fall
because there are too few elements, not too many. And noise, which obeys nothing, is told from
drift by the correlation of neighbouring residuals, so that a noisy spectrum of a steady cell
passes and a clean one of a drifting cell does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

MU_LIMIT = 0.85
ELEMENTS_PER_DECADE = 2.0
MAX_ELEMENTS = 50
MIN_POINTS = 10
SYSTEMATIC_LIMIT = 0.005
"""Residuals common to neighbours that are tolerated, of |Z| ([A]: half the 1 % that is usually
allowed to single residuals)."""

SIGNIFICANT = 3.0
"""Standard deviations, 1/sqrt(n) of white noise, from which a correlation is believed."""


@dataclass(frozen=True)
class KramersKronigTest:
    """Residuals of a spectrum and the verdict.

    Attributes:
        frequencies_hz: Ascending, Hz, shape (n,).
        real: (Re Z - Re Z_fit) / |Z|, shape (n,).
        imaginary: (Im Z - Im Z_fit) / |Z|, shape (n,).
        elements: Number M of RC elements.
        mu: Schoenleber's measure at M.
        rms: Root mean square of the complex residuals, of |Z|.
        systematic: Root mean square of what neighbouring residuals have in common, of |Z|;
            the larger of the real and the imaginary parts.
        quality: ``ok`` or why the spectrum is not one of a linear, steady cell.
    """

    frequencies_hz: Floats
    real: Floats
    imaginary: Floats
    elements: int
    mu: float
    rms: float
    systematic: float
    quality: str

    @property
    def passed(self) -> bool:
        """Whether the spectrum may be fitted."""
        return self.quality == "ok"


def kramers_kronig(
    frequencies_hz: Floats,
    impedance_ohm: Complexes,
    *,
    blocking: bool = False,
    systematic_limit: float = SYSTEMATIC_LIMIT,
) -> KramersKronigTest:
    """Test a spectrum.

    Args:
        frequencies_hz: Frequencies, Hz, shape (n,), in any order.
        impedance_ohm: Impedance, ohm, shape (n,); points that are not finite are left out.
        blocking: Whether the electrodes block direct current: adds a capacitance in series.
        systematic_limit: Tolerated share of |Z| in the residuals that neighbours have in common.

    Raises:
        ValueError: For shapes that differ, frequencies that are not positive, or fewer than ten
            finite points.
    """
    hertz, ohm = np.asarray(frequencies_hz, float), np.asarray(impedance_ohm, np.complex128)
    finite = np.isfinite(ohm) if hertz.shape == ohm.shape else np.zeros(0, bool)
    if finite.ndim != 1 or finite.sum() < MIN_POINTS or (hertz <= 0).any():
        raise ValueError(
            f"Kramers-Kronig test: got {hertz.shape} frequencies and {ohm.shape} impedances, "
            f"{finite.sum()} of them usable; expected two equal rows with at least {MIN_POINTS} "
            "finite points at positive frequencies"
        )
    order = np.argsort(hertz[finite])
    hertz, ohm = hertz[finite][order], ohm[finite][order]
    elements, mu, residuals = _series(2.0 * math.pi * hertz, ohm, blocking=blocking)
    shared = [_systematic(residuals.real), _systematic(residuals.imag)]
    systematic = max(shared)
    return KramersKronigTest(
        frequencies_hz=hertz,
        real=residuals.real,
        imaginary=residuals.imag,
        elements=elements,
        mu=mu,
        rms=float(np.sqrt(np.mean(np.abs(residuals) ** 2))),
        systematic=systematic,
        quality="ok" if systematic <= systematic_limit else _reason(shared),
    )


def _series(omega: Floats, ohm: Complexes, *, blocking: bool) -> tuple[int, float, Complexes]:
    """The fit whose number of elements Schoenleber's measure chooses."""
    decades = math.log10(omega[-1] / omega[0])
    least = min(max(3, math.ceil(ELEMENTS_PER_DECADE * decades)), len(omega) // 2)
    most = min(MAX_ELEMENTS, len(omega))
    for elements in range(least, most + 1):
        mu, residuals = _fit(omega, ohm, elements, blocking=blocking)
        if mu < MU_LIMIT:
            break
    return elements, mu, residuals


def _fit(
    omega: Floats, ohm: Complexes, elements: int, *, blocking: bool
) -> tuple[float, Complexes]:
    """Linear least squares of a series, weighted by the modulus."""
    tau_s = np.geomspace(1.0 / omega[-1], 1.0 / omega[0], elements)
    columns = [1.0 / (1.0 + 1j * np.outer(omega, tau_s)), np.ones((len(omega), 1))]
    # Inductance and capacitance are scaled to ohm at the end where they matter.
    columns.append(1j * omega[:, None] / omega[-1])
    if blocking:
        columns.append(-1j * omega[0] / omega[:, None])
    size = np.abs(ohm)
    matrix = np.hstack(columns) / size[:, None]
    target = ohm / size
    stacked = np.vstack([matrix.real, matrix.imag])
    found = np.linalg.lstsq(stacked, np.concatenate([target.real, target.imag]), rcond=None)[0]
    resistances = found[:elements]
    negative = float(-resistances[resistances < 0].sum())
    positive = float(resistances[resistances >= 0].sum())
    mu = 1.0 - negative / positive if positive > 0 else -math.inf
    return mu, np.asarray(target - matrix @ found)


def _systematic(residuals: Floats) -> float:
    """Root of the covariance of neighbours where it is significant, otherwise 0."""
    shared = float(np.mean(residuals[1:] * residuals[:-1]))
    total = float(np.mean(residuals**2))
    if shared <= SIGNIFICANT / math.sqrt(len(residuals)) * total:
        return 0.0
    return math.sqrt(shared)


def _reason(shared: list[float]) -> str:
    part = "real" if shared[0] > shared[1] else "imaginary"
    return (
        f"neighbouring residuals share {100 * max(shared):.2g} % of |Z| ({part} part): the cell "
        "changed during the sweep or did not respond linearly"
    )
