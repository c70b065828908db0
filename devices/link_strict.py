"""What an adapter cannot see: atomic questions, strict replies and errors that raise."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pymeasure.instruments import Instrument
from pymeasure.instruments.common_base import CommonBase, DynamicProperty

from devices.errors import InstrumentFault, LinkError
from devices.link_numbers import GarbledReplyError, parse_field, parse_int

MAX_ERRORS = 64
"""An error queue that never empties is a fault of its own (queues hold 20 to 64 entries)."""


@dataclass(frozen=True)
class _Expected:
    """What the reply to a property's query may look like.

    Attributes:
        words: Texts that the property maps to values; None: any text, since the property
            processes it before mapping; empty: numbers only.
        fields: Number of fields; None: any.
    """

    words: frozenset[str] | None
    fields: int | None


_ANYTHING = _Expected(frozenset(), None)


class StrictInstrumentMixin:
    """Strict behaviour for a PyMeasure driver class that comes after it.

    ``class Strict2450(StrictInstrumentMixin, Keithley2450)``.
    Works for instruments and channels, over a `Link` and over any other PyMeasure adapter.

    - A query and its reply are one exchange for all threads, repeated where that is safe.
    - A reply that is not what the property expects raises `LinkError`; upstream returns the text.
      Texts are accepted where the property casts to `str`, maps them to values, or its query is
      in `text_queries`. A property without `get_process_list` expects one field, unless
      `field_counts` says otherwise (None: any number).
    - 9.91e37 reads as NaN, ±9.9e37 as ±infinity.
    - `check_errors` raises `InstrumentFault` with the instrument's own text.

    Attributes:
        text_queries: Queries answered by text although their property does not say so.
        field_counts: Number of fields in the reply to a query.
        error_query: Query that takes the next entry out of the error queue.
    """

    text_queries: ClassVar[frozenset[str]] = frozenset()
    field_counts: ClassVar[Mapping[str, int | None]] = {}
    error_query: ClassVar[str] = "SYST:ERR?"

    adapter: Any
    name: str

    def ask(self, command: str, query_delay: float | None = None) -> str:
        """Send a query and return its reply, as one exchange.

        Raises:
            LinkError: No reply came in time.
        """
        link = _direct_link(self, query_delay)
        if link is not None:
            reply: str = link.ask(command)
            return reply
        return self._ask_by_parts(command, query_delay)

    def _ask_by_parts(self, command: str, query_delay: float | None) -> str:
        """Write and read through the driver's own methods, which may change both."""
        link = _link(self)
        parent: Any = super()
        if link is None:
            plain: str = parent.ask(command, query_delay)
            return plain
        with link.transaction():
            reply: str = parent.ask(command, query_delay)
            return reply

    def values(
        self,
        command: str,
        separator: str = ",",
        cast: Callable[[str], Any] = float,
        preprocess_reply: Callable[[str], str] | None = None,
        maxsplit: int = -1,
        *,
        fields: int | None = None,
        query_delay: float | None = None,
    ) -> list[Any]:
        """Send a query and return the fields of its reply, strictly converted.

        Args:
            command: Query.
            separator: What separates fields.
            cast: Type of each field.
            preprocess_reply: Applied to the reply before it is split.
            maxsplit: Largest number of splits; -1: no limit.
            fields: Number of fields expected; None: as the property's definition tells.
            query_delay: Time between writing and reading, s.

        Raises:
            LinkError: No reply came, or it has other fields than expected.
        """
        expected = _expected(_kind(self), command)
        count = fields if fields is not None else expected.fields

        def parse(reply: str) -> list[Any]:
            text = _preprocessed(reply.strip(), preprocess_reply)
            parts = text.split(separator, maxsplit=maxsplit)
            if count is not None and len(parts) != count:
                raise GarbledReplyError(f"got {len(parts)} fields in {text!r}, expected {count}")
            return [_field(part, cast, expected.words) for part in parts]

        link = _direct_link(self, query_delay)
        if link is not None:
            values: list[Any] = link.ask_for(command, parse)
            return values
        try:
            return parse(self.ask(command, query_delay))
        except GarbledReplyError as error:
            raise LinkError(
                _name(self), f"{command}: garbled reply, {error}", remedy="check the cable"
            ) from error

    def binary_values(self, command: str, query_delay: float | None = None, **kwargs: Any) -> Any:
        """Send a query and return the values of the block that answers it, as one exchange."""
        link = _link(self)
        parent: Any = super()
        if link is None:
            return parent.binary_values(command, query_delay, **kwargs)
        with link.transaction():
            return parent.binary_values(command, query_delay, **kwargs)

    @property
    def next_error(self) -> tuple[int, str]:
        """Take the next entry out of the error queue: code and text."""
        code, _, text = self.ask(self.error_query).partition(",")
        try:
            return parse_int(code), text.strip().strip('"')
        except GarbledReplyError as error:
            raise LinkError(
                _name(self), f"{self.error_query}: {error}", remedy="check the cable"
            ) from error

    def check_errors(self) -> list[Any]:
        """Empty the error queue.

        Returns:
            An empty list.

        Raises:
            InstrumentFault: The queue was not empty; the message holds its entries.
        """
        errors: list[str] = []
        while len(errors) < MAX_ERRORS:
            code, text = self.next_error
            if code == 0:
                break
            errors.append(f'{code} "{text}"')
        if errors:
            raise InstrumentFault(
                _name(self),
                f"reports {', '.join(errors)}",
                remedy="see the error list in the instrument's manual",
            )
        return []


