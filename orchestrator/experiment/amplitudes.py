"""What an impedance spectrum asks of the cell's limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.experiment.imaging import SpectrumSeries
from orchestrator.experiment.protocol import Impedance, ImpedanceSpectroscopy, Safety, Step
from orchestrator.experiment.sample import Sample
from orchestrator.inputs.problems import Finding, Path


def spectrum_settings(
    steps: Iterable[tuple[Path, Step]], spectra: Sequence[SpectrumSeries | None]
) -> Iterator[tuple[Path, Impedance]]:
    """Every spectrum of a file, as a step or beside the steps, with its place."""
    for path, step in steps:
        if isinstance(step, ImpedanceSpectroscopy):
            yield path, step
    for index, series in enumerate(spectra):
        if series is not None:
            yield ("spectra", index, "settings"), series.settings


def amplitude_findings(
    spectra: Iterator[tuple[Path, Impedance]], safety: Safety, sample: Sample | None
) -> Iterator[Finding]:
    """Amplitudes that alone would leave the limits; about a direct current even less fits in."""
    for path, settings in spectra:
        if settings.amplitude_V is not None:
            key, size, unit = "amplitude_V", settings.amplitude_V, "V"
        elif settings.amplitude_mA is not None:
            key, size, unit = "amplitude_mA", settings.amplitude_mA, "mA"
        elif settings.amplitude_mA_per_cm2 is not None and sample is not None:
            key, unit = "amplitude_mA_per_cm2", "mA"
            size = settings.amplitude_mA_per_cm2 * sample.area_cm2
        else:
            continue
        low, high = (
            (safety.min_voltage_V, safety.max_voltage_V)
            if unit == "V"
            else (safety.min_current_mA, safety.max_current_mA)
        )
        if not low <= -size <= size <= high:
            what = f"got +-{size:g} {unit}, expected within safety, {low:g} to {high:g} {unit}"
            yield Finding((*path, key), what, "lower it, or widen protocol.safety")
