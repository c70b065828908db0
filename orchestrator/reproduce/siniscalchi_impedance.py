"""Siniscalchi et al. 2024, Fig. 1: impedance while lithium is plated to the short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.impedance import TwoArcFit, fit_two_arc
from orchestrator.records.runs import Run
from orchestrator.reproduce.row import Line, Row
from orchestrator.reproduce.statistics import median, over_seeds, seeded
from orchestrator.reproduce.task import Observation, Task
from orchestrator.running import RunResult

Floats = npt.NDArray[np.float64]

_P = "siniscalchi"
_EXAMPLE, _KIND = "geis_plating", "phobic"
_ENOUGH = 10
"""Samples: resistances scatter by the noise of a spectrum, 0.3 %, only."""
_ELECTROLYTE_OHM_CM2 = 120.0
"""1.2 mm of 1 mS/cm (Methods), ohm cm2: what tells a short from a cell."""


def tasks(seeds: int) -> list[Task]:
    """Plating to the short."""
    return [
        Task(
            _EXAMPLE,
            plating,
            {"sample.simulate_as.seed": seed},
            seeded(_KIND, seed),
            keep=seed == 0,
            weight=1.0,
        )
        for seed in range(min(seeds, _ENOUGH))
    ]


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Medians over the samples."""
    return [line.row(median(over_seeds(observations, _EXAMPLE, _KIND, line.id))) for line in _LINES]


def plating(run: Run, result: RunResult) -> Observation:
    """Resistances of every spectrum against the charge plated, and the spectrum of the short."""
    area_cm2 = float(run.start["sample"]["area_cm2"])
    thickness_cm = float(run.start["sample"]["thickness_cm"])
    spectra = _spectra(run)
    fits = [
        fit_two_arc(f, z, area_cm2=area_cm2, electrolyte_ohm_cm2=_ELECTROLYTE_OHM_CM2)
        for f, z, _ in spectra
    ]
    charge = np.array([q for _, _, q in spectra]) / area_cm2
    whole = np.array([fit.state != "short" for fit in fits])
    bulk, interface = _ohm_cm2(fits, "bulk"), _ohm_cm2(fits, "interface")
    seen: dict[str, Any] = {
        "r_int_start": float(interface[0]),
        "r_int_later": _near(charge[whole], interface[whole], 0.2),
        "r_int_constant": _near(charge[whole], interface[whole], 0.6)
        / _near(charge[whole], interface[whole], 0.2),
        "ionic_ms_per_cm": 1e3 * thickness_cm / float(bulk[0]),
        "bulk_falls": float(bulk[whole][-1] / bulk[0]),
        "short_ohm": _short_ohm(fits, area_cm2),
        "shorts": float(result.stop_reason == "hard_short"),
        "charge": charge[whole].tolist(),
        "bulk": bulk[whole].tolist(),
        "interface": interface[whole].tolist(),
    }
    _, first_z, _ = spectra[0]
    seen["nyquist"] = [(first_z.real * area_cm2).tolist(), (-first_z.imag * area_cm2).tolist()]
    return seen


def _spectra(run: Run) -> list[tuple[Floats, npt.NDArray[np.complex128], float]]:
    """Frequencies (Hz), impedances (ohm) and charge (mAh) of each spectrum."""
    columns = run.streams["eis"]
    prefix = next(key for key in columns if key.endswith("_frequency_hz")).removesuffix(
        "frequency_hz"
    )
    number = columns[f"{prefix}spectrum"]
    found = []
    for k in np.unique(number):
        rows = number == k
        z = columns[f"{prefix}z_real_ohm"][rows] + 1j * columns[f"{prefix}z_imag_ohm"][rows]
        charge = float(np.mean(np.abs(columns[f"{prefix}charge_mah"][rows])))
        found.append((columns[f"{prefix}frequency_hz"][rows], z, charge))
    return found


def _ohm_cm2(fits: list[TwoArcFit], arc: str) -> Floats:
    return np.array([getattr(fit, arc).ohm_cm2 for fit in fits])


def _near(charge: Floats, values: Floats, where: float) -> float:
    return float(np.interp(where, charge, values)) if len(charge) else float("nan")


def _short_ohm(fits: list[TwoArcFit], area_cm2: float) -> float:
    short = [fit.low_frequency_ohm_cm2 / area_cm2 for fit in fits if fit.state == "short"]
    return short[-1] if short else float("nan")


_FIT = "two arcs fitted to the recorded spectra; median of samples"
_LINES = (
    Line(_P, "r_int_start", "interface before plating", 2000.0, "ohm cm2",
         "analysis_round_trip", f"Fig. 1b, text; {_FIT}", 40.0),
    Line(_P, "r_int_later", "interface soon after plating starts (0.2 mAh/cm2)", 500.0,
         "ohm cm2", "analysis_round_trip", f"Fig. 1b, text; {_FIT}", 10.0),
    Line(_P, "r_int_constant", "interface at 0.6 over that at 0.2 mAh/cm2", 1.0, "",
         "calibrated", "text: then about constant", 0.05),
    Line(_P, "ionic_ms_per_cm", "ionic conductivity from the first spectrum", 1.0, "mS/cm",
         "analysis_round_trip", "text: about 1 mS/cm", 0.05),
    Line(_P, "bulk_falls", "bulk resistance before the short over the first", 1.0, "",
         "calibrated", "text: falls gradually", comparison="below"),
    Line(_P, "shorts", "share of cells that short", 0.5, "", "calibrated",
         "Fig. 1a: plated until short", comparison="above"),
    Line(_P, "short_ohm", "shorted cell, low frequencies of its spectrum", 487.0, "ohm",
         "predicted", "text: 487 ohm after the short", 10.0),
)  # fmt: skip
