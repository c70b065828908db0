"""A potentiostat's program on a sample: what it applies, samples, records and when it ends.

A technique is sampled on a lattice of its own (at most 1 s apart, closer where records are closer
or follow a change), its limits and tests look at every sample, and its records
are a choice of them. Everything follows from the time at which the program began, so that neither
polling nor lateness changes anything. A spectrum is a second process beside the records: each of
its points is what the cell is at that point's own time, about the direct current that flows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.faults.upsets import MeterUpsets
from sim.instruments.potentiostat_program import (
    I_RANGES_MA,
    SCAN_STEP_V,
    Program,
    Technique,
)
from sim.instruments.smu_meter import NoiseStream
from sim.samples.impedance import impedance_ohm, with_noise
from sim.world import Floats, Sample

SAMPLING_S, FINE_SAMPLING_S = 1.0, 0.1
"""Longest time between samples; the same where records follow a change of voltage [A]."""

CURRENT_NOISE, VOLTAGE_NOISE = 1e-5, 2e-6
"""RMS noise of a sample as a share of the range [A]."""

COUNTER_GAIN = 1.0002
"""The charge counter is a circuit of its own, with an error of its own: 0.02 % [A]."""

ROW_COLUMNS = ("t_s", "current_ma", "voltage_v", "charge_mah", "technique")
POINT_COLUMNS = (
    *("t_s", "frequency_hz", "real_ohm", "imag_ohm", "current_ma", "voltage_v"),
    *("amplitude_ma", "amplitude_v", "technique"),
)

_CHUNK = 8192
_EARLY_S = 1e-6
"""What falls due this much later is done now, with its own time: sums of times are rounded."""

_FULL_SCALE = 1.05
_MA_S_PER_MAH = 3600.0


class Table:
    """Rows that only ever grow."""

    def __init__(self, columns: int) -> None:
        self._parts: list[Floats] = []
        self._columns, self.count = columns, 0

    def append(self, rows: Floats) -> None:
        """Add rows, shape (n, columns)."""
        self._parts.append(rows)
        self.count += len(rows)

    def rows(self, first: int, count: int) -> Floats:
        """Rows `first` to ``first + count - 1``, those that there are."""
        if len(self._parts) != 1:
            self._parts = [np.concatenate(self._parts or [np.empty((0, self._columns))])]
        return np.asarray(self._parts[0][first : first + count])


@dataclass
class _Lattice:
    """Where a technique samples: at multiples of a base and at its end.

    Attributes:
        t0_s: When it began.
        base_s: Time between samples.
        last: Number of the last sample; the first is 0.
        stride: A record is kept of every so many samples.
        end_s: Time of the last sample.
    """

    t0_s: float
    base_s: float
    last: int
    stride: int
    end_s: float

    def times_s(self, numbers: npt.NDArray[np.int64]) -> Floats:
        """Times of samples."""
        return np.asarray(np.minimum(self.t0_s + numbers * self.base_s, self.end_s))

    def due(self, t_s: float) -> int:
        """Number of the last sample that is due at `t_s`; -1 if none is."""
        if self.end_s <= t_s + _EARLY_S:
            return self.last
        number = math.floor((t_s + _EARLY_S - self.t0_s) / self.base_s)
        return min(number, self.last - 1)


class ProgramRun:
    """One program from its start on; times are seconds of the world.

    Args:
        sample: The cell.
        program: What to run.
        t_s: When it starts.
        noise: Noise of its samples.
        noise_factor: Scales the noise of the samples; 0 for none.
        seed: Seed of the noise of its spectra.
        spectra: Number of spectra that the instrument has begun before.
        upsets: Faults of the voltmeter.

    Attributes:
        start_s: When it started.
        technique: Number of the technique that runs, or ran last.
        reason: Why it ended; empty while it runs.
        records: Its records, `ROW_COLUMNS`.
        points: Points of its spectra, `POINT_COLUMNS`.
        spectra: Number of spectra begun, those before included.
        charge_mah: Its charge counter, net.
    """

    def __init__(
        self,
        sample: Sample,
        program: Program,
        t_s: float,
        *,
        noise: NoiseStream,
        noise_factor: float,
        seed: int,
        spectra: int,
        upsets: MeterUpsets,
    ) -> None:
        self._sample, self.program, self.start_s = sample, program, t_s
        self._noise, self._noise_factor, self._seed = noise, noise_factor, seed
        self._upsets = upsets
        self.records, self.points = Table(len(ROW_COLUMNS)), Table(len(POINT_COLUMNS))
        self.technique, self.reason, self.spectra = 0, "", spectra
        self.ended_s: float | None = None
        self.charge_mah = 0.0
        self._samples = 0
        self._begin(t_s)

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.ended_s is None

    @property
    def cell_on(self) -> bool:
        """Whether the cell is connected and driven: not at open circuit."""
        return self.running and self._now.kind != "ocv"

    @property
    def done_s(self) -> float:
        """Until when something was done to the cell; a moment after the present perhaps."""
        return max(self._lattice.t0_s, self._last_s)

    @property
    def last(self) -> Floats:
        """Last record."""
        return np.asarray(self.records.rows(self.records.count - 1, 1)[0])

    def advance(self, t_s: float) -> None:
        """Do everything that falls due until `t_s`."""
        while self.running and self._stretch(t_s):
            pass
        if self.running:
            self._measure_points(t_s)

    def stop(self, t_s: float) -> None:
        """End it at `t_s`, with a last record, and open the cell; idempotent."""
        self.advance(t_s)
        if not self.running:
            return
        t_s = max(t_s, self._last_s)
        if t_s - self.start_s > self.last[0] + _EARLY_S:
            self._take(np.array([t_s]), np.array([self._next]), closing=True)
        self._measure_points(t_s)
        self._end(t_s, "stopped")

    # --- inside ---------------------------------------------------------------------------------

    def _begin(self, t_s: float) -> None:
        """Begin the present technique."""
        now = self._now = self.program.techniques[self.technique]
        self._lattice, self._next, self._last_s = _lattice(now, t_s), 0, -math.inf
        self._levels = _levels(now)
        self._kept_v, self._kept_number = math.nan, 0
        self._last_ma = 0.0
        self._bias = now.value
        if now.forces_current:
            self._sample.apply_current(t_s, now.value)
        else:
            if math.isnan(now.value):  # held at the voltage that the open cell shows
                self._sample.apply_current(t_s, 0.0)
                open_v = float(self._sample.terminals(np.array([t_s])).voltage_v[0])
                self._bias = open_v if math.isfinite(open_v) else 0.0
            self._sample.apply_voltage(t_s, self._bias)
        if now.sweep is not None:
            self._point, self._point_ends = 0, now.sweep.ends_s()
            ones = np.ones(now.sweep.points, dtype=np.complex128)
            self._factors = with_noise(ones, seed=self._seed, spectrum_index=self.spectra)
            self.spectra += 1

    def _stretch(self, t_s: float) -> bool:
        """Take the samples that are due, at most up to a change; whether there were any."""
        due = self._lattice.due(t_s)
        if due < self._next:
            return False
        most = 1 if len(self._levels) else _CHUNK
        numbers = np.arange(self._next, min(due + 1, self._next + most))
        self._take(self._lattice.times_s(numbers), numbers)
        return True

    def _take(
        self, times_s: Floats, numbers: npt.NDArray[np.int64], *, closing: bool = False
    ) -> None:
        """Sample, look at limits and tests, keep records, and go on or end."""
        seen = self._sample.terminals(times_s)
        current_ma, voltage_v = self._measured(seen.current_ma, seen.voltage_v)
        voltage_v = self._upsets.readings(times_s, voltage_v)
        counted = self._counted(times_s, seen.current_ma)
        outside = self.program.limits.outside(voltage_v, current_ma)
        met = self._met(times_s, current_ma, voltage_v, counted)
        stops = np.flatnonzero(outside | met)
        upto = int(stops[0]) + 1 if len(stops) else len(times_s)
        ends = bool(len(stops)) or closing or numbers[upto - 1] == self._lattice.last
        kept = self._kept(numbers[:upto], voltage_v[:upto], final=ends)
        columns = (times_s - self.start_s, current_ma, voltage_v, counted)
        rows = np.column_stack([column[:upto][kept] for column in columns])
        self.records.append(np.column_stack([rows, np.full(len(rows), float(self.technique))]))
        self._upsets.kept(voltage_v[:upto])
        self._samples += upto
        self._next = int(numbers[upto - 1]) + 1
        self._last_s, self._last_ma = float(times_s[upto - 1]), _finite(seen.current_ma[upto - 1])
        self.charge_mah = float(counted[upto - 1])
        if closing:
            return
        if len(stops):
            self._stopped_by(limit=bool(outside[upto - 1]))
        elif ends:
            self._next_technique()
        elif len(self._levels) and self._next > 1:
            self._bias = float(self._levels[self._next - 1])
            self._sample.apply_voltage(self._last_s, self._bias)

    def _stopped_by(self, *, limit: bool) -> None:
        """A sample met the safety limits or the technique's own tests."""
        self._measure_points(self._last_s)
        if limit:
            self._end(self._last_s, "limit")
        elif self._now.then_stop:
            self._end(self._last_s, "test")
        else:
            self._next_technique(reason="test")

    def _next_technique(self, reason: str = "complete") -> None:
        self._measure_points(self._last_s)
        if self.technique + 1 == len(self.program.techniques):
            self._end(self._last_s, reason)
            return
        self.technique += 1
        self._begin(self._last_s)

    def _end(self, t_s: float, reason: str) -> None:
        """Open the cell, whatever the reason."""
        self._sample.apply_current(t_s, 0.0)
        self.ended_s, self.reason = t_s, reason

    def _measured(self, true_ma: Floats, true_v: Floats) -> tuple[Floats, Floats]:
        """Samples with noise; what overloads its range, or is no number, is NaN."""
        normal = self._noise.normal(self._samples, len(true_ma)) * self._noise_factor
        tops = np.array(I_RANGES_MA)
        fixed_ma, range_v = self.program.i_range_ma, self.program.e_range_v
        places = np.minimum(np.searchsorted(tops, np.abs(true_ma)), len(tops) - 1)
        ranges_ma = tops[places] if fixed_ma is None else np.full(true_ma.shape, fixed_ma)
        current_ma = true_ma + normal[:, 0] * CURRENT_NOISE * ranges_ma
        if self._now.kind == "ocv":
            current_ma = np.zeros(true_ma.shape)  # the relay is open
        with np.errstate(invalid="ignore"):
            voltage_v = true_v + normal[:, 1] * VOLTAGE_NOISE * range_v
            current_ma = np.where(np.abs(true_ma) <= ranges_ma * _FULL_SCALE, current_ma, np.nan)
            voltage_v = np.where(np.abs(true_v) <= range_v * _FULL_SCALE, voltage_v, np.nan)
        return current_ma, voltage_v

    def _counted(self, times_s: Floats, true_ma: Floats) -> Floats:
        """What the charge counter shows at each sample, mAh."""
        flowing = np.nan_to_num(true_ma, posinf=0.0, neginf=0.0)
        first = flowing[0] if self._last_s == -math.inf else self._last_ma
        before = np.concatenate(((first,), flowing[:-1]))
        since = max(self._last_s, self._lattice.t0_s)
        passed = 0.5 * (before + flowing) * np.diff(times_s, prepend=since)
        steps = COUNTER_GAIN / _MA_S_PER_MAH * passed
        # one sum from the first sample on: its rounding must not depend on who asked when
        return np.asarray(np.cumsum(np.concatenate(((self.charge_mah,), steps)))[1:])

    def _met(
        self, times_s: Floats, current_ma: Floats, voltage_v: Floats, charge_mah: Floats
    ) -> npt.NDArray[np.bool_]:
        """Which samples meet the technique's limit tests."""
        if not self._now.tests:
            return np.zeros(len(times_s), dtype=bool)
        columns = {
            "time_s": times_s - self._lattice.t0_s,
            "voltage_v": voltage_v,
            "current_ma": current_ma,
            "abs_current_ma": np.abs(current_ma),
            "charge_mah": charge_mah,
        }
        each = np.array([test.met(columns) for test in self._now.tests])
        return np.asarray(each.all(axis=0) if self._now.all_tests else each.any(axis=0))

    def _kept(
        self, numbers: npt.NDArray[np.int64], voltage_v: Floats, *, final: bool
    ) -> npt.NDArray[np.bool_]:
        """Which samples become records."""
        if math.isinf(self._now.change_v):
            kept = numbers % self._lattice.stride == 0
        else:
            kept = np.zeros(len(numbers), dtype=bool)
            for k, (number, volts) in enumerate(zip(numbers, voltage_v, strict=True)):
                late = number - self._kept_number >= self._lattice.stride
                changed = not abs(volts - self._kept_v) < self._now.change_v
                if number == 0 or late or changed:
                    kept[k], self._kept_v, self._kept_number = True, volts, int(number)
        kept[-1] |= final
        return np.asarray(kept)

    def _measure_points(self, t_s: float) -> None:
        """Measure the points of the spectrum that are complete at `t_s`."""
        sweep = self._now.sweep
        if sweep is None:
            return
        ends_s = self._lattice.t0_s + self._point_ends
        upto = int(np.searchsorted(ends_s, t_s + _EARLY_S, side="right"))
        if upto <= self._point:
            return
        part = slice(self._point, upto)
        hertz = sweep.frequencies_hz()[part]
        centres_s = ends_s[part] - 0.5 * sweep.cycles / hertz
        z_ohm = self._impedance_ohm(hertz, centres_s) * self._factors[part]
        seen = self._sample.terminals(centres_s)
        size = np.abs(z_ohm)
        given = np.full(len(hertz), sweep.amplitude)
        galvano = self._now.kind == "geis"
        amplitude_ma = given if galvano else given / size * 1e3
        amplitude_v = given * size * 1e-3 if galvano else given
        number = np.full(len(hertz), float(self.technique))
        columns = (centres_s - self.start_s, hertz, z_ohm.real, z_ohm.imag)
        direct = (seen.current_ma, np.where(np.isfinite(seen.voltage_v), seen.voltage_v, np.nan))
        self.points.append(np.column_stack([*columns, *direct, amplitude_ma, amplitude_v, number]))
        self._point = upto

    def _impedance_ohm(self, hertz: Floats, times_s: Floats) -> npt.NDArray[np.complex128]:
        """Impedance at each frequency, of the cell as it is at that moment."""
        return np.array(
            [
                impedance_ohm(hertz[k : k + 1], self._sample.resistances(float(times_s[k])))[0]
                for k in range(len(hertz))
            ],
            dtype=np.complex128,
        )


def _lattice(technique: Technique, t_s: float) -> _Lattice:
    duration_s, period_s = technique.duration_s, technique.period_s
    if technique.kind == "scan":
        steps = len(_levels(technique))
        base_s = duration_s / steps
        stride = max(1, round(period_s / base_s))
        return _Lattice(t_s, base_s, steps, stride, t_s + duration_s)
    longest_s = SAMPLING_S if math.isinf(technique.change_v) else FINE_SAMPLING_S
    stride = max(1, math.ceil(period_s / longest_s - 1e-9))
    base_s = period_s / stride
    last = max(1, math.ceil(duration_s / base_s - 1e-9))
    return _Lattice(t_s, base_s, last, stride, t_s + duration_s)


def _levels(technique: Technique) -> Floats:
    """Voltages of a scan's stairs, V; empty for what is not a scan."""
    if technique.kind != "scan":
        return np.empty(0)
    height_v = abs(technique.end_v - technique.value)
    return np.linspace(technique.value, technique.end_v, math.ceil(height_v / SCAN_STEP_V) + 1)


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0
