"""What only a rehearsed run can show: advice and violations, each with its place and number.

Pure functions of the course of a run, the experiment and what the bench allows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from aurora_unicycler import ConstantCurrent, ConstantVoltage

from orchestrator.experiment import Experiment
from orchestrator.experiment.advice import Advice
from orchestrator.experiment.advice_conditions import most_mah
from orchestrator.experiment.advice_protocol import THERMAL_VOLTAGE_V
from orchestrator.experiment.sem_settings import (
    HIGH_DOSE_UC_PER_CM2,
    SemSettings,
    frame_dose_uc_per_cm2,
)
from orchestrator.inputs.problems import Path
from orchestrator.rehearsal.findings import Margin, StepSummary
from orchestrator.rehearsal.timeline import HOUR_S
from orchestrator.rehearsal.watch import Course, Happening

_WORTH_A_WORD = 0.1
"""Part of a run that exposures may take of the protocol without a word."""

NEAR = 0.8
"""Part of a limit from which a word is said."""

_FEWEST_RECORDS_TO_A_VOLTAGE = 100
"""Records of a step that a voltage ends, below which its charge is uncertain by more than 1 %."""

_TROUBLE = {
    "frame_skipped": (
        "frames_skipped",
        "skipped because the device was busy with another",
        "take them less often, or make them shorter",
    ),
    "frame_missing": ("frames_missing", "missing", "the events of the timeline say why"),
    "frame_dropped": (
        "frames_dropped",
        "dropped because a condition ended the protocol",
        "nothing to do: it had begun under other conditions",
    ),
    "imaging_ended": (
        "imaging_ended",
        "failed last of several in a row, and no more were taken",
        "the events of the timeline say why",
    ),
}
"""By kind of event: kind of the advice, what happened to the frame, what to do."""


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsed run as the remarks see it.

    Attributes:
        experiment: The file.
        course: What happened.
        steps: What became of each step.
        margins: How near the run came to each limit.
        stop_reason: Why it ended.
        horizon_s: Experiment time after which rehearsals are cut off, s.
    """

    experiment: Experiment
    course: Course
    steps: Sequence[StepSummary]
    margins: Sequence[Margin]
    stop_reason: str
    horizon_s: float


def remarks(run: Rehearsed) -> list[Advice]:
    """Everything that can be said of a rehearsed run, in the order of the file."""
    return [
        *_cut_off(run),
        *_short_steps(run),
        *_voltage_ends(run),
        *_near_limits(run),
        *_frames(run),
        *_held(run),
        *_late_frames(run),
        *_dose(run),
        *_amplitudes(run),
        *_unmet(run),
    ]


def step_path(index: int, experiment: Experiment) -> Path:
    """Place of a step by its index, which is below 0 in the block before the method."""
    length = len(experiment.protocol.method)
    if index < 0:
        number = len(experiment.before) + index
        return ("before", number) if number >= 0 else ()  # else the pre-flight
    return ("protocol", "method", index) if index < length else ("after", index - length)


def _cut_off(run: Rehearsed) -> Iterator[Advice]:
    if run.stop_reason == "horizon":
        days = run.horizon_s / 86_400.0
        yield Advice(
            "horizon",
            ("protocol", "method"),
            f"after {days:g} d the experiment had not ended, and the rehearsal was cut off",
            "is there an end to it? If so, rehearse longer with --days",
            value=days,
            unit="d",
        )


def _short_steps(run: Rehearsed) -> Iterator[Advice]:
    every_s = run.experiment.protocol.record.time_s
    for step in run.steps:
        early = sum(n for reason, n in step.ended_by.items() if reason in ("voltage", "current"))
        if early and step.shortest_s < every_s:
            yield Advice(
                "step_over_at_once",
                step_path(step.index, run.experiment),
                f"the step was over after {step.shortest_s:.3g} s, before its first record: its end"
                " was met when it began",
                "check the sign of the current, or the value that ends it",
                value=step.shortest_s,
                expected=every_s,
                unit="s",
            )


