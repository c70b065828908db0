"""A series of micrographs while a metal is stripped: box numbers per frame, drops and trends.

What counts as an event is defined once: the largest width has *dropped* from one frame to the next,
0.125 mAh/cm2 later, if it is smaller by 12 % or more, the largest height by 8 % or more: a split
or a collapse. Published events are multiples of that charge (Zhao et al., Nature Communications
2025, doi 10.1038/s41467-025-59567-8: 0.625, 1 and 2.375 for widths).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.measured import Measured
from orchestrator.analysis.voids import VoidMeasurement, five_numbers

Floats = npt.NDArray[np.float64]

WIDTH_DROP = 0.12
"""Relative fall of the largest width that is an event."""
HEIGHT_DROP = 0.08
"""Relative fall of the largest height that is an event."""
FRAME_MAH_PER_CM2 = 0.125
"""Charge between frames for which the events are defined, mAh/cm2."""
_STEP_TOLERANCE = 0.2
_MIN_TREND = 3
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Drop:
    """A fall of the largest width or height between two frames.

    Attributes:
        charge_mah_per_cm2: Charge of the frame after it, mAh/cm2.
        before_um: Largest value in the frame before, um.
        after_um: Largest value in the frame after, um.
        relative: Fall over the value before, with its error; flagged within its error of the
            limit, or where frames are not 0.125 mAh/cm2 apart.
    """

    charge_mah_per_cm2: float
    before_um: float
    after_um: float
    relative: Measured


@dataclass(frozen=True)
class VoidSeries:
    """What a series of frames shows; rows are frames.

    Attributes:
        charge_mah_per_cm2: Charge stripped at each frame, mAh/cm2, shape (n,).
        widths_um: Minimum, quartiles and maximum of the widths, um, shape (n, 5); NaN without.
        heights_um: The same of the heights, um.
        per_100_um: Voids per 100 um, shape (n,).
        per_100_um_errors: Their errors.
        contact_loss: Share of the interface without contact, shape (n,).
        contact_loss_errors: Its errors.
        width_drops: Events of the largest width.
        height_drops: Events of the largest height.
        quality: Of each frame, ``ok`` or a reason.
    """

    charge_mah_per_cm2: Floats
    widths_um: Floats
    heights_um: Floats
    per_100_um: Floats
    per_100_um_errors: Floats
    contact_loss: Floats
    contact_loss_errors: Floats
    width_drops: tuple[Drop, ...]
    height_drops: tuple[Drop, ...]
    quality: tuple[str, ...]

    @property
    def number_trend(self) -> Measured:
        """Change of the number of voids per 100 um and mAh/cm2: falls when they merge."""
        return trend(self.charge_mah_per_cm2, self.per_100_um)

    @property
    def width_trend(self) -> Measured:
        """Change of the median width per charge, um cm2/mAh."""
        return trend(self.charge_mah_per_cm2, self.widths_um[:, 2])

    @property
    def height_trend(self) -> Measured:
        """Change of the median height per charge, um cm2/mAh."""
        return trend(self.charge_mah_per_cm2, self.heights_um[:, 2])


def void_series(frames: Sequence[VoidMeasurement], charge_mah_per_cm2: npt.ArrayLike) -> VoidSeries:
    """Put the measurements of a series together and find its events.

    Args:
        frames: One measurement per frame.
        charge_mah_per_cm2: Charge stripped at each frame, ascending, mAh/cm2, shape (n,).

    Raises:
        ValueError: For lengths that differ, or charges that do not ascend.
    """
    charge = np.asarray(charge_mah_per_cm2, dtype=np.float64)
    if charge.shape != (len(frames),) or (np.diff(charge) <= 0).any():
        raise ValueError(
            f"void series: got {len(frames)} frames and charges of shape {charge.shape}, expected "
            "one ascending charge per frame"
        )
    widths = np.array([five_numbers(each.widths_um) for each in frames]).reshape(-1, 5)
    heights = np.array([five_numbers(each.heights_um) for each in frames]).reshape(-1, 5)
    scale = [100.0 / each.field_um for each in frames]
    return VoidSeries(
        charge_mah_per_cm2=charge,
        widths_um=widths,
        heights_um=heights,
        per_100_um=np.array([each.number_per_100_um for each in frames]),
        per_100_um_errors=np.array(
            [s * each.number_error for s, each in zip(scale, frames, strict=True)]
        ),
        contact_loss=np.array([each.contact_loss for each in frames]),
        contact_loss_errors=np.array([each.contact_loss_error for each in frames]),
        width_drops=drops(charge, *_largest(frames, "width"), limit=WIDTH_DROP),
        height_drops=drops(charge, *_largest(frames, "height"), limit=HEIGHT_DROP),
        quality=tuple(each.quality for each in frames),
    )


def drops(
    charge_mah_per_cm2: Floats,
    largest_um: Floats,
    errors_um: Floats,
    cut: Sequence[bool] | None = None,
    *,
    limit: float,
) -> tuple[Drop, ...]:
    """Falls of a largest value between neighbouring frames by a limit or more.

    Args:
        charge_mah_per_cm2: Charge of each frame, mAh/cm2, shape (n,).
        largest_um: Largest value of each frame, um; NaN where there is none.
        errors_um: Its standard errors, um.
        cut: Whether a border of the frame cuts the void of the largest value: then it is larger.
        limit: Relative fall that counts.
    """
    found = []
    for k in range(1, len(largest_um)):
        before, after = float(largest_um[k - 1]), float(largest_um[k])
        if not (before > 0 and after >= 0) or 1.0 - after / before < limit - _ROUNDING:
            continue
        fall = 1.0 - after / before
        error = math.hypot(errors_um[k], after / before * errors_um[k - 1]) / before
        step = float(charge_mah_per_cm2[k] - charge_mah_per_cm2[k - 1])
        quality = "ok"
        if abs(step / FRAME_MAH_PER_CM2 - 1.0) > _STEP_TOLERANCE:
            quality = f"frames {step:.3g} mAh/cm2 apart, events are defined for 0.125"
        elif cut is not None and cut[k]:
            quality = "a border cuts the largest void: it may have left the frame"
        elif fall - limit < error:
            quality = "within its error of the limit"
        relative = Measured(fall, error, quality)
        found.append(Drop(float(charge_mah_per_cm2[k]), before, after, relative))
    return tuple(found)


def trend(abscissa: Floats, values: Floats) -> Measured:
    """Slope of a straight line through values that are finite, with the error of its scatter."""
    kept = np.isfinite(values)
    x, y = np.asarray(abscissa)[kept], np.asarray(values)[kept]
    if len(x) < _MIN_TREND or np.ptp(x) == 0:
        return Measured(math.nan, math.nan, f"{len(x)} usable, a trend needs {_MIN_TREND} frames")
    centred = x - x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ y) / spread
    left = y - y.mean() - slope * centred
    return Measured(slope, math.sqrt(float(left @ left) / (len(x) - 2) / spread))


def _largest(frames: Sequence[VoidMeasurement], quantity: str) -> tuple[Floats, Floats, list[bool]]:
    """Largest width or height per frame, its error, and whether a border cuts that void.

    Voids that a border cuts count with what is seen of them: left out, one that grew to the border
    would look like a drop.
    """
    rows = []
    for frame in frames:
        seen = [
            (v.width_um, v.width_error_um, v.cut)
            if quantity == "width"
            else (v.height_um, v.height_error_um, False)
            for v in frame.voids
        ]
        rows.append(max(seen, default=(math.nan, math.nan, False)))
    values, errors, cut = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(values), np.array(errors), list(cut)
