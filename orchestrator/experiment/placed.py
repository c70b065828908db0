"""Where each step of a file stands: in the method, in the block before it, in the one after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from orchestrator.experiment.steps import Step
from orchestrator.inputs.problems import Path

Steps: TypeAlias = Sequence[Step | None]
"""Steps in their order; None where one is not valid."""


def placed(method: Steps, before: Steps = (), after: Steps = ()) -> Iterator[tuple[Path, Step]]:
    """Every valid step with its place in the file."""
    parts: tuple[tuple[Path, Steps], ...] = (
        (("before",), before),
        (("protocol", "method"), method),
        (("after",), after),
    )
    for path, steps in parts:
        for index, step in enumerate(steps):
            if step is not None:
                yield (*path, index), step
