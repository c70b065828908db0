"""Many samples of one protocol: medians, means and shares over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def over_seeds(
    observations: Mapping[tuple[str, str], Mapping[str, Any]], example: str, kind: str, name: str
) -> npt.NDArray[np.float64]:
    """One number of every sample of a protocol, in the order of the seeds; NaN where it has none.

    Args:
        observations: By example and label.
        example: The protocol.
        kind: The label's part before ``#``, as `seeded` makes it.
        name: The number.
    """
    found = [
        (int(label.partition("#")[2]), seen.get(name))
        for (which, label), seen in observations.items()
        if which == example and label.partition("#")[0] == kind
    ]
    return np.array([np.nan if one is None else float(one) for _, one in sorted(found)])


def seeded(kind: str, seed: int) -> str:
    """Label of one sample of a variation."""
    return f"{kind}#{seed}"


def median(values: npt.NDArray[np.float64]) -> float | None:
    """Median of those that are numbers; None if there are none."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def mean(values: npt.NDArray[np.float64]) -> float | None:
    """Mean of those that are numbers; None if there are none."""
    known = values[np.isfinite(values)]
    return float(np.mean(known)) if len(known) else None
