"""What a report shows of a run, found in its documents by shape and never by device name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.capacity import CapacityTable, capacity_table, is_battery
from orchestrator.analysis.cycles import CycleTable, Records, cycle_table, flowing
from orchestrator.analysis.shorts import RunAway, first_met, run_away
from orchestrator.records.runs import Columns, Run
from orchestrator.report.gaps import Pause, gaps_of
from orchestrator.report.imaging import Imaging, find_imaging
from orchestrator.report.impedance import Impedance, find_impedance
from orchestrator.report.micrographs import Micrographs, find_micrographs
from orchestrator.report.scales import configuration_of
from orchestrator.report.spectra import METHOD as SPECTRA
from orchestrator.report.surroundings import Surroundings, find_surroundings

Floats = npt.NDArray[np.float64]

SHORTS = ("hard_short", "soft_short")


@dataclass(frozen=True)
class Electrochemistry:
    """Records of the potentiostat.

    Attributes:
        device: Its name in the documents.
        records: Columns; times are seconds since the run began.
        area_cm2: Electrode area, cm2; NaN where the metadata has none.
        polarisation: Where |V| runs away.
        cycles: Per-cycle table; None without an area.
        capacity: Capacity by cycle; None where the cell is no battery.
        counter: Whether the instrument counts charge by itself; None where the run does not say.
    """

    device: str
    records: Records
    area_cm2: float
    polarisation: RunAway
    cycles: CycleTable | None
    capacity: CapacityTable | None
    counter: bool | None = None

    def beginning(self) -> tuple[float, float]:
        """Mean |V| (V) and |I| (mA) of the first stretch of current, until it stops or turns.

        What a pre-flight passed before the first cycle is no such stretch.
        """
        cycle = self.records.cycle
        on = flowing(self.records.current_ma) & (cycle >= min(1, int(cycle.max(initial=0))))
        sign = np.where(on, np.sign(self.records.current_ma), 0.0)
        begun = np.flatnonzero(sign)
        if not len(begun):
            return float("nan"), float("nan")
        first = int(begun[0])
        changed = np.flatnonzero(sign[first:] != sign[first])
        stretch = slice(first, first + int(changed[0]) if len(changed) else None)
        return (
            float(np.nanmean(np.abs(self.records.voltage_v[stretch]))),
            float(np.mean(np.abs(self.records.current_ma[stretch]))),
        )


@dataclass(frozen=True)
class Short:
    """A short of the cell.

    Attributes:
        kind: ``hard_short`` or ``soft_short``.
        time_s: Seconds since the run began.
        text: What was measured.
    """

    kind: str
    time_s: float
    text: str


@dataclass(frozen=True)
class Contents:
    """Everything a report shows.

    Attributes:
        start: Start document.
        stop: Stop document, or None.
        begin_s: Unix time at which the run began, s.
        echem: Records of the potentiostat, or None.
        imaging: Frames of magnetic resonance, or None.
        micrographs: Frames of a microscope, or None.
        impedance: Impedance spectra, or None.
        short: The short, or None.
        events: Time since the run began (s), kind and text of what happened.
        damage: What the journal has lost, in words; empty if it is whole.
        surroundings: Temperature and stack pressure, or None.
        gaps: Where nothing was recorded because the run had been cut off.
        parts: Uids of the runs that the experiment consists of, where it was cut off and resumed.
    """

    start: Mapping[str, Any]
    stop: Mapping[str, Any] | None
    begin_s: float
    echem: Electrochemistry | None
    imaging: Imaging | None
    micrographs: Micrographs | None
    impedance: Impedance | None
    short: Short | None
    events: tuple[tuple[float, str, str], ...]
    damage: str
    surroundings: Surroundings | None = None
    gaps: tuple[Pause, ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def sample(self) -> Mapping[str, Any]:
        """Sample metadata; empty where there is none."""
        sample = self.start.get("sample")
        return sample if isinstance(sample, Mapping) else {}

    @property
    def duration_s(self) -> float:
        """Time to the stop document, else to the last thing recorded, s."""
        if self.stop is not None and "time" in self.stop:
            return float(self.stop["time"]) - self.begin_s
        ends = [self.echem.records.time_s[-1]] if self.echem is not None else []
        ends += [self.imaging.end_s[-1]] if self.imaging is not None else []
        ends += [self.micrographs.end_s[-1]] if self.micrographs is not None else []
        return float(max(ends, default=0.0))

    @property
    def layered(self) -> bool:
        """Whether the overview is that of layers: frames in two dimensions, analysed or not."""
        imaging = self.imaging
        if imaging is None or imaging.spectra is not None:
            return False
        return imaging.analysis is not None or not (imaging.is_view or imaging.method == SPECTRA)

    @property
    def provenance(self) -> str:
        """``simulated``, ``measured`` or ``unknown``; simulated if any device says so."""
        return provenance_of(self.start)


def provenance_of(start: Mapping[str, Any]) -> str:
    """``simulated``, ``measured`` or ``unknown``, by a start document."""
    said = start.get("simulated")
    if isinstance(said, Mapping) and said:
        return "simulated" if any(said.values()) else "measured"
    if isinstance(said, bool):
        return "simulated" if said else "measured"
    return "unknown"


def gather(run: Run) -> Contents:
    """Read and analyse a run.

    Args:
        run: The run; it may lack a stop document, frames, or records.
    """
    begin_s, sample = float(run.start["time"]), _sample(run)
    echem = electrochemistry(run)
    imaging = find_imaging(run, begin_s, sample)
    events = _events(run.streams, begin_s)
    return Contents(
        start=run.start,
        stop=run.stop,
        begin_s=begin_s,
        echem=echem,
        imaging=imaging,
        micrographs=find_micrographs(run, begin_s, None if echem is None else echem.records),
        impedance=find_impedance(run, begin_s, sample),
        short=_short(run.stop, events, echem),
        events=events,
        damage=_damage(run),
        surroundings=find_surroundings(run.streams, begin_s),
        gaps=gaps_of(run, begin_s),
        parts=tuple(part.uid for part in run.parts),
    )


def electrochemistry(run: Run) -> Electrochemistry | None:
    """The potentiostat's records of a run; None where it has none. Frames are not looked at."""
    area_cm2 = _number(_sample(run).get("area_cm2"))
    found = _find_echem(run.streams, float(run.start["time"]), area_cm2=area_cm2)
    if found is None:
        return None
    stream = next(n for n, c in run.streams.items() if f"{found.device}_voltage_v" in c)
    counter = configuration_of(run.descriptors.get(stream), found.device).get("charge_counter")
    return found if counter is None else replace(found, counter=bool(counter))


