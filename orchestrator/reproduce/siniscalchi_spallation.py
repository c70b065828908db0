"""Siniscalchi et al. 2024, Fig. 4: spallations by current, wetting, charge and density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from orchestrator.analysis.spallations import SpallationCount, spallations
from orchestrator.records.runs import Run
from orchestrator.reproduce.row import Line, Row
from orchestrator.reproduce.statistics import mean, over_seeds, seeded
from orchestrator.reproduce.task import Observation, Task
from orchestrator.running import RunResult

_P = "siniscalchi"
_EXAMPLE, _EBIC = "critical_current", "ebic_map"
_FEW = 4
"""Samples where the outcome scatters little or only its sign counts."""
_RADIUS_UM = 1000.0
"""Radius of the electrode (Methods), um."""
_DENSITIES = (0.93, 0.96, 0.98)
"""Relative densities after sintering at 1000, 1100 and 1200 C [A]."""


def tasks(seeds: int) -> list[Task]:
    """Currents, wetting, a small charge, densities."""
    few = min(seeds, _FEW)
    return [
        *(_plated("philic 0.5", seed, 0.5, 1.0) for seed in range(min(seeds, 2))),
        *(_plated("philic 2.5", seed, 2.5, 1.0) for seed in range(min(seeds, 2))),
        *(_plated("philic 5", seed, 5.0, 1.0) for seed in range(min(seeds, 12))),
        *(_plated("phobic 0.5", seed, 0.5, 0.5, preset="lithiophobic") for seed in range(few)),
        *(_early(seed) for seed in range(min(seeds, 2))),
        *(
            _plated(f"density {density:g}", 0, 0.5, 0.2, preset="limg", density=density)
            for density in _DENSITIES
        ),
    ]


def _plated(
    kind: str,
    seed: int,
    current: float,
    charge: float,
    *,
    preset: str = "lithiophilic",
    density: float | None = None,
) -> Task:
    changes: dict[str, Any] = {
        "sample.simulate_as.preset": preset,
        "sample.simulate_as.seed": seed,
        "protocol.method.0.current_mA_per_cm2": current,
        "protocol.method.0.until_time_s": charge / current * 3600.0,
    }
    if density is not None:
        changes["sample.simulate_as.relative_density"] = density
    return Task(_EXAMPLE, craters, changes, seeded(kind, seed), keep=seed == 0, weight=0.7)


def _early(seed: int) -> Task:
    """A cell that has seen 10 uAh/cm2, peeled, with a probe on its face."""
    changes: dict[str, Any] = {
        "sample.simulate_as.seed": seed,
        "sample.simulate_as.prior": {"current_ma_per_cm2": 0.5, "mah_per_cm2": 0.010},
        "protocol.method": [{"step": "open_circuit_voltage", "until_time_s": 10.0}],
        "images.0.settings.resolution_px": [1500, 1500],  # 1 um: the smallest are 5 um
        "images.0.settings.hfw_um": 1500.0,
    }
    return Task(_EBIC, craters, changes, seeded("early", seed), weight=2.0)


def craters(run: Run, result: RunResult) -> Observation:
    """Spallations of the face, which of them are connected, and how far out they lie."""
    settings = run.descriptors["sem"]["configuration"]["sem"]["data"]
    pixel_um = float(settings["sem_hfw_um"]) / float(settings["sem_resolution_px"][0])
    frame = np.asarray(run.frames("sem")[0], dtype=float)
    channels = list(settings["sem_channels"])
    maps = dict(zip(channels, frame if len(channels) > 1 else [frame], strict=True))
    found = {name: spallations(one, pixel_um, polarity="dark") for name, one in maps.items()}
    face = found["SE"]
    single = [spot.diameter_um for spot in face.spots if spot.quality == "ok" and not spot.cut]
    return {
        "number": face.number.value,
        "connected": found["EBIC"].number.value if "EBIC" in found else None,
        "innermost": _innermost(face, 0.5 * float(settings["sem_hfw_um"])) / _RADIUS_UM,
        "largest_um": max(single, default=None),
        "smallest_um": min(single, default=None),
        "shorted": float(result.stop_reason == "hard_short"),
    }


def _innermost(face: SpallationCount, centre_um: float) -> float:
    """Smallest distance of a crater from the electrode's centre, um; NaN without any."""
    radii = [np.hypot(spot.x_um - centre_um, spot.y_um - centre_um) for spot in face.spots]
    return float(min(radii, default=np.nan))


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Means over the samples."""

    def of(kind: str, name: str, example: str = _EXAMPLE) -> float | None:
        return mean(over_seeds(observations, example, kind, name))

    dense = [of(f"density {density:g}", "number") or 0.0 for density in _DENSITIES]
    values = (
        of("philic 0.5", "number"),
        of("philic 2.5", "number"),
        of("philic 5", "number"),
        of("philic 5", "innermost"),
        of("philic 5", "shorted"),
        of("phobic 0.5", "number"),
        of("phobic 0.5", "largest_um"),
        of("phobic 0.5", "smallest_um"),
        of("early", "number", _EBIC),
        of("early", "connected", _EBIC),
        float(dense[0] > dense[1] > dense[2]),
    )
    return [line.row(value) for line, value in zip(_LINES, values, strict=True)]


_SEEN = "craters in the image of the face; mean of samples"
_LINES = (
    Line(_P, "philic_0p5", "lithiophilic, 0.5 mA/cm2: spallations", 0.0, "", "calibrated",
         f"Fig. 4b: none; {_SEEN}", 0.0),
    Line(_P, "philic_2p5", "lithiophilic, 2.5 mA/cm2: spallations", 0.0, "", "calibrated",
         f"Fig. 4b: none; {_SEEN}", 0.0),
    Line(_P, "philic_5", "lithiophilic, 5 mA/cm2: spallations", 1.0, "", "calibrated",
         f"Fig. 4c: few; {_SEEN}", comparison="above"),
    Line(_P, "philic_5_edge", "the same: innermost one, radius over that of the electrode", 0.85,
         "", "calibrated", "Fig. 4c: at the electrode's edge", comparison="above"),
    Line(_P, "philic_5_short", "the same: share of cells that short", 0.5, "", "calibrated",
         "text: no full short", comparison="below"),
    Line(_P, "phobic_0p5", "lithiophobic, 0.5 mA/cm2: spallations", 1.0, "", "calibrated",
         f"text: spallations and dendrites; {_SEEN}", comparison="above"),
    Line(_P, "largest_um", "the same: largest diameter of single ones", 105.0, "um", "calibrated",
         "Fig. 1: 5-100 um; mean of samples, those that lie apart", comparison="below"),
    Line(_P, "smallest_um", "the same: smallest diameter of single ones", 4.0, "um", "calibrated",
         "Fig. 1: 5-100 um, and the error of a diameter", comparison="above"),
    Line(_P, "early_spallations", "Li-Mg, 10 uAh/cm2: spallations", 1.0, "", "calibrated",
         f"Fig. 4a: already there; {_SEEN}", comparison="above"),
    Line(_P, "early_connected", "the same: connected ones, in the induced current", 2.0, "",
         "calibrated", "Fig. 4a: no Mg inside, not connected; a few of a hundred may be",
         comparison="below"),
    Line(_P, "density", "spallations fall with the pellet's density", 1.0, "", "predicted",
         "text, SI: sintered at 1000, 1100, 1200 C; 1 is yes. Densities are assumed", 0.0),
)  # fmt: skip
