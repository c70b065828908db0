"""Impedance spectra of a potentiostat as ophyd shows them: rows of one stream, and series.

`ImpedanceSpectra` is the stream: one row per frequency, whoever asked for the spectrum (a step of
the protocol or a series beside it). `SpectrumSeries` is what a plan triggers: each trigger is one
spectrum, within the running step or, where none runs, of the cell at rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from ophyd import Component as Cpt
from ophyd import Device
from ophyd.status import Status

from devices.adoption import FrameAdoption
from devices.cell_run import Outcome, SpectrumRequest
from devices.clock import Clock
from devices.derived import Analyses
from devices.derived_past import Delivered
from devices.errors import DeviceError
from devices.roles import CellLimits, Floats, SpectrumPoints, Sweep, Worker
from devices.signals import ReadbackSignal
from devices.spectra_adopting import COLUMNS, AdoptableSpectra, Expected

if TYPE_CHECKING:
    from devices.potentiostat import Potentiostat

SMALL_SIGNAL_V = 0.02
"""Peak amplitude up to which a cell is taken to respond linearly, V [A]: less than the thermal
voltage RT/F, 25.7 mV at 25 C."""

STEP_SERIES = -1
"""Series of the spectra that are steps of the protocol."""


class ImpedanceSpectra(AdoptableSpectra, Device):
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
        self._expected: dict[int, Expected] = {}

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
            self.analyses.late.clear()
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
        else:  # nobody waits for it: the next that is asked for is another
            self._expected.pop(series, None)
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
            if (
                self._adopted and number >= self._recorded
            ):  # a run that goes on looks at it once it has begun
                self.analyses.late.append(Delivered(number, t_s, lambda: points))
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
        self._joins, self._done = False, cast("Status | None", None)
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
        joins, self._joins = self._joins, False
        if joins and self.collects.claim(self._number, self._ended):
            return self._done
        self._request = SpectrumRequest(
            self._sweep, self.limits, self._number, self._ended, at_rest=self._at_rest
        )
        self.collects.ask(self._request)
        return self._done

    def checkpoint(self) -> dict[str, Any]:
        """Whether a spectrum is being taken, JSON-able."""
        return {"taking": self._joins or (self._done is not None and not self._done.done)}

    def adopt(self, state: Mapping[str, Any], recorded: int | None = None) -> FrameAdoption:
        """Look for the spectrum of the run before, once its potentiostat was adopted.

        If it goes on or is there, the next `trigger` joins it instead of asking for another.

        Args:
            state: The last `checkpoint`.
            recorded: Not needed: the potentiostat knows it.
        """
        del recorded
        self._joins = self.collects.expects(self._number)
        if self._joins:
            return FrameAdoption("running", "its spectrum goes on, or was taken meanwhile")
        if state["taking"]:
            return FrameAdoption("missing", "its spectrum was not begun, or not taken to its end")
        return FrameAdoption("none", "no spectrum was being taken")

    @property
    def frame(self) -> ReadbackSignal:
        """Number of the last spectrum."""
        number: ReadbackSignal = self.collects.spectrum
        return number

    def stop(self, *, success: bool = False) -> None:
        """Take no spectrum any more; one that goes on is not kept. Idempotent."""
        del success
        self._joins = False
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
