"""The errors that a person sees when a file cannot be used: every problem, one line each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.errors import AlertError, ExperimentError, OrchestratorError, ProfileError
from orchestrator.inputs.problems import Problem, dotted, sorted_problems


def _sentence(problems: Sequence[Problem]) -> tuple[str, str, str]:
    """(who, what, remedy) whose usual form ``who: what (remedy)`` is one line per problem."""
    first, last = problems[0], problems[-1]
    who = f"{first.file}:{first.line}:{first.column}"
    text = "\n".join(map(str, problems)).removeprefix(f"{who}: ")
    remedy = last.finding.remedy
    return who, text.removesuffix(f" ({remedy})"), remedy


class _FileError(OrchestratorError):
    """An error of a file that a person wrote.

    Its text is one line ``file:line:column: path: what (remedy)`` per problem.

    Attributes:
        problems: Every problem, in order of position; at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted_problems(problems)
        who, what, remedy = _sentence(self.problems)
        super().__init__(who, what, remedy=remedy)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the problems, so that the error crosses processes."""
        return (type(self), (self.problems,))


class ExperimentFileError(_FileError, ExperimentError):
    """An experiment file cannot be used."""


class ProfileFileError(_FileError, ProfileError):
    """A bench profile cannot be used."""


class AlertsFileError(_FileError, AlertError):
    """A file of alerts cannot be used."""


def problem_lines(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """Problems as JSON-able objects, for ``--json``."""
    return [
        {
            "file": one.file,
            "line": one.line,
            "column": one.column,
            "path": dotted(one.finding.path),
            "what": one.finding.what,
            "remedy": one.finding.remedy,
        }
        for one in problems
    ]
