"""Whether an experiment gives a condition something to look at: one that sees nothing never holds.

A sensor that is missing is found with the bench, in `orchestrator.experiment.bench_checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.experiment.conditions import Condition
from orchestrator.experiment.imaging import ImageSeries, SpectrumSeries
from orchestrator.experiment.mri_settings import MriSettings
from orchestrator.experiment.protocol import Step
from orchestrator.experiment.sample import Sample
from orchestrator.experiment.sem_settings import SemSettings
from orchestrator.inputs.problems import Finding, Path

_VOLUME = "gradient_echo_3d"


@dataclass(frozen=True)
class Given:
    """What there is to look at; None where a part of the file is not valid.

    Attributes:
        sample: The sample.
        steps: The method.
        images: The image series.
        spectra: The series of spectra.
    """

    sample: Sample | None
    steps: Sequence[Step | None]
    images: Sequence[ImageSeries | None]
    spectra: Sequence[SpectrumSeries | None]


def shows_contact(series: ImageSeries) -> bool:
    """Whether a series takes micrographs in which voids at the interface can be seen."""
    settings = series.settings
    if not isinstance(settings, SemSettings):
        return False
    return settings.method == "image" and "EBIC" not in settings.channels


def shows_lithium(series: ImageSeries) -> bool:
    """Whether a series takes images of metallic lithium."""
    return isinstance(series.settings, MriSettings)


SEEN_BY: dict[str, Callable[[ImageSeries], bool]] = {
    "contact_loss": shows_contact,
    "lithium_umol_per_cm2": shows_lithium,
}
"""Which series of images show what a condition looks at."""


def evidence_findings(
    conditions: Iterable[tuple[Path, Condition]], given: Given
) -> Iterator[Finding]:
    """Conditions that would never see anything."""
    for path, condition in conditions:
        evidence = condition.kind.evidence
        if evidence in SEEN_BY:
            yield from _image_findings(path, condition, given)
        elif evidence.endswith("_ohm_cm2") and not _takes_spectra(path, given):
            what = f"got {condition.name}, and no spectra that it could be seen in"
            yield Finding(path, what, "add `spectra: [{when: ..., settings: ...}]`")
        elif condition.name == "overpotential_above_v" and not _rests(given.steps):
            what = f"got {condition.name}, and no rest whose voltage it could be counted from"
            yield Finding(path, what, "begin with `{step: open_circuit_voltage, until_time_s: 60}`")


def _image_findings(path: Path, condition: Condition, given: Given) -> Iterator[Finding]:
    sees = SEEN_BY[condition.kind.evidence]
    if None in given.images:
        return  # said of the series that is not valid
    own = path[:2]
    shown = [
        one
        for index, one in enumerate(given.images)
        if one is not None and sees(one) and ("images", index) != own
    ]
    if not shown:
        beside = "other than that which it triggers " if own[0] == "images" else ""
        what = f"got {condition.name}, and no images {beside}that it could be seen in"
        kind = condition.kind.device_kind
        yield Finding(path, what, f"add `images: [{{device: {kind}, when: ..., settings: ...}}]`")
        return
    sample = given.sample
    of_volumes = any(one.settings.method == _VOLUME for one in shown)
    if of_volumes and sample is not None and sample.thickness_cm is None:
        what = f"is missing, and {condition.name} needs it to find the layers of a volume"
        yield Finding(("sample", "thickness_cm"), what, "add `thickness_cm: ...`")


def _takes_spectra(path: Path, given: Given) -> bool:
    others = [one for k, one in enumerate(given.spectra) if ("spectra", k) != path[:2]]
    steps = any(getattr(one, "step", "") == "impedance_spectroscopy" for one in given.steps)
    return bool(others) or steps


def _rests(steps: Iterable[Step | None]) -> bool:
    return any(one is None or getattr(one, "step", "") == "open_circuit_voltage" for one in steps)