def _voltage_ends(run: Rehearsed) -> Iterator[Advice]:
    """Charge of a step that a value ends is known to one record."""
    every_s = run.experiment.protocol.record.time_s
    for step in run.steps:
        by_value = step.ended_by.get("voltage", 0) + step.ended_by.get("current", 0)
        count = step.shortest_s / every_s
        if by_value and 1.0 <= count < _FEWEST_RECORDS_TO_A_VOLTAGE:
            yield Advice(
                "record_interval_of_capacity",
                step_path(step.index, run.experiment),
                f"a voltage or current ended the step after {step.shortest_s:.4g} s, "
                f"{count:.3g} records: its capacity is known to {100 / count:.1f} %",
                f"set record.time_s to {step.shortest_s / _FEWEST_RECORDS_TO_A_VOLTAGE:.2g}",
                value=count,
                expected=_FEWEST_RECORDS_TO_A_VOLTAGE,
            )


def _near_limits(run: Rehearsed) -> Iterator[Advice]:
    for one in run.margins:
        if NEAR <= one.used < 1.0 and not _is_setpoint(one, run.experiment):
            yield Advice(
                "limit_near",
                ("protocol", "safety", one.key),
                f"{one.reached:.4g} {one.unit} came within {100 * (1 - one.used):.0f} % of "
                f"{one.key} {one.limit:g} {one.unit} after {one.at_s / HOUR_S:.2f} h",
                "a cell a little worse than the simulated one would end the experiment there",
                value=one.reached,
                expected=one.limit,
                unit=one.unit,
            )


def _is_setpoint(margin: Margin, experiment: Experiment) -> bool:
    """Whether the protocol itself goes there, so that nothing can be worse."""
    if margin.key == "max_capacity_mAh":
        return most_mah(experiment.lower().method) <= margin.limit
    wanted: list[float | None] = []
    for step in experiment.lower().method:
        if isinstance(step, ConstantCurrent):
            wanted += [step.current_mA, step.until_voltage_V]
        elif isinstance(step, ConstantVoltage):
            wanted.append(step.voltage_V)
    near = 0.02 * abs(margin.limit)
    return any(one is not None and abs(one - margin.reached) <= near for one in wanted)


def _frames(run: Rehearsed) -> Iterator[Advice]:
    """Frames that the run asked for and did not get."""
    for event_kind, (kind, text, remedy) in _TROUBLE.items():
        by_device: dict[str, list[Happening]] = {}
        for one in run.course.events:
            if one.kind == event_kind:
                by_device.setdefault(one.text.partition(":")[0], []).append(one)
        for device, events in by_device.items():
            yield Advice(
                kind,
                _series_of(device, run.experiment),
                f"{device}: {len(events)} {'frame' if len(events) == 1 else 'frames'} {text}, the "
                f"first after {events[0].time_s / HOUR_S:.2f} h",
                remedy,
                value=float(len(events)),
                minor=event_kind == "frame_dropped",
            )


def _series_of(device: str, experiment: Experiment) -> Path:
    """Place of the first series of a device; of the spectra where it takes no images."""
    index = next((k for k, one in enumerate(experiment.images) if one.device == device), None)
    if index is not None:
        return ("images", index, "when")
    return ("spectra",) if experiment.spectra else ()


def _held(run: Rehearsed) -> Iterator[Advice]:
    """Exposures for which the protocol stands still make it longer."""
    spans = run.course.held
    whole_s = sum(ended - began for began, ended in spans)
    if whole_s > _WORTH_A_WORD * run.course.duration_s:
        index = next((k for k, one in enumerate(run.experiment.images) if one.cell != "keep"), 0)
        yield Advice(
            "held_for_exposures",
            ("images", index, "cell"),
            f"the protocol stands still for {len(spans)} exposures, {whole_s / HOUR_S:.3g} h or "
            f"{100 * whole_s / run.course.duration_s:.0f} % of the run",
            "fewer or shorter frames, or cell: keep, if it need not rest for them",
            value=whole_s / HOUR_S,
            unit="h",
            minor=True,
        )


