"""Types of the values people write: a number with its unit, a count, a name, a choice.

Each is put into `typing.Annotated`. It checks strictly (no text as numbers, no yes/no, no NaN),
says what it expected in words and what to do, and describes itself in the JSON schema.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError, core_schema
from typing_extensions import override

from orchestrator.inputs.problems import described, listed, nearest

PROBLEM = "operando_problem"
"""Type of every error raised here; its context holds `what` and `remedy`."""

_NUMBER_IN_TEXT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\d\s].*)?")


def problem(what: str, remedy: str, *, at_key: bool = False) -> PydanticCustomError:
    """A validation error that says what was found and what to do."""
    context = {"what": what, "remedy": remedy, "at_key": at_key}
    return PydanticCustomError(PROBLEM, "{what} ({remedy})", context)


def at(loc: tuple[str | int, ...], error: PydanticCustomError) -> ValidationError:
    """The same error at a key or index inside the value that is being validated."""
    detail = InitErrorDetails(type=error, loc=loc, input=None)
    return ValidationError.from_exception_data("value", [detail])


@dataclass(frozen=True)
class Expected(ABC):
    """Something that a value must be; the root of the types below."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What is expected, as in *got ..., expected ...*."""

    @abstractmethod
    def check(self, value: Any) -> Any:
        """The value as the model keeps it; raises `problem`."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """JSON schema of the value."""

    def refuse(self, value: Any, remedy: str) -> PydanticCustomError:
        """The error for a value that is not what was expected."""
        return problem(f"got {described(value)}, expected {self.words}", remedy)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Check with `check`, whatever the annotated type would accept."""
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe with `schema`."""
        return self.schema()


@dataclass(frozen=True)
class Quantity(Expected):
    """A finite number in a unit.

    Attributes:
        noun: What it is, with its article: ``"a current"``.
        unit: Its unit; empty for a pure number.
        gt, ge, lt, le: Bounds in that unit.
        nonzero: Whether 0 is refused.
    """

    noun: str
    unit: str
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    nonzero: bool = False

    @property
    @override
    def words(self) -> str:
        noun = self.noun
        if self.nonzero:
            noun = re.sub(r"^an? ", "a non-zero ", noun)
        unit = f" in {self.unit}" if self.unit else ""
        return f"{noun}{unit}{self._range()}"

    def _range(self) -> str:
        bounds = (
            ("greater than", self.gt),
            ("at least", self.ge),
            ("less than", self.lt),
            ("at most", self.le),
        )
        words = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
        return f", {' and '.join(words)}" if words else ""

    @override
    def check(self, value: Any) -> float:
        number = self._number(value)
        if self.nonzero and number == 0:
            raise self.refuse(value, "a sign gives the direction; to rest, use a rest step")
        outside = (
            (self.gt is not None and not number > self.gt)
            or (self.ge is not None and not number >= self.ge)
            or (self.lt is not None and not number < self.lt)
            or (self.le is not None and not number <= self.le)
        )
        if outside:
            raise self.refuse(value, "give a value in this range")
        return number

    def _number(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(value, self._unquoted(value))
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.refuse(value, "give a finite number; there is no unlimited")
        return number

    def _unquoted(self, value: Any) -> str:
        found = _NUMBER_IN_TEXT.fullmatch(value[:40]) if isinstance(value, str) else None
        if found is None:
            return "write a number without its unit" if self.unit else "write a number"
        if found[2] is None:
            return f"remove the quotes: {found[1]}"
        return f"write the number alone; the key's unit is {self.unit or 'none'}"

    @override
    def schema(self) -> dict[str, Any]:
        bounds = {
            "exclusiveMinimum": self.gt,
            "minimum": self.ge,
            "exclusiveMaximum": self.lt,
            "maximum": self.le,
        }
        found: dict[str, Any] = {"type": "number", "description": _sentence(self.words)}
        if self.nonzero:
            found["not"] = {"const": 0}
        return found | {name: bound for name, bound in bounds.items() if bound is not None}


@dataclass(frozen=True)
class Count(Expected):
    """A whole number; ``1e3`` is one.

    Attributes:
        noun: What is counted, with its article.
        ge, le: Bounds.
    """

    noun: str
    ge: int = 1
    le: int = 10**9

    @property
    @override
    def words(self) -> str:
        return f"{self.noun}, a whole number from {self.ge} to {self.le}"

    @override
    def check(self, value: Any) -> int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole:
            raise self.refuse(value, "write a whole number")
        if not self.ge <= value <= self.le:
            raise self.refuse(value, "give a value in this range")
        return int(value)

    @override
    def schema(self) -> dict[str, Any]:
        return {
            "type": "integer",
            "minimum": self.ge,
            "maximum": self.le,
            "description": _sentence(self.words),
        }


@dataclass(frozen=True)
class Text(Expected):
    """A short text without control characters.

    Attributes:
        noun: What it is, with its article.
        pattern: Regular expression that the whole text matches.
        form: The pattern in words.
        longest: Most characters.
    """

    noun: str
    pattern: str | None = None
    form: str = ""
    longest: int = 200

    @property
    @override
    def words(self) -> str:
        return f"{self.noun}{f' ({self.form})' if self.form else ''}"

    @override
    def check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.refuse(value, f'write a text; quote it if need be: "{described(value)}"')
        if not value.strip():
            raise self.refuse(value, "write at least one character")
        if len(value) > self.longest:
            what = f"got {len(value)} characters, expected {self.words} of at most {self.longest}"
            raise problem(what, "shorten it")
        if any(not c.isprintable() for c in value):
            raise self.refuse(value, "remove line breaks and control characters")
        if self.pattern is not None and re.fullmatch(self.pattern, value) is None:
            raise self.refuse(value, "rename it")
        return value

    @override
    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": "string",
            "minLength": 1,
            "maxLength": self.longest,
            "description": _sentence(self.words),
        }
        return found | ({"pattern": f"^(?:{self.pattern})$"} if self.pattern else {})


@dataclass(frozen=True)
class Choice(Expected):
    """One of a few words or numbers.

    Attributes:
        noun: What is chosen, with its article.
        options: What there is to choose from.
    """

    noun: str
    options: tuple[str | int | bool, ...]

    @property
    @override
    def words(self) -> str:
        return f"{self.noun}: {listed(described(option) for option in self.options)}"

    @override
    def check(self, value: Any) -> Any:
        for option in self.options:
            if type(option) is type(value) and option == value:
                return option
        words = [option for option in self.options if isinstance(option, str)]
        close = nearest(value, words) if isinstance(value, str) else None
        raise self.refuse(value, f"did you mean {close}?" if close else "choose one of these")

    @override
    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.options), "description": _sentence(self.words)}


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
