"""Zhao et al. 2025, Fig. 3 and 4: plating after stripping, filaments, magnesium."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from orchestrator.analysis.filaments import measure_filaments
from orchestrator.analysis.magnesium import LineProfile, film_share
from orchestrator.records.runs import Run
from orchestrator.report.contents import electrochemistry
from orchestrator.reproduce.row import Line, Row
from orchestrator.reproduce.statistics import mean, median, over_seeds, seeded
from orchestrator.reproduce.task import Observation, Task
from orchestrator.running import RunResult

_P = "zhao"
_PLATE, _EDS, _FILM = "strip_and_plate", "eds_profile", "eds_film"
_ENOUGH = 8
"""Samples of the alloy, which never shorts."""
_STRIPPED = {"li": 1.25, "limg": 3.5}
_PLATED = {"li": 1.5, "limg": 3.4}
"""Charges stripped before, and plated if no short ends it, mAh/cm2."""
_FALL_V = 0.125
"""Half of the 0.25 V by which a depleted counter electrode lowers the voltage, V."""
_ALLOY_SHARE = 0.03
"""Magnesium of the alloy, Li0.97Mg0.03."""
_FILM_UM = 12.6
"""Film of 2.6 mAh/cm2 plated at 0.28 mA/cm2 (Fig. 4d-f), um."""
_TEMPERATURES = (25.0, 60.0)


def tasks(seeds: int) -> list[Task]:
    """Both metals stripped and plated; EDS lines."""
    return [
        *(_strip_and_plate("li", seed) for seed in range(seeds)),
        *(_strip_and_plate("limg", seed) for seed in range(min(seeds, _ENOUGH))),
        Task(_EDS, magnesium, keep=True),
        *(
            Task(_FILM, magnesium, {"environment.temperature_celsius": t}, f"{t:g} C", keep=True)
            for t in _TEMPERATURES
        ),
    ]


def _strip_and_plate(metal: str, seed: int) -> Task:
    changes: dict[str, Any] = {
        "sample.simulate_as.preset": f"{metal}_lpscl_operando",
        "sample.simulate_as.seed": seed,
        "protocol.method.1.until_time_s": _STRIPPED[metal] / 0.5 * 3600.0,
        "protocol.method.2.until_time_s": _PLATED[metal] / 0.5 * 3600.0,
    }
    if seed:  # the first sample's run stays as the file has it, with its series of images
        changes["images"] = [{"device": "sem", "when": {"at": ["end"]}, "settings": _SETTINGS}]
    return Task(
        _PLATE,
        plating,
        changes,
        seeded(metal, seed),
        # a short is believed at a poll: lithium, which shorts, is looked at as the bench does
        poll_period_s=300.0 if metal == "limg" and seed else None,
        keep=seed == 0,
        weight=1.0 if seed else 4.0,
    )


_SETTINGS: Mapping[str, Any] = {
    "method": "image",
    "resolution_px": [1600, 600],
    "hfw_um": 160.0,
    "dwell_time_s": 1e-6,
    "voltage_kv": 5.0,
    "current_na": 0.1,
    "channels": ["SE"],
}


def plating(run: Run, result: RunResult) -> Observation:
    """Charge plated at the short or at the counter electrode's depletion; filaments at the end."""
    echem = electrochemistry(run)
    assert echem is not None  # noqa: S101 - the protocol records
    records, area_cm2 = echem.records, echem.area_cm2
    on = records.current_ma < -1e-6
    volts = records.voltage_v[on]
    plated = (records.throughput_mah[on] - records.throughput_mah[on][0]) / area_cm2
    shorted = result.stop_reason == "hard_short"
    settled = float(np.median(volts[(plated > 0.5) & (plated < 2.5)])) if not shorted else np.nan
    fallen = np.flatnonzero((plated > 2.5) & (volts < settled - _FALL_V))
    settings = run.descriptors["sem"]["configuration"]["sem"]["data"]
    pixel_um = float(settings["sem_hfw_um"]) / float(settings["sem_resolution_px"][0])
    frames = run.frames("sem")
    found = measure_filaments(np.asarray(frames[len(frames) - 1]), pixel_um)
    return {
        "shorted": float(shorted),
        "short_mah_per_cm2": float(plated[-1]) if shorted else None,
        "end_mah_per_cm2": float(plated[-1]),
        "depleted_mah_per_cm2": float(plated[fallen[0]]) if len(fallen) else None,
        "filaments": found.number,
        "filament_um": found.mean_diameter_um.value,
        "curve_mah_per_cm2": plated[::5].tolist(),
        "curve_v": volts[::5].tolist(),
    }


