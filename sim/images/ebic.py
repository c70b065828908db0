"""Electron-beam-induced current over spallations of an LLZTO pellet.

With a probe on a spallation and the stage on the counter electrode, what is metallically connected
shows dark at 20 kV (Siniscalchi et al., Energy Environ. Sci. 2024, doi 10.1039/d3ee03916a [P]);
amplitude, edge and noise are [A].
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy import signal

from sim.errors import SimulationError
from sim.samples.llzto_pores import ISOLATED, Spallation
from sim.world import Floats

BEAM_NA = 1.0
"""Beam current, nA [A]."""
COLLECTED_SHARE = -0.55
"""Induced current inside a connected spallation over the beam current [A]."""
EDGE_UM = 1.0
"""Width of the logistic edge, um [A]."""
NOISE_SHARE = 0.03
"""Standard deviation of a pixel over the beam current [A]."""
MAX_OUTPUT_V = 10.0
"""Largest output of the preamplifier, V [A]."""
_NOISE_STREAM = 9
_REACH_EDGES = 40.0
"""A logistic 40 widths outside its edge is below the resolution of a double beside 1."""


def ebic_map_na(
    spallations: Iterable[Spallation], x_um: Floats, y_um: Floats, *, beam_na: float = BEAM_NA
) -> Floats:
    """Noise-free induced current of a raster, nA.

    ``I = -0.55 I_b / (1 + exp(-(d/2 - r) / 1 um))`` over each connected spallation, 0 over
    isolated ones; where spallations overlap the stronger holds. Half of the full contrast lies at
    the diameter.

    Args:
        spallations: Those of the face that is imaged.
        x_um: Columns, ascending, um from the electrode's centre, (nx,).
        y_um: Lines, ascending, um, (ny,).
        beam_na: Beam current, nA.

    Returns:
        Current, (ny, nx).

    Raises:
        SimulationError: Columns or lines do not ascend.
    """
    for name, axis in (("columns", x_um), ("lines", y_um)):
        if not (np.diff(axis) > 0.0).all():
            raise SimulationError(
                f"ebic: {name} of the raster do not ascend (give positions in um, sorted)"
            )
    connected = np.zeros((len(y_um), len(x_um)))
    for each in spallations:
        if each.stage == ISOLATED:
            continue
        reach_um = 0.5 * each.diameter_um + _REACH_EDGES * EDGE_UM
        lines = _near(y_um, each.y_um, reach_um)
        columns = _near(x_um, each.x_um, reach_um)
        r_um = np.hypot(x_um[columns] - each.x_um, y_um[lines, None] - each.y_um)
        inside = 1.0 / (1.0 + np.exp((r_um - 0.5 * each.diameter_um) / EDGE_UM))
        connected[lines, columns] = np.maximum(connected[lines, columns], inside)
    return np.asarray(COLLECTED_SHARE * beam_na * connected)


def with_noise(map_na: Floats, *, seed: int, frame_index: int, beam_na: float = BEAM_NA) -> Floats:
    """A map with noise of 3 % of the beam current, the same for a frame whenever it is read."""
    stream = np.random.default_rng([seed, _NOISE_STREAM, frame_index])
    return np.asarray(map_na + NOISE_SHARE * beam_na * stream.standard_normal(map_na.shape))


def _near(axis_um: Floats, centre_um: float, reach_um: float) -> slice:
    begin, end = np.searchsorted(axis_um, [centre_um - reach_um, centre_um + reach_um])
    return slice(int(begin), int(end))


def smeared(
    map_na: Floats, *, dwell_s: float, time_constant_s: float, flyback_s: float = 0.0
) -> Floats:
    """A map as a preamplifier of first order follows it along the scan.

    Lines are scanned from left to right, one after the other; between them the beam is blanked
    and the amplifier relaxes. With a dwell time of three time constants a pixel reaches 95 % of
    its value; with less, edges trail to the right by ``time constant / dwell`` pixels.

    Args:
        map_na: Induced current, (ny, nx).
        dwell_s: Time per pixel, s.
        time_constant_s: Of the preamplifier, s.
        flyback_s: Time between two lines, s.

    Returns:
        Current at the end of each pixel's dwell time, (ny, nx).
    """
    kept = math.exp(-dwell_s / time_constant_s)
    followed = signal.lfilter([1.0 - kept], [1.0, -kept], map_na, axis=1)
    ends, relaxed = followed[:, -1], math.exp(-flyback_s / time_constant_s)
    carried = np.zeros(len(map_na))
    for line in range(1, len(map_na)):
        before = ends[line - 1] + carried[line - 1] * kept ** map_na.shape[1]
        carried[line] = relaxed * before
    decay = kept ** np.arange(1, map_na.shape[1] + 1)
    return np.asarray(followed + carried[:, None] * decay)


def amplified(map_na: Floats, gain_v_per_a: float) -> Floats:
    """A map within what the preamplifier can put out, +-10 V, as current, nA."""
    limit_na = 1e9 * MAX_OUTPUT_V / gain_v_per_a
    return np.asarray(np.clip(map_na, -limit_na, limit_na))
