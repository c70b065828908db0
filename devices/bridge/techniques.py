"""Checks of a potentiostat's program before a vendor's library sees it; standard library only.

Each technique is a table of what it takes. What comes out has every default filled in, so that a
plug-in need not know them, and is what ``TECHnique:LOAD?`` answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from devices.bridge.protocol import Refusal

MAX_TECHNIQUES, MAX_TESTS, MAX_TOKEN = 20, 3, 64
VARIABLES = ("time_s", "voltage_v", "current_ma", "abs_current_ma", "charge_mah")

Check = Callable[[str, object], Any]
_REQUIRED = object()


def _number(low: float, high: float) -> Check:
    def check(where: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refusal(-104, f"{where}: got {value!r:.60}, expected a number")
        if not low <= value <= high:
            raise Refusal(-222, f"{where}: got {value!r:.40}, expected {low:g} to {high:g}")
        return float(value)

    return check


def _integer(low: int, high: int) -> Check:
    def check(where: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Refusal(-104, f"{where}: got {value!r:.60}, expected an integer")
        if not low <= value <= high:
            raise Refusal(-222, f"{where}: got {value!r:.40}, expected {low} to {high}")
        return value

    return check


def _word(*words: str) -> Check:
    def check(where: str, value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise Refusal(-224, f"{where}: got {value!r:.60}, expected one of {', '.join(words)}")
        return value

    return check


def _text(longest: int) -> Check:
    def check(where: str, value: object) -> str:
        if not isinstance(value, str):
            raise Refusal(-104, f"{where}: got {value!r:.60}, expected a text")
        if len(value) > longest:
            raise Refusal(-222, f"{where}: got {len(value)} characters, at most {longest}")
        return value

    return check


def _or_word(word: str, otherwise: Check) -> Check:
    return lambda where, value: word if value == word else otherwise(where, value)


def _table(fields: Mapping[str, tuple[Check, Any]]) -> Check:
    """An object with exactly these keys; a default stands for a key that is not there."""

    def check(where: str, value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Refusal(-104, f"{where}: got {value!r:.60}, expected an object")
        unknown = sorted(str(key)[:30] for key in set(value) - set(fields))
        if unknown:
            raise Refusal(-224, f"{where}: unknown {', '.join(unknown)}")
        held: dict[str, Any] = {}
        for name, (each, default) in fields.items():
            if name in value:
                held[name] = each(f"{where}.{name}", value[name])
            elif default is _REQUIRED:
                raise Refusal(-109, f"{where}: {name} is missing")
            else:
                held[name] = default
        return held

    return check


def _list(each: Check, low: int, high: int) -> Check:
    def check(where: str, value: object) -> list[Any]:
        if not isinstance(value, list):
            raise Refusal(-104, f"{where}: got {value!r:.60}, expected a list")
        if not low <= len(value) <= high:
            raise Refusal(-222, f"{where}: got {len(value)}, expected {low} to {high}")
        return [each(f"{where}[{number}]", one) for number, one in enumerate(value)]

    return check


_VOLTS, _MILLIAMPS, _SECONDS = _number(-1e3, 1e3), _number(-1e6, 1e6), _number(1e-3, 1e8)
_HERTZ = _number(1e-6, 1e8)

_TEST = _table({
    "variable": (_word(*VARIABLES), _REQUIRED),
    "comparison": (_word(">", "<"), _REQUIRED),
    "value": (_number(-1e9, 1e9), _REQUIRED),
})  # fmt: skip

_EVERY: Mapping[str, tuple[Check, Any]] = {
    "record": (
        _table({
            "dt_s": (_number(1e-6, 1e6), _REQUIRED),
            "de_v": (_number(1e-6, 1e3), None),
        }),
        _REQUIRED,
    ),
    "tests": (_list(_TEST, 0, MAX_TESTS), []),
    "combine": (_word("or", "and"), "or"),
    "then": (_word("next", "stop"), "next"),
}  # fmt: skip

_SWEEP: Mapping[str, tuple[Check, Any]] = {
    "start_hz": (_HERTZ, _REQUIRED),
    "end_hz": (_HERTZ, _REQUIRED),
    "points": (_integer(1, 10_000), _REQUIRED),
    "cycles": (_integer(1, 10_000), 1),
}

_OWN: Mapping[str, Mapping[str, tuple[Check, Any]]] = {
    "ocv": {"duration_s": (_SECONDS, _REQUIRED)},
    "cc": {"current_ma": (_MILLIAMPS, _REQUIRED), "duration_s": (_SECONDS, _REQUIRED)},
    "cv": {"voltage_v": (_VOLTS, _REQUIRED), "duration_s": (_SECONDS, _REQUIRED)},
    "scan": {
        "start_v": (_VOLTS, _REQUIRED),
        "end_v": (_VOLTS, _REQUIRED),
        "rate_mv_per_s": (_number(1e-6, 1e9), _REQUIRED),
    },
    "geis": {
        "bias_ma": (_MILLIAMPS, _REQUIRED),
        "amplitude_ma": (_number(1e-12, 1e6), _REQUIRED),
        **_SWEEP,
    },
    "peis": {
        "bias_v": (_or_word("ocv", _VOLTS), _REQUIRED),
        "amplitude_v": (_number(1e-9, 1e3), _REQUIRED),
        **_SWEEP,
    },
}
"""What each technique takes beside what every one takes."""


def _technique(where: str, value: object) -> dict[str, Any]:
    kind = value.get("technique") if isinstance(value, Mapping) else None
    if kind is None:
        raise Refusal(-109, f"{where}: technique is missing")
    word = _word(*_OWN)(f"{where}.technique", kind)
    held: dict[str, Any] = _table({
        "technique": (_word(word), _REQUIRED), **_OWN[word], **_EVERY,
    })(where, value)  # fmt: skip
    held["duration_s"] = duration_s(held)
    return held


_PROGRAM = _table({
    "limits": (
        _table({
            "min_voltage_v": (_VOLTS, _REQUIRED),
            "max_voltage_v": (_VOLTS, _REQUIRED),
            "min_current_ma": (_MILLIAMPS, _REQUIRED),
            "max_current_ma": (_MILLIAMPS, _REQUIRED),
        }),
        _REQUIRED,
    ),
    "techniques": (_list(_technique, 1, MAX_TECHNIQUES), _REQUIRED),
    "i_range_ma": (_or_word("auto", _number(0.0, 1e6)), "auto"),
    "e_range_v": (_or_word("auto", _number(0.0, 1e3)), "auto"),
    "bandwidth": (_integer(1, 9), 8),
    "token": (_text(MAX_TOKEN), ""),
})  # fmt: skip


def checked_program(given: Mapping[str, Any]) -> dict[str, Any]:
    """A program with every default filled in.

    Raises:
        Refusal: -224 for an unknown name or word, -104 for a wrong type, -109 for what is
            missing, -222 for a value out of range or outside the program's own limits.
    """
    held: dict[str, Any] = _PROGRAM("program", given)
    limits = held["limits"]
    for quantity in ("voltage_v", "current_ma"):
        if limits[f"min_{quantity}"] >= limits[f"max_{quantity}"]:
            raise Refusal(-222, f"limits: min_{quantity} is not below max_{quantity}")
    for number, technique in enumerate(held["techniques"]):
        _check_within(f"techniques[{number}]", technique, limits)
    return held


def duration_s(technique: Mapping[str, Any]) -> float:
    """How long a technique takes, s; a sweep at least the sum of the periods it measures."""
    if "duration_s" in technique:
        return float(technique["duration_s"])
    if technique["technique"] == "scan":
        height_v = abs(technique["end_v"] - technique["start_v"])
        return float(height_v / technique["rate_mv_per_s"] * 1e3)
    return float(sum(technique["cycles"] / hertz for hertz in frequencies_hz(technique)))


def frequencies_hz(technique: Mapping[str, Any]) -> list[float]:
    """Frequencies of a sweep in the order of measurement, evenly spaced in the logarithm."""
    start, end, points = technique["start_hz"], technique["end_hz"], technique["points"]
    if points == 1:
        return [start]
    ratio = math.log(end / start) / (points - 1)
    return [start * math.exp(ratio * number) for number in range(points)]


def _check_within(where: str, technique: Mapping[str, Any], limits: Mapping[str, float]) -> None:
    """What is forced, with its amplitude, lies inside the program's limits."""
    kind = technique["technique"]
    quantity, names = {
        "ocv": ("current_ma", ()),
        "cc": ("current_ma", ("current_ma",)),
        "cv": ("voltage_v", ("voltage_v",)),
        "scan": ("voltage_v", ("start_v", "end_v")),
        "geis": ("current_ma", ("bias_ma",)),
        "peis": ("voltage_v", ("bias_v",)),
    }[kind]
    swing = technique.get("amplitude_ma", technique.get("amplitude_v", 0.0))
    low, high = limits[f"min_{quantity}"], limits[f"max_{quantity}"]
    for name in names:
        value = technique[name]
        if value != "ocv" and not low <= value - swing <= value + swing <= high:
            raise Refusal(
                -222,
                f"{where}.{name}: got {value:g} +- {swing:g}, expected within {low:g} to {high:g}",
            )
