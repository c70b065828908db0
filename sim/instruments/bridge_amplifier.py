"""A simulated strain-gauge bridge amplifier under the stack of the cell, seen as a voltage.

The output is ``offset + gain F + drift`` with the force ``F = pressure x area``. Gain and offset
are those of the calibration but for an error within its uncertainty, drawn once from the world's
seed: what the calibration says is never exactly what the amplifier does. The drift [A] is bounded
and slow: a polygon through independent normal values each `_DRIFT_NODE_S`, so that it is the same
whoever asks and when. The press holds its pressure: springs relax little in a week [A].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim.world import World

_STREAM = 21
_ERRORS, _FIRST_NODE = 0, 1
_DRIFT_NODE_S = 6 * 3600.0
_DRIFT_OF_OFFSET = 0.5
"""Drift, RMS, as a part of the offset's uncertainty [A]."""

_KN_PER_MPA_CM2 = 0.1


@dataclass(frozen=True)
class BridgeCalibration:
    """What a calibration of the amplifier says; uncertainties are one standard deviation.

    Attributes:
        gain_v_per_kn: Output per force, V/kN.
        gain_uncertainty_percent: Of the gain, %.
        offset_v: Output without force, V.
        offset_uncertainty_v: Of the offset, V.
        area_cm2: Area that the force acts on, cm2.
    """

    gain_v_per_kn: float
    gain_uncertainty_percent: float
    offset_v: float
    offset_uncertainty_v: float
    area_cm2: float


class BridgeAmplifier:
    """Turns the world's stack pressure into a voltage.

    Args:
        world: Whose pressure it feels.
        calibration: What is known of it.
        full_scale_v: Largest output, V.
    """

    def __init__(
        self, world: World, calibration: BridgeCalibration, *, full_scale_v: float = 10.0
    ) -> None:
        self._world, self._full_scale_v = world, full_scale_v
        self._offset_sd_v = calibration.offset_uncertainty_v
        gain, offset = np.random.default_rng([world.seed, _STREAM, _ERRORS]).standard_normal(2)
        relative = 1.0 + 0.01 * calibration.gain_uncertainty_percent * float(gain)
        self._v_per_mpa = (
            calibration.gain_v_per_kn * relative * calibration.area_cm2 * _KN_PER_MPA_CM2
        )
        self._offset_v = calibration.offset_v + 0.5 * self._offset_sd_v * float(offset)

    def volts(self, t_s: float) -> float:
        """Output at a time, V; it saturates at full scale."""
        pressure = self._world.stack_pressure_mpa
        volts = self._offset_v + self._v_per_mpa * pressure + self._drift_v(t_s)
        return min(max(volts, -self._full_scale_v), self._full_scale_v)

    def _drift_v(self, t_s: float) -> float:
        position, node = math.modf(t_s / _DRIFT_NODE_S)
        low, high = self._node_v(int(node)), self._node_v(int(node) + 1)
        return low + position * (high - low)

    def _node_v(self, node: int) -> float:
        if node == 0:
            return 0.0  # calibrated just before the world began
        stream = np.random.default_rng([self._world.seed, _STREAM, _FIRST_NODE + node])
        return _DRIFT_OF_OFFSET * self._offset_sd_v * float(stream.standard_normal())
