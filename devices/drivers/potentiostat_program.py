"""Programs of the potentiostat role as the techniques of the bridge protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from devices.cell_limits import check_sweep
from devices.errors import LimitError
from devices.roles import PotentiostatCapabilities, Program

_REACHED_V = 1e-6
"""A record this near to the end voltage has reached it, V."""


def compile_programs(
    programs: Sequence[Program], capabilities: PotentiostatCapabilities, *, who: str
) -> dict[str, Any]:
    """The argument of ``TECHnique:LOAD`` for programs that run one after another.

    Args:
        programs: At least one; all with the same limits.
        capabilities: What the instrument can do.
        who: Name in errors.

    Raises:
        LimitError: The instrument does not have a mode or a frequency, or the programs do not go
            together. Ranges are the instrument's to check.
    """
    limits = programs[0].limits
    if any(program.limits != limits for program in programs):
        raise LimitError(who, "linked programs with different limits", remedy="give them the same")
    for program in programs:
        if program.mode not in capabilities.modes:
            raise LimitError(
                who,
                f"got mode {program.mode}, expected one of {', '.join(capabilities.modes)}",
                remedy="use an instrument that has it",
            )
        if program.sweep is not None:
            check_sweep(program.sweep, limits, capabilities, who=who)
    return {
        "limits": {
            "min_voltage_v": limits.min_voltage_v,
            "max_voltage_v": limits.max_voltage_v,
            "min_current_ma": limits.min_current_ma,
            "max_current_ma": limits.max_current_ma,
        },
        "techniques": [_technique(program, who) for program in programs],
    }


def _technique(program: Program, who: str) -> dict[str, Any]:
    own = _OWN[program.mode](program, who)
    return {**own, "record": {"dt_s": program.period_s}, **_end_test(program)}


def _current(program: Program, _who: str) -> dict[str, Any]:
    return {
        "technique": "cc",
        "current_ma": program.setpoint,
        "duration_s": program.duration_s,
    }


def _voltage(program: Program, _who: str) -> dict[str, Any]:
    return {
        "technique": "cv",
        "voltage_v": program.setpoint,
        "duration_s": program.duration_s,
    }


def _rest(program: Program, _who: str) -> dict[str, Any]:
    return {"technique": "ocv", "duration_s": program.duration_s}


def _scan(program: Program, who: str) -> dict[str, Any]:
    if program.scan_to_v is None:
        raise LimitError(who, "a scan without its end", remedy="give scan_to_v")
    rate = abs(program.scan_to_v - program.setpoint) / program.duration_s * 1e3
    return {
        "technique": "scan",
        "start_v": program.setpoint,
        "end_v": program.scan_to_v,
        "rate_mv_per_s": rate,
    }


def _impedance(program: Program, who: str) -> dict[str, Any]:
    sweep = program.sweep
    if sweep is None:
        raise LimitError(who, "a spectrum without a sweep", remedy="give its frequencies")
    frequencies = {
        "start_hz": sweep.start_hz,
        "end_hz": sweep.end_hz,
        "points": sweep.points,
        "cycles": sweep.cycles,
    }
    if sweep.quantity == "current":
        own = {"technique": "geis", "bias_ma": program.setpoint, "amplitude_ma": sweep.amplitude}
    else:
        bias: float | str = "ocv" if program.at_open_circuit else program.setpoint
        own = {"technique": "peis", "bias_v": bias, "amplitude_v": sweep.amplitude}
    return {**own, **frequencies}


_OWN: Mapping[str, Callable[[Program, str], dict[str, Any]]] = {
    "current": _current,
    "voltage": _voltage,
    "rest": _rest,
    "scan": _scan,
    "impedance": _impedance,
}


def _end_test(program: Program) -> dict[str, Any]:
    """The end condition as a limit test that ends the program."""
    if program.end_voltage_v is not None:
        rising = program.setpoint > 0
        value = program.end_voltage_v - (_REACHED_V if rising else -_REACHED_V)
        test = {"variable": "voltage_v", "comparison": ">" if rising else "<", "value": value}
    elif program.end_current_ma is not None:
        test = {
            "variable": "abs_current_ma",
            "comparison": "<",
            "value": program.end_current_ma,
        }
    else:
        return {}
    return {"tests": [test], "then": "stop"}
