"""Liu et al., Nature Materials 2025 (doi 10.1038/s41563-024-02094-6): protocols and rows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from orchestrator.analysis.growth import S_PER_DAY
from orchestrator.records.runs import Run
from orchestrator.report.contents import Contents, gather
from orchestrator.report.imaging import LayerAnalysis
from orchestrator.reproduce import liu_isotopes, liu_volumes
from orchestrator.reproduce.row import Line, Row
from orchestrator.reproduce.task import Observation, Task
from orchestrator.running import RunResult

_P = "liu"
_IN_SITU, _LARGE = "in_situ_mri", "large_cell"


def tasks(seeds: int) -> list[Task]:
    """Every protocol of the paper; the cells are deterministic, so one sample of each."""
    return [
        Task(_IN_SITU, in_situ, keep=True, weight=14.0),
        Task(_LARGE, short_only, poll_period_s=300.0, keep=True, weight=5.0),
        *liu_volumes.tasks(seeds),
        *liu_isotopes.tasks(seeds),
    ]


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Rows of the paper that need runs."""
    cell, large = observations[_IN_SITU, ""], observations[_LARGE, ""]
    return [
        *(line.row(cell[line.id]) for line in _IN_SITU_LINES),
        *(line.row(large[line.id]) for line in _LARGE_LINES),
        *liu_volumes.rows(observations),
        *liu_isotopes.rows(observations),
    ]


def short_only(run: Run, result: RunResult) -> Observation:
    """When the cell shorted, d, and whether."""
    del run
    return {
        "large_cell_shorts": float(result.stop_reason == "hard_short"),
        "short_d": result.stopped_at_s / S_PER_DAY,
    }


def in_situ(run: Run, result: RunResult) -> Observation:
    """Voltage, short, layers and stages of the in situ cell, all from the recorded run."""
    contents = gather(run)
    seen = {**_electrical(contents), **_imaged(contents)}
    seen["short_d"] = result.stopped_at_s / S_PER_DAY
    return seen


