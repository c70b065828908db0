"""A program of the potentiostat role, compiled for the Keithley 2450's trigger model.

The whole program is blocks on the instrument: it switches the output on, records on a trigger
timer, tests every record against the limits and the end condition, and switches the output off
in every case, whether or not a host is listening. Block numbers are the same in every program,
so that a host that attaches after a crash can ask how a program ended: two counter blocks, which
only the limit's and the end condition's exits pass, say which of them was taken.

Timing. A trigger timer restarts itself at every expiry, so its period does not accumulate the
time of the measurements, as a delay block would (2461 reference manual, 2461-901-01 Rev. A,
pages 6-235 to 6-242, with an example of this use). The 2450's own manual of 2013 (2450-901-01
Rev. B, page 8-216) advises against a timer's count in a trigger model: old firmware may differ.
The timer fires when it starts (STARt:GENerate), which gives the record at 0. A rest that is no
multiple of the period is a second timer. A program shorter than a measurement ends with it; on
hardware any record, and so the end, is late by up to a measurement's time.

Limits. The instrument's own source limit (VLIM, ILIM) clamps and keeps passing current (Rev. B,
page 6-72), so it is set a little outside the limits, where a clamped record is certain to be
outside too, and the branch on that record switches off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from devices.errors import LimitError
from devices.roles import CellLimits, PotentiostatCapabilities, Program

CAPABILITIES = PotentiostatCapabilities(
    modes=("current", "voltage", "rest"),
    limits=CellLimits(-20.0, 20.0, -1000.0, 1000.0),
    min_period_s=0.2,
    max_records=6_875_000,
    counter=False,
)
"""The 20 V range, where 1 A is available and no interlock is needed (data sheet SPEC-2450 Rev. A;
2461 manual, page 6-49). Four conversions of 1 power-line cycle (autozero, source readback) take
80 ms at 50 Hz; 0.2 s leaves as much again [A]. Records: the largest standard buffer (2461 manual,
page 3-10; PyMeasure has the same number for the 2450)."""

BUFFER = '"defbuffer1"'
EXIT_BY_LIMIT, EXIT_BY_END = 18, 21
"""Counter blocks that only the exits on a limit and on the end condition pass."""

_LIMIT_EXIT, _END_EXIT, _TIME_EXIT, _LAST = 17, 20, 14, 22
_LONGEST_PERIOD_S = 50_000.0
"""A timer's delay is at most 100,000 s (2461 manual, page 6-238)."""

_MEASUREMENT_S = 0.1
_SHORTEST_TIMER_S = 8e-6
_MARGIN, _MARGIN_V, _MARGIN_MA = 1.02, 0.01, 1e-5
_SMALLEST_VLIM_V, _SMALLEST_ILIM_MA = 0.02, 1e-6
_SPARE_ROWS = 10
_REACHED_V = 1e-6
"""The instrument compares for above and below; a record this near has reached the voltage. It is
the resolution of the 2 V range."""


@dataclass(frozen=True)
class Compiled:
    """A program as the instrument takes it.

    Attributes:
        messages: What to write, in order; nothing is energised by it.
        records: Records if it runs to its end in time.
        source: ``CURR`` or ``VOLT``.
        level: Source level, A or V.
        source_limit: VLIM or ILIM, V or A.
    """

    messages: tuple[str, ...]
    records: int
    source: str
    level: float
    source_limit: float


def compile_program(program: Program, *, who: str, remote_sense: bool = False) -> Compiled:
    """Check a program and compile it.

    Args:
        program: What to run.
        who: Name in errors.
        remote_sense: Measure the voltage with four wires.

    Raises:
        LimitError: It lies outside what the instrument or its own limits allow.
    """
    _check_limits(program, who)
    _check_times(program, who)
    _check_ends(program, who)
    periods, rest_s = _divide(program)
    records = periods + 1 + (1 if rest_s else 0)
    if records > CAPABILITIES.max_records:
        raise LimitError(
            who,
            f"{records} records in one program, the 2450's buffer holds {CAPABILITIES.max_records}",
            remedy="record less often or split the step",
        )
    limits = program.limits
    if program.mode == "voltage":
        source, level = "VOLT", program.setpoint
        largest_ma = max(abs(limits.min_current_ma), abs(limits.max_current_ma))
        source_limit = max(largest_ma * _MARGIN + _MARGIN_MA, _SMALLEST_ILIM_MA) * 1e-3
    else:
        source, level = "CURR", program.setpoint * 1e-3
        largest_v = max(abs(limits.min_voltage_v), abs(limits.max_voltage_v))
        source_limit = max(largest_v * _MARGIN + _MARGIN_V, _SMALLEST_VLIM_V)
    messages = (
        *_settings(source, level, source_limit, remote_sense=remote_sense),
        f":TRAC:POIN {records + _SPARE_ROWS},{BUFFER};:TRAC:CLE {BUFFER};"
        f":TRAC:FILL:MODE ONCE,{BUFFER}",
        *_timers(program.period_s, rest_s),
        *_blocks(program, periods + 1, tail=rest_s > 0.0),
    )
    return Compiled(messages, records, source, level, source_limit)


