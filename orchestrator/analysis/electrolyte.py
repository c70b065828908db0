"""What a spectrum of a run is fitted with: the electrolyte's own resistance, stated or seen.

One implementation for the numbers that conditions look at while an experiment runs and for those
of its report.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.analysis.impedance import Complexes, Floats, TwoArcFit, fit_two_arc

_UNKNOWN_OHM_CM2 = 1e-9
"""An electrolyte so thin that no spectrum counts as a short: to fit the first one."""


def stated_electrolyte_ohm_cm2(sample: Mapping[str, Any]) -> float:
    """Thickness over conductivity in a sample's metadata, ohm cm2; NaN where it lacks one."""
    thickness, conductivity = (
        float(one) if isinstance(one := sample.get(key), int | float) else math.nan
        for key in ("thickness_cm", "conductivity_s_per_cm")
    )
    if thickness > 0 and conductivity > 0:
        return thickness / conductivity
    return math.nan


def first_bulk_ohm_cm2(hertz: Floats, ohm: Complexes, area_cm2: float) -> float:
    """Bulk of a spectrum that is taken to be that of a cell without a short; NaN without a fit.

    Args:
        hertz: Frequencies, Hz, shape (n,).
        ohm: Impedance, ohm, shape (n,).
        area_cm2: Electrode area, cm2.
    """
    first = fitted(hertz, ohm, area_cm2, _UNKNOWN_OHM_CM2)
    return first.bulk.ohm_cm2 if first is not None else math.nan


def fitted(
    hertz: Floats, ohm: Complexes, area_cm2: float, electrolyte_ohm_cm2: float
) -> TwoArcFit | None:
    """Two arcs, as `orchestrator.analysis.impedance.fit_two_arc`; None where there can be no fit.

    Args:
        hertz: Frequencies, Hz, shape (n,).
        ohm: Impedance, ohm, shape (n,).
        area_cm2: Electrode area, cm2.
        electrolyte_ohm_cm2: Resistance of the electrolyte alone, ohm cm2.
    """
    if not electrolyte_ohm_cm2 > 0:
        return None
    try:
        return fit_two_arc(hertz, ohm, area_cm2=area_cm2, electrolyte_ohm_cm2=electrolyte_ohm_cm2)
    except ValueError:
        return None
