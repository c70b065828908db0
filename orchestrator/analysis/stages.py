"""The four stages of dendrite growth, from the layers' growth rates.

Stage I: the outer layers (1 and 4, next to the electrodes) grow fast. II: they pause. III: the
inner layers (2 and 3) escalate. IV: the inner layers level off until the short (Liu et al., Nature
Materials 2025, Fig. 4). The paper gives no times; the one definition used here is, for the rates
of `orchestrator.analysis.growth` with s = r1 + r4 and m = r2 + r3:

- I|II: the first downward crossing of s through 15 % of its first value,
- II|III: the last upward crossing of m through a third of its peak before the peak,
- III|IV: the first downward crossing of m through a third of its peak after the peak.

`stages_by_definition` applies it to measured rates as they stand. `stages_by_fit` applies it to
smooth curves fitted to the amounts: a logistic for L2 + L3 and, up to its centre, an exponential
approach plus the onset of the same logistic for L1 + L4. The smooth curves halve the scatter of
the boundaries and change them by less than 0.05 d on frames without noise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeWarning, curve_fit

from orchestrator.analysis.growth import S_PER_DAY, WINDOW, GrowthRates, derivative_matrix

Floats = npt.NDArray[np.float64]
Curve = Callable[..., Floats]

OUTER, INNER = (0, 3), (1, 2)
OUTER_FRACTION = 0.15
INNER_FRACTION = 1.0 / 3.0
TAU_RANGE_D = (0.05, 3.0)
_MIN_FRAMES = WINDOW
_MIN_BEFORE = 5
_INSTANT_D = 1e-5
_SIGNIFICANT_GAIN = 25.0


@dataclass(frozen=True)
class _Observed:
    """Amounts over exposures: span (2, n) in d, values and errors (n,) in umol/cm2."""

    span: Floats
    values: Floats
    errors: Floats


@dataclass(frozen=True)
class _Fit:
    """A fitted curve; `gain` is the drop of chi2 against no change at all."""

    parameters: Floats
    covariance: Floats
    gain: float

    @property
    def significant(self) -> bool:
        """Whether three more parameters describe more than noise."""
        return self.gain > _SIGNIFICANT_GAIN


@dataclass(frozen=True)
class Boundary:
    """Time between two stages.

    Attributes:
        time_d: Days since the run began; NaN if it was not found.
        error_d: Standard error, d; NaN where it is not known.
        quality: ``ok`` or a reason.
    """

    time_d: float
    error_d: float
    quality: str = "ok"

    @property
    def found(self) -> bool:
        """Whether there is a time."""
        return bool(np.isfinite(self.time_d))


@dataclass(frozen=True)
class Stages:
    """Boundaries I|II, II|III, III|IV and how they were found.

    Attributes:
        boundaries: The three boundaries.
        method: ``definition`` or ``fit``.
    """

    boundaries: tuple[Boundary, Boundary, Boundary]
    method: str

    @property
    def complete(self) -> bool:
        """Whether all boundaries were found without a flag, in order."""
        return len(self.leading) == len(self.boundaries)

    @property
    def leading(self) -> tuple[Boundary, ...]:
        """The boundaries from the first on that were found without a flag, in order."""
        found: list[Boundary] = []
        for boundary in self.boundaries:
            late = found and boundary.time_d < found[-1].time_d
            if not boundary.found or boundary.quality != "ok" or late:
                break
            found.append(boundary)
        return tuple(found)


def stages_by_definition(rates: GrowthRates) -> Stages:
    """Apply the definition to rates; the errors propagate those of the rates.

    Args:
        rates: Rates of the four layers.
    """
    if len(rates.time_s) < _MIN_FRAMES:
        return _none("definition", f"{len(rates.time_s)} usable, {_MIN_FRAMES} frames needed")
    time_d = rates.time_s / S_PER_DAY
    outer, outer_error = rates.of(*OUTER)
    inner, inner_error = rates.of(*INNER)
    peak = int(inner.argmax())
    outer_error = np.hypot(outer_error, OUTER_FRACTION * outer_error[0])
    inner_error = np.hypot(inner_error, INNER_FRACTION * inner_error[peak])
    rise, fall = _inner_crossings(time_d, inner)
    return Stages(
        (
            _boundary(_outer_crossing(time_d, outer), time_d, outer, outer_error),
            _boundary(rise, time_d, inner, inner_error),
            _boundary(fall, time_d, inner, inner_error),
        ),
        "definition",
    )


def stages_by_fit(
    start_s: Floats,
    end_s: Floats,
    amounts: Floats,
    frame_covariance: Floats,
    *,
    pristine_covariance: Floats | None = None,
) -> Stages:
    """Apply the definition to smooth curves fitted to the amounts.

    Args:
        start_s: Beginning of each exposure since the run began, s, shape (n,).
        end_s: End of each exposure, s; a frame shows the mean over its exposure.
        amounts: umol/cm2, shape (n, 4); frames without finite amounts are left out.
        frame_covariance: Errors of single frames, (umol/cm2)^2, shape (n, 4, 4).
        pristine_covariance: If the cell was pristine when the run began, the error that all
            frames share, (umol/cm2)^2, shape (4, 4): the curves then begin at zero within it.

    Returns:
        Boundaries with errors from the fits' covariance.
    """
    kept = np.isfinite(amounts).all(axis=1)
    if kept.sum() < _MIN_FRAMES:
        return _none("fit", f"{kept.sum()} usable, {_MIN_FRAMES} frames needed")
    span = np.stack([start_s, end_s])[:, kept] / S_PER_DAY
    inner, outer = (
        _sum(span, amounts[kept], frame_covariance[kept], columns, pristine_covariance)
        for columns in (INNER, OUTER)
    )
    logistic = _fit_logistic(inner)
    if logistic is None:
        return _none("fit", "logistic fit of the inner layers did not converge")
    rise, fall = _inner_boundaries(span, logistic)
    return Stages((_outer_boundary(span, outer, logistic), rise, fall), "fit")


def _outer_crossing(time_d: Floats, rate: Floats) -> float:
    """First downward crossing of a share of the first rate, d; NaN if there is none."""
    shallow = rate - OUTER_FRACTION * rate[0]
    return _interpolated(time_d, shallow, _crossings(shallow, upward=False)[:1])


def _inner_crossings(time_d: Floats, rate: Floats) -> tuple[float, float]:
    """Crossings of a third of the peak before and after it, d; NaN where there is none."""
    peak = int(rate.argmax())
    rest = rate - INNER_FRACTION * rate[peak]
    rises = _crossings(rest[: peak + 1], upward=True)
    falls = peak + _crossings(rest[peak:], upward=False)
    return _interpolated(time_d, rest, rises[-1:]), _interpolated(time_d, rest, falls[:1])


def _fit_logistic(inner: _Observed) -> _Fit | None:
    """Fit ``y0 + height / (1 + exp(-(t - t0)/width))``."""
    first, last = float(inner.span[0, 0]), float(inner.span[1, -1])
    length = last - first
    low, high = float(inner.values.min()), float(inner.values.max())
    guess = (low, max(high - low, 1e-3), 0.5 * (first + last), 0.1 * length)
    bounds = (
        (-np.inf, 0.0, first - length, 0.01 * length),
        (np.inf, 10 * guess[1], last + length, length),
    )
    return _fit(_logistic_mean, inner, guess, bounds)


def _inner_boundaries(span: Floats, fit: _Fit) -> tuple[Boundary, Boundary]:
    weights, time_d = _weights(span), span.mean(axis=0)

    def boundaries(parameters: Floats) -> Floats:
        return np.array(_inner_crossings(time_d, weights @ _logistic_mean(span, *parameters)))

    rate = weights @ _logistic_mean(span, *fit.parameters)
    reason = ""
    if not fit.significant:
        reason = "growth of the inner layers is not significant"
    elif rate.argmax() == len(rate) - 1:
        reason = "the inner layers still grow faster at the last frame"
    if reason:
        missing = Boundary(np.nan, np.nan, reason)
        return missing, missing
    rise, fall = _propagated(boundaries, fit, "no crossing within the frames")
    return rise, fall


def _outer_boundary(span: Floats, outer: _Observed, logistic: _Fit) -> Boundary:
    """Fit ``y0 + height (1 - exp(-t/tau)) + later / (1 + exp(-(t - t0)/width))``.

    The centre and width are those of the inner layers. Only frames before the centre take part:
    later the outer layers follow a law of their own.
    """
    centre, width = logistic.parameters[2:]
    before = outer.span[1] <= centre
    if before.sum() < _MIN_BEFORE:
        return Boundary(np.nan, np.nan, f"{before.sum()} frames before stage III")
    early = _Observed(outer.span[:, before], outer.values[before], outer.errors[before])

    def curve(span: Floats, *parameters: float) -> Floats:
        low, height, tau, later = parameters
        return _approach_mean(span, low, height, tau) + _logistic_mean(
            span, 0.0, later, centre, width
        )

    height = max(float(np.ptp(early.values)), 1e-3)
    guess = (float(early.values.min()), height, 0.5, height)
    bounds = (
        (-np.inf, 0.0, TAU_RANGE_D[0], 0.0),
        (np.inf, 100 * height, TAU_RANGE_D[1], 100 * height),
    )
    fit = _fit(curve, early, guess, bounds)
    if fit is None:
        return Boundary(np.nan, np.nan, "fit of the outer layers did not converge")
    if not fit.significant:
        return Boundary(np.nan, np.nan, "early growth of the outer layers is not significant")
    weights, time_d = _weights(span), span.mean(axis=0)

    def boundary(parameters: Floats) -> Floats:
        return np.array([_outer_crossing(time_d, weights @ curve(span, *parameters))])

    return _propagated(boundary, fit, "the outer layers do not slow down to 15 %")[0]


def _weights(span: Floats) -> Floats:
    """The derivative of the definition, on these frames."""
    return derivative_matrix(span.mean(axis=0), WINDOW)


def _propagated(boundaries: Callable[[Floats], Floats], fit: _Fit, missing: str) -> list[Boundary]:
    """Boundaries at the fitted parameters, with errors by propagation."""
    times = boundaries(fit.parameters)
    steps = np.diag(0.05 * np.sqrt(np.diag(fit.covariance)))
    slopes = [
        (boundaries(fit.parameters + step) - boundaries(fit.parameters - step)) / (2 * step.sum())
        for step in steps
        if step.sum() > 0
    ]
    gradient = np.array(slopes)
    errors = np.sqrt(np.einsum("ik,ij,jk->k", gradient, fit.covariance, gradient))
    return [
        Boundary(float(time), float(error), "ok" if np.isfinite(time) else missing)
        for time, error in zip(times, errors, strict=True)
    ]


def _fit(
    curve: Curve,
    observed: _Observed,
    guess: tuple[float, ...],
    bounds: tuple[tuple[float, ...], tuple[float, ...]],
) -> _Fit | None:
    """Weighted fit with absolute errors; None if it fails or has no covariance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        try:
            found, covariance = curve_fit(
                curve,
                observed.span,
                observed.values,
                p0=guess,
                sigma=observed.errors,
                absolute_sigma=True,
                bounds=bounds,
            )
        except RuntimeError:
            return None
    if not np.isfinite(covariance).all():
        return None
    weights = observed.errors**-2
    flat = observed.values - weights @ observed.values / weights.sum()
    left = observed.values - curve(observed.span, *found)
    return _Fit(found, covariance, float(weights @ (flat**2 - left**2)))


