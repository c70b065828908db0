"""Magnesium along an EDS line and in spallations: enrichment, means, and what they say.

A line scan counts X-rays of magnesium at each position; its errors are those of counting. Three
questions are asked of it (Zhao et al., Nature Communications 2025, doi
10.1038/s41467-025-59567-8): is magnesium enriched where lithium left, how much is in the metal on
average, and how much of the bulk's share has reached a plated film. A fourth, whether metal in a
spallation holds magnesium and therefore is connected to the alloy, is that of Siniscalchi et al.,
Energy Environ. Sci. 2024 (doi 10.1039/d3ee03916a).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from orchestrator.analysis.measured import Measured

Floats = npt.NDArray[np.float64]
MagnesiumState = Literal["none", "present", "strong", "undecided"]

DETECTED_SIGMA = 3.0
"""Standard errors from which magnesium, or an enrichment, is believed."""
STRONG_SHARE = 0.5
"""Magnesium over that of the electrode from which a spallation is called developed ([A])."""
NEAR_UM = 2.0
"""Distance from the interface over which enrichment is asked for, um ([A]: the model's depth)."""
REFERENCE_UM = (20.0, math.inf)
"""Distance from the interface of metal that stripping leaves alone, um."""
MIN_POINTS = 4


@dataclass(frozen=True)
class LineProfile:
    """A line scan across metal, from the interface inwards.

    Attributes:
        depth_um: Distance from the interface, um, ascending, shape (n,).
        magnesium: Atomic fraction, or counts, of magnesium, shape (n,).
        errors: Standard errors, in the same unit, shape (n,).
    """

    depth_um: Floats
    magnesium: Floats
    errors: Floats

    def __post_init__(self) -> None:
        shapes = {self.depth_um.shape, self.magnesium.shape, self.errors.shape}
        count = len(self.depth_um) if self.depth_um.ndim == 1 else 0
        fit = len(shapes) == 1 and count >= MIN_POINTS and (np.diff(self.depth_um) > 0).all()
        if not fit or not (self.errors > 0).all() or not np.isfinite(self.magnesium).all():
            raise ValueError(
                f"line profile: got {self.depth_um.shape} depths, {self.magnesium.shape} values "
                f"and {self.errors.shape} errors; expected three equal rows of at least "
                f"{MIN_POINTS} finite points, ascending depths and positive errors"
            )

    @classmethod
    def of_counts(
        cls, depth_um: npt.ArrayLike, counts: npt.ArrayLike, *, background: float = 0.0
    ) -> LineProfile:
        """A profile of counts with the errors of counting, at least 1.

        Args:
            depth_um: Distance from the interface, um.
            counts: Counts; net ones if a background was subtracted, which may be negative.
            background: Counts that were subtracted at each point: their noise is still there.
        """
        seen = np.asarray(counts, dtype=np.float64)
        errors = np.sqrt(np.maximum(seen + background, 1.0))
        return cls(np.asarray(depth_um, dtype=np.float64), seen, errors)

    def normalised(self, at_um: float, *, width_um: float = NEAR_UM) -> LineProfile:
        """The profile over its mean around a depth; the error of that mean is not in it.

        Published profiles are normalised 20 um from the current collector.

        Raises:
            ValueError: No point lies there, or no magnesium.
        """
        mean = self.mean(at_um - 0.5 * width_um, at_um + 0.5 * width_um)
        if not mean.value > 0:
            raise ValueError(
                f"line profile: got no magnesium around {at_um} um, expected a positive mean "
                "(normalise elsewhere)"
            )
        return LineProfile(self.depth_um, self.magnesium / mean.value, self.errors / mean.value)

    def mean(self, first_um: float = -math.inf, last_um: float = math.inf) -> Measured:
        """Mean over a range of depths, weighted by the length that each point stands for."""
        kept = (self.depth_um >= first_um) & (self.depth_um <= last_um)
        if not kept.any():
            return Measured(math.nan, math.nan, f"no point between {first_um} and {last_um} um")
        weights = np.gradient(self.depth_um)[kept]
        weights /= weights.sum()
        error = float(np.sqrt(np.sum((weights * self.errors[kept]) ** 2)))
        return Measured(float(weights @ self.magnesium[kept]), error)


@dataclass(frozen=True)
class Enrichment:
    """Magnesium at the interface against the metal far from it.

    Attributes:
        ratio: Mean near the interface over that of the metal far from it.
        excess: Magnesium above that of the metal far away, times depth, in the profile's unit
            times um, from a fit of ``bulk + peak exp(-z / depth)``.
        depth_um: Decay length of the fit, um.
        bulk: Bulk value of the fit, in the profile's unit.
        enriched: Whether the ratio exceeds 1 by three standard errors.
        quality: ``ok`` or a reason.
    """

    ratio: Measured
    excess: Measured
    depth_um: Measured
    bulk: Measured
    enriched: bool
    quality: str = "ok"


def interface_enrichment(
    profile: LineProfile,
    *,
    near_um: float = NEAR_UM,
    reference_um: tuple[float, float] = REFERENCE_UM,
) -> Enrichment:
    """Whether magnesium is enriched where lithium left, and by how much.

    Args:
        profile: From the interface inwards.
        near_um: Depth that counts as near, um.
        reference_um: Range of depths that stripping leaves alone, um.
    """
    near = profile.mean(last_um=near_um)
    far = profile.mean(*reference_um)
    ratio = _over(near, far)
    excess, depth_um, bulk, quality = _decay(profile)
    enriched = bool(ratio.value - 1.0 > DETECTED_SIGMA * ratio.error)
    if ratio.quality != "ok":
        quality = ratio.quality
    return Enrichment(ratio, excess, depth_um, bulk, enriched, quality)


def film_share(film: LineProfile, bulk: Measured) -> Measured:
    """Magnesium in a plated film as a share of the bulk's (published 0.5 at 25, 0.8 at 60 degC).

    Args:
        film: Points within the film.
        bulk: Mean of the alloy below it, in the same unit.
    """
    return _over(film.mean(), bulk)


def magnesium_state(
    spallation: Measured, *, beside: Measured, electrode: Measured
) -> tuple[MagnesiumState, Measured]:
    """Whether metal in a spallation holds magnesium: none, present, or as much as developed ones.

    None is isolated metal, present is connected, strong is developed. What cannot be told is
    undecided: magnesium that is not seen, with an error that would hide as much as half of the
    electrode's, or a share whose error spans the limit between present and strong.

    Args:
        spallation: Magnesium in the spallation, counts per time or atomic fraction.
        beside: The same on the electrolyte beside it: background.
        electrode: The same on the electrode.

    Returns:
        The state, and the spallation's magnesium over the electrode's, both above background.
    """
    inside = Measured(spallation.value - beside.value, math.hypot(spallation.error, beside.error))
    full = Measured(electrode.value - beside.value, math.hypot(electrode.error, beside.error))
    share = _over(inside, full)
    if share.quality != "ok":
        return "undecided", share
    limit = DETECTED_SIGMA * inside.error
    if inside.value <= limit:
        return ("none" if limit < STRONG_SHARE * full.value else "undecided"), share
    if abs(share.value - STRONG_SHARE) < share.error:
        between = Measured(share.value, share.error, "between present and strong")
        return "undecided", between
    return ("strong" if share.value > STRONG_SHARE else "present"), share


def _over(upper: Measured, lower: Measured) -> Measured:
    """A ratio with both errors; NaN where the denominator is not above its noise."""
    for each in (upper, lower):
        if each.quality != "ok":
            return Measured(math.nan, math.nan, each.quality)
    if not lower.value > DETECTED_SIGMA * lower.error:
        return Measured(math.nan, math.nan, "the reference is not above its noise")
    value = upper.value / lower.value
    return Measured(value, math.hypot(upper.error, value * lower.error) / lower.value)


def _decay(profile: LineProfile) -> tuple[Measured, Measured, Measured, str]:
    """Fit of ``bulk + peak exp(-z / depth)``: excess, depth, bulk and quality."""
    z_um, values, errors = profile.depth_um, profile.magnesium, profile.errors
    span_um, step_um = float(np.ptp(z_um)), float(np.diff(z_um).min())
    far = float(np.median(values[len(values) // 2 :]))

    def residuals(p: Floats) -> Floats:
        return np.asarray((p[0] + p[1] * np.exp(-z_um * math.exp(-p[2])) - values) / errors)

    start = [far, float(values[0]) - far, math.log(0.1 * span_um)]
    low = [-math.inf, -math.inf, math.log(0.2 * step_um)]
    high = [math.inf, math.inf, math.log(span_um)]
    fit = least_squares(residuals, start, bounds=(low, high))
    free = max(len(values) - 3, 1)
    covariance = np.linalg.pinv(fit.jac.T @ fit.jac, hermitian=True)
    covariance *= max(1.0, 2.0 * float(fit.cost) / free)
    bulk, peak, log_depth = (float(each) for each in fit.x)
    depth_um = math.exp(log_depth)
    slope = np.array([0.0, depth_um, peak * depth_um])
    excess_error = math.sqrt(max(float(slope @ covariance @ slope), 0.0))
    depth_error_um = depth_um * math.sqrt(max(float(covariance[2, 2]), 0.0))
    quality = "ok"
    if abs(peak) < DETECTED_SIGMA * math.sqrt(max(float(covariance[1, 1]), 0.0)):
        quality = "no decay towards the interface stands out of the counting noise"
    return (
        Measured(peak * depth_um, excess_error, quality),
        Measured(depth_um, depth_error_um, quality),
        Measured(bulk, math.sqrt(max(float(covariance[0, 0]), 0.0))),
        quality,
    )
