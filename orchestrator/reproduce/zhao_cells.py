"""Zhao et al. 2025, Fig. 5: rate capability and retention of the full cell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from orchestrator.analysis.capacity import capacity_table
from orchestrator.records.runs import Run
from orchestrator.report.contents import electrochemistry
from orchestrator.reproduce.row import Line, Row
from orchestrator.reproduce.task import Observation, Task
from orchestrator.running import RunResult

_P = "zhao"
_RATES, _CYCLING = "rate_test", "full_cell_cycling"
_RUNS = ((1.0, 260), (14.0, 750))
"""Stack pressure (MPa) and number of cycles of the paper's two runs."""


def tasks(seeds: int) -> list[Task]:
    """The rate test and both runs; the cell is deterministic, so one sample of each."""
    del seeds
    return [
        Task(_RATES, capacities, keep=True, weight=3.0),
        *(
            Task(
                _CYCLING,
                capacities,
                {
                    "protocol.method.3.cycle_count": cycles,
                    "protocol.record.time_s": 20.0,
                    "environment.stack_pressure_mpa": pressure,
                },
                f"{pressure:g} MPa",
                poll_period_s=1800.0,
                keep=True,
                weight=0.03 * cycles,
            )
            for pressure, cycles in _RUNS
        ),
    ]


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Specific capacities and retention."""
    rates = observations[_RATES, ""]
    values = (
        rates["specific_mah_per_g"][0],
        rates["specific_mah_per_g"][-1],
        *(100.0 * observations[_CYCLING, f"{mpa:g} MPa"]["retention"][-1] for mpa, _ in _RUNS),
    )
    return [line.row(value) for line, value in zip(_LINES, values, strict=True)]


def capacities(run: Run, result: RunResult) -> Observation:
    """Discharge capacity per gram of active material and retention, by cycle."""
    del result
    echem = electrochemistry(run)
    assert echem is not None  # noqa: S101 - the protocol records
    table = capacity_table(echem.records)
    gram = 1e-3 * float(run.start["sample"]["mass_mg"])
    return {
        "cycle": np.asarray(table.cycle).tolist(),
        "specific_mah_per_g": (table.discharge_mah / gram).tolist(),
        "retention": table.retention.tolist(),
    }


_LINES = (
    Line(_P, "full_cell_0p1_c", "full cell: discharge at 0.1 C", 208.0, "mAh/g", "calibrated",
         "Fig. 5, text", 2.0),
    Line(_P, "full_cell_1_c", "full cell: discharge at 1 C", 163.0, "mAh/g", "calibrated",
         "Fig. 5, text; four cycles after the first", 3.0),
    Line(_P, "full_cell_260", "full cell: retention after 260 cycles, 1 MPa", 76.0, "%",
         "calibrated", "Fig. 5, text; the caption says 250", 1.5),
    Line(_P, "full_cell_750", "full cell: retention after 750 cycles, 14 MPa", 80.0, "%",
         "calibrated", "Fig. 5, text; the caption says 770", 1.5),
)  # fmt: skip