def _late_frames(run: Rehearsed) -> Iterator[Advice]:
    """Frames after the end of the protocol keep the instrument."""
    ended_s = max((one.ended_s for one in run.course.steps), default=math.inf)
    extra_s = run.course.duration_s - ended_s
    late = [one for one in run.course.exposures if one.ended_s > ended_s]
    if late and extra_s > 0.01 * run.course.duration_s and extra_s > 60.0:
        yield Advice(
            "frame_after_the_end",
            _series_of(late[-1].device, run.experiment),
            f"the last frame ends {extra_s / HOUR_S:.2f} h after the protocol, with the cell off",
            "book the instrument until then",
            value=extra_s / HOUR_S,
            unit="h",
            minor=True,
        )


def _dose(run: Rehearsed) -> Iterator[Advice]:
    """Dose that all frames of one place add up to."""
    totals: dict[str, float] = {}
    paths: dict[str, Path] = {}
    for index, series in enumerate(run.experiment.images):
        if isinstance(series.settings, SemSettings) and series.device not in totals:
            dose = frame_dose_uc_per_cm2(series.settings)
            count = sum(one.device == series.device for one in run.course.exposures)
            totals[series.device] = (dose or 0.0) * count
            paths[series.device] = ("images", index, "settings")
            each = dose or 0.0
            if count > 1 and each <= HIGH_DOSE_UC_PER_CM2 < totals[series.device]:
                yield Advice(
                    "beam_dose",
                    paths[series.device],
                    f"{count} frames of {each:.3g} uC/cm2 put {totals[series.device]:.3g} uC/cm2 on"
                    f" one place, expected at most {HIGH_DOSE_UC_PER_CM2:g}",
                    "take fewer frames, use less current, or compare with a place never imaged",
                    value=totals[series.device],
                    expected=HIGH_DOSE_UC_PER_CM2,
                    unit="uC/cm2",
                )


def _amplitudes(run: Rehearsed) -> Iterator[Advice]:
    """Spectra whose voltage amplitude is not small against RT/F."""
    for series in sorted({one.series for one in run.course.spectra}):
        mine = [one for one in run.course.spectra if one.series == series]
        if series >= 0 and run.experiment.spectra[series].settings.amplitude_V is not None:
            continue  # said of the file already
        largest = max(mine, key=lambda one: one.largest_v)
        if largest.largest_v < THERMAL_VOLTAGE_V:
            continue
        over = sum(one.largest_v >= THERMAL_VOLTAGE_V for one in mine)
        first = largest.began_s / HOUR_S
        yield Advice(
            "not_small_signal",
            ("spectra", series, "settings") if series >= 0 else ("protocol", "method"),
            f"{1e3 * largest.largest_v:.0f} mV across the cell at {largest.largest_ma:.3g} mA "
            f"after {first:.2f} h, {largest.largest_v / THERMAL_VOLTAGE_V:.1f} RT/F, and more than "
            f"RT/F in {over} of {len(mine)} spectra: an interface does not answer linearly",
            f"{largest.largest_ma * 0.010 / largest.largest_v:.2g} mA would be 10 mV",
            value=1e3 * largest.largest_v,
            expected=1e3 * THERMAL_VOLTAGE_V,
            unit="mV",
        )


def _unmet(run: Rehearsed) -> Iterator[Advice]:
    """Conditions that ended nothing in the rehearsal."""
    if run.stop_reason not in ("completed", "horizon"):
        return
    for index, one in enumerate(run.experiment.stop_when):
        yield Advice(
            "condition_not_met",
            ("stop_when", index),
            f"{one.name} was not met in the rehearsal",
            "nothing to do, if the method may run to its end",
            minor=True,
        )


def latency_mah(records: Mapping[str, object], seconds: float) -> float:
    """Charge that the largest current passes in a time, mAh."""
    current = np.abs(np.asarray(records.get("current_ma", np.empty(0)), dtype=float))
    finite = current[np.isfinite(current)]
    return float(finite.max()) * seconds / 3600.0 if len(finite) else 0.0
