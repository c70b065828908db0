"""Spectra of a potentiostat that outlive their host: counted on, and told to who claims them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from devices.cell_checkpoint import array, column
from devices.cell_program import SpectrumPoints
from devices.cell_run import Outcome, SpectrumRequest
from devices.derived import Analyses
from devices.derived_past import Delivered
from devices.roles import CellLimits, Floats, Sweep
from devices.signals import ReadbackSignal

COLUMNS = (
    *("spectrum", "series", "frequency_hz", "z_real_ohm", "z_imag_ohm"),
    *("amplitude_v", "amplitude_ma", "dc_current_ma", "dc_voltage_v", "charge_mah"),
)
"""Columns of a page, as signals of the device."""


class Expected:
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


class AdoptableSpectra:
    """Mixin of `devices.impedance.ImpedanceSpectra`: a checkpoint, and going on from one."""

    spectrum: ReadbackSignal
    analyses: Analyses
    _requests: deque[SpectrumRequest]
    _waiting: list[tuple[Floats, dict[str, Any]]]
    _expected: dict[int, Expected]
    _adopted: bool
    _recorded: int

    def drop_all(self, why: str) -> None:
        """Nobody gets a spectrum any more that was asked for until now."""
        raise NotImplementedError

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
        self.analyses.late.clear()
        self._adopted, self._recorded = True, recorded
        self.spectrum.update(state["spectrum"])
        self._waiting = []
        for rows in state["waiting"]:
            columns: dict[str, Any] = {name: array(rows[name]) for name in COLUMNS}
            for name in ("spectrum", "series"):
                columns[name] = columns[name].astype(int)
            if columns["spectrum"][0] >= recorded:
                self._waiting.append((array(rows["t_s"]), columns))
                self.analyses.late.append(_delivered(*self._waiting[-1]))

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
        expected = self._expected[series] = Expected()
        request = SpectrumRequest(sweep, limits, series, expected.ended, at_rest=at_rest)
        self._requests.appendleft(request)
        return request

    def expects(self, series: int) -> bool:
        """Whether there is a spectrum to be claimed for a series."""
        return series in self._expected

    def claim(self, series: int, done: Callable[[Outcome], None]) -> bool:
        """Be told of the spectrum that was taken for a series when the run was cut off, once.

        Returns:
            Whether there is one.
        """
        expected = self._expected.pop(series, None)
        if expected is not None:
            expected.claimed(done)
        return expected is not None


def points_of(t_s: Floats, columns: Mapping[str, Any]) -> SpectrumPoints:
    """The points of a spectrum out of its rows, with times since the first of them."""
    return SpectrumPoints(
        elapsed_s=t_s - t_s[0],
        frequency_hz=columns["frequency_hz"],
        real_ohm=columns["z_real_ohm"],
        imag_ohm=columns["z_imag_ohm"],
        amplitude_v=columns["amplitude_v"],
        amplitude_ma=columns["amplitude_ma"],
        current_ma=columns["dc_current_ma"],
        voltage_v=columns["dc_voltage_v"],
    )


def _delivered(t_s: Floats, columns: Mapping[str, Any]) -> Delivered:
    number = int(columns["spectrum"][0])
    return Delivered(number, float(t_s[-1]), lambda: points_of(t_s, columns))
