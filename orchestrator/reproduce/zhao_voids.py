"""Zhao et al. 2025, Fig. 1: voids under the microscope while lithium and Li-Mg are stripped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.void_series import VoidSeries, void_series
from orchestrator.analysis.voids import VoidMeasurement, measure_voids
from orchestrator.records.runs import Run
from orchestrator.report.contents import Electrochemistry, electrochemistry
from orchestrator.reproduce.row import Line, Row
from orchestrator.reproduce.statistics import mean, median, over_seeds, seeded
from orchestrator.reproduce.task import Observation, Task
from orchestrator.running import RunResult

Floats = npt.NDArray[np.float64]

_P = "zhao"
_LI, _ALLOY = "operando_sem", "operando_sem_limg"
_KIND = {_LI: "Li", _ALLOY: "Li-Mg"}
_FRAME = 0.125
_REST_V = -0.623
_ENOUGH = 12
"""Samples of the alloy."""
_GAP = 0.985
"""Contact loss from which a single gap spans the field of view."""


def tasks(seeds: int) -> list[Task]:
    """Both metals; the alloy's numbers scatter less than their tolerances, so fewer samples do."""
    return [
        Task(
            example,
            voids,
            {
                "sample.simulate_as.seed": seed,
                "protocol.method.1.until_time_s": until / 0.5 * 3600.0,
            },
            seeded(_KIND[example], seed),
            keep=seed == 0,
            weight=weight,
        )
        for example, until, weight, most in ((_LI, 1.51, 2.3, seeds), (_ALLOY, 3.01, 4.6, _ENOUGH))
        for seed in range(min(seeds, most))
    ]


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Means and medians over the samples."""
    found = []
    for line, example, name in _LINES:
        values = over_seeds(observations, example, _KIND[example], name)
        found.append(line.row(mean(values) if name in _MEANS else median(values)))
    return found


def voids(run: Run, result: RunResult) -> Observation:
    """Voids of every frame, and the overpotential beside them."""
    del result
    echem = electrochemistry(run)
    assert echem is not None  # noqa: S101 - the protocol records
    measured, charge = _measured(run, echem.area_cm2)
    series = void_series(measured, charge)
    return {
        "first_per_100_um": float(series.per_100_um[0]),
        "first_width_um": mean(measured[0].widths_um),
        "first_contact_loss": float(series.contact_loss[0]),
        **_course(series),
        **_overpotential(echem, series),
        "charge": series.charge_mah_per_cm2.tolist(),
        "per_100_um": series.per_100_um.tolist(),
        "contact_loss": series.contact_loss.tolist(),
        "widths_um": series.widths_um.tolist(),
        "heights_um": series.heights_um.tolist(),
    }


def _measured(run: Run, area_cm2: float) -> tuple[list[VoidMeasurement], Floats]:
    """The frames at multiples of 0.125 mAh/cm2, measured, and their charges, mAh/cm2."""
    columns, frames = run.streams["sem"], run.frames("sem")
    charge = 0.5 * (columns["sem_charge_start_mah"] + columns["sem_charge_end_mah"]) / area_cm2
    settings = run.descriptors["sem"]["configuration"]["sem"]["data"]
    pixel_um = float(settings["sem_hfw_um"]) / float(settings["sem_resolution_px"][0])
    chosen = [
        int(np.argmin(np.abs(charge - k * _FRAME)))
        for k in range(1, round(float(charge.max()) / _FRAME) + 1)
    ]
    kept = [index for index in dict.fromkeys(chosen) if columns["sem_quality"][index] == "ok"]
    return [measure_voids(frames[index], pixel_um) for index in kept], charge[kept]


def _course(series: VoidSeries) -> dict[str, Any]:
    charge, loss = series.charge_mah_per_cm2, series.contact_loss
    within = charge < 3.0 + 0.5 * _FRAME
    drops = [drop.charge_mah_per_cm2 for drop in series.width_drops]
    return {
        "contact_90": _reached(charge, loss, 0.9),
        "gap": _reached(charge, loss, _GAP),
        "contact_loss_3": _at(charge, loss, 3.0),
        "number_1_over_first": _at(charge, series.per_100_um, 1.0) / series.per_100_um[0],
        "number_3_over_first": _at(charge, series.per_100_um, 3.0) / series.per_100_um[0],
        "width_1_over_first": _at(charge, series.widths_um[:, 2], 1.0) / series.widths_um[0, 2],
        "height_1_over_first": _at(charge, series.heights_um[:, 2], 1.0) / series.heights_um[0, 2],
        # the median: now and then two voids less than 0.3 um apart pass for one
        "largest_width_um": float(np.nanmedian(series.widths_um[within & (charge > 0.95), 4])),
        "width_drops": float(sum(drop < 3.0 + 0.5 * _FRAME for drop in drops)),
        "height_drops": float(
            sum(drop.charge_mah_per_cm2 < 3.0 + 0.5 * _FRAME for drop in series.height_drops)
        ),
        "first_width_drop": drops[0] if drops else None,
    }


def _overpotential(echem: Electrochemistry, series: VoidSeries) -> dict[str, Any]:
    records = echem.records
    on = np.abs(records.current_ma) > 1e-6
    charge = records.charge_mah[on] / echem.area_cm2
    over_mv = 1e3 * (records.voltage_v[on] - _REST_V)
    start_mv = float(np.median(over_mv[:5]))
    at = _reached(series.charge_mah_per_cm2, series.contact_loss, 0.9)
    beyond = charge >= at if np.isfinite(at) else np.zeros(len(charge), bool)
    return {
        "eta_start_mv": start_mv,
        "eta_3_over_start": _at(charge, over_mv, 3.0, width=0.05) / start_mv,
        "eta_90_over_start": float(np.max(over_mv[beyond])) / start_mv if beyond.any() else None,
        "curve_charge": charge[::10].tolist(),
        "curve_mv": over_mv[::10].tolist(),
    }


def _reached(charge: Floats, values: Floats, level: float) -> float:
    """First charge at which a value is reached, interpolated; NaN if it never is."""
    above = np.flatnonzero(values >= level)
    if not len(above):
        return float("nan")
    k = int(above[0])
    if k == 0:
        return float(charge[0])
    part = (level - values[k - 1]) / (values[k] - values[k - 1])
    return float(charge[k - 1] + part * (charge[k] - charge[k - 1]))


def _at(charge: Floats, values: Floats, where: float, *, width: float = 0.5 * _FRAME) -> float:
    """Median of the values near a charge; NaN if there are none."""
    near = np.abs(charge - where) <= width
    return float(np.median(values[near])) if near.any() else float("nan")


_MEANS = {"first_per_100_um", "first_width_um", "width_drops", "height_drops"}
"""Numbers of which the paper's counterpart is a mean."""