def _logistic_mean(span: Floats, low: float, height: float, centre: float, width: float) -> Floats:
    """Mean of the logistic over each exposure: its integral is a softplus."""
    integral = width * np.logaddexp(0.0, (span - centre) / width)
    return np.asarray(low + height * (integral[1] - integral[0]) / (span[1] - span[0]))


def _approach_mean(span: Floats, low: float, height: float, tau: float) -> Floats:
    """Mean of the exponential approach over each exposure."""
    integral = span + tau * np.exp(-span / tau)
    return np.asarray(low + height * (integral[1] - integral[0]) / (span[1] - span[0]))


def _sum(
    span: Floats,
    amounts: Floats,
    covariance: Floats,
    columns: tuple[int, int],
    pristine_covariance: Floats | None,
) -> _Observed:
    """Sum of two layers per frame; a pristine start is an instant at 0 without lithium."""
    pair = np.ix_(columns, columns)
    values = amounts[:, columns].sum(axis=1)
    errors = np.sqrt(np.array([each[pair].sum() for each in covariance]))
    if pristine_covariance is None:
        return _Observed(span, values, errors)
    return _Observed(
        np.hstack([[[0.0], [_INSTANT_D]], span]),
        np.insert(values, 0, 0.0),
        np.insert(errors, 0, np.sqrt(pristine_covariance[pair].sum())),
    )


