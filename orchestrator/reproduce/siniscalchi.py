"""Siniscalchi et al., Energy Environ. Sci. 2024 (doi 10.1039/d3ee03916a): protocols and rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from orchestrator.analysis.transport import electronic_conductivity_s_per_cm
from orchestrator.records.runs import Run
from orchestrator.report.contents import gather
from orchestrator.reproduce.row import Line, Row
from orchestrator.reproduce.task import Observation, Task
from orchestrator.running import RunResult

_P = "siniscalchi"
_ELECTRONIC = "electronic_conductivity"
_POINTS = 60


def tasks(seeds: int) -> list[Task]:
    """Every protocol of the paper, with `seeds` samples where the outcome is random."""
    del seeds
    return [Task(_ELECTRONIC, electronic, keep=True, weight=0.5)]


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Rows of the paper that need runs."""
    return [line.row(observations[_ELECTRONIC, ""][line.id]) for line in _ELECTRONIC_LINES]


def electronic(run: Run, result: RunResult) -> Observation:
    """Electronic conductivity from the last of log-spaced points after the step."""
    del result
    contents = gather(run)
    assert contents.echem is not None  # noqa: S101 - the protocol records
    records = contents.echem.records
    elapsed_s = records.time_s - records.time_s[0]
    wanted = np.geomspace(1.0, elapsed_s[-1], _POINTS)
    index = np.unique(np.searchsorted(elapsed_s, wanted).clip(0, len(elapsed_s) - 1))
    step_v = float(np.median(records.voltage_v))
    sample = contents.sample
    found = electronic_conductivity_s_per_cm(
        elapsed_s[index],
        1e-3 * records.current_ma[index],
        step_v=step_v,
        area_cm2=float(sample["area_cm2"]),
        thickness_cm=float(sample["thickness_cm"]),
    )
    return {
        "electronic_s_per_cm": found.value,
        "electronic_error_s_per_cm": found.error,
        "leak_na_per_v": 1e6 * float(records.current_ma[-1]) / step_v,
    }


_ELECTRONIC_LINES = (
    Line(_P, "electronic_s_per_cm", "electronic conductivity of LLZTO", 1e-8, "S/cm",
         "analysis_round_trip", "text; potential step on Ni/LLZTO/Ni, last 10 of 60 log-spaced "
         "points of one hour", 5e-10),
)  # fmt: skip
