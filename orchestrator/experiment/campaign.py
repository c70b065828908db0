"""A campaign: one experiment file that says `sweep`, and one run for each of its points."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from pydantic import model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError
from typing_extensions import override

from orchestrator.experiment.metadata import Metadata
from orchestrator.experiment.model import Experiment
from orchestrator.experiment.variables import NAME, Scope, Variable, references
from orchestrator.inputs.fields import Choice, Expected, at, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import described, printable
from orchestrator.profile.models import BenchProfile

MAX_POINTS = 1000
"""Most runs of a campaign."""

POLICIES = ("stop", "go_on")
"""What may follow a run that failed."""

_FORMS = ("product", "zip")


_Found = tuple[tuple[str | int, ...], PydanticCustomError]
"""An error at a key or index inside a value."""


def _names(value: dict[str, Any]) -> Iterator[_Found]:
    for name in value:
        if re.fullmatch(NAME, name) is None:
            what = f"got '{printable(name)}', expected a name of letters, digits and '_'"
            yield (name,), problem(what, "rename it", at_key=True)


def _raise_all(errors: Sequence[_Found]) -> None:
    if errors:
        details = [InitErrorDetails(type=one, loc=loc, input=None) for loc, one in errors]
        raise ValidationError.from_exception_data("value", details)


def _not_storable(values: dict[str, Any]) -> list[_Found]:
    """What a start document cannot carry: NaN, huge numbers, keys with points in them."""
    try:
        Metadata().check({"values": values})
    except ValidationError as error:
        return [
            (one["loc"][1:], problem(one["ctx"]["what"], one["ctx"]["remedy"]))
            for one in error.errors()
        ]
    return []


@dataclass(frozen=True)
class _Lists(Expected):
    """The values that each swept variable takes."""

    @property
    @override
    def words(self) -> str:
        return "a list of values for each variable, as in {j: [0.1, 0.2]}"

    @override
    def check(self, value: Any) -> dict[str, tuple[Any, ...]]:
        if not isinstance(value, dict) or not value:
            raise self.refuse(value, "write `{name: [value, value]}`")
        found = list(_names(value))
        for name, values in value.items():
            if not isinstance(values, list | tuple) or not values:
                what = f"got {described(values)}, expected a list of values"
                found.append(((name,), problem(what, f"write `{printable(name)}: [...]`")))
                continue
            for path, _ in references(list(values)):
                what = "got a reference, expected a value: a sweep says what the names stand for"
                found.append(((name, *path), problem(what, "write the value")))
        _raise_all(found or _not_storable(value))
        return {name: tuple(values) for name, values in value.items()}

    @override
    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": f"^{NAME}$"},
            "additionalProperties": {"type": "array", "minItems": 1},
            "description": "The values of each variable.",
        }


class Sweep(StrictModel):
    """What is varied from run to run, as exactly one of `product` and `zip`.

    Attributes:
        product: Values of each variable; every combination is a run, the last name varies fastest.
        zip: Values of each variable, as many of each; the first of all are a run, and so on.
        on_failure: What follows a run that failed: `stop` ends the campaign, `go_on` does not.
    """

    product: Annotated[dict[str, tuple[Any, ...]], _Lists()] | None = None
    zip: Annotated[dict[str, tuple[Any, ...]], _Lists()] | None = None
    on_failure: Annotated[str, Choice("what follows a failed run", POLICIES)] = "stop"

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [form for form in _FORMS if getattr(self, form) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "neither product nor zip"
            what = f"got {got}, expected exactly one"
            raise problem(what, "write `product: {j: [0.1, 0.2]}`, or `zip` for lists side by side")
        if self.zip is not None and len({len(values) for values in self.zip.values()}) > 1:
            lengths = ", ".join(f"{len(v)} of {name}" for name, v in self.zip.items())
            what = f"got {lengths}, expected as many values of each"
            raise at(("zip",), problem(what, "complete the shorter list, or use product"))
        if self.count > MAX_POINTS:
            what = f"got {self.count} runs, expected at most {MAX_POINTS}"
            raise at((given[0],), problem(what, "sweep fewer values"))
        return self

    @property
    def lists(self) -> dict[str, tuple[Any, ...]]:
        """Values of each variable."""
        return self.product or self.zip or {}

    @property
    def count(self) -> int:
        """Number of runs."""
        lengths = [len(values) for values in self.lists.values()]
        return math.prod(lengths) if self.product is not None else lengths[0]

    def scopes(self) -> Iterator[Scope]:
        """What each name stands for, run by run."""
        form = "product" if self.product is not None else "zip"
        columns = [
            [Variable(value, ("sweep", form, name, i)) for i, value in enumerate(values)]
            for name, values in self.lists.items()
        ]
        rows = itertools.product(*columns) if form == "product" else zip(*columns, strict=True)
        for row in rows:
            yield dict(zip(self.lists, row, strict=True))


@dataclass(frozen=True)
class Variables(Expected):
    """Names for values that a file uses more than once."""

    @property
    @override
    def words(self) -> str:
        return "names with their values, as in {j: 0.1}"

    @override
    def check(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            raise self.refuse(value, "write `variables: {j: 0.1}`, or remove the key")
        _raise_all(list(_names(value)))
        return value

    @override
    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": f"^{NAME}$"},
            "description": "Names for values; $name stands for the value anywhere in the file.",
        }


class OwnKeys(StrictModel):
    """The keys of a file by which it is several experiments.

    Attributes:
        variables: Names for values that are used more than once.
        sweep: What is varied from run to run.
    """

    variables: Annotated[dict[str, Any], Variables()] | None = None
    sweep: Sweep | None = None


@dataclass(frozen=True)
class Point:
    """One run of a campaign.

    Attributes:
        number: Its number, from 1.
        values: What is varied, by name.
        experiment: What is done, checked.
    """

    number: int
    values: dict[str, Any]
    experiment: Experiment


@dataclass(frozen=True)
class Campaign:
    """What an experiment file asks for: one run, or one for each point of its sweep.

    Attributes:
        points: The runs, in order; at least one.
        profile: The bench that all were checked against; None where that was not asked for.
        sweep: What is varied; None for a file without `sweep`, which is one run.
        file: Where it was read from, an absolute path.
    """

    points: tuple[Point, ...]
    profile: BenchProfile | None = None
    sweep: Sweep | None = field(default=None, repr=False)
    file: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self.points[0].experiment.experiment

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is varied."""
        return tuple(self.points[0].values)

    def only(self, numbers: Sequence[int]) -> Campaign:
        """The campaign with some of its runs, which keep their numbers."""
        chosen = tuple(point for point in self.points if point.number in set(numbers))
        return Campaign(chosen, self.profile, self.sweep, self.file)


def worded(values: dict[str, Any]) -> str:
    """Values of a point as a person reads them: ``j = 0.1, sample = LLZO-7``."""
    return ", ".join(f"{name} = {short_value(value)}" for name, value in values.items())


def short_value(value: Any) -> str:
    """A value in a few characters; a mapping by its name."""
    if isinstance(value, dict):
        return printable(str(value.get("name") or value.get("model") or "..."))
    if isinstance(value, float):
        return f"{value:g}"
    return printable(value) if isinstance(value, str) else described(value)