_READ = "read from the micrographs; samples are drawn with this number"
_LINES: tuple[tuple[Line, str, str], ...] = (
    (Line(_P, "li_first_per_100_um", "Li: first voids per 100 um", 17.0, "",
          "analysis_round_trip", f"text: 16-18; {_READ}", 1.0), _LI, "first_per_100_um"),
    (Line(_P, "li_first_width_um", "Li: width of the first voids", 2.2, "um",
          "analysis_round_trip", f"text: 2.2 +- 1.3; {_READ}", 0.2), _LI, "first_width_um"),
    (Line(_P, "li_first_contact_loss", "Li: contact loss at 0.125 mAh/cm2", 0.375, "",
          "analysis_round_trip", "35-40 % from 16-18 voids of 2.2 um per 100 um", 0.05), _LI,
     "first_contact_loss"),
    (Line(_P, "li_contact_90", "Li: charge at 90 % contact loss", 1.0, "mAh/cm2", "calibrated",
          "Fig. 1: overpotential rises at about 1; median of samples", 0.15), _LI, "contact_90"),
    (Line(_P, "li_gap", "Li: charge at a single gap over the field", 1.25, "mAh/cm2",
          "calibrated", "text: 1.25; contact loss of 98.5 %; median of the samples that gap",
          0.15), _LI, "gap"),
    (Line(_P, "li_eta_90", "Li: overpotential beyond 90 % contact loss over its start", 4.0, "",
          "calibrated", "Fig. 1b: 'drastically increases'", comparison="above"), _LI,
     "eta_90_over_start"),
    (Line(_P, "li_number_falls", "Li: number of voids at 1 mAh/cm2 over the first", 1.0, "",
          "predicted", "Fig. 1c: falls, by coalescence", comparison="below"), _LI,
     "number_1_over_first"),
    (Line(_P, "li_widths_rise", "Li: median width at 1 mAh/cm2 over the first", 1.0, "",
          "calibrated", "Fig. 1d: rises", comparison="above"), _LI, "width_1_over_first"),
    (Line(_P, "li_heights_rise", "Li: median height at 1 mAh/cm2 over the first", 1.0, "",
          "predicted", "Fig. 1e: rises", comparison="above"), _LI, "height_1_over_first"),
    (Line(_P, "limg_first_per_100_um", "Li-Mg: first voids per 100 um", 2.5, "",
          "analysis_round_trip", f"text: 2-3; {_READ}", 0.3), _ALLOY, "first_per_100_um"),
    (Line(_P, "limg_first_width_um", "Li-Mg: width of the first voids", 3.8, "um",
          "analysis_round_trip", f"text: 3.8 +- 1.0; {_READ}", 0.3), _ALLOY, "first_width_um"),
    (Line(_P, "limg_first_contact_loss", "Li-Mg: contact loss at 0.125 mAh/cm2", 0.095, "",
          "analysis_round_trip", "8-11 % from 2-3 voids of 3.8 um per 100 um", 0.03), _ALLOY,
     "first_contact_loss"),
    (Line(_P, "limg_largest_width_um", "Li-Mg: width of the largest void, 1 to 3 mAh/cm2", 20.0,
          "um", "calibrated", "text: grow to about 20 um; median of frames and samples", 3.0),
     _ALLOY, "largest_width_um"),
    (Line(_P, "limg_width_drops", "Li-Mg: falls of the largest width to 3 mAh/cm2", 3.0, "",
          "calibrated", "Fig. 1d: at 0.625, 1, 2.375; a fall is 12 % between frames; mean of "
          "samples", 1.0), _ALLOY, "width_drops"),
    (Line(_P, "limg_height_drops", "Li-Mg: falls of the largest height to 3 mAh/cm2", 3.0, "",
          "calibrated", "Fig. 1e: at 0.5, 1, 2.625; a fall is 8 % between frames; mean of "
          "samples", 1.0), _ALLOY, "height_drops"),
    (Line(_P, "limg_first_drop", "Li-Mg: charge of the first fall of the width", 0.625,
          "mAh/cm2", "predicted", "impossible: when one void splits or collapses is random, one "
          "experiment does not fix it; median of samples", comparison="impossible"), _ALLOY,
     "first_width_drop"),
    (Line(_P, "limg_number_rises", "Li-Mg: number of voids at 3 mAh/cm2 over the first", 1.0, "",
          "calibrated", "Fig. 1c: rises, by splitting and new voids", comparison="above"),
     _ALLOY, "number_3_over_first"),
    (Line(_P, "limg_contact_3", "Li-Mg: contact loss at 3 mAh/cm2", 0.9, "", "calibrated",
          "text: stable to 3-3.5 mAh/cm2; median of samples", comparison="below"), _ALLOY,
     "contact_loss_3"),
)  # fmt: skip
