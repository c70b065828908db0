"""Impedance spectra of a potentiostat as ophyd shows them: rows of one stream, and series.

`ImpedanceSpectra` is the stream: one row per frequency, whoever asked for the spectrum (a step of
the protocol or a series beside it). `SpectrumSeries` is what a plan triggers: each trigger is one
spectrum, within the running step or, where none runs, of the cell at rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Device
from ophyd.status import Status

from devices.cell_checkpoint import array, column
from devices.cell_run import Outcome, SpectrumRequest
from devices.clock import Clock
from devices.derived import Analyses
from devices.errors import DeviceError
from devices.roles import CellLimits, Floats, SpectrumPoints, Sweep, Worker
from devices.signals import ReadbackSignal

if TYPE_CHECKING:
    from devices.potentiostat import Potentiostat

SMALL_SIGNAL_V = 0.02
"""Peak amplitude up to which a cell is taken to respond linearly, V [A]: less than the thermal
voltage RT/F, 25.7 mV at 25 C."""

STEP_SERIES = -1
"""Series of the spectra that are steps of the protocol."""

COLUMNS = (
    *("spectrum", "series", "frequency_hz", "z_real_ohm", "z_imag_ohm"),
    *("amplitude_v", "amplitude_ma", "dc_current_ma", "dc_voltage_v", "charge_mah"),
)
"""Columns of a page, as signals of the device."""


class ImpedanceSpectra(Device):
    """The spectra of one potentiostat; stageable, collectable.

    `collect_pages` gives one row per frequency of every whole spectrum since the last time. A
    row's time is that of its point.

    Args:
        prefix: Not used; ophyd passes it.
        name: Name of the device in documents.
        clock: The experiment's clock.
        wanted: Called when a spectrum was asked for.
        worker: Analyses spectra off the engine's loop; None does it at once.
        resource: The instrument's address, for the documents' `source`.
        **kwargs: As for `ophyd.Device`.

    Attributes:
        analyses: What is got out of each spectrum, beside the spectrum itself.
    """

    spectrum = Cpt(ReadbackSignal, value=-1, dtype="integer")
    series = Cpt(ReadbackSignal, value=-1, dtype="integer")
    frequency_hz = Cpt(ReadbackSignal, value=np.nan, units="Hz", precision=4)
    z_real_ohm = Cpt(ReadbackSignal, value=np.nan, units="ohm", precision=4)
    z_imag_ohm = Cpt(ReadbackSignal, value=np.nan, units="ohm", precision=4)
    amplitude_v = Cpt(ReadbackSignal, value=np.nan, units="V", precision=6)
    amplitude_ma = Cpt(ReadbackSignal, value=np.nan, units="mA", precision=6)
    dc_current_ma = Cpt(ReadbackSignal, value=np.nan, units="mA", precision=6)
    dc_voltage_v = Cpt(ReadbackSignal, value=np.nan, units="V", precision=6)
    charge_mah = Cpt(ReadbackSignal, value=0.0, units="mAh", precision=6)

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        clock: Clock,
        wanted: Callable[[], None],
        worker: Worker | None = None,
        resource: str = "",
        **kwargs: Any,
    ) -> None:
        self.clock, self.resource = clock, resource
        super().__init__(prefix, name=name, **kwargs)
        self._wanted, self._worker = wanted, worker
        self.analyses = Analyses(name, clock)
        self._requests: deque[SpectrumRequest] = deque()
        self._waiting: list[tuple[Floats, dict[str, Any]]] = []
        self._adopted, self._recorded = False, 0
        self._expected: dict[int, _Expected] = {}

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        taken, asked = self.spectrum.get() + 1, len(self._requests)
        return f"<{type(self).__name__} {self.name}: {taken} taken, {asked} asked for>"

    def stage(self) -> list[object]:
        """Begin a run: spectra count from zero, or go on where a run was adopted."""
        if not self._adopted:
            self.drop_all("a run began")
            self._waiting.clear()
            self.spectrum.update(-1)
            self._recorded = 0
        self._adopted = False
        staged: list[object] = super().stage()
        return staged

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        """Data keys of the pages."""
        described: dict[str, dict[str, Any]] = {}
        for name in COLUMNS:
            described.update(getattr(self, name).describe())
        return described

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        """Every whole spectrum since the last collection, as one page; nothing without one."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        stamps = np.concatenate([t_s for t_s, _ in waiting]).tolist()
        data = {
            getattr(self, name).name: np.concatenate([rows[name] for _, rows in waiting]).tolist()
            for name in COLUMNS
        }
        yield {"data": data, "timestamps": dict.fromkeys(data, stamps), "time": stamps}

    # --- after a crash --------------------------------------------------------------------------

    def checkpoint(self) -> dict[str, Any]:
        """Number of the last spectrum and those that are no page yet, JSON-able."""
        waiting = [
            {"t_s": t_s.tolist()} | {name: column(rows[name]) for name in COLUMNS}
            for t_s, rows in self._waiting
        ]
        return {"spectrum": self.spectrum.get(), "waiting": waiting}

    def restore(self, state: Mapping[str, Any], recorded: int) -> None:
        """Go on counting; the next `stage` keeps that.

        Args:
            state: What `checkpoint` has given.
            recorded: Number of spectra in the journal: those are no page again.
        """
        self.drop_all("a run began")
        self._expected.clear()
        self._adopted, self._recorded = True, recorded
        self.spectrum.update(state["spectrum"])
        self._waiting = []
        for rows in state["waiting"]:
            columns: dict[str, Any] = {name: array(rows[name]) for name in COLUMNS}
            for name in ("spectrum", "series"):
                columns[name] = columns[name].astype(int)
            if columns["spectrum"][0] >= recorded:
                self._waiting.append((array(rows["t_s"]), columns))

    def expect(
        self, sweep: Sweep, limits: CellLimits, series: int, *, at_rest: bool
    ) -> SpectrumRequest:
        """A spectrum is, or was, taken for a series of the run before; whoever claims it gets it.

        Args:
            sweep: Its frequencies and amplitude.
            limits: Limits at the cell where no step runs.
            series: Number of the series.
            at_rest: Whether the step stands still meanwhile.
        """
        expected = self._expected[series] = _Expected()
        request = SpectrumRequest(sweep, limits, series, expected.ended, at_rest=at_rest)
        self._requests.appendleft(request)
        return request

    def claim(self, series: int, done: Callable[[Outcome], None]) -> bool:
        """Be told of the spectrum that was taken for a series when the run was cut off, once.

        Returns:
            Whether there is one.
        """
        expected = self._expected.pop(series, None)
        if expected is not None:
            expected.claimed(done)
        return expected is not None

    # --- for the potentiostat -------------------------------------------------------------------

    def ask(self, request: SpectrumRequest) -> None:
        """Ask for a spectrum; those that were asked for before come first."""
        self._requests.append(request)
        self._wanted()

    @property
    def next(self) -> SpectrumRequest | None:
        """The spectrum that was asked for first; it stays until it is taken or dropped."""
        return self._requests[0] if self._requests else None

    def store(
        self,
        points: SpectrumPoints,
        began_s: float,
        charge_at: Callable[[float], float],
        request: SpectrumRequest | None,
    ) -> None:
        """Keep a whole spectrum, and tell who asked for it.

        Args:
            points: Its points.
            began_s: Experiment time from which theirs count, Unix s.
            charge_at: Net charge at an experiment time, mAh.
            request: Who asked for it; None for a step of the protocol.
        """
        t_s = began_s + points.elapsed_s
        rows = len(t_s)
        number = self.spectrum.get() + 1
        series = STEP_SERIES if request is None else request.series
        columns: dict[str, Any] = {
            "spectrum": np.full(rows, number),
            "series": np.full(rows, series),
            "frequency_hz": points.frequency_hz,
            "z_real_ohm": points.real_ohm,
            "z_imag_ohm": points.imag_ohm,
            "amplitude_v": points.amplitude_v,
            "amplitude_ma": points.amplitude_ma,
            "dc_current_ma": points.current_ma,
            "dc_voltage_v": points.voltage_v,
            "charge_mah": np.array([charge_at(float(one_s)) for one_s in t_s]),
        }
        if number >= self._recorded:
            self._waiting.append((t_s, columns))
        for name, values in columns.items():
            getattr(self, name).update(values[-1].item(), timestamp=float(t_s[-1]))
        self._analyse(points, number, float(t_s[-1]))
        outcome = Outcome(taken=True, text=_linearity(points), began_s=began_s)
        self._finish(request, outcome)

    def drop(
        self, request: SpectrumRequest | None, why: str, error: DeviceError | None = None
    ) -> None:
        """There will be no such spectrum."""
        self._finish(request, Outcome(taken=False, text=why, error=error))

    def drop_all(self, why: str) -> None:
        """Nobody gets a spectrum any more that was asked for until now."""
        while self._requests:
            self.drop(self._requests[0], why)

    def callback_failed(self, error: BaseException) -> None:
        """Nothing was promised; that who looks at a number failed ends the run elsewhere."""

    def _analyse(self, points: SpectrumPoints, number: int, t_s: float) -> None:
        """Get numbers out of a spectrum, if anybody wants some."""
        if not self.analyses:
            return

        def tell(found: Any, error: BaseException | None) -> None:
            if error is not None:
                raise error
            self.analyses.tell(found, number, t_s)

        if self._worker is None:
            tell(self.analyses.look(points), None)
        else:
            self._worker.submit(lambda: self.analyses.look(points), tell, owner=self)

    def _finish(self, request: SpectrumRequest | None, outcome: Outcome) -> None:
        if request is not None and request in self._requests:
            self._requests.remove(request)
            request.done(outcome)


