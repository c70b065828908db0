"""What a host asks a 2450 while a program runs, and what the replies mean."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devices.adoption import Attached, Fit
from devices.drivers.keithley_2450 import TriggerStatus, parse_trigger_status
from devices.drivers.keithley_2450_program import (
    BUFFER,
    EXIT_BY_END,
    EXIT_BY_LIMIT,
    Compiled,
)
from devices.link_numbers import GarbledReplyError, parse_float, parse_int

STATE = ":TRIG:STAT?"
WITHOUT_EXITS = f":TRIG:STAT?;:OUTP?;:TRAC:ACT:END? {BUFFER}"
WITH_EXITS = (
    f"{WITHOUT_EXITS};:TRIG:BLOC:BRAN:COUN:COUN? {EXIT_BY_LIMIT}"
    f";:TRIG:BLOC:BRAN:COUN:COUN? {EXIT_BY_END}"
)
"""The state comes first: if it says that the program is over, everything after it is final."""


MARKS = ":TRIG:TIM3:COUN?;:TRIG:TIM4:COUN?"
"""Two timers that no program uses: what their counts are set to is known again, by any host, until
the instrument is switched off (count 0 to 1,048,575; 2461 manual, page 6-236)."""

_TOKEN_TOP = 1_048_575


@dataclass(frozen=True)
class Settings:
    """What protects the cell, and the mark of the program that it belongs to.

    Attributes:
        source: ``CURR`` or ``VOLT``.
        level: Source level, A or V.
        limit: VLIM or ILIM, V or A.
        rows: Readings that the buffer can hold.
        token: The program's mark.
    """

    source: str
    level: float
    limit: float
    rows: int
    token: str

    def fit(self, compiled: Compiled, token: str) -> bool:
        """Whether they are those of a program."""
        return (
            self.source == compiled.source
            and math.isclose(self.level, compiled.level, rel_tol=1e-6, abs_tol=1e-12)
            and math.isclose(self.limit, compiled.source_limit, rel_tol=1e-6)
            and self.rows >= compiled.records
            and self.token == token
        )


@dataclass(frozen=True)
class Status:
    """One look at the instrument.

    Attributes:
        trigger: Where the trigger model stands.
        output_on: Whether the output is on.
        rows: Records in the buffer.
        limit_exits: How often the exit on a limit was passed.
        end_exits: How often the exit on the end condition was passed.
    """

    trigger: TriggerStatus
    output_on: bool
    rows: int
    limit_exits: int
    end_exits: int

    @property
    def driven(self) -> bool:
        """Whether a program runs or the output is on."""
        return self.trigger.running or self.output_on

    @property
    def aborted(self) -> bool:
        """Whether the program was stopped."""
        return self.trigger.state == "ABORTED"


def said(status: Status) -> str:
    """A status in words."""
    output = "on" if status.output_on else "off"
    return f"trigger model {status.trigger.state.lower()}, output {output}, {status.rows} records"


def judged(status: Status, settings: Settings, mark: Mapping[str, Any], *, ours: bool) -> Attached:
    """How an instrument fits the mark of a program.

    Args:
        status: One look at it.
        settings: As read back.
        mark: As `keithley_2450_backend.Keithley2450Backend.mark` has given it.
        ours: Whether settings, token and exit blocks are those of the program.
    """
    text, index = said(status), mark["index"]
    if not ours:
        text = f"{text}; {settings}, expected token {mark['token']} and the settings of its program"
        nothing = not status.driven and not status.rows and settings.token != mark["token"]
        return Attached(Fit.GONE if nothing else Fit.FOREIGN, text)
    if not status.driven and not status.rows and not status.aborted and not index:
        return Attached(Fit.WAITING, text)
    if status.rows < index:
        return Attached(Fit.CLEARED, f"{text}, {index} were read before")
    if status.output_on and not status.trigger.running:
        return Attached(Fit.FOREIGN, text)
    return Attached(Fit.OURS)


def parse_trigger(reply: str) -> TriggerStatus:
    """Trigger status; `GarbledReplyError` for anything else."""
    try:
        return parse_trigger_status(reply)
    except ValueError:
        raise GarbledReplyError(f"got {reply!r}, expected a trigger state") from None


def parse_output(reply: str) -> bool:
    """Whether the output is on; `GarbledReplyError` for anything else."""
    if reply.strip() not in {"0", "1"}:
        raise GarbledReplyError(f"got {reply!r}, expected 0 or 1")
    return reply.strip() == "1"


def parse_status(reply: str) -> Status:
    """Fields of ``state;state;block;output;rows;limit exits;end exits``."""
    fields = reply.split(";")
    if len(fields) != 7 or fields[3] not in {"0", "1"} or not fields[0].isalpha():
        raise GarbledReplyError(f"got {reply!r}, expected state, output, rows and exits")
    try:
        block, rows, limit_exits, end_exits = map(int, (fields[2], *fields[4:]))
    except ValueError:
        raise GarbledReplyError(f"got {reply!r}, expected whole numbers") from None
    trigger = TriggerStatus(fields[0], block)
    return Status(trigger, fields[3] == "1", rows, limit_exits, end_exits)


def settings_query(compiled: Compiled) -> str:
    """Query for the `Settings` of a program."""
    limit = "VLIM" if compiled.source == "CURR" else "ILIM"
    source = f":SOUR:{compiled.source}"
    return f":SOUR:FUNC?;{source}?;{source}:{limit}?;:TRAC:POIN? {BUFFER};{MARKS}"


def parse_settings(reply: str) -> Settings:
    """The reply to `settings_query`; `GarbledReplyError` for anything else."""
    try:
        source, level, limit, rows, *counts = reply.split(";")
        numbers = parse_float(level), parse_float(limit), parse_int(rows)
        return Settings(source.strip(), *numbers, parse_token(";".join(counts)))
    except ValueError:
        raise GarbledReplyError(f"got {reply!r}, expected function, level, limit, rows") from None


def new_token() -> str:
    """A mark that no other program has: two counts that are not those of a reset."""
    return "-".join(str(2 + secrets.randbelow(_TOKEN_TOP - 1)) for _ in range(2))


def token_message(token: str) -> str:
    """What marks the loaded program in the instrument."""
    third, fourth = token.split("-")
    return f":TRIG:TIM3:COUN {third};:TRIG:TIM4:COUN {fourth}"


def parse_token(reply: str) -> str:
    """The reply to `MARKS`; `GarbledReplyError` for anything else."""
    counts = reply.split(";")
    if len(counts) != 2:
        raise GarbledReplyError(f"got {reply!r}, expected two counts")
    return "-".join(str(round(parse_float(count))) for count in counts)
