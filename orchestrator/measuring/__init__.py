"""From a file of another instrument to numbers: what `operando analyse` does, for Python too.

Each function reads one kind of file, calls the analysis, and returns plain values for JSON: a
number as ``{"value", "error", "quality"}`` or beside a field ``..._error``, what could not be
measured as None with the reason in ``quality``, and ``notes`` on what was assumed.
"""

from orchestrator.measuring.curves import measure_impedance, measure_magnesium, measure_records
from orchestrator.measuring.images import (
    MicrographOptions,
    filaments_of,
    spallations_of,
    voids_of,
)
from orchestrator.measuring.lithium import (
    LithiumOptions,
    components_of,
    histogram_of,
    layers_of,
)

__all__ = [
    "LithiumOptions",
    "MicrographOptions",
    "components_of",
    "filaments_of",
    "histogram_of",
    "layers_of",
    "measure_impedance",
    "measure_magnesium",
    "measure_records",
    "spallations_of",
    "voids_of",
]