def magnesium(run: Run, result: RunResult) -> Observation:
    """Mean share of magnesium along the last line, and that of a plated film in the bulk's."""
    del result
    settings = run.descriptors["sem"]["configuration"]["sem"]["data"]
    depth_um = np.linspace(
        0.0, float(settings["sem_line_length_um"]), int(settings["sem_line_points"])
    )
    lines = [np.asarray(line[0], dtype=float) for line in run.frames("sem")[:]]
    first, last = (LineProfile.of_counts(depth_um, lines[k]) for k in (0, -1))
    film = depth_um < _FILM_UM
    share = film_share(
        LineProfile(depth_um[film], last.magnesium[film], last.errors[film]),
        first.mean(),
    )
    return {
        "mean_share": _ALLOY_SHARE * last.mean().value / first.mean().value,
        "film_percent": 100.0 * share.value,
        "depth_um": depth_um.tolist(),
        "relative": (last.magnesium / first.mean().value).tolist(),
    }


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Medians and shares over the samples."""

    def of(metal: str, name: str) -> Any:
        return over_seeds(observations, _PLATE, metal, name)

    values = (
        median(of("li", "short_mah_per_cm2")),
        mean(of("li", "shorted")),
        mean(of("li", "filament_um")),
        mean(of("li", "filaments")),
        mean(of("limg", "shorted")),
        median(of("limg", "end_mah_per_cm2")),
        mean(of("limg", "filaments")),
        median(of("limg", "depleted_mah_per_cm2")),
        observations[_EDS, ""]["mean_share"],
        *(observations[_FILM, f"{t:g} C"]["film_percent"] for t in _TEMPERATURES),
    )
    return [line.row(value) for line, value in zip(_LINES, values, strict=True)]


_LINES = (
    Line(_P, "li_plating_short", "Li: charge plated at the short, after stripping 1.25",
         1.0, "mAh/cm2", "calibrated", "Fig. 4a; median of samples", 0.1),
    Line(_P, "li_short_share", "Li: share of samples that short", 0.5, "", "calibrated",
         "Fig. 4a", comparison="above"),
    Line(_P, "filament_um", "Li: diameter of filaments in the micrographs", 1.1, "um",
         "analysis_round_trip", "Fig. 4b: 1.1 +- 0.4; samples are drawn with it", 0.2),
    Line(_P, "filaments", "Li: filaments in 160 um", 1.0, "", "analysis_round_trip",
         "Fig. 4b: at several sites", comparison="above"),
    Line(_P, "limg_short_share", "Li-Mg: share of samples that short", 0.0, "", "calibrated",
         "Fig. 4a: none", 0.0),
    Line(_P, "limg_plated", "Li-Mg: charge plated without a short", 3.0, "mAh/cm2",
         "calibrated", "Fig. 4a: more than 3.0", comparison="above"),
    Line(_P, "limg_filaments", "Li-Mg: filaments in 160 um", 0.5, "", "analysis_round_trip",
         "Fig. 4c: none", comparison="below"),
    Line(_P, "limg_depletion", "Li-Mg: charge plated as the counter electrode empties", 3.2,
         "mAh/cm2", "calibrated", "text: voltage falls beyond 3.2, after stripping 3.5", 0.1),
    Line(_P, "mg_mean", "mean Mg after stripping 4 mAh/cm2 from 90 um", 0.04, "",
         "analysis_round_trip", "Fig. 3: Li0.96Mg0.04; EDS line over the one before", 0.005),
    Line(_P, "film_25_c", "Mg in a plated film over the alloy's before, 25 C", 50.0, "%",
         "calibrated",
         "Fig. 4f; the diffusivity that fits is 220 times the paper's DFT value", 5.0),
    Line(_P, "film_60_c", "the same at 60 C", 80.0, "%", "calibrated",
         "Fig. 4f; 160 times the paper's DFT value", 5.0),
)  # fmt: skip
