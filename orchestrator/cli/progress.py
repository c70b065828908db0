"""The live line of a running experiment, drawn from the newest state at 4 Hz."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live as LiveDisplay
from rich.text import Text

from orchestrator.bench import Bench
from orchestrator.cli.output import Output
from orchestrator.estimate import duration_s
from orchestrator.experiment import Experiment
from orchestrator.live import Present

_DAY_S, _HOUR_S, _MINUTE_S = 86_400.0, 3600.0, 60.0


def span(seconds: float) -> str:
    """A duration as a person says it: ``7.592 d``, ``4.4 h``, ``12 min``, ``8 s``."""
    if seconds >= 2 * _DAY_S:
        return f"{seconds / _DAY_S:.3f} d"
    if seconds >= 2 * _HOUR_S:
        return f"{seconds / _HOUR_S:.1f} h"
    if seconds >= 2 * _MINUTE_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds:.0f} s"


def line(state: Present, steps: int, longest_s: float) -> Text:
    """One line of at most 80 columns: time, cycle, step, voltage, current, frames, remaining."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{span(state.elapsed_s):>8}", style="bold")
    text.append(f"  cycle {state.cycle}  step {state.step_index + 1}/{steps}")
    volts = "--" if state.voltage_v is None else f"{state.voltage_v * 1e3:+.1f} mV"
    amps = "--" if state.current_ma is None else f"{state.current_ma:+.4f} mA"
    text.append(f"  {volts:>9}", style="cyan")
    text.append(f"  {amps:>10}", style="green")
    frames = sum((state.frames or {}).values())
    text.append(f"  frame {frames}")
    left_s = max(0.0, longest_s - state.elapsed_s)
    text.append(f"  <= {span(left_s)} left", style="dim")
    return text


@contextmanager
def shown(bench: Bench, experiment: Experiment, out: Output) -> Iterator[None]:
    """Show the line while the engine works; nothing where progress is not welcome."""
    if not out.progress or out.verbosity < 0:
        yield
        return
    console = out.console()
    steps, longest_s = len(experiment.protocol.method), duration_s(experiment)
    if not console.is_terminal:
        with _ticking(bench, _plainly(bench, console, steps, longest_s), period_s=5.0):
            yield
        return
    with LiveDisplay(console=console, auto_refresh=False, transient=True) as display:

        def draw() -> None:
            display.update(line(bench.live.snapshot(), steps, longest_s), refresh=True)

        with _ticking(bench, draw, period_s=0.25):
            yield


def _plainly(bench: Bench, console: Console, steps: int, longest_s: float) -> Callable[[], None]:
    """Without a terminal: a line now and then."""

    def draw() -> None:
        console.print(line(bench.live.snapshot(), steps, longest_s), soft_wrap=True)

    return draw


@contextmanager
def _ticking(bench: Bench, draw: Callable[[], None], *, period_s: float) -> Iterator[None]:
    ticker = bench.RE.ticker
    ticker.tick, ticker.period_s = draw, period_s
    try:
        yield
    finally:
        ticker.tick, ticker.period_s = None, 0.25
