"""Zhao et al., Nature Communications 2025 (doi 10.1038/s41467-025-59567-8): protocols and rows."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.reproduce import zhao_cells, zhao_plating, zhao_stripping, zhao_voids
from orchestrator.reproduce.row import Row
from orchestrator.reproduce.task import Observation, Task

_PARTS = (zhao_voids, zhao_stripping, zhao_plating, zhao_cells)


def tasks(seeds: int) -> list[Task]:
    """Every protocol of the paper, with `seeds` samples where the outcome is random."""
    return [task for part in _PARTS for task in part.tasks(seeds)]


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Rows of the paper that need runs."""
    return [row for part in _PARTS for row in part.rows(observations)]
