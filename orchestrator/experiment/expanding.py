"""From a file with variables and a sweep to the content of each run, and back to one error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.experiment.campaign import OwnKeys, Sweep, worded
from orchestrator.experiment.variables import (
    OWN_KEYS,
    Scope,
    Substitution,
    references,
)
from orchestrator.inputs.models import validated
from orchestrator.inputs.problems import Finding, Path, Problem
from orchestrator.inputs.source import Source


@dataclass(frozen=True)
class Run:
    """What a file says of one run.

    Attributes:
        source: Its content, every reference replaced.
        values: What is varied, by name.
        problems: What is wrong with the variables.
        unknown: Paths that hold a reference which has no value; what is said of them is no news.
        sweep: The file's sweep; None where it has none.
    """

    source: Source
    values: dict[str, Any]
    problems: tuple[Problem, ...] = ()
    unknown: frozenset[Path] = frozenset()
    sweep: Sweep | None = None


def runs_of(source: Source) -> list[Run]:
    """Every run of a file; at least one, also where its variables are wrong.

    Args:
        source: The file, a mapping.
    """
    own, found = validated(OwnKeys, {k: source.data[k] for k in OWN_KEYS if k in source.data})
    if own is None:
        plain = Substitution(source)
        unknown = frozenset(path for path, _ in references(plain.source.data))
        return [Run(plain.source, {}, tuple(map(source.place, found)), unknown)]
    variables = own.variables or {}
    swept = {} if own.sweep is None else own.sweep.lists
    found = list(_unused_or_twice(source.data, variables, swept))
    scopes: Iterable[Scope] = [{}] if own.sweep is None else own.sweep.scopes()
    return [_run(source, scope, variables, own.sweep, found) for scope in scopes]


def _run(
    source: Source,
    swept: Scope,
    variables: Mapping[str, Any],
    sweep: Sweep | None,
    found: Sequence[Finding],
) -> Run:
    content = Substitution(source)
    scope = dict(swept)
    for name, value in variables.items():
        scope.setdefault(name, content.variable(name, value, scope))
    content.replace(scope)
    findings = [*found, *content.findings]
    return Run(
        content.source,
        {name: one.value for name, one in swept.items()},
        tuple(map(source.place, findings)),
        frozenset(content.unknown),
        sweep,
    )


def _unused_or_twice(
    data: Mapping[str, Any], variables: Mapping[str, Any], swept: Mapping[str, Any]
) -> Iterator[Finding]:
    """Names that are given for nothing, or twice."""
    content = {key: value for key, value in data.items() if key != "sweep"}
    used = {name for _, names in references(content) for name in names}
    form = "product" if "product" in (data.get("sweep") or {}) else "zip"
    for name in variables:
        if name in swept:
            what = "is swept too, expected one of both"
            yield Finding(("variables", name), what, "remove it here", at_key=True)
    for path in (
        *(("variables", name) for name in variables),
        *(("sweep", form, name) for name in swept),
    ):
        name = str(path[-1])
        if name not in used:
            what = f"is used nowhere, expected ${name} in the file"
            remedy = f"write ${name} where it is meant, or remove it"
            yield Finding(path, what, remedy, at_key=True)


def gathered(runs: Sequence[tuple[Mapping[str, Any], Sequence[Problem]]]) -> list[Problem]:
    """Problems of all runs, each once; one that only some runs have names the first of them.

    Args:
        runs: What is varied in each run, and its problems.
    """
    having: dict[Problem, list[int]] = {}
    for number, (_, problems) in enumerate(runs):
        for problem in dict.fromkeys(problems):
            having.setdefault(problem, []).append(number)
    told = [problem for problem, numbers in having.items() if len(numbers) == len(runs)]
    partly: dict[tuple[Any, ...], list[Problem]] = {}
    for problem in having:
        if problem not in told:
            found = problem.finding
            alike = (problem.file, problem.line, problem.column, found.path, found.remedy)
            partly.setdefault(alike, []).append(problem)
    for problems in partly.values():
        numbers = sorted({number for one in problems for number in having[one]})
        more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
        first = problems[0]
        what = f"{first.finding.what}, with {worded(dict(runs[numbers[0]][0]))}{more}"
        told.append(replace(first, finding=replace(first.finding, what=what)))
    return told
