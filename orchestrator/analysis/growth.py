"""Growth rates of the layers: local quadratic fits with propagated errors.

On equally spaced frames this is the Savitzky-Golay filter of order 2 over seven frames,
``scipy.signal.savgol_filter(amount, 7, 2, deriv=1, mode="interp")``; written as a matrix, it also
takes frames with gaps and carries each frame's own error to the rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WINDOW = 7
ORDER = 2
S_PER_DAY = 86_400.0


@dataclass(frozen=True)
class GrowthRates:
    """Rates of growth per layer at the times of the frames that were used.

    Attributes:
        time_s: Shape (n,).
        rates_umol_per_cm2_per_d: Shape (n, k) for k columns of amounts.
        covariance: Covariance of the rates of one time, shape (n, k, k).
        window: Frames in a local fit; fewer than seven only in a run of fewer frames.
        quality: ``ok`` or a reason.
    """

    time_s: Floats
    rates_umol_per_cm2_per_d: Floats
    covariance: Floats
    window: int
    quality: str

    @property
    def errors_umol_per_cm2_per_d(self) -> Floats:
        """Standard errors, shape (n, k)."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))

    def of(self, *columns: int) -> tuple[Floats, Floats]:
        """Rate of the sum of some columns and its standard error, each of shape (n,)."""
        pick = np.zeros(self.rates_umol_per_cm2_per_d.shape[1])
        pick[list(columns)] = 1.0
        variance = np.einsum("i,nij,j->n", pick, self.covariance, pick)
        return self.rates_umol_per_cm2_per_d @ pick, np.sqrt(variance)


def growth_rates(time_s: Floats, amounts: Floats, frame_covariance: Floats) -> GrowthRates:
    """Rates of growth from amounts per frame; frames without finite amounts are left out.

    Args:
        time_s: Centres of the exposures, s, ascending, shape (n,).
        amounts: umol/cm2, shape (n, k).
        frame_covariance: Errors of single frames, (umol/cm2)^2, shape (n, k, k). Errors that all
            frames share do not change a rate.

    Returns:
        Rates at the frames that have amounts; empty with a reason for fewer than three.
    """
    kept = np.isfinite(amounts).all(axis=1)
    time_s, amounts, covariance = time_s[kept], amounts[kept], frame_covariance[kept]
    count = len(time_s)
    window = min(WINDOW, count - (count + 1) % 2)
    if window < ORDER + 1:
        nothing = np.empty((0, amounts.shape[1]))
        empty = np.empty((0, amounts.shape[1], amounts.shape[1]))
        return GrowthRates(
            time_s[:0], nothing, empty, 0, f"{count} usable, a rate needs {ORDER + 1} frames"
        )
    weights = derivative_matrix(time_s / S_PER_DAY, window)
    return GrowthRates(
        time_s=time_s,
        rates_umol_per_cm2_per_d=weights @ amounts,
        covariance=np.einsum("ij,jkl->ikl", weights**2, covariance),
        window=window,
        quality="ok" if window == WINDOW else f"only {window} frames per local fit",
    )


def derivative_matrix(times: Floats, window: int, order: int = ORDER) -> Floats:
    """Matrix that turns values into derivatives by local polynomial fits.

    Args:
        times: Ascending, at least `window` of them.
        window: Odd number of neighbours in each fit; at the ends the outermost fit is used.
        order: Order of the polynomials.

    Returns:
        Shape (n, n): ``derivative = matrix @ values``, per unit of `times`.
    """
    count = len(times)
    matrix = np.zeros((count, count))
    for row, first in enumerate(np.clip(np.arange(count) - window // 2, 0, count - window)):
        near = slice(first, first + window)
        powers = np.vander(times[near] - times[row], order + 1, increasing=True)
        matrix[row, near] = np.linalg.pinv(powers)[1]
    return matrix
