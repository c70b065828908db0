"""`summarize(plan)`: what a plan will do, at 80 columns, without an instrument."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aurora_unicycler import (
    ConstantCurrent,
    ConstantVoltage,
    ImpedanceSpectroscopy,
    OpenCircuitVoltage,
    VoltageScan,
)
from bluesky import Msg

from devices.technique import Technique
from orchestrator.session.line import COLUMNS, span

MOST_MESSAGES = 1_000_000
"""A plan with more messages than this is summarized up to there."""

_LONGEST_BLOCK = 24


def summarize(plan: Iterable[Msg], write: Callable[[str], Any] = print) -> None:
    """Say what a plan will do, with what repeats said once.

    The plan is gone through without the engine: nothing is sent anywhere, and every wait is over
    at once. What depends on time or on what is measured is therefore not seen: where a condition
    ends a run, how many frames are taken beside a long step. A plan can be gone through once only;
    make it again to run it.

    Args:
        plan: The plan, as for ``RE(...)``.
        write: Takes each line.

    Example:
        summarize(plans.in_situ_mri(pstat, mri, area_cm2=0.1257, cycles=3, max_capacity_mah=1,
                                    limits=CellLimits(-5, 5, -1, 1)))
    """
    lines: list[str] = []
    messages, longest_s = 0, 0.0
    for message in plan:
        messages += 1
        line = _said(message)
        if line and not (lines and lines[-1] == line and message.command in _ONCE):
            lines.append(line)
        longest_s += _longest_s(message)
        if messages >= MOST_MESSAGES:
            lines.append(f"... and more: only {MOST_MESSAGES} messages were looked at")
            break
    for line in _folded(lines):
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        write("\n".join(textwrap.wrap(line, COLUMNS, subsequent_indent=indent)))
    if longest_s:
        write(f"{messages} messages; steps and waits of at most {span(longest_s)} together.")
        write("Conditions may end it before; frames beside a step are taken as time allows.")


def _said(message: Msg) -> str:
    """A message in words; empty for what a person need not know."""
    say = _WORDS.get(message.command)
    return say(message) if say is not None else ""


def _name(thing: Any) -> str:
    return str(getattr(thing, "name", thing)).removesuffix("_attempt")


def _opened(message: Msg) -> str:
    shown = {**message.kwargs}
    sample = shown.get("sample")
    sample = sample.get("name", "") if isinstance(sample, Mapping) else sample or ""
    return " ".join(["open a run:", str(shown.get("plan_name", "")), str(sample)]).rstrip(" :")


def _configured(message: Msg) -> str:
    settings = message.args[0] if message.args else message.kwargs
    if not isinstance(settings, Mapping) or not settings:
        return ""
    return f"set {_name(message.obj)}: " + ", ".join(f"{k} {v}" for k, v in settings.items())


def _triggered(message: Msg) -> str:
    device = getattr(message.obj, "device", message.obj)
    if hasattr(device, "expected_duration_s"):
        return f"  begin a frame of {_name(device)}"
    if not hasattr(device, "read"):
        return f"watch for {_name(device)}"
    return f"  read {_name(device)}"


def _prepared(message: Msg) -> str:
    technique = message.args[0] if message.args else None
    if not isinstance(technique, Technique):
        return f"prepare {_name(message.obj)}"
    return f"  step {technique.step_index + 1}: {step_said(technique.step)}"


def _moved(message: Msg) -> str:
    return f"  move {_name(message.obj)} to {message.args[0]}" if message.args else ""


def _stored(message: Msg) -> str:
    return f"  event in the stream {message.kwargs.get('name', 'primary')}"


_WORDS: Mapping[str, Callable[[Msg], str]] = {
    "configure": _configured,
    "open_run": _opened,
    "close_run": lambda m: f"close the run: {m.kwargs.get('reason') or 'success'}",
    "trigger": _triggered,
    "prepare": _prepared,
    "set": _moved,
    "create": _stored,
    "sleep": lambda m: f"  wait {span(float(m.args[0]))}",
    "stop": lambda m: f"switch off {_name(m.obj)}" if hasattr(m.obj, "energised") else "",
    "pause": lambda _m: "  pause here",
    "input": lambda _m: "  ask for input",
}
_ONCE = frozenset({"trigger", "stop", "create"})
"""Said once where the same follows itself."""


def step_said(step: Any) -> str:
    """A step of the potentiostat in words, with units."""
    ends = [
        f"or until {value:g} {unit}"
        for field, unit in (("until_voltage_V", "V"), ("until_current_mA", "mA"))
        if (value := getattr(step, field, None)) is not None
    ]
    seconds = getattr(step, "until_time_s", None)
    duration = f"for {span(seconds)}" if seconds else ""
    tail = " ".join(part for part in (duration, *ends) if part)
    tail = tail.removeprefix("or ")
    if isinstance(step, ConstantCurrent):
        return f"{step.current_mA:+g} mA {tail}"
    if isinstance(step, ConstantVoltage):
        return f"hold {step.voltage_V:g} V {tail}"
    if isinstance(step, OpenCircuitVoltage):
        return f"rest {tail}"
    if isinstance(step, VoltageScan):
        return f"voltage scan {_fields(step)}"
    if isinstance(step, ImpedanceSpectroscopy):
        return (
            f"impedance {step.start_frequency_Hz:g} to {step.end_frequency_Hz:g} Hz, "
            f"{step.points_per_decade} points a decade"
        )
    return f"{type(step).__name__} {_fields(step)}"


def _fields(step: Any) -> str:
    kept = step.model_dump(exclude_none=True, exclude={"id", "step"})
    return ", ".join(f"{key} {value}" for key, value in kept.items())


def _longest_s(message: Msg) -> float:
    if message.command == "sleep":
        return float(message.args[0])
    if message.command == "prepare" and message.args and isinstance(message.args[0], Technique):
        return float(getattr(message.args[0].step, "until_time_s", None) or 0.0)
    return 0.0


def _folded(lines: list[str]) -> list[str]:
    """Blocks that repeat are said once, with how often."""
    found, at = [], 0
    while at < len(lines):
        length, times = max(
            ((n, _repeats(lines, at, n)) for n in range(1, _LONGEST_BLOCK + 1)),
            key=lambda pair: pair[0] * (pair[1] - 1),
        )
        if times > 1:
            found.append(f"  {times} times:")
            found += [f"  {line}" for line in lines[at : at + length]]
        else:
            length, times = 1, 1
            found.append(lines[at])
        at += length * times
    return found


def _repeats(lines: list[str], at: int, length: int) -> int:
    """How often the block at a place follows itself."""
    block, times = lines[at : at + length], 1
    while len(block) == length and lines[at + times * length : at + (times + 1) * length] == block:
        times += 1
    return times
