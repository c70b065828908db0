"""Runs experiments on a bench, attended or not.

``from orchestrator import open_bench`` is all that a script needs to begin with; what it stands
for is imported when it is first asked for, so that the command's help stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.bench import Bench, open_bench
    from orchestrator.experiment.loading import load_experiment
    from orchestrator.measuring.derived import derive
    from orchestrator.rehearsal import Rehearsal, rehearse
    from orchestrator.running import RunResult, run_experiment

__all__ = [
    "Bench",
    "Rehearsal",
    "RunResult",
    "derive",
    "load_experiment",
    "open_bench",
    "rehearse",
    "run_experiment",
]

_HOMES = {
    "Bench": "orchestrator.bench",
    "Rehearsal": "orchestrator.rehearsal",
    "RunResult": "orchestrator.running",
    "derive": "orchestrator.measuring.derived",
    "load_experiment": "orchestrator.experiment.loading",
    "open_bench": "orchestrator.bench",
    "rehearse": "orchestrator.rehearsal",
    "run_experiment": "orchestrator.running",
}


def __getattr__(name: str) -> Any:
    """A public name, imported at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """Public names, for completion."""
    return sorted({*globals(), *__all__})
