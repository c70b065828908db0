"""What a file allows and a colleague would still ask about: each with its place and a remedy.

Errors are refused elsewhere; this is what can be run and is probably not meant. Everything here is
a pure function of the file (and of the bench's profile where that is known): `run` prints what
matters, `rehearse` prints all of it and adds what only a rehearsed run can show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.inputs.problems import Finding, Path, dotted

if TYPE_CHECKING:
    from orchestrator.experiment.model import Experiment
    from orchestrator.profile.models import BenchProfile


@dataclass(frozen=True)
class Advice:
    """Something that is allowed and probably not meant.

    Attributes:
        kind: Short name, for programs.
        path: Keys and indices from the top of the experiment file; empty for the run as a whole.
        what: What it is, with its number and unit.
        remedy: What its author can do.
        value: The number; None where there is none.
        expected: What it is compared with.
        unit: Of both.
        minor: Worth a word in a rehearsal, not before every run.
    """

    kind: str
    path: Path
    what: str
    remedy: str
    value: float | None = None
    expected: float | None = None
    unit: str = ""
    minor: bool = False

    def __str__(self) -> str:
        """``images[0].settings: what (remedy)``."""
        where = f"{dotted(self.path)}: " if self.path else ""
        return f"{where}{self.what} ({self.remedy})"

    @property
    def finding(self) -> Finding:
        """The same, for placing it at a line of the file."""
        return Finding(self.path, self.what, self.remedy)


def advice(experiment: Experiment, profile: BenchProfile | None = None) -> list[Advice]:
    """Everything that can be said of a file without running it, in the order of the file.

    Args:
        experiment: The validated file.
        profile: The bench it is for, where that is known.
    """
    from orchestrator.experiment.advice_conditions import condition_advice
    from orchestrator.experiment.advice_images import image_advice
    from orchestrator.experiment.advice_protocol import protocol_advice
    from orchestrator.experiment.advice_published import published_advice

    parts: Iterable[Callable[[Experiment, BenchProfile | None], list[Advice]]] = (
        protocol_advice,
        image_advice,
        condition_advice,
        published_advice,
    )
    return [one for part in parts for one in part(experiment, profile)]