def _sample(run: Run) -> Mapping[str, Any]:
    sample = run.start.get("sample")
    return sample if isinstance(sample, Mapping) else {}


def _damage(run: Run) -> str:
    parts = [
        f"{len(run.bad)} damaged lines left out" if run.bad else "",
        f"{run.missing} documents missing" if run.missing else "",
    ]
    return ", ".join(part for part in parts if part)


def _find_echem(
    streams: Mapping[str, Columns], begin_s: float, *, area_cm2: float
) -> Electrochemistry | None:
    """The stream with the most rows that has a voltage and a current of one device."""
    found: list[tuple[int, str, Columns]] = []
    for columns in streams.values():
        for key in columns:
            device = key.removesuffix("_voltage_v")
            if device != key and f"{device}_current_ma" in columns and len(columns[key]):
                found.append((len(columns[key]), device, columns))
    if not found:
        return None
    _, device, columns = max(found, key=lambda row: row[0])
    records = _records(columns, device, begin_s)
    known = np.isfinite(area_cm2) and area_cm2 > 0
    return Electrochemistry(
        device=device,
        records=records,
        area_cm2=area_cm2,
        polarisation=run_away(records.time_s, records.voltage_v, records.current_ma),
        cycles=cycle_table(records.of_cycles(), area_cm2=area_cm2) if known else None,
        capacity=capacity_table(records.of_cycles()) if is_battery(records) else None,
    )


def _records(columns: Columns, device: str, begin_s: float) -> Records:
    """Columns of one device; a missing charge is integrated from the current."""
    time_s = np.asarray(columns["time"], dtype=float) - begin_s
    current_ma = np.asarray(columns[f"{device}_current_ma"], dtype=float)
    cycle = columns.get(f"{device}_cycle")
    charge = columns.get(f"{device}_charge_mah")
    throughput = columns.get(f"{device}_throughput_mah")
    return Records(
        time_s=time_s,
        voltage_v=np.asarray(columns[f"{device}_voltage_v"], dtype=float),
        current_ma=current_ma,
        charge_mah=_integral(time_s, current_ma) if charge is None else np.asarray(charge, float),
        throughput_mah=(
            _integral(time_s, np.abs(current_ma))
            if throughput is None
            else np.asarray(throughput, float)
        ),
        cycle=np.ones(len(time_s), np.int64) if cycle is None else np.asarray(cycle, np.int64),
    )


def _integral(time_s: Floats, current_ma: Floats) -> Floats:
    """Charge by the current at the beginning of each interval, mAh."""
    return np.concatenate([[0.0], np.cumsum(np.diff(time_s) * current_ma[:-1])]) / 3600.0


def _events(streams: Mapping[str, Columns], begin_s: float) -> tuple[tuple[float, str, str], ...]:
    """Rows of every stream that has a kind and a text."""
    rows: list[tuple[float, str, str]] = []
    for columns in streams.values():
        for key in columns:
            device = key.removesuffix("_kind")
            if device == key or f"{device}_text" not in columns:
                continue
            rows += [
                (float(time) - begin_s, str(kind), str(text))
                for time, kind, text in zip(
                    columns["time"], columns[key], columns[f"{device}_text"], strict=True
                )
            ]
    return tuple(sorted(rows, key=lambda row: row[0]))  # of one moment in their own order


def _short(
    stop: Mapping[str, Any] | None,
    events: Sequence[tuple[float, str, str]],
    echem: Electrochemistry | None,
) -> Short | None:
    """The short that the run noted; looked for in the records if it had no time to note one."""
    for time_s, kind, text in events:
        for name in SHORTS:
            if kind == "condition" and text.startswith(name):
                return Short(name, time_s, text)
    reason = stop.get("reason") if stop is not None else ""
    if echem is None or (stop is not None and reason not in SHORTS):
        return None
    return _searched(reason if reason in SHORTS else "hard_short", echem.records)


def _searched(name: str, records: Records) -> Short | None:
    from plans import shorts  # it loads ophyd, which most reports do not need

    make = shorts.soft_short if name == "soft_short" else shorts.hard_short
    met = first_met(make, records.time_s, records.voltage_v, records.current_ma)
    return None if met is None else Short(name, met.t_s, met.text)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