def _electrical(contents: Contents) -> dict[str, Any]:
    assert contents.echem is not None  # noqa: S101 - the protocol records
    records, short_s = contents.echem.records, contents.short.time_s if contents.short else np.nan
    volts, on = np.abs(records.voltage_v), np.abs(records.current_ma) > 1e-6
    first_six = on & (records.time_s < 6.0 * S_PER_DAY)
    high = records.time_s[on & (volts > 0.1)]
    start_v, _ = contents.echem.beginning()
    step = max(1, len(volts) // 4000)
    return {
        "start_mv": 1e3 * float(volts[on][0]),
        "first_half_cycle_mv": 1e3 * start_v,
        "steady_mv": 1e3 * float(np.nanmean(volts[first_six])),
        "runaway_h": (short_s - float(high[0])) / 3600.0 if len(high) else np.nan,
        "peak_mv": 1e3 * float(np.nanmax(volts[on])),
        "shorted_mv": 1e3 * float(volts[on][-1]),
        "curve_d": (records.time_s[::step] / S_PER_DAY).tolist(),
        "curve_mv": (1e3 * records.voltage_v[::step]).tolist(),
    }


def _imaged(contents: Contents) -> dict[str, Any]:
    imaging = contents.imaging
    assert imaging is not None  # noqa: S101 - the protocol images
    exposure_h = float(np.nanmedian(imaging.end_s - imaging.start_s)) / 3600.0
    seen: dict[str, Any] = {"frame_2d_h": exposure_h, "frames": len(imaging.start_s)}
    if imaging.analysis is None:
        return seen
    return {**seen, **_layers(imaging.analysis, imaging.centre_s / S_PER_DAY)}


def _layers(analysis: LayerAnalysis, centre_d: np.ndarray[Any, Any]) -> dict[str, Any]:
    amounts = analysis.layers.amounts_umol_per_cm2
    bounds = [boundary.time_d for boundary in analysis.stages.boundaries]
    total = np.nansum(amounts, axis=1)
    two_days = int(np.argmin(np.abs(centre_d - 2.0)))
    rates = analysis.rates.rates_umol_per_cm2_per_d
    inner = rates[:, 1] + rates[:, 2]
    at = np.asarray(analysis.rates.time_s) / S_PER_DAY
    peak_d = float(at[int(np.nanargmax(inner))])
    grown = _growth_per_stage(amounts, centre_d, bounds)
    return {
        "stages": float(np.isfinite(bounds).sum() + 1 if bounds == sorted(bounds) else 0),
        "stage_bounds_d": bounds,
        "inner_peak_in_stage_3": float(bounds[1] < peak_d < bounds[2]),
        "inner_peak_d": peak_d,
        "stage_1_inner_share": grown[0][1] / (grown[0][0] + grown[0][1]),
        "stage_3_inner_share": grown[2][1] / (grown[2][0] + grown[2][1]),
        "stage_4_inner_share": grown[3][1] / (grown[3][0] + grown[3][1]),
        "two_day_share": float(total[two_days] / total[-1]),
        "upper_over_lower": float(np.nanmean(amounts[-3:, 0]) / np.nanmean(amounts[-3:, 3])),
        "total_umol_per_cm2": float(total[-1]),
        "layers_d": centre_d.tolist(),
        "layers_umol_per_cm2": amounts.tolist(),
    }


def _growth_per_stage(
    amounts: np.ndarray[Any, Any], centre_d: np.ndarray[Any, Any], bounds: list[float]
) -> list[tuple[float, float]]:
    """Growth of the outer (1, 4) and inner (2, 3) layers in each stage, umol/cm2."""
    edges = [0.0, *bounds, float(centre_d[-1])]
    outer, inner = amounts[:, 0] + amounts[:, 3], amounts[:, 1] + amounts[:, 2]
    found = []
    for begin, end in pairwise(edges):
        times = np.array([begin, end])
        out, into = np.interp(times, centre_d, outer), np.interp(times, centre_d, inner)
        found.append((float(out[1] - out[0]), float(into[1] - into[0])))
    return found


_IN_SITU_LINES = (
    Line(_P, "start_mv", "voltage at 0.1 mA/cm2", 50.0, "mV", "calibrated",
         "Fig. 4a, text: about 50 mV", 10.0),
    Line(_P, "steady_mv", "mean |V| under current over 6 d", 50.0, "mV", "calibrated",
         "Fig. 4a, text: steady, rising slowly", 10.0),
    Line(_P, "runaway_h", "polarisation above 100 mV before the short", 0.0, "h", "calibrated",
         "Fig. 4a, text: 'sudden polarisation' precedes the short", comparison="above"),
    Line(_P, "shorted_mv", "|V| of the last record, after the short", 0.0, "mV", "calibrated",
         "Fig. 4a, text: falls to 0", 5.0),
    Line(_P, "short_d", "time to the short", 7.6, "d", "calibrated", "Results, Fig. 1b", 0.05),
    Line(_P, "frame_2d_h", "exposure of a 2D frame, as recorded", 4.5, "h", "arithmetic",
         "Methods; TR x lines x averages, run by the console", 0.09),
    Line(_P, "stages", "stages of growth, from the images", 4.0, "", "analysis_round_trip",
         "Fig. 4b, c: four stages, in order", 0.0),
    Line(_P, "inner_peak_in_stage_3", "rates of layers 2, 3 peak in stage III", 1.0, "",
         "analysis_round_trip", "Fig. 4c, text: 1 is yes", 0.0),
    Line(_P, "stage_1_inner_share", "share of layers 2, 3 in the growth of stage I", 0.5, "",
         "analysis_round_trip", "text: layers 1, 4 grow, 2, 3 hardly", comparison="below"),
    Line(_P, "stage_3_inner_share", "the same in stage III", 0.5, "", "analysis_round_trip",
         "text: 2, 3 escalate, 1, 4 go on", comparison="above"),
    Line(_P, "stage_4_inner_share", "the same in stage IV", 0.5, "", "analysis_round_trip",
         "text: 2, 3 level off, 1, 4 grow on", comparison="below"),
    Line(_P, "two_day_share", "metal after 2 d over metal at the short", 0.5, "", "predicted",
         "Fig. 1c, text: weak 7Li metal after about 2 d", comparison="below"),
    Line(_P, "upper_over_lower", "metal at face A over face B", 1.0, "", "calibrated",
         "Fig. 1e, text: fewer streaks at the lower face", comparison="above"),
)  # fmt: skip

_LARGE_LINES = (
    Line(_P, "large_cell_shorts", "large cell at 0.5 mA/cm2 shorts", 1.0, "", "predicted",
         "Methods; 1 is yes. At 0.1 mA/cm2 the paper stopped before a short", 0.0),
)  # fmt: skip
