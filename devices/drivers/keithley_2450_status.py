"""What a host asks a 2450 while a program runs, and what the replies mean."""

from __future__ import annotations

from dataclasses import dataclass

from devices.drivers.keithley_2450 import TriggerStatus, parse_trigger_status
from devices.drivers.keithley_2450_program import BUFFER, EXIT_BY_END, EXIT_BY_LIMIT
from devices.link_numbers import GarbledReplyError, parse_float, parse_int

STATE = ":TRIG:STAT?"
WITHOUT_EXITS = f":TRIG:STAT?;:OUTP?;:TRAC:ACT:END? {BUFFER}"
WITH_EXITS = (
    f"{WITHOUT_EXITS};:TRIG:BLOC:BRAN:COUN:COUN? {EXIT_BY_LIMIT}"
    f";:TRIG:BLOC:BRAN:COUN:COUN? {EXIT_BY_END}"
)
"""The state comes first: if it says that the program is over, everything after it is final."""


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


def parse_settings(reply: str) -> tuple[str, float, float, int]:
    """Source function, level, limit and capacity; `GarbledReplyError` for anything else."""
    try:
        source, level, limit, rows = reply.split(";")
        return source.strip(), parse_float(level), parse_float(limit), parse_int(rows)
    except ValueError:
        raise GarbledReplyError(f"got {reply!r}, expected function, level, limit, rows") from None
