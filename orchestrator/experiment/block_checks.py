"""Whether frames of the blocks before and after a protocol can be taken as the file says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.experiment.blocks import ImageStep, OpenCircuitCheck
from orchestrator.experiment.imaging import ImageSeries
from orchestrator.experiment.protocol import Safety
from orchestrator.experiment.steps import Step
from orchestrator.inputs.problems import Finding, Path


def frame_findings(
    steps: Iterable[tuple[Path, Step]], images: Sequence[ImageSeries | None]
) -> Iterator[Finding]:
    """Frames have settings, the same as every other frame of their device."""
    first = {series.device: series.settings for series in images if series is not None}
    unknown = any(series is None for series in images)
    for path, step in steps:
        if not isinstance(step, ImageStep):
            continue
        if step.settings is None:
            if step.device not in first and not unknown:
                what = f"is missing, expected settings: images has no series of {step.device}"
                yield Finding((*path, "settings"), what, "add `settings: {method: ...}`")
        elif first.setdefault(step.device, step.settings) != step.settings:
            what = f"got other settings for {step.device} than its other frames, expected the same"
            yield Finding((*path, "settings"), what, "one run keeps one image size; leave them out")


def check_findings(steps: Iterable[tuple[Path, Step]], safety: Safety) -> Iterator[Finding]:
    """The window of a check lies within the limits: outside it would end the run by itself."""
    low, high = safety.min_voltage_V, safety.max_voltage_V
    for path, step in steps:
        for key in ("min_voltage_V", "max_voltage_V"):
            volts = getattr(step, key) if isinstance(step, OpenCircuitCheck) else None
            if volts is not None and not low <= volts <= high:
                what = f"got {volts:g} V, expected within safety, {low:g} to {high:g} V"
                yield Finding((*path, key), what, "narrow the window")


def misplaced_findings(steps: Iterable[tuple[Path, Step]]) -> Iterator[Finding]:
    """A check after the protocol prevents nothing."""
    for path, step in steps:
        if isinstance(step, OpenCircuitCheck) and path[0] == "after":
            what = "got ocv_check, expected it in `before`: afterwards it prevents nothing"
            yield Finding((*path, "step"), what, "use open_circuit_voltage")
