"""Faults inside an instrument, beside those on its wire (`sim.wire.faults`).

An instrument that understands some of them says which (`Upsettable.upset_kinds`), holds an
`Upsets` and asks it by time, lazily: so the answer never depends on who looked when.

=================  ==============================================================================
``abort``          A scan that is under way at any time from START to END fails at that time.
``black``          Frames whose exposure ends from START to END hold nothing at all.
``drift``          The image drifts at `x_um_per_h`, `y_um_per_h` from START to END and then
                   stays where it came to.
``occupied``       Somebody else uses the instrument: no scan can be begun from START to END.
``overload``       Readings are over range.
``stuck_reading``  The meter shows the last reading before START, whatever is there.
=================  ==============================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sim.faults.timed import Timed
from sim.world import Floats

UpsetKind = Literal["abort", "black", "drift", "occupied", "overload", "stuck_reading"]

IMAGER_KINDS: tuple[UpsetKind, ...] = ("abort", "black", "drift", "occupied")
"""What an instrument that takes images understands."""

METER_KINDS: tuple[UpsetKind, ...] = ("overload", "stuck_reading")
"""What an instrument that reads voltage and current understands."""

_S_PER_H = 3600.0


@dataclass(frozen=True)
class Upset(Timed):
    """One fault inside an instrument.

    Attributes:
        x_um_per_h: Rate of a ``drift`` along the columns of an image, um/h.
        y_um_per_h: Rate of a ``drift`` along the lines of an image, um/h.
    """

    kind: UpsetKind
    x_um_per_h: float = 10.0
    y_um_per_h: float = 0.0


@runtime_checkable
class Upsettable(Protocol):
    """An instrument that can be upset.

    Attributes:
        upset_kinds: The kinds it understands.
        upsets: What is wrong with it, by time.
    """

    upset_kinds: tuple[UpsetKind, ...]
    upsets: Upsets


class Upsets:
    """What is wrong with one instrument, by time; nothing until something is added."""

    def __init__(self) -> None:
        self._upsets: list[Upset] = []

    def add(self, upset: Upset) -> None:
        """Let one more fault happen."""
        self._upsets.append(upset)

    def of(self, kind: UpsetKind) -> list[Upset]:
        """Every fault of a kind, in the order in which they were added."""
        return [one for one in self._upsets if one.kind == kind]

    def holds_at(self, kind: UpsetKind, t_s: float) -> bool:
        """Whether a fault of a kind is present at `t_s`."""
        return any(one.holds_at(t_s) for one in self._upsets if one.kind == kind)

    def first_within(self, kind: UpsetKind, t0_s: float, t1_s: float) -> float | None:
        """First time in [t0, t1) at which a fault of a kind is present; None where none is."""
        times = [one.first_within(t0_s, t1_s) for one in self._upsets if one.kind == kind]
        return min((t_s for t_s in times if t_s is not None), default=None)

    def drift_um(self, t_s: float) -> tuple[float, float]:
        """How far an image has drifted at `t_s` along its columns and lines, um."""
        drifts = self.of("drift")
        hours = [max(0.0, min(t_s, one.end_s) - one.start_s) / _S_PER_H for one in drifts]
        pairs = list(zip(drifts, hours, strict=True))
        return (
            sum(one.x_um_per_h * hour for one, hour in pairs),
            sum(one.y_um_per_h * hour for one, hour in pairs),
        )


class MeterUpsets(Upsets):
    """What is wrong with a meter, and the reading it may be stuck at.

    Args:
        overflow: What the meter shows of a value over range.
    """

    def __init__(self, overflow: float) -> None:
        super().__init__()
        self._overflow = overflow
        self._last: float | None = None

    def kept(self, readings: Floats) -> None:
        """Take note of readings that were made, in order of time."""
        if len(readings):
            self._last = float(readings[-1])

    def forget(self) -> None:
        """Another quantity is measured from now on."""
        self._last = None

    def readings(self, times_s: Floats, readings: Floats) -> Floats:
        """Readings at ascending times as the meter shows them."""
        for one in self.of("stuck_reading"):
            stuck = (one.start_s <= times_s) & (times_s < one.end_s)
            if stuck.any():
                first = int(np.argmax(stuck))
                before = readings[first - 1] if first else self._last
                readings = np.where(stuck, readings[first] if before is None else before, readings)
        for one in self.of("overload"):
            over = (one.start_s <= times_s) & (times_s < one.end_s)
            readings = np.where(over, np.copysign(self._overflow, readings), readings)
        return readings


def drifted(
    image: npt.NDArray[np.float32], shift_px: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """An image moved by a fraction of its period, what leaves at one side entering at the other.

    The shift theorem on the image's own k-space, as a drifting main field shifts an MRI frame;
    white noise stays white. Sums over the image are kept.

    Args:
        image: Lines by columns, or more axes with these last.
        shift_px: Shift along columns and lines, pixels; towards higher indices.
    """
    if shift_px == (0.0, 0.0):
        return image
    columns_px, lines_px = shift_px
    k_space = np.fft.fft2(image)
    along = np.exp(-2j * np.pi * columns_px * np.fft.fftfreq(image.shape[-1]))
    across = np.exp(-2j * np.pi * lines_px * np.fft.fftfreq(image.shape[-2]))
    return np.fft.ifft2(k_space * across[:, None] * along).real.astype(np.float32)
