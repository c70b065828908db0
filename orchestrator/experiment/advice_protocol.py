"""Advice on a protocol: records, ends, limits, conditions, amplitudes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aurora_unicycler import ConstantCurrent, ConstantVoltage, Loop

from devices.technique import sweep_of
from orchestrator.experiment.advice import Advice
from orchestrator.experiment.amplitudes import spectrum_settings
from orchestrator.experiment.lowering import lower_spectrum
from plans.schedule import longest_duration_s, step_duration_s

if TYPE_CHECKING:
    from orchestrator.experiment.model import Experiment
    from orchestrator.profile.models import BenchProfile

THERMAL_VOLTAGE_V = 0.0257
"""RT/F at 25 degree Celsius, V (CODATA 2018): an interface answers linearly well below it."""

FEWEST_RECORDS = 5
"""Records of a step below which its course cannot be seen."""

_LOOSE = 10.0
"""A current limit this many times the largest current no longer protects the cell."""
_LONG_S = 60 * 86_400.0
_S_PER_DAY = 86_400.0


def protocol_advice(experiment: Experiment, profile: BenchProfile | None) -> list[Advice]:
    """What can be said of the protocol."""
    method = experiment.lower().method
    return [
        *_records(experiment, method),
        *_polls(experiment, method, profile),
        *_ends(method),
        *_limits(experiment, method),
        *_amplitudes(experiment),
        *_sweeps(experiment),
        *_statements(experiment, profile),
    ]


def _records(experiment: Experiment, method: Sequence[Any]) -> Iterator[Advice]:
    every_s = experiment.protocol.record.time_s
    for index, step in enumerate(method):
        if not isinstance(step, ConstantCurrent | ConstantVoltage):
            continue
        duration_s = step_duration_s(step)
        if duration_s / every_s < FEWEST_RECORDS:
            yield Advice(
                "record_interval",
                ("protocol", "method", index),
                f"the step lasts {duration_s:g} s and is recorded every {every_s:g} s: "
                f"{duration_s / every_s:.2g} records, expected at least {FEWEST_RECORDS}",
                f"set record.time_s to {duration_s / FEWEST_RECORDS:.2g} or less",
                value=duration_s / every_s,
                expected=FEWEST_RECORDS,
            )


def _polls(
    experiment: Experiment, method: Sequence[Any], profile: BenchProfile | None
) -> Iterator[Advice]:
    """Conditions see a record when it is polled."""
    driven = [
        (step_duration_s(one), k)
        for k, one in enumerate(method)
        if isinstance(one, ConstantCurrent | ConstantVoltage)
    ]
    if profile is None or not driven or not experiment.stop_when:
        return
    shortest_s, index = min(driven)
    if profile.poll_period_s > shortest_s:
        yield Advice(
            "poll_period",
            ("protocol", "method", index),
            f"the step lasts {shortest_s:g} s and the bench polls every "
            f"{profile.poll_period_s:g} s: a condition is seen only when the step is over",
            f"set poll_period_s of the bench to {shortest_s / 2:.2g} if a condition must end it",
            value=profile.poll_period_s,
            expected=shortest_s,
            unit="s",
            minor=True,
        )


def _ends(method: Sequence[Any]) -> Iterator[Advice]:
    """Steps that only a voltage or a current ends, and loops that take for ever."""
    for index, step in enumerate(method):
        if isinstance(step, ConstantCurrent | ConstantVoltage) and not step.until_time_s:
            what = "voltage" if isinstance(step, ConstantCurrent) else "current"
            yield Advice(
                "end_by_value_only",
                ("protocol", "method", index),
                f"only a {what} ends this step; a shorted cell never reaches it, and the step goes"
                " on for up to 30 d",
                "add until_time_s",
                minor=True,
            )
    longest_s = longest_duration_s(method)
    if math.isfinite(longest_s) and longest_s > _LONG_S:
        loops = [(one.cycle_count, k) for k, one in enumerate(method) if isinstance(one, Loop)]
        count, index = max(loops, default=(1, 0))
        yield Advice(
            "never_ends",
            ("protocol", "method", index),
            f"the method takes {longest_s / _S_PER_DAY:.3g} d ({count} passes here) if no condition"
            " ends it",
            "is cycle_count meant so?",
            value=longest_s / _S_PER_DAY,
            unit="d",
        )


def _limits(experiment: Experiment, method: Sequence[Any]) -> Iterator[Advice]:
    """A limit far from everything that the protocol does would act too late."""
    safety = experiment.protocol.safety
    if any(isinstance(step, ConstantVoltage) for step in method):
        return
    currents = [one.current_mA for one in method if isinstance(one, ConstantCurrent)]
    largest_ma = max((abs(one) for one in currents), default=0.0)
    limit_ma = max(safety.max_current_mA, -safety.min_current_mA)
    if 0.0 < largest_ma < limit_ma / _LOOSE:
        key = "max_current_mA" if safety.max_current_mA == limit_ma else "min_current_mA"
        yield Advice(
            "limit_loose",
            ("protocol", "safety", key),
            f"{limit_ma:g} mA is {limit_ma / largest_ma:.0f} times the largest current of the "
            f"protocol, {largest_ma:.4g} mA: the limit would stop nothing",
            f"{2 * largest_ma:.2g} mA would",
            value=limit_ma / largest_ma,
            expected=_LOOSE,
            minor=True,
        )


def _amplitudes(experiment: Experiment) -> Iterator[Advice]:
    """A voltage amplitude that is not small; that of a current depends on the cell."""
    steps = [
        *((("before", k), step) for k, step in enumerate(experiment.before)),
        *((("protocol", "method", k), step) for k, step in enumerate(experiment.protocol.method)),
        *((("after", k), step) for k, step in enumerate(experiment.after)),
    ]
    for path, settings in spectrum_settings(steps, experiment.spectra):
        size_v = settings.amplitude_V
        if size_v is not None and size_v >= THERMAL_VOLTAGE_V:
            yield Advice(
                "not_small_signal",
                (*path, "amplitude_V"),
                f"an amplitude of {1e3 * size_v:g} mV is {size_v / THERMAL_VOLTAGE_V:.1f} RT/F: an"
                " interface does not answer linearly",
                "use 10 mV or less",
                value=1e3 * size_v,
                expected=1e3 * THERMAL_VOLTAGE_V,
                unit="mV",
            )


def _sweeps(experiment: Experiment) -> Iterator[Advice]:
    """Spectra that are asked for faster than they can be taken."""
    for index, series in enumerate(experiment.spectra):
        every_s = getattr(series.when, "every_s", None)
        lasts_s = sweep_of(lower_spectrum(series.settings, experiment.sample)).duration_s
        if every_s is not None and lasts_s > every_s:
            yield Advice(
                "spectra_overlap",
                ("spectra", index, "when"),
                f"a spectrum takes {lasts_s:.4g} s and one is asked for every {every_s:g} s: most"
                " are skipped",
                "raise end_frequency_Hz, take fewer points, or ask less often",
                value=lasts_s,
                expected=every_s,
                unit="s",
            )


def _statements(experiment: Experiment, profile: BenchProfile | None) -> Iterator[Advice]:
    """What the file says of the surroundings and nothing on the bench brings about or measures."""
    if profile is None:
        return
    wanted = experiment.environment
    stated = [
        (f"{value:g} {unit}", kind)
        for value, unit, kind in (
            (wanted.temperature_celsius, "degree Celsius", "chamber"),
            (wanted.stack_pressure_mpa, "MPa", "load_cell"),
        )
        if value is not None and not profile.of_kind(kind)
    ]
    if stated:
        missing = " and no ".join(kind.replace("_", " ") for _, kind in stated)
        values = " and ".join(text for text, _ in stated)
        yield Advice(
            "statement_only",
            ("environment",),
            f"bench {profile.bench} has no {missing}: {values} {_is(stated)} recorded as said, and "
            "neither set nor measured",
            "see to it by hand",
            minor=True,
        )


def _is(things: Sequence[object]) -> str:
    return "is" if len(things) == 1 else "are"
