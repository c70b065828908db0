"""What a session shows while the engine works: a table, one live line, and a plot."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.live import Live as LiveDisplay
from rich.text import Text

from devices.potentiostat import Potentiostat
from orchestrator.live import Present
from orchestrator.session.line import COLUMNS, bar, current, span, voltage
from orchestrator.session.plot import LivePlot
from orchestrator.session.table import LiveTable

if TYPE_CHECKING:
    from orchestrator.bench import Bench

log = logging.getLogger(__name__)

PARTS = ("table", "line", "plot")


class Screen:
    """Shows what goes on while a plan runs; drawn by the thread that called the engine.

    The engine never waits for it: documents and records leave rows, which are printed about four
    times a second of real time and once more when the engine pauses or ends.

    Args:
        bench: Whose engine is watched.
        stream: Where to draw; the live line only on a terminal.
        display: Whether there is a display for a plot; None asks the environment.

    Attributes:
        on: Which of `PARTS` are shown.
    """

    def __init__(
        self, bench: Bench, stream: TextIO | None = None, *, display: bool | None = None
    ) -> None:
        self._bench = bench
        self._console = Console(file=stream or sys.stdout, highlight=False)
        self._table, self._plot = LiveTable(), LivePlot(display=display)
        self.on = {"table": True, "line": True, "plot": self._plot.possible}
        self._live: LiveDisplay | None = None
        self._waits: list[Any] = []
        self._began_s = 0.0
        cells = [one for one in bench.devices.values() if isinstance(one, Potentiostat)]
        engine: Any = bench.RE
        token = engine.subscribe(self._document)
        self._ends: list[Callable[[], Any]] = [lambda: engine.unsubscribe(token)]
        self._ends += [cell.subscribe_records(self._records) for cell in cells]
        engine.ticker.tick, engine.ticker.rest = self.draw, self.rest
        engine.waiting_hook = self._waiting

    @property
    def can_plot(self) -> bool:
        """Whether there is a display."""
        return self._plot.possible

    def close(self) -> None:
        """Show nothing more."""
        self.rest()
        engine: Any = self._bench.RE
        engine.ticker.tick = engine.ticker.rest = engine.waiting_hook = None
        while self._ends:
            self._ends.pop()()
        self._plot.close()

    def draw(self) -> None:
        """Print new rows, renew the line and the plot; called while the engine works."""
        self._harmless(self._draw)

    def rest(self) -> None:
        """The engine has paused or ended: take the line away, print what is left."""
        self._harmless(self._rest)

    def _harmless(self, show: Callable[[], None]) -> None:
        """A view can harm only itself: what raises here would leave the engine unattended."""
        try:
            show()
        except Exception:
            log.exception("the live view failed and is switched off")
            self.on = dict.fromkeys(PARTS, False)

    def _draw(self) -> None:
        if self.on["line"] and self._console.is_terminal and self._live is None:
            self._live = LiveDisplay(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._print_rows()
        if self._live is not None:
            self._live.update(self.line(), refresh=True)
        if self.on["plot"]:
            self._plot.draw()

    def _rest(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._print_rows()
        if self.on["plot"]:
            self._plot.draw(at_once=True)

    def line(self) -> Text:
        """The live line: experiment time, where the cell stands, how far frames and moves are."""
        state = self._bench.live.snapshot()
        elapsed = span(state.elapsed_s) if state.state == "running" else ""
        parts = [f"{elapsed:>9}", *self._cell(state), *self._others(), *self._moves()]
        for least in (3, 2):  # current, then voltage make room
            if sum(len(part) + 2 for part in parts) > COLUMNS and len(parts) > least + 1:
                del parts[least]
        return Text("  ".join(parts)[:COLUMNS], no_wrap=True, overflow="ellipsis", style="bold")

    # --- inside ---

    def _cell(self, state: Present) -> list[str]:
        """Place and progress of the step, voltage, current; nothing where the cell is off."""
        for device in self._bench.devices.values():
            if isinstance(device, Potentiostat) and device.under_way is not None:
                where = f"cycle {state.cycle} step {state.step_index + 1}"
                now = (voltage(state.voltage_v), current(state.current_ma))
                return [f"{where} {bar(*device.under_way, width=8)}", *now]
        return []

    def _others(self) -> list[str]:
        """Frames under way."""
        return [
            f"{name} {bar(*way, width=6)}"
            for name, device in self._bench.devices.items()
            if not isinstance(device, Potentiostat)
            and (way := getattr(device, "under_way", None)) is not None
        ]

    def _moves(self) -> list[str]:
        """What the engine waits for, where it moves."""
        return [
            repr(device).strip("<>").partition(" ")[2]
            for device in self._waits
            if hasattr(device, "set") and hasattr(device, "position")
        ]

    def _document(self, name: str, doc: dict[str, Any]) -> None:
        self._table.document(name, doc)
        self._plot.document(name, doc)

    def _records(self, records: Any) -> None:
        self._table.records(records)
        self._plot.records(records)

    def _waiting(self, statuses: Any) -> None:
        """Called by the engine when it begins to wait for something, and when that is over."""
        found = [getattr(status, "obj", None) for status in statuses or ()]
        self._waits = [device for device in found if device is not None]

    def _print_rows(self) -> None:
        rows = self._table.take()
        if not self.on["table"]:
            return
        for row in rows:
            self._console.print(Text(row), soft_wrap=True)
