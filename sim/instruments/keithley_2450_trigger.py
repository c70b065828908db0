"""TRIGger, INITiate and ABORt of the simulated 2450 (pages 6-124 to 6-173; 2461, 6-182 ff.)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Protocol

from sim.instruments.scpi import (
    Handler,
    ScpiError,
    boolean,
    choice,
    integer,
    number,
    string,
)
from sim.instruments.smu_buffer import ReadingBuffer
from sim.instruments.smu_trigger_blocks import (
    Always,
    Block,
    BufferClear,
    Counter,
    Delay,
    LimitBranch,
    LogEvent,
    Measure,
    Nop,
    Notify,
    SourceState,
    Timer,
    Wait,
)
from sim.instruments.smu_trigger_model import TriggerModel

_MOST_BLOCKS = 63
_MOST_WAITS = 8
_MOST_COUNT = 268_435_455
_DEFAULT = '"defbuffer1"'
_EVENT = re.compile(r"(TIM|TIMER|NOT|NOTIFY)(\d)\Z")


class TriggeredSmu(Protocol):
    """What these commands need of the instrument."""

    trigger: TriggerModel
    buffers: dict[str, ReadingBuffer]

    def on(self, header: str, execute: Handler | None = None, query: Handler | None = None) -> None:
        """Teach a header."""
        ...

    def setting(self, header: str, execute: Handler, query: Handler | None = None) -> None:
        """Teach a header whose command is refused while the trigger model runs."""
        ...

    def begin_program(self) -> None:
        """The trigger model is about to start."""
        ...

    @property
    def now_s(self) -> float:
        """Present of the instrument, s."""
        ...


class TriggerCommands:
    """Adds the commands to an instrument.

    Args:
        smu: The instrument.
    """

    def __init__(self, smu: TriggeredSmu) -> None:
        self._smu = smu
        smu.setting(":INITiate[:IMMediate]", self._initiate)
        smu.on(":ABORt", smu.trigger.abort)
        smu.on(":TRIGger:STATe", query=lambda: smu.trigger.describe_state(smu.now_s))
        smu.on(":TRIGger:BLOCk:LIST", query=self._list)
        smu.on(":TRIGger:BLOCk:BRANch:COUNter:COUNt", query=self._counter)
        smu.setting(":TRIGger:LOAD", self._load)
        self._add_blocks()
        self._add_timers()

    def _add_blocks(self) -> None:
        self._block(":BUFFer:CLEar", lambda name=_DEFAULT: BufferClear(self._name(name)))
        self._block(":SOURce:STATe", lambda state: SourceState(boolean(state)))
        self._block(":NOTify", lambda event: Notify(integer(event, 1, 8)))
        self._block(":MEASure", self._measure)
        self._block(":DELay:CONStant", lambda time: Delay(_delay(time)))
        self._block(":BRANch:ALWays", lambda target: Always(_target(target)))
        self._block(
            ":BRANch:COUNter",
            lambda count, target: Counter(integer(count, 1, _MOST_COUNT), _target(target)),
        )
        self._block(":BRANch:LIMit:CONStant", _limit)
        self._block(":LOG:EVENt", lambda kind, text: LogEvent(kind.upper(), string(text)[:31]))
        self._block(":NOP", lambda: Nop())
        self._smu.setting(":TRIGger:BLOCk:WAIT", self._wait)

    def _add_timers(self) -> None:
        head = ":TRIGger:TIMer<n>"
        self._timer(f"{head}:DELay", "delay_s", lambda text: number(text, 8e-6, 100_000.0))
        self._timer(f"{head}:COUNt", "count", lambda text: integer(text, 0, 1_048_575))
        self._timer(f"{head}:STARt:GENerate", "generate_at_start", boolean)
        self._smu.setting(
            f"{head}:STATe",
            lambda n, text: self._number(n).enable(on=boolean(text)),
            lambda n: str(int(self._number(n).enabled)),
        )
        self._smu.setting(
            f"{head}:STARt:STIMulus",
            lambda n, text: setattr(self._number(n), "stimulus", _stimulus(text)),
            lambda n: f"NOT{self._number(n).stimulus}" if self._number(n).stimulus else "NONE",
        )
        self._smu.on(f"{head}:CLEar", lambda n: self._number(n).stop())

    def _timer(self, header: str, name: str, convert: Callable[[str], object]) -> None:
        self._smu.setting(
            header,
            lambda n, text: setattr(self._number(n), name, convert(text)),
            lambda n: f"{getattr(self._number(n), name):.9G}",
        )

    def _number(self, number_of_timer: int) -> Timer:
        if number_of_timer not in self._smu.trigger.timers:
            raise ScpiError(-222)
        return self._smu.trigger.timers[number_of_timer]

    def _block(self, header: str, make: Callable[..., Block]) -> None:
        """A block whose parameters, after its number, are those of `make`."""

        def execute(place: str, *arguments: str) -> None:
            self._smu.trigger.define(integer(place, 1, _MOST_BLOCKS), make(*arguments))

        place = inspect.Parameter("place", inspect.Parameter.POSITIONAL_ONLY)
        own = inspect.signature(make).parameters.values()
        signature = inspect.Signature([place, *own])
        execute.__signature__ = signature  # type: ignore[attr-defined]
        self._smu.setting(f":TRIGger:BLOCk{header}", execute)

    def _name(self, text: str) -> str:
        name = string(text).lower()
        if name not in self._smu.buffers:
            raise ScpiError(-224, "Reading buffer does not exist")
        return name

    def _measure(self, name: str = _DEFAULT, count: str = "1") -> Measure:
        """Page 6-144; an infinite count is not simulated."""
        return Measure(self._name(name), integer(count, 1, 300_000))

    def _wait(self, place: str, first: str, *others: str) -> None:
        """Page 6-148: ``<event>[, <clear>][, <logic>, <event>[, <event>]]``."""
        words = [word.upper() for word in others]
        if words and words[0] in {"NEV", "NEVER"}:
            words.pop(0)
        logic, events = words[:1], words[1:]
        if logic and (logic[0] not in {"AND", "OR"} or not events):
            raise ScpiError(-224)
        waits = sum(isinstance(block, Wait) for block in self._smu.trigger.blocks.values())
        if waits >= _MOST_WAITS:
            raise ScpiError(-221, "Too many wait blocks")
        timers = tuple(_event("TIM", word) for word in (first.upper(), *events))
        block = Wait(timers, need_all=logic == ["AND"])
        self._smu.trigger.define(integer(place, 1, _MOST_BLOCKS), block)

    def _load(self, name: str, *arguments: str) -> None:
        """2461, pages 6-225, 6-231; templates "Empty" and "SimpleLoop" (count, delay, buffer)."""
        template = string(name).upper()
        if template == "EMPTY" and not arguments:
            self._smu.trigger.load_empty()
        elif template == "SIMPLELOOP" and 1 <= len(arguments) <= 3:
            self._load_simple_loop(*arguments)
        else:
            raise ScpiError(-224)

    def _load_simple_loop(self, count: str, delay: str = "0", name: str = _DEFAULT) -> None:
        """2461, page 6-231; the block list is what the manual says the template does."""
        blocks: list[Block] = [
            BufferClear(self._name(name)),
            Delay(_delay(delay)),
            Measure(self._name(name)),
            Counter(integer(count, 1, _MOST_COUNT), 2),
        ]
        self._smu.trigger.load_empty()
        for number_of_block, block in enumerate(blocks, start=1):
            self._smu.trigger.define(number_of_block, block)

    def _initiate(self) -> None:
        if not self._smu.trigger.blocks:
            raise ScpiError(-213, "Init ignored: the trigger model has no blocks")
        self._smu.begin_program()
        self._smu.trigger.initiate(self._smu.now_s)

    def _counter(self, place: str) -> str:
        number_of_block = integer(place, 1, _MOST_BLOCKS)
        if not isinstance(self._smu.trigger.blocks.get(number_of_block), Counter):
            raise ScpiError(-224)
        return str(self._smu.trigger.counter(number_of_block))

    def _list(self) -> str:
        blocks = sorted(self._smu.trigger.blocks.items())
        return "; ".join(f"{place}) {block}" for place, block in blocks)


def _delay(text: str) -> float:
    """2461, page 6-199."""
    seconds = number(text, 0.0, 10_000.0)
    if 0.0 < seconds < 167e-9:
        raise ScpiError(-222)
    return seconds


def _target(text: str) -> int:
    return integer(text, 1, _MOST_BLOCKS)


def _event(kind: str, word: str) -> int:
    """Number of a timer or notify event; no other event is simulated."""
    match = _EVENT.match(word)
    if match is None or not match[1].startswith(kind):
        raise ScpiError(-224)
    return integer(match[2], 1, 4 if kind == "TIM" else 8)


def _stimulus(text: str) -> int:
    return 0 if text.upper() == "NONE" else _event("NOT", text.upper())


def _limit(kind: str, low: str, high: str, target: str, measure: str = "0") -> LimitBranch:
    """Page 6-132; the values are swapped if they are the wrong way round (2461, page 6-191)."""
    integer(measure, 0, _MOST_BLOCKS)
    ends = sorted((number(low), number(high)))
    words = {"ABOV": "ABOV", "BEL": "BEL", "IN": "IN", "OUT": "OUT"}
    word = choice(kind, "ABOVe", "BELow", "INside", "OUTside")
    if word in {"ABOV", "BEL"}:
        ends = [number(low), number(high)]
    return LimitBranch(words[word], ends[0], ends[1], _target(target))  # type: ignore[arg-type]
