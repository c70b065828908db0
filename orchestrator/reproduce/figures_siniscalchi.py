"""Figures of Siniscalchi et al. 2024 as they come back."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.reproduce.drawing import Drawing
from orchestrator.reproduce.task import Observation


def draw(observations: Mapping[tuple[str, str], Observation]) -> list[Drawing]:
    """The figures that there are observations for."""
    del observations
    return []
