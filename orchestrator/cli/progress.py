"""The live line of a running experiment, drawn from the newest state at 4 Hz."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live as LiveDisplay
from rich.text import Text

from orchestrator.cli.output import Output
from orchestrator.estimate import duration_s
from orchestrator.session.line import line, span

if TYPE_CHECKING:
    from orchestrator.bench import Bench
    from orchestrator.experiment import Experiment

__all__ = ["Drawing", "line", "shown", "span"]

_TERMINAL_PERIOD_S, _PLAIN_PERIOD_S = 0.25, 5.0


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
