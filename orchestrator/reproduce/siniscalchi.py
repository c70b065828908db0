"""Siniscalchi et al., Energy Environ. Sci. 2024 (doi 10.1039/d3ee03916a): protocols and rows."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.reproduce import (
    siniscalchi_impedance,
    siniscalchi_spallation,
    siniscalchi_transport,
)
from orchestrator.reproduce.row import Row
from orchestrator.reproduce.task import Observation, Task

_PARTS = (siniscalchi_impedance, siniscalchi_spallation, siniscalchi_transport)


def tasks(seeds: int) -> list[Task]:
    """Every protocol of the paper, with `seeds` samples where the outcome is random."""
    return [task for part in _PARTS for task in part.tasks(seeds)]


def rows(observations: Mapping[tuple[str, str], Observation]) -> list[Row]:
    """Rows of the paper that need runs."""
    return [row for part in _PARTS for row in part.rows(observations)]
