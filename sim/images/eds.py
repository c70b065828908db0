"""X-ray counts of a line scan across the metal, as a vendor's software gives them.

Of each point the net counts of the magnesium K line: what was counted less the background that
the software subtracts, so that a point without magnesium gives zero on average. The rates are
[A]; the interaction volume of the beam is not in the model, a point is a point.
"""

from __future__ import annotations

import numpy as np

from sim.world import Floats

MG_COUNTS_PER_S_NA = 1e5
"""Net Mg K counts per second, nA of beam and unit of atomic fraction [A]: 3000 in Li0.97Mg0.03."""
BACKGROUND_COUNTS_PER_S_NA = 200.0
"""Background counts under the line per second and nA [A]."""
_COUNTS_STREAM = 20


def net_counts(
    magnesium: Floats, *, current_na: float, dwell_s: float, seed: int, frame_index: int
) -> Floats:
    """Net counts of the Mg K line at each point.

    Args:
        magnesium: Atomic fraction of Mg at each point, (n,).
        current_na: Beam current, nA.
        dwell_s: Time per point, s.
        seed: The sample's seed.
        frame_index: Number of the line scan; picks its noise.
    """
    exposure = current_na * dwell_s
    background = BACKGROUND_COUNTS_PER_S_NA * exposure
    expected = MG_COUNTS_PER_S_NA * exposure * np.asarray(magnesium) + background
    stream = np.random.default_rng([seed, _COUNTS_STREAM, frame_index])
    return np.asarray(stream.poisson(expected) - background, dtype=np.float64)
