"""What must agree within one experiment file: loops, limits, devices that share settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.experiment.amplitudes import amplitude_findings, spectrum_settings
from orchestrator.experiment.block_checks import (
    check_findings,
    frame_findings,
    misplaced_findings,
)
from orchestrator.experiment.conditions import Condition
from orchestrator.experiment.evidence_checks import Given, evidence_findings
from orchestrator.experiment.imaging import ImageSeries, SpectrumSeries
from orchestrator.experiment.lowering import NeedsCapacity, step_current_ma, step_findings
from orchestrator.experiment.placed import placed
from orchestrator.experiment.preflight import Preflight, preflight_findings
from orchestrator.experiment.protocol import (
    ConstantCurrent,
    ConstantVoltage,
    LoopStep,
    Safety,
    Step,
    TagStep,
    VoltageScan,
)
from orchestrator.experiment.sample import Sample
from orchestrator.inputs.problems import Finding, Path, name_remedy

_WIDER = "change the step, or widen protocol.safety if the cell allows it"


@dataclass(frozen=True)
class Parts:
    """The parts of a file that are valid by themselves; None where one is not.

    Attributes:
        sample: The sample.
        safety: The limits.
        steps: The method.
        images: The image series.
        spectra: The series of spectra.
        before: Steps before the method.
        after: Steps after it.
        conditions: Every condition with its place.
        preflight: What is checked of the cell first.
    """

    sample: Sample | None
    safety: Safety | None
    steps: Sequence[Step | None]
    images: Sequence[ImageSeries | None]
    spectra: Sequence[SpectrumSeries | None]
    before: Sequence[Step | None] = ()
    after: Sequence[Step | None] = ()
    conditions: Sequence[tuple[Path, Condition]] = ()
    preflight: Preflight | None = None

    def placed(self) -> list[tuple[Path, Step]]:
        """Every valid step with its place in the file."""
        return list(placed(self.steps, self.before, self.after))


def consistency(parts: Parts) -> list[Finding]:
    """Everything that does not agree within the file."""
    steps = parts.placed()
    found = [
        *loop_findings(parts.steps),
        *_image_findings(parts.images),
        *frame_findings(steps, parts.images),
        *misplaced_findings(steps),
    ]
    if parts.sample is not None:
        found += step_findings(steps, parts.sample)
    found += preflight_findings(parts.preflight, parts.safety)
    if parts.safety is not None:
        for path, step in steps:
            found += _limit_findings(step, parts.safety, parts.sample, path)
        found += check_findings(steps, parts.safety)
        spectra = spectrum_settings(steps, parts.spectra)
        found += amplitude_findings(spectra, parts.safety, parts.sample)
    given = Given(parts.sample, parts.steps, parts.images, parts.spectra)
    return [*found, *evidence_findings(parts.conditions, given)]


def loop_findings(steps: Sequence[Step | None]) -> list[Finding]:
    """Tags given twice, and loops that go nowhere, forwards, or across another loop."""
    found: list[Finding] = []
    tags: dict[str, int] = {}
    for index, step in enumerate(steps):
        if isinstance(step, TagStep):
            if step.tag in tags:
                what = f"got '{step.tag}' again, expected each tag once"
                path = ("protocol", "method", index, "tag")
                found.append(Finding(path, what, "rename one of them"))
            tags.setdefault(step.tag, index)
    loops: list[tuple[int, int]] = []
    for index, step in enumerate(steps):
        if isinstance(step, LoopStep):
            path = ("protocol", "method", index, "loop_to")
            target = _target(step, index, tags, steps, path)
            if isinstance(target, Finding):
                found.append(target)
                continue
            found += _crossing(loops, target, index, path)
            loops.append((target, index))
    return found


def _target(
    loop: LoopStep, index: int, tags: dict[str, int], steps: Sequence[Step | None], path: Path
) -> int | Finding:
    """Index of the step that a loop goes back to, or what is wrong with it."""
    to = loop.loop_to
    if isinstance(to, str) and to not in tags:
        what = f"got '{to}', expected a tag of this method"
        remedy = name_remedy(to, tags) if tags else f"add {{step: tag, tag: {to}}} before it"
        return Finding(path, what, remedy)
    target = tags[to] if isinstance(to, str) else to - 1
    if target >= index:
        what = f"got {to!r}, which comes after the loop, expected a step before it"
        return Finding(path, what, "a loop goes back: put the tag before the steps to repeat")
    body = steps[target:index]
    if all(step is not None and not step.takes_time for step in body):
        what = f"got {to!r}, with no step that takes time between, expected steps to repeat"
        return Finding(path, what, "put the loop after the steps it repeats")
    return target


def _crossing(
    loops: Sequence[tuple[int, int]], target: int, index: int, path: Path
) -> Iterator[Finding]:
    """Loops may stand in one another or side by side, but not overlap."""
    for start, end in loops:
        if start < target <= end:
            what = (
                f"got a loop over steps {target + 1} to {index + 1} that overlaps the one over "
                f"{start + 1} to {end + 1}, expected one inside the other, or side by side"
            )
            yield Finding(path, what, "move a tag so that the loops are nested")


def _limit_findings(
    step: Step | None, safety: Safety, sample: Sample | None, path: Path
) -> Iterator[Finding]:
    for key, volts in _voltages(step):
        if not safety.min_voltage_V <= volts <= safety.max_voltage_V:
            span = f"{safety.min_voltage_V:g} to {safety.max_voltage_V:g} V"
            yield Finding((*path, key), f"got {volts:g} V, expected within safety, {span}", _WIDER)
    if isinstance(step, ConstantCurrent) and sample is not None:
        yield from _current_findings(step, safety, sample, path)


def _voltages(step: Step | None) -> Iterator[tuple[str, float]]:
    keys = ("until_voltage_V", "voltage_V", "start_voltage_V", "end_voltage_V")
    if isinstance(step, ConstantCurrent | ConstantVoltage | VoltageScan):
        for key in keys:
            volts = getattr(step, key, None)
            if volts is not None:
                yield key, volts


def _current_findings(
    step: ConstantCurrent, safety: Safety, sample: Sample, path: Path
) -> Iterator[Finding]:
    try:
        current_ma = step_current_ma(step, sample)
    except NeedsCapacity:
        return  # said when the step is lowered
    keys = ("current_mA", "current_mA_per_cm2", "rate_C")
    key = next(key for key in keys if getattr(step, key) is not None)
    if not safety.min_current_mA <= current_ma <= safety.max_current_mA:
        span = f"{safety.min_current_mA:g} to {safety.max_current_mA:g} mA"
        what = f"got {current_ma:g} mA, expected within safety, {span}"
        yield Finding((*path, key), what, _WIDER)
    if step.until_time_s is None or step.until_voltage_V is not None:
        return
    charge_mah = abs(current_ma) * step.until_time_s / 3600
    if charge_mah > safety.max_capacity_mAh:
        what = (
            f"got a step that passes {charge_mah:g} mAh, expected at most safety's "
            f"max_capacity_mAh, {safety.max_capacity_mAh:g}"
        )
        yield Finding((*path, "until_time_s"), what, _WIDER)


def _image_findings(images: Sequence[ImageSeries | None]) -> Iterator[Finding]:
    """One stream has one shape: series of the same device share its settings."""
    first: dict[str, ImageSeries] = {}
    for index, series in enumerate(images):
        if series is None:
            continue
        other = first.setdefault(series.device, series)
        if other.settings != series.settings:
            what = (
                f"got other settings for {series.device} than its first series, expected the same"
            )
            yield Finding(("images", index, "settings"), what, "one run keeps one image size")