def _settings(
    source: str, level: float, source_limit: float, *, remote_sense: bool
) -> tuple[str, ...]:
    measured, limit = ("VOLT", "VLIM") if source == "CURR" else ("CURR", "ILIM")
    return (
        "*CLS;:FORM:DATA REAL;:FORM:BORD SWAP;:OUTP:CURR:SMOD HIMP;:OUTP:VOLT:SMOD HIMP",
        f':SOUR:FUNC {source};:SENS:FUNC "{measured}"',
        f":SOUR:{source}:RANG:AUTO ON;:SOUR:{source}:READ:BACK ON;:SENS:{measured}:RANG:AUTO ON;"
        f":SENS:{measured}:NPLC 1;:SENS:{measured}:RSEN {int(remote_sense)}",
        f":SOUR:{source}:{limit} {source_limit:.9g};:SOUR:{source} {level:.9g}",
    )


def _timers(period_s: float, rest_s: float) -> tuple[str, ...]:
    """Timer 1 records on a period from NOTIFY 1 on, timer 2 ends the rest after NOTIFY 2."""
    return (
        f":TRIG:TIM1:STAT OFF;:TRIG:TIM1:DEL {period_s:.9g};:TRIG:TIM1:COUN 0;"
        ":TRIG:TIM1:STAR:GEN ON;:TRIG:TIM1:STAR:STIM NOT1;:TRIG:TIM1:STAT ON",
        f":TRIG:TIM2:STAT OFF;:TRIG:TIM2:DEL {rest_s or 1.0:.9g};:TRIG:TIM2:COUN 1;"
        ":TRIG:TIM2:STAR:GEN OFF;:TRIG:TIM2:STAR:STIM NOT2;:TRIG:TIM2:STAT ON",
    )


def _blocks(program: Program, records: int, *, tail: bool) -> tuple[str, ...]:
    block = ":TRIG:BLOC:"
    nop = block + "NOP "
    limit, end = _limit_test(program), _end_test(program)
    loop = (
        f"{block}BUFF:CLE 1,{BUFFER};{block}SOUR:STAT 2,ON;{block}NOT 3,1;{block}WAIT 4,TIM1;"
        f"{block}MEAS 5,{BUFFER}",
        f"{block}BRAN:LIM:CONS 6,{limit},{_LIMIT_EXIT},5;"
        + (f"{block}BRAN:LIM:CONS 7,{end},{_END_EXIT},5;" if end else f"{nop}7;")
        + f"{block}BRAN:COUN 8,{records},4",
    )
    rest = (
        f"{block}NOT 9,2;{block}WAIT 10,TIM2;{block}MEAS 11,{BUFFER};"
        f"{block}BRAN:LIM:CONS 12,{limit},{_LIMIT_EXIT},11;"
        + (f"{block}BRAN:LIM:CONS 13,{end},{_END_EXIT},11" if end else f"{nop}13")
        if tail
        else f"{block}BRAN:ALW 9,{_TIME_EXIT};{nop}10;{nop}11;{nop}12;{nop}13"
    )
    exits = (
        f"{block}SOUR:STAT 14,OFF;{block}BRAN:ALW 15,{_LAST};{nop}16",
        f"{block}SOUR:STAT {_LIMIT_EXIT},OFF;{block}BRAN:COUN {EXIT_BY_LIMIT},1,{EXIT_BY_LIMIT};"
        f"{block}BRAN:ALW 19,{_LAST}",
        f"{block}SOUR:STAT {_END_EXIT},OFF;{block}BRAN:COUN {EXIT_BY_END},1,{EXIT_BY_END};"
        f"{nop}{_LAST}",
    )
    return (':TRIG:LOAD "Empty"', *loop, rest, *exits)


