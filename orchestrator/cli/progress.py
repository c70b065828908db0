"""The live line of a running experiment, drawn from the newest state at 4 Hz."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live as LiveDisplay
from rich.text import Text

from orchestrator.cli.output import Output
from orchestrator.estimate import duration_s
from orchestrator.live import Present

if TYPE_CHECKING:
    from orchestrator.bench import Bench
    from orchestrator.experiment import Experiment

_DAY_S, _HOUR_S, _MINUTE_S = 86_400.0, 3600.0, 60.0
_COLUMNS = 80
_TERMINAL_PERIOD_S, _PLAIN_PERIOD_S = 0.25, 5.0


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
    """One line of at most 80 columns: time, cycle, step, voltage, current, frames, remaining.

    Where large numbers leave no room, the remaining time goes first, then step, frames and cycle.

    Args:
        state: The newest state.
        steps: Number of steps of the method.
        longest_s: Longest experiment time of the run, s.
    """
    left_s = max(0.0, longest_s - state.elapsed_s)
    parts = [
        (f"{span(state.elapsed_s):>8}", "bold"),
        (f"  cycle {state.cycle}", ""),
        (f"  step {state.step_index + 1}/{steps}", ""),
        (f"  {_voltage(state.voltage_v):>9}", "cyan"),
        (f"  {_current(state.current_ma):>10}", "green"),
        (_taken(state), ""),
        (f"  <= {span(left_s)} left", "dim"),
    ]
    for least in (6, 2, 5, 1):
        if sum(len(part) for part, _ in parts) <= _COLUMNS:
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


def _voltage(value_v: float | None) -> str:
    if value_v is None:
        return "--"
    return f"{value_v:+.4f} V" if abs(value_v) >= 1.0 else f"{value_v * 1e3:+.1f} mV"


def _current(value_ma: float | None) -> str:
    if value_ma is None:
        return "--"
    return f"{value_ma:+.1f} mA" if abs(value_ma) >= 10.0 else f"{value_ma:+.4f} mA"


class Drawing:
    """What is drawn while a run goes on.

    Args:
        display: The live line on a terminal; None where there is none.
    """

    def __init__(self, display: LiveDisplay | None = None) -> None:
        self._display = display

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        if self._display is not None:
            self._display.stop()
        try:
            yield
        finally:
            if self._display is not None:
                self._display.start()


@contextmanager
def shown(bench: Bench, experiment: Experiment, out: Output) -> Iterator[Drawing]:
    """Show the line while the engine works; nothing where progress is not welcome.

    On a terminal one line is redrawn in place and erased at the end; elsewhere a line is printed
    now and then.
    """
    if not out.progress or out.verbosity < 0:
        yield Drawing()
        return
    console = out.console()
    steps, longest_s = len(experiment.protocol.method), duration_s(experiment)

    def text() -> Text:
        return line(bench.live.snapshot(), steps, longest_s)

    if not console.is_terminal:
        with _ticking(bench, lambda: out.line(text().plain), period_s=_PLAIN_PERIOD_S):
            yield Drawing()
        return
    with (
        LiveDisplay(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as display,
        _ticking(bench, lambda: display.update(text(), refresh=True), period_s=_TERMINAL_PERIOD_S),
    ):
        yield Drawing(display)


@contextmanager
def _ticking(bench: Bench, draw: Callable[[], None], *, period_s: float) -> Iterator[None]:
    ticker = bench.RE.ticker
    ticker.tick, ticker.period_s = draw, period_s
    try:
        yield
    finally:
        ticker.tick, ticker.period_s = None, _TERMINAL_PERIOD_S