def _crossings(values: Floats, *, upward: bool) -> npt.NDArray[np.intp]:
    """Indices after which the values cross zero in one direction."""
    signed = values if upward else -values
    return np.flatnonzero((signed[:-1] < 0) & (signed[1:] >= 0))


def _interpolated(time_d: Floats, values: Floats, index: npt.NDArray[np.intp]) -> float:
    """Time of the crossing after `index`, d; NaN without one."""
    if not len(index):
        return float("nan")
    here = int(index[0])
    share = values[here] / (values[here] - values[here + 1])
    return float(time_d[here] + share * (time_d[here + 1] - time_d[here]))


def _boundary(crossing_d: float, time_d: Floats, rate: Floats, error: Floats) -> Boundary:
    """A crossing with the error of the rate over its slope."""
    if not np.isfinite(crossing_d):
        return Boundary(np.nan, np.nan, "no crossing")
    after = int(np.searchsorted(time_d, crossing_d).clip(1, len(time_d) - 1))
    slope = (rate[after] - rate[after - 1]) / (time_d[after] - time_d[after - 1])
    rate_error = float(np.interp(crossing_d, time_d, error))
    return Boundary(crossing_d, rate_error / abs(float(slope)))


def _none(method: str, reason: str) -> Stages:
    missing = Boundary(np.nan, np.nan, reason)
    return Stages((missing, missing, missing), method)