def _limit_test(program: Program) -> str:
    """What a record must not be: outside the voltage limits, or, at a forced voltage, current."""
    limits = program.limits
    if program.mode == "voltage":
        return f"OUT,{limits.min_current_ma * 1e-3:.9g},{limits.max_current_ma * 1e-3:.9g}"
    return f"OUT,{limits.min_voltage_v:.9g},{limits.max_voltage_v:.9g}"


def _end_test(program: Program) -> str:
    if program.end_current_ma is not None:
        end_a = program.end_current_ma * 1e-3
        return f"IN,{-end_a:.9g},{end_a:.9g}"
    if program.end_voltage_v is None:
        return ""
    sign, kind = (1.0, "ABOV") if program.setpoint > 0 else (-1.0, "BEL")
    end_v = f"{program.end_voltage_v - sign * _REACHED_V:.9g}"
    return f"{kind},{end_v},{end_v}"


def _divide(program: Program) -> tuple[int, float]:
    """Whole periods in the duration, and what is left, s (0 below a timer's resolution).

    What is left is long enough for a measurement, so that the last one begins on time; if need
    be the last interval takes in the last period.
    """
    periods = math.floor(program.duration_s / program.period_s + 1e-9)
    rest_s = program.duration_s - periods * program.period_s
    if rest_s <= _SHORTEST_TIMER_S:
        return periods, 0.0
    if rest_s < _MEASUREMENT_S and periods:
        return periods - 1, rest_s + program.period_s
    return periods, rest_s


def _check_limits(program: Program, who: str) -> None:
    limits, own = program.limits, CAPABILITIES.limits
    for name in ("min_voltage_v", "max_voltage_v", "min_current_ma", "max_current_ma"):
        value, edge = getattr(limits, name), getattr(own, name)
        if not abs(value) <= abs(edge):
            raise LimitError(
                who,
                f"limit {name} {value:g}, the 2450's own is {edge:g}",
                remedy="narrow the limits of the experiment",
            )
    if limits.min_voltage_v >= limits.max_voltage_v:
        raise LimitError(who, "min_voltage_v is not below max_voltage_v", remedy="swap them")
    low, high, unit = (
        (limits.min_voltage_v, limits.max_voltage_v, "V")
        if program.mode == "voltage"
        else (limits.min_current_ma, limits.max_current_ma, "mA")
    )
    if not low <= program.setpoint <= high:
        raise LimitError(
            who,
            f"setpoint {program.setpoint:g} {unit}, limits {low:g} to {high:g} {unit}",
            remedy="change the setpoint or the limits",
        )
    if program.mode == "rest" and program.setpoint:
        raise LimitError(
            who, f"setpoint {program.setpoint:g} mA at rest, expected 0", remedy="use mode current"
        )


def _check_times(program: Program, who: str) -> None:
    low, high = CAPABILITIES.min_period_s, _LONGEST_PERIOD_S
    if not low <= program.period_s <= high:
        raise LimitError(
            who,
            f"period_s {program.period_s:g} s, expected {low:g} to {high:g} s",
            remedy="choose another record period",
        )
    if not 0.0 < program.duration_s < math.inf:
        raise LimitError(
            who,
            f"duration_s {program.duration_s:g} s, expected a finite time above 0",
            remedy="give the step a duration",
        )


def _check_ends(program: Program, who: str) -> None:
    limits, end_v, end_ma = program.limits, program.end_voltage_v, program.end_current_ma
    if end_v is not None and (program.mode != "current" or not program.setpoint):
        raise LimitError(
            who, "end_voltage_v without a current", remedy="it ends a current step only"
        )
    if end_v is not None and not limits.min_voltage_v < end_v < limits.max_voltage_v:
        raise LimitError(
            who,
            f"end_voltage_v {end_v:g} V is not inside the limits {limits.min_voltage_v:g} to "
            f"{limits.max_voltage_v:g} V",
            remedy="leave room between the end voltage and the safety limit",
        )
    if end_ma is not None and (program.mode != "voltage" or not end_ma > 0.0):
        raise LimitError(
            who,
            f"end_current_ma {end_ma:g} mA in mode {program.mode}",
            remedy="it ends a voltage step and is larger than 0",
        )
