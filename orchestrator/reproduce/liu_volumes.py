"""Liu et al. 2025, Fig. 3: volumes of the pristine, the cycled and the shorted cell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from orchestrator.analysis.components import components
from orchestrator.records.runs import Run
from orchestrator.reproduce.row import Line, Row
from orchestrator.reproduce.task import Observation, Task
from orchestrator.running import RunResult

_P = "liu"
_EXAMPLE = "mri_3d"
_SHORTED, _CYCLED = "", "cycled"
_THICKNESS_CM = 0.1
"""Pellet of 1.0 mm (Methods), where the sample's metadata do not say it."""


def tasks(seeds: int) -> list[Task]:
    """To the short, and to half of the time to it."""
    del seeds
    return [
        Task(_EXAMPLE, volumes, poll_period_s=300.0, keep=True, weight=9.0),
        Task(
            _EXAMPLE,
            volumes,
            {"stop_when": ["hard_short", {"duration_s": 102_600.0 + 2.0 * 86_400.0}]},
            _CYCLED,
            poll_period_s=300.0,
            weight=4.0,
        ),
    ]


def volumes(run: Run, result: RunResult) -> Observation:
    """Connected pieces of metal in the first and the last volume."""
    del result
    columns, frames = run.streams["mri"], run.frames("mri")
    settings = run.descriptors["mri"]["configuration"]["mri"]["data"]
    x_mm, y_mm, z_mm = (
        fov / points
        for fov, points in zip(settings["mri_fov_mm"], settings["mri_matrix"], strict=True)
    )
    thickness_mm = 10.0 * float(run.start["sample"].get("thickness_cm", _THICKNESS_CM))
    found = [
        components(
            np.asarray(frames[index], dtype=float), (z_mm, y_mm, x_mm), thickness_mm=thickness_mm
        )
        for index in (0, len(frames) - 1)
    ]
    return {
        "exposure_h": float(np.median(columns["mri_t_end_s"] - columns["mri_t_start_s"])) / 3600.0,
        "first_pieces": found[0].number.value - found[0].expected_false,
        "last_pieces": found[1].number.value - found[1].expected_false,
    }


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Time of a volume and the order of the three states."""
    shorted, cycled = observations[_EXAMPLE, _SHORTED], observations[_EXAMPLE, _CYCLED]
    values = (
        shorted["exposure_h"],
        shorted["last_pieces"] / cycled["last_pieces"],
        cycled["last_pieces"] / max(cycled["first_pieces"], 1.0),
    )
    return [line.row(value) for line, value in zip(_LINES, values, strict=True)]


_LINES = (
    Line(_P, "frame_3d_h", "exposure of a volume, as recorded", 26.4, "h", "arithmetic",
         "impossible: TR x 3,200 lines x 128 averages is 28.44 h", comparison="impossible"),
    Line(_P, "pieces_shorted", "pieces of metal, shorted over cycled 2 d", 1.0, "",
         "analysis_round_trip", "Fig. 3: a dense network after the short", comparison="above"),
    Line(_P, "pieces_cycled", "pieces of metal, cycled 2 d over pristine", 1.0, "",
         "analysis_round_trip", "Fig. 3: none in the pristine cell", comparison="above"),
)  # fmt: skip
