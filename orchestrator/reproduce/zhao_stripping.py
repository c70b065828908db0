"""Zhao et al. 2025, Fig. 3: stripping under several stack pressures and at two rates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from orchestrator.records.runs import Run
from orchestrator.report.contents import electrochemistry
from orchestrator.reproduce.row import Line, Row
from orchestrator.reproduce.statistics import median, over_seeds, seeded
from orchestrator.reproduce.task import Observation, Task
from orchestrator.running import RunResult

_P = "zhao"
_STRIP = "strip_lithium"
_REST_V = -0.623
"""Metal against lithiated indium at rest, V (Methods)."""

_PRESSURES = {"li": (0.2, 1.0, 1.5, 7.0), "limg": (0.2, 1.0, 14.0, 50.0)}
"""Stack pressures of Fig. 3l and 3m, MPa."""
_FEW = 10
_NO_VOIDS_MPA = {"li": 1.5, "limg": 14.0}
"""From here on creep keeps up with 0.5 mA/cm2: no voids, and every sample is the same."""


def tasks(seeds: int) -> list[Task]:
    """Every pressure and metal, each with up to `seeds` samples."""
    strips = [
        _strip(metal, pressure, seed)
        for metal, pressures in _PRESSURES.items()
        for pressure in pressures
        for seed in range(_samples(metal, pressure, seeds))
    ]
    slow = _strip("limg", 1.0, 0, current=0.05)
    return [*strips, slow]


def _samples(metal: str, pressure_mpa: float, seeds: int) -> int:
    """How many samples settle a median: one without voids, few of the alloy."""
    if pressure_mpa >= _NO_VOIDS_MPA[metal]:
        return 1
    return seeds if metal == "li" else min(seeds, _FEW)


def _strip(metal: str, pressure_mpa: float, seed: int, current: float = 0.5) -> Task:
    kind = f"{metal} {pressure_mpa:g} MPa {current:g} mA/cm2"
    changes = {
        "sample.simulate_as.preset": f"{metal}_lpscl",
        "sample.simulate_as.seed": seed,
        "environment.stack_pressure_mpa": pressure_mpa,
        "protocol.method.1.current_mA_per_cm2": current,
        "protocol.method.1.until_time_s": 4.0 / current * 3600.0,
        "protocol.record.time_s": 5.0 / current,
    }
    return Task(
        _STRIP,
        stripping,
        changes,
        seeded(kind, seed),
        poll_period_s=300.0,
        keep=seed == 0,
        weight=0.3,
    )


def stripping(run: Run, result: RunResult) -> Observation:
    """Overpotential against charge."""
    del result
    echem = electrochemistry(run)
    assert echem is not None  # noqa: S101 - the protocol records
    records, area_cm2 = echem.records, echem.area_cm2
    on = np.abs(records.current_ma) > 1e-6
    charge = records.charge_mah[on] / area_cm2
    over_mv = 1e3 * (records.voltage_v[on] - _REST_V)
    end = float(charge[-1])
    return {
        "eta_start_mv": float(np.median(over_mv[:5])),
        "eta_1_mv": float(np.median(over_mv[np.abs(charge - 1.0) < 0.02])),
        "eta_3_mv": _at(charge, over_mv, 3.0),
        "eta_4_mv": _at(charge, over_mv, 4.0),
        "rise": float(np.max(over_mv)) / float(np.median(over_mv[:5])),
        "rise_to_3": float(np.max(over_mv[charge < 3.0])) / float(np.median(over_mv[:5])),
        "end_mah_per_cm2": end,
        "curve_mah_per_cm2": charge[::20].tolist(),
        "curve_mv": over_mv[::20].tolist(),
    }


def _at(charge: np.ndarray, values: np.ndarray, where: float) -> float:
    near = np.abs(charge - where) < 0.02
    return float(np.median(values[near])) if near.any() else float("nan")


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Median of the samples of each variation."""
    return [
        line.row(median(over_seeds(observations, _STRIP, kind, name)))
        for line, kind, name in _STRIP_LINES
    ]


def _flat(metal: str, text: str, pressure: str, *, to: str = "4") -> tuple[Line, str, str]:
    name = f"{metal}_flat_{pressure.replace('.', 'p')}_mpa"
    line = Line(_P, name, f"{text} at {pressure} MPa: overpotential to {to} mAh/cm2 over its start",
                1.5, "", "calibrated", "Fig. 3l, m: flat; median of samples",
                comparison="below")  # fmt: skip
    return line, f"{metal} {pressure} MPa 0.5 mA/cm2", "rise" if to == "4" else "rise_to_3"


_STRIP_LINES: tuple[tuple[Line, str, str], ...] = (
    *(
        (
            Line(_P, f"li_severe_{pressure.replace('.', 'p')}_mpa",
                 f"Li at {pressure} MPa: overpotential over its start", 4.0, "", "calibrated",
                 "Fig. 3l: severe rise; median of samples", comparison="above"),
            f"li {pressure} MPa 0.5 mA/cm2",
            "rise",
        )
        for pressure in ("0.2", "1")
    ),
    _flat("li", "Li", "1.5"),
    _flat("li", "Li", "7"),
    _flat("limg", "Li-Mg", "14"),
    _flat("limg", "Li-Mg", "50"),
    (
        Line(_P, "limg_slow_flat", "Li-Mg at 0.05 mA/cm2, 1 MPa: overpotential to 4 mAh/cm2 over "
             "its start", 1.5, "", "calibrated", "Fig. 3b: flat", comparison="below"),
        "limg 1 MPa 0.05 mA/cm2",
        "rise",
    ),
    (
        Line(_P, "limg_late_rise", "Li-Mg at 1 MPa: overpotential at 4 mAh/cm2 over its start",
             2.0, "", "calibrated", "Fig. 3b, m: a late rise; softer than the paper's",
             comparison="above"),
        "limg 1 MPa 0.5 mA/cm2",
        "rise",
    ),
)  # fmt: skip