class _Expected:
    """How a spectrum went that nobody of this process has asked for; told to who claims it."""

    def __init__(self) -> None:
        self._outcome: Outcome | None = None
        self._done: Callable[[Outcome], None] | None = None

    def ended(self, outcome: Outcome) -> None:
        """It is over."""
        self._outcome = outcome
        if self._done is not None:
            self._done(outcome)

    def claimed(self, done: Callable[[Outcome], None]) -> None:
        """Somebody wants to know, now or when it is over."""
        self._done = done
        if self._outcome is not None:
            done(self._outcome)


def _linearity(points: SpectrumPoints) -> str:
    largest_v = float(np.nanmax(points.amplitude_v))
    if largest_v <= SMALL_SIGNAL_V:
        return "ok"
    return (
        f"amplitude of {1e3 * largest_v:.0f} mV, more than {1e3 * SMALL_SIGNAL_V:.0f} mV: the cell "
        "may not respond linearly"
    )


class SpectrumSeries:
    """Spectra with the same frequencies, one at each trigger; Triggerable, Stoppable.

    Its rows are collected from `collects`. What is measured about: the direct current (or
    voltage) of the running step, whose time goes on meanwhile; where no step runs, or what is
    left of it is shorter than the sweep, the open cell, once the step is over. With `at_rest` the
    cell at rest, while the running step stands still.

    Args:
        potentiostat: Takes them.
        sweep: Frequencies and amplitude.
        limits: Limits at the cell where no step runs.
        number: Number of the series in its run.
        at_rest: Whether the cell is always measured at rest.

    Attributes:
        limits: As given; may be tightened for later spectra.

    Raises:
        LimitError: The potentiostat takes no spectra, or not these.
    """

    parent = None

    def __init__(
        self,
        potentiostat: Potentiostat,
        sweep: Sweep,
        *,
        limits: CellLimits,
        number: int = 0,
        at_rest: bool = False,
    ) -> None:
        potentiostat.check_spectrum(sweep, limits)
        self._potentiostat, self.collects = potentiostat, potentiostat.eis
        self.clock = potentiostat.clock
        self.name = f"{self.collects.name}_{number}" if number else self.collects.name
        self._sweep, self.limits, self._number = sweep, limits, number
        self._at_rest = at_rest
        self._request: SpectrumRequest | None = None
        self._done: Status | None = None
        common = {"clock": self.clock}
        self.new_frame = ReadbackSignal(name=f"{self.name}_new_frame", value=0, **common)
        self.quality = ReadbackSignal(name=f"{self.name}_quality", value="", **common)
        self.t_start_s = ReadbackSignal(
            name=f"{self.name}_t_start_s", value=np.nan, units="s", **common
        )
        self.expected_duration_s = ReadbackSignal(
            name=f"{self.name}_expected_duration_s", value=sweep.duration_s, units="s", **common
        )

    def trigger(self) -> Status:
        """Take one spectrum; asked again before it is taken, returns the same status."""
        if self._done is not None and not self._done.done:
            return self._done
        self.new_frame.update(0)
        self._done = Status(obj=self, timeout=None)
        self._request = SpectrumRequest(
            self._sweep, self.limits, self._number, self._ended, at_rest=self._at_rest
        )
        self.collects.ask(self._request)
        return self._done

    def adopt(self) -> Status | None:
        """Wait for the spectrum that was being taken when the run before was cut off.

        Returns:
            As `trigger` does; None where there is no such spectrum, so that it is missing.
        """
        self.new_frame.update(0)
        self._done = Status(obj=self, timeout=None)
        if not self.collects.claim(self._number, self._ended):
            self._done = None
        return self._done

    @property
    def frame(self) -> ReadbackSignal:
        """Number of the last spectrum."""
        number: ReadbackSignal = self.collects.spectrum
        return number

    def stop(self, *, success: bool = False) -> None:
        """Take no spectrum any more; one that goes on is not kept. Idempotent."""
        del success
        self.collects.drop(self._request, "aborted")
        self._potentiostat.spectrum_dropped()

    def _ended(self, outcome: Outcome) -> None:
        self._request = None
        self.quality.update(outcome.text)
        self.t_start_s.update(outcome.began_s)
        self.new_frame.update(int(outcome.taken))
        if self._done is None or self._done.done:
            return
        if outcome.error is not None:
            self._done.set_exception(outcome.error)
        else:
            self._done.set_finished()
