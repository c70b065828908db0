"""Ranges and noise of a Keithley 2450's source and meter.

Source: data sheet SPEC-2450 Rev. A (July 2013), page 2: ranges, and noise (RMS, below 10 Hz, 1
power-line cycle) of the source. The sheet gives no separate noise of the meter; it is taken to be
the same and to fall with the square root of the integration time [A]. Offset and gain errors are
not simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.world import Floats

OVERFLOW = 9.9e37
NOT_A_NUMBER = 9.91e37
_FULL_SCALE = 1.05
_BLOCK = 1024
_NOISE_STREAM = 10


@dataclass(frozen=True)
class Scale:
    """Ranges of one quantity with the RMS noise in each, in V or A."""

    ranges: tuple[float, ...]
    noise: tuple[float, ...]

    def range_for(self, value: float) -> float:
        """Smallest range for a value (its full scale is 105 % of it)."""
        return next((r for r in self.ranges if abs(value) <= r * _FULL_SCALE), self.ranges[-1])

    def range_from(self, nominal: float) -> float:
        """Range that is selected by asking for `nominal` (the next one up)."""
        return next((r for r in self.ranges if abs(nominal) <= r), self.ranges[-1])

    @property
    def top(self) -> float:
        """Largest value."""
        return self.ranges[-1] * _FULL_SCALE


VOLTAGE = Scale((0.02, 0.2, 2.0, 20.0, 200.0), (1e-6, 1e-6, 10e-6, 100e-6, 1e-3))
CURRENT = Scale(
    (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    (500e-15, 500e-15, 5e-12, 40e-12, 400e-12, 5e-9, 40e-9, 100e-9, 3e-6),
)


class Meter:
    """Turns true values into readings of one quantity.

    Args:
        scale: Ranges and noise.
    """

    def __init__(self, scale: Scale) -> None:
        self._tops = np.array(scale.ranges) * _FULL_SCALE
        self._top = float(self._tops[-1])
        self._noise = np.array([*scale.noise, scale.noise[-1]])

    def read(
        self, true: Floats, normal: Floats, noise_factor: float, fixed_range: float | None
    ) -> Floats:
        """Readings; ``9.9e37`` beyond the range, ``9.91e37`` for what is no number.

        Args:
            true: True values, V or A.
            normal: Standard normal numbers of the same shape.
            noise_factor: 1 for the data sheet's noise at 1 power-line cycle.
            fixed_range: Selected range, or None for autoranging.
        """
        size = np.abs(true) if fixed_range is None else np.full(true.shape, fixed_range)
        places = self._tops.searchsorted(size)
        readings: Floats = true + normal * (self._noise[places] * noise_factor)
        top = self._top if fixed_range is None else fixed_range * _FULL_SCALE
        if not (-top <= readings.min() and readings.max() <= top):
            within = np.abs(readings) <= top
            readings = np.where(within, readings, np.copysign(OVERFLOW, readings))
            readings[np.isnan(true)] = NOT_A_NUMBER
        return readings


class NoiseStream:
    """Normal numbers by index, whatever was asked before: polling changes no reading.

    Args:
        seed: Seed of the world.
        program: Number of the program; each has numbers of its own.
        stream: Number of the stream; each kind of instrument has one.
    """

    def __init__(self, seed: int, program: int, *, stream: int = _NOISE_STREAM) -> None:
        self._key = (seed, stream, program)
        self._number = -1
        self._block: Floats = np.empty((0, 2))

    def normal(self, first: int, count: int) -> Floats:
        """Numbers `first` to `first + count - 1`, shape (count, 2)."""
        number, offset = divmod(first, _BLOCK)
        if offset + count <= _BLOCK:
            return self._of(number)[offset : offset + count]
        blocks = range(number, (first + count - 1) // _BLOCK + 1)
        return np.concatenate([self._of(n) for n in blocks])[offset : offset + count]

    def _of(self, number: int) -> Floats:
        if number != self._number:
            generator = np.random.default_rng([*self._key, number])
            self._number, self._block = number, generator.standard_normal((_BLOCK, 2))
        return self._block
