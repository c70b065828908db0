"""Frames of a run, and what the analysis makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.flash import FlashSettings
from orchestrator.analysis.growth import GrowthRates, growth_rates
from orchestrator.analysis.imaged_cells import VOLUME_METHOD as VOLUME
from orchestrator.analysis.imaged_cells import flash_settings, imaged_cell
from orchestrator.analysis.layers import OK, LayerSeries, layers_from_frames
from orchestrator.analysis.stages import Stages, stages_by_definition, stages_by_fit
from orchestrator.errors import OrchestratorError
from orchestrator.records.runs import Columns, Run
from orchestrator.report import spectra as nmr
from orchestrator.report.micrographs import is_microscope
from orchestrator.report.scales import configuration_of
from orchestrator.report.spectra import Spectra
from orchestrator.report.volumes import Volumes, read_volumes

Floats = npt.NDArray[np.float64]

_SPAN = ("t_start_s", "t_end_s")


@dataclass(frozen=True)
class LayerAnalysis:
    """Layers, rates and stages of a series of frames.

    Attributes:
        layers: Amounts per layer and frame.
        rates: Growth rates at the usable frames.
        stages: Boundaries from smooth fits; shown in the figures.
        definition: Boundaries by the definition on the rates as measured.
        assumptions: Sentences about what the metadata did not say.
    """

    layers: LayerSeries
    rates: GrowthRates
    stages: Stages
    definition: Stages
    assumptions: tuple[str, ...]


@dataclass(frozen=True)
class Imaging:
    """Frames in the order in which they were taken.

    Attributes:
        device: Name of the imaging device in the documents.
        start_s: Beginning of each exposure, seconds since the run began, shape (n,).
        end_s: End of each exposure, s.
        charge_mah: Net charge during each exposure, mAh; NaN where unknown.
        throughput_mah: Charge in either direction during each exposure, mAh.
        charge_end_mah: Net charge since the run began at the end of each exposure, mAh.
        flags: ``ok`` or a reason per frame.
        images: Shape (n, lines, columns), of volumes the largest value along y; None if there are
            none, or they could not be read.
        settings: How frames in two dimensions were taken; None where the descriptor does not say.
        analysis: Layers, rates, stages; None where `reason` says why.
        reason: Why there is no analysis or no image; empty if there is one.
        method: How frames were taken, in the device's words; empty where it does not say.
        view_fov_mm: Field of view of `images` (x, z), mm; None where it is not known.
        spectra: Spectra instead of images; None where there are none.
        volumes: What was found in volumes; None where there are none, or `reason` says why.
    """

    device: str
    start_s: Floats
    end_s: Floats
    charge_mah: Floats
    throughput_mah: Floats
    charge_end_mah: Floats
    flags: tuple[str, ...]
    images: npt.NDArray[np.float32] | None
    settings: FlashSettings | None
    analysis: LayerAnalysis | None
    reason: str
    method: str = ""
    view_fov_mm: tuple[float, float] | None = None
    spectra: Spectra | None = None
    volumes: Volumes | None = None

    @property
    def is_view(self) -> bool:
        """Whether the frames are volumes, of which `images` is a view."""
        return self.method == VOLUME

    @property
    def centre_s(self) -> Floats:
        """Middle of each exposure, s."""
        return 0.5 * (self.start_s + self.end_s)


def find_imaging(run: Run, begin_s: float, sample: Mapping[str, Any]) -> Imaging | None:
    """Find the stream of frames and analyse it; None if the run took none.

    Args:
        run: The run.
        begin_s: Unix time at which it began, s.
        sample: Its sample's metadata.
    """
    found = _stream(run)
    if found is None:
        return None
    stream, device = found
    columns = run.streams[stream]
    frames, reason = _frames(run, stream)
    count = len(columns["time"]) if frames is None else min(len(columns["time"]), len(frames))
    if not count:
        return None
    start_s, end_s = (_column(columns, f"{device}_{end}", count) - begin_s for end in _SPAN)
    flags = tuple(
        str(flag) or OK for flag in columns.get(f"{device}_quality", np.full(count, OK))[:count]
    )
    shown = _Shown(reason=reason)
    if frames is not None:
        configuration = configuration_of(run.descriptors.get(stream), device)
        known = {**sample, "pristine": run.start.get("pristine", True)}
        shown = _shown(frames[:count], configuration, known, (start_s, end_s), flags)
    return Imaging(
        device=device,
        start_s=start_s,
        end_s=end_s,
        charge_mah=_column(columns, f"{device}_exposure_charge_mah", count),
        throughput_mah=_column(columns, f"{device}_exposure_throughput_mah", count),
        charge_end_mah=_column(columns, f"{device}_charge_end_mah", count),
        flags=flags,
        images=shown.images,
        settings=shown.settings,
        analysis=shown.analysis,
        reason=shown.reason,
        method=shown.method,
        view_fov_mm=shown.view_fov_mm,
        spectra=shown.spectra,
        volumes=shown.volumes,
    )


@dataclass(frozen=True)
class _Shown:
    """What there is to show of the frames, and why nothing else; as in `Imaging`."""

    reason: str
    images: npt.NDArray[np.float32] | None = None
    settings: FlashSettings | None = None
    analysis: LayerAnalysis | None = None
    method: str = ""
    view_fov_mm: tuple[float, float] | None = None
    spectra: Spectra | None = None
    volumes: Volumes | None = None


def _shown(
    frames: npt.NDArray[np.float32],
    configuration: Mapping[str, Any],
    sample: Mapping[str, Any],
    span: tuple[Floats, Floats],
    flags: tuple[str, ...],
) -> _Shown:
    method = str(configuration.get("method") or "")
    if method == nmr.METHOD:
        return _shown_spectra(frames, configuration, 0.5 * (span[0] + span[1]))
    if frames.ndim == 4:
        return _shown_volumes(frames, configuration, sample)
    if frames.ndim != 3:
        return _Shown(f"the frames have shape {frames.shape}, expected (n, lines, columns)")
    settings = flash_settings(configuration)
    analysis, reason = _analysis(frames, settings, sample, span, flags)
    fov_mm = None if settings is None else settings.fov_mm
    return _Shown(reason, frames, settings, analysis, method, fov_mm)


def _shown_volumes(
    frames: npt.NDArray[np.float32], configuration: Mapping[str, Any], sample: Mapping[str, Any]
) -> _Shown:
    reason, found = "this device took volumes, see below", None
    try:
        found = read_volumes(frames, configuration, sample)
    except ValueError as error:
        reason = str(error)
    fov_mm: Any = configuration.get("fov_mm") or ()
    return _Shown(
        reason=reason,
        images=frames.max(axis=2),
        method=str(configuration.get("method") or ""),
        view_fov_mm=(float(fov_mm[0]), float(fov_mm[2])) if len(fov_mm) == 3 else None,
        volumes=found,
    )


def _shown_spectra(
    frames: npt.NDArray[np.float32], configuration: Mapping[str, Any], centre_s: Floats
) -> _Shown:
    try:
        found = nmr.read_spectra(frames, configuration, centre_s)
    except ValueError as error:
        return _Shown(str(error), method=nmr.METHOD)
    if found is None:
        return _Shown("the descriptor does not say what the spectra are of", method=nmr.METHOD)
    return _Shown("this device took spectra, see below", method=nmr.METHOD, spectra=found)


def _stream(run: Run) -> tuple[str, str] | None:
    """Stream and device of the most exposures that are no micrographs."""
    found = [
        (len(columns["time"]), stream, key.removesuffix("_t_start_s"))
        for stream, columns in run.streams.items()
        for key in columns
        if key.endswith("_t_start_s")
        and key.replace("_t_start_s", "_t_end_s") in columns
        and not is_microscope(run.descriptors.get(stream), key.removesuffix("_t_start_s"))
    ]
    return max(found)[1:] if found else None


def _frames(run: Run, stream: str) -> tuple[npt.NDArray[np.float32] | None, str]:
    try:
        return np.asarray(run.frames(stream)[:], dtype=np.float32), ""
    except OrchestratorError as error:
        return None, f"the frames cannot be read: {error}"


def _column(columns: Columns, key: str, count: int) -> Floats:
    if key not in columns:
        return np.full(count, np.nan)
    return np.asarray(columns[key][:count], dtype=float)


def _analysis(
    images: npt.NDArray[np.float32],
    settings: FlashSettings | None,
    sample: Mapping[str, Any],
    span: tuple[Floats, Floats],
    flags: tuple[str, ...],
) -> tuple[LayerAnalysis | None, str]:
    """Layers, rates and stages, or the reason why there are none."""
    if settings is None:
        return None, "the descriptor does not say how the frames were taken"
    try:
        cell, assumptions = imaged_cell(images, settings, sample, flags)
        layers = layers_from_frames(images, cell, flags=flags)
    except ValueError as error:
        return None, str(error)
    start_s, end_s = span
    rates = growth_rates(0.5 * (start_s + end_s), layers.usable_amounts, layers.frame_covariance)
    pristine = sample["pristine"] is not False
    if pristine:
        assumptions += ("The stages assume that the cell was pristine when the run began.",)
    stages = stages_by_fit(
        start_s,
        end_s,
        layers.usable_amounts,
        layers.frame_covariance,
        pristine_covariance=layers.common_covariance if pristine else None,
    )
    definition = stages_by_definition(rates)
    return LayerAnalysis(layers, rates, stages, definition, assumptions), ""
