"""One line of 80 columns that says where a run stands, and numbers as people say them."""

from __future__ import annotations

from rich.text import Text

from orchestrator.live import Present

_DAY_S, _HOUR_S, _MINUTE_S = 86_400.0, 3600.0, 60.0
_UNITS = ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min"))
COLUMNS = 80
"""Width that everything here keeps to."""


def span(seconds: float) -> str:
    """A duration as a person says it: ``7.592 d``, ``4.4 h``, ``12 min``, ``8 s``."""
    if seconds >= 1000 * _DAY_S:
        return f"{seconds / _DAY_S:.0f} d"
    if seconds >= 2 * _DAY_S:
        return f"{seconds / _DAY_S:.3f} d"
    if seconds >= 2 * _HOUR_S:
        return f"{seconds / _HOUR_S:.1f} h"
    if seconds >= 2 * _MINUTE_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds:.0f} s"


def line(state: Present, steps: int, longest_s: float) -> Text:
    """One line of at most 80 columns: time, place, voltage, current, frames, surroundings, rest.

    Where large numbers leave no room, the remaining time goes first, then the step, frames, the
    surroundings and the cycle.

    Args:
        state: The newest state.
        steps: Number of steps of the method.
        longest_s: Longest experiment time of the run, s.
    """
    left_s = max(0.0, longest_s - state.elapsed_s)
    place, less = state.place(steps)
    parts = [
        (f"{span(state.elapsed_s):>8}", "bold"),
        (place, ""),
        (less, ""),
        (f"  {voltage(state.voltage_v):>9}", "cyan"),
        (f"  {current(state.current_ma):>10}", "green"),
        (_taken(state), ""),
        (state.surroundings(), "magenta"),
        (f"  <= {span(left_s)} left", "dim"),
    ]
    for least in (7, 2, 5, 6, 1):
        if sum(len(part) for part, _ in parts) <= COLUMNS:
            break
        parts[least] = ("", "")
    text = Text(no_wrap=True, overflow="ellipsis")
    for part, style in parts:
        text.append(part, style=style)
    return text


def _taken(state: Present) -> str:
    """Frames and spectra so far; one of them alone where the other is not taken."""
    frames = sum((state.frames or {}).values())
    words = [f"  frame {frames}"] if frames or not state.spectra else []
    return "".join([*words, f"  spectrum {state.spectra}" if state.spectra else ""])


def voltage(value_v: float | None) -> str:
    """A voltage as a person says it: ``+48.9 mV``."""
    if value_v is None:
        return "--"
    return f"{value_v:+.4f} V" if abs(value_v) >= 1.0 else f"{value_v * 1e3:+.1f} mV"


def current(value_ma: float | None) -> str:
    """A current as a person says it: ``+0.0126 mA``."""
    if value_ma is None:
        return "--"
    return f"{value_ma:+.1f} mA" if abs(value_ma) >= 10.0 else f"{value_ma:+.4f} mA"


def charge(value_mah: float, *, signed: bool = True) -> str:
    """A charge as a person says it: ``+2.095 µAh``, ``1.2570 mAh``."""
    sign = "+" if signed else ""
    if abs(value_mah) >= 1000.0:
        return f"{1e-3 * value_mah:{sign}.4g} Ah"
    if abs(value_mah) >= 0.1:
        return f"{value_mah:{sign}.4f} mAh"
    return f"{round(1e3 * value_mah, 3) + 0.0:{sign}.3f} µAh"


def bar(done_s: float, whole_s: float, *, width: int = 16) -> str:
    """``[####------] 12/30 min``: how much of a known time has passed, in experiment time."""
    share = min(max(done_s / whole_s, 0.0), 1.0) if whole_s > 0 else 1.0
    full = int(share * width)
    unit, name = next(
        (
            (s, n)
            for s, n in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min"))
            if whole_s >= 2 * s
        ),
        (1.0, "s"),
    )
    digits = 0 if whole_s / unit >= 20 else 1
    past = f"{done_s / unit:.{digits}f}/{whole_s / unit:.{digits}f} {name}"
    return f"[{'#' * full}{'-' * (width - full)}] {past}"