def _name(driver: Any) -> str:
    """Name for messages: the link's, else the driver's own or its parent's."""
    link = _link(driver)
    return str(link.who if link is not None else getattr(_instrument(driver), "name", "driver"))


def _instrument(driver: Any) -> Any:
    """The instrument to which a channel belongs, or the instrument itself."""
    while not hasattr(driver, "adapter") and hasattr(driver, "parent"):
        driver = driver.parent
    return driver


def _link(driver: Any) -> Any:
    """The link under a driver; None where it runs over another kind of adapter."""
    return getattr(getattr(_instrument(driver), "adapter", None), "link", None)


def _direct_link(driver: Any, query_delay: float | None) -> Any:
    """The link, where the driver adds nothing of its own between `ask` and the wire."""
    return _link(driver) if not query_delay and _plain(_kind(driver)) else None


def _kind(driver: Any) -> Any:
    """Class of a driver, as a key of caches: mypy does not take a class for hashable."""
    return type(driver)


@functools.cache
def _plain(driver: type) -> bool:
    """Whether a driver class writes, reads and waits as PyMeasure's `Instrument` does."""
    names = ("write", "read", "wait_for")
    return all(getattr(driver, name, None) is getattr(Instrument, name) for name in names)


def _preprocessed(text: str, preprocess: Callable[[str], str] | None) -> str:
    if preprocess is None:
        return text
    try:
        return preprocess(text)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise GarbledReplyError(f"got {text!r}, which cannot be taken apart") from error


def _field(part: str, cast: Callable[[str], Any], words: frozenset[str] | None) -> Any:
    """One field, as a number or as one of the words the property knows."""
    if words is None or part in words:
        try:
            return parse_field(part, cast)
        except GarbledReplyError:
            return part
    return parse_field(part, cast)


@functools.cache
def _expected(driver: type, command: str) -> _Expected:
    """What a driver class expects of the reply to one query."""
    found = _properties(driver).get(command, _ANYTHING)
    counts: Mapping[str, int | None] = getattr(driver, "field_counts", {})
    texts: frozenset[str] = getattr(driver, "text_queries", frozenset())
    return _Expected(
        words=None if command in texts else found.words,
        fields=counts.get(command, found.fields),
    )


@functools.cache
def _properties(driver: type) -> dict[str, _Expected]:
    """Expectations of every property made by PyMeasure's creators, by query.

    The creators (`CommonBase.control`, `measurement`) keep a property's query, values and
    processing as default arguments of its getter, so that an unmodified driver can be read.
    """
    expectations: dict[str, _Expected] = {}
    for name in dir(driver):
        definition = inspect.getattr_static(driver, name)
        getter = definition.fget if isinstance(definition, (property, DynamicProperty)) else None
        options = _options(getter)
        query = options.get("get_command")
        if isinstance(query, str):
            mine = _expectation(options)
            expectations[query] = _merge(expectations.get(query, mine), mine)
    return expectations


def _options(getter: Any) -> dict[str, Any]:
    """Default arguments of a getter by name."""
    if getter is None or not getattr(getter, "__defaults__", None):
        return {}
    code, defaults = getter.__code__, getter.__defaults__
    names = code.co_varnames[: code.co_argcount]
    return dict(zip(names[-len(defaults) :], defaults, strict=True))


_DEFAULTS = {
    option: {
        id(inspect.signature(creator).parameters[option].default)
        for creator in (CommonBase.control, CommonBase.measurement)
    }
    for option in ("get_process", "get_process_list")
}
"""Identities of the creators' own do-nothing functions, kept alive by their signatures."""


def _expectation(options: Mapping[str, Any]) -> _Expected:
    plain = id(options.get("get_process")) in _DEFAULTS["get_process"]
    single = id(options.get("get_process_list")) in _DEFAULTS["get_process_list"]
    values = options.get("values")
    words: frozenset[str] | None = frozenset()
    if options.get("map_values") and isinstance(values, dict):
        texts = frozenset(value for value in values.values() if isinstance(value, str))
        words = texts if plain or not texts else None
    return _Expected(words, 1 if single else None)


def _merge(one: _Expected, other: _Expected) -> _Expected:
    """Expectation of two properties that send the same query."""
    words = None if one.words is None or other.words is None else one.words | other.words
    return _Expected(words, one.fields if one.fields == other.fields else None)
