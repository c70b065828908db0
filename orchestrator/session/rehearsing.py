"""`rehearse` at the prompt: on a twin of the open bench, which is not touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.bench import Bench
    from orchestrator.rehearsal import Rehearsal


def rehearsing(bench: Bench) -> Callable[..., Rehearsal]:
    """The function `rehearse` of a session.

    Args:
        bench: The open bench, of which the profile, the data directory and the simulated sample
            are used.
    """

    def rehearse(what: str | Path | Callable[[Bench], Any], **options: Any) -> Rehearsal:
        """Run a file or a plan on a simulated twin of this bench; nothing real is touched.

        >>> rehearse("my.yaml")
        >>> rehearse(lambda twin: plans.in_situ_mri(twin.pstat, twin.mri, ...))

        Args:
            what: An experiment file, or a function that makes a plan from the twin.
            **options: As of `orchestrator.rehearse`: `bench`, `sample`, `days`, `keep`.

        Returns:
            What it came to; the prompt shows it as text.
        """
        from orchestrator.rehearsal import rehearse as on_twin  # matters to few sessions

        options.setdefault("data", bench.data)
        if bench.laboratory is not None and "bench" not in options:
            options.setdefault("sample", bench.laboratory.recipe)
        return on_twin(what, options.pop("bench", bench), **options)

    return rehearse
