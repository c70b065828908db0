"""Whether a bench can bring about, or measure, what is to surround the cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.experiment.steps import Step
from orchestrator.experiment.surrounding_steps import StackPressureStep, TemperatureStep
from orchestrator.inputs.problems import Finding, Path
from orchestrator.profile.models import BenchProfile
from orchestrator.profile.surroundings import ChamberEntry, LoadCellEntry

METER_RANGE_V = 10.0
"""Fixed range of the voltmeter behind a load cell (devices.drivers.keithley_dmm6500), V."""


def surrounding_findings(
    steps: Iterable[tuple[Path, Step]],
    profile: BenchProfile,
    chamber: str | None,
    load_cell: str | None,
) -> Iterator[Finding]:
    """Steps that need a chamber or a load cell, and what these allow.

    Args:
        steps: Every step with its place.
        profile: The bench.
        chamber: Its chamber by name; None where it has none, or several.
        load_cell: Its load cell by name, likewise.
    """
    for path, step in steps:
        if isinstance(step, TemperatureStep):
            entry = profile.devices.get(chamber or "")
            if isinstance(entry, ChamberEntry):
                yield from _chamber_findings(path, step, entry, f"{chamber} on {profile.bench}")
            else:
                yield _missing(path, "temperature", "chamber", profile)
        elif isinstance(step, StackPressureStep):
            entry = profile.devices.get(load_cell or "")
            if isinstance(entry, LoadCellEntry):
                yield from _press_findings(path, step, entry, f"{load_cell} on {profile.bench}")
            else:
                yield _missing(path, "stack_pressure", "load_cell", profile)


def _missing(path: Path, step: str, kind: str, profile: BenchProfile) -> Finding:
    many = profile.of_kind(kind)
    has = f"has {len(many)} of them" if many else "has none"
    what = f"got {step}, which needs a {kind}, and bench {profile.bench} {has}"
    remedy = f"add `roles: {{{kind}: {many[0]}}}`" if many else "remove it, or use another bench"
    return Finding((*path, "step"), what, remedy)


def _chamber_findings(
    path: Path, step: TemperatureStep, entry: ChamberEntry, who: str
) -> Iterator[Finding]:
    low, high = entry.limits.min_celsius, entry.limits.max_celsius
    if not low <= step.celsius <= high:
        what = (
            f"got {step.celsius:g} degree Celsius, expected within the limits of {who}, {low:g} "
            f"to {high:g} degree Celsius"
        )
        yield Finding((*path, "celsius"), what, "change it, or the limits in the bench profile")
    ramp, fastest = step.ramp_celsius_per_min, entry.limits.max_ramp_celsius_per_min
    if ramp is not None and ramp > fastest:
        what = (
            f"got {ramp:g} degree Celsius per minute, expected at most {fastest:g}, the limit of "
            f"{who}"
        )
        yield Finding((*path, "ramp_celsius_per_min"), what, "lower it, or leave it out")
    soak_s, deadline_s = step.on(entry).settle.soak_s or 0.0, step.on(entry).longest_s
    yield from _soak_findings(path, soak_s, deadline_s)


def _press_findings(
    path: Path, step: StackPressureStep, entry: LoadCellEntry, who: str
) -> Iterator[Finding]:
    said = entry.calibration
    force_n = 1e3 * (METER_RANGE_V - said.offset_v) / said.gain_v_per_kn
    most_mpa = 0.01 * force_n / entry.area_cm2
    if step.mpa > most_mpa:
        what = (
            f"got {step.mpa:g} MPa, expected at most {most_mpa:.3g} MPa: {who} measures no more, "
            f"its amplifier then gives {METER_RANGE_V:g} V"
        )
        yield Finding((*path, "mpa"), what, "lower it, or set the amplifier to a smaller gain")
    yield from _soak_findings(path, step.on(entry).settle.soak_s or 0.0, step.longest_s)


def _soak_findings(path: Path, soak_s: float, deadline_s: float) -> Iterator[Finding]:
    if soak_s >= deadline_s:
        what = f"got a deadline of {deadline_s:g} s, expected more than soak_s, {soak_s:g}"
        yield Finding((*path, "deadline_s"), what, "allow more time, or soak for less")
