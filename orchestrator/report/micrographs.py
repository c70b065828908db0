"""Micrographs and line scans of a run, and what the analysis makes of them.

Found by shape: a stream of frames whose device says how wide its field is and which method it used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.cycles import Records
from orchestrator.analysis.filaments import FilamentMeasurement, measure_filaments
from orchestrator.analysis.interface import OK
from orchestrator.analysis.spallations import SpallationCount, spallations
from orchestrator.analysis.voids import VoidMeasurement, measure_voids
from orchestrator.errors import OrchestratorError
from orchestrator.records.runs import Columns, Run
from orchestrator.report.scales import chosen_rows, configuration_of, first_middle_last

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

IMAGE, LINE = "image", "eds_line"
"""Methods: frames in two dimensions, and X-ray counts along a line."""
INDUCED = "EBIC"
"""Channel that holds the current which the beam induces, nA."""
MOST_ANALYSED = 60
"""Frames that are analysed of longer series, evenly spread: each costs a tenth of a second."""
_BACK_MAH = 1e-6
"""Charge that must have gone back before plating is looked for, mAh."""


@dataclass(frozen=True)
class Micrographs:
    """Frames in the order in which they were taken.

    Attributes:
        device: Name of the microscope in the documents.
        method: ``image`` or ``eds_line``.
        configuration: How they were taken; keys without the device's name.
        channels: Name of each channel.
        time_s: Middle of each frame, seconds since the run began, shape (n,).
        end_s: End of each frame, s.
        flags: ``ok`` or the device's reason, per frame.
        dose_uc_per_cm2: Dose of each frame; NaN where unknown.
        accumulated_uc_per_cm2: Dose since the microscope was switched on.
        pixel_um: Size of a pixel, um; NaN for lines.
        shown: Frames that are shown, by index, shape (channels, lines, columns).
        lines: Counts along the line, shape (n, points); None for images.
        analysed: Indices of the frames that were analysed.
        voids: Voids of each of them, where no current was induced.
        filaments: Filaments of each of them that was taken while metal was plated back.
        spots: Spallations of each of them in the induced current.
        reason: Why there are no frames; empty if there are.
    """

    device: str
    method: str
    configuration: Mapping[str, Any]
    channels: tuple[str, ...]
    time_s: Floats
    end_s: Floats
    flags: tuple[str, ...]
    dose_uc_per_cm2: Floats
    accumulated_uc_per_cm2: Floats
    pixel_um: float
    shown: Mapping[int, Image]
    lines: Floats | None
    analysed: tuple[int, ...]
    voids: tuple[VoidMeasurement, ...]
    filaments: Mapping[int, FilamentMeasurement]
    spots: tuple[SpallationCount, ...]
    reason: str = ""

    @property
    def induced(self) -> int | None:
        """Number of the channel of induced current; None without one."""
        return self.channels.index(INDUCED) if INDUCED in self.channels else None

    @property
    def unmeasured(self) -> dict[int, str]:
        """Why frames were not measured: what the device says, else what the analysis says."""
        reasons = {k: f"the microscope says: {f}" for k, f in enumerate(self.flags) if f != OK}
        for k, seen in zip(self.analysed, self.voids, strict=False):
            if not seen.measured:
                reasons.setdefault(k, seen.quality)
        return reasons


def is_microscope(descriptor: Any, device: str) -> bool:
    """Whether a device's configuration is that of a microscope: it has the width of a field."""
    found = configuration_of(descriptor, device)
    return found.get("hfw_um") is not None and "resolution_px" in found


def find_micrographs(run: Run, begin_s: float, records: Records | None) -> Micrographs | None:
    """Find the longest series of a microscope and analyse it; None if there is none.

    Args:
        run: The run.
        begin_s: Unix time at which it began, s.
        records: Of the potentiostat; tell whether metal was plated back.
    """
    found = _stream(run)
    if found is None:
        return None
    stream, device = found
    columns, settings = run.streams[stream], configuration_of(run.descriptors[stream], device)
    frames, reason = _frames(run, stream)
    count = len(columns["time"]) if frames is None else min(len(columns["time"]), len(frames))
    if not count:
        return None
    start_s, end_s = (
        np.asarray(columns[f"{device}_{end}"][:count], float) - begin_s
        for end in ("t_start_s", "t_end_s")
    )
    flags = tuple(
        str(f) or OK for f in columns.get(f"{device}_quality", np.full(count, OK))[:count]
    )
    looked_at = (
        _Looked() if frames is None else _look(frames[:count], settings, flags, (end_s, records))
    )
    return Micrographs(
        device=device,
        method=str(settings.get("method") or IMAGE),
        configuration=settings,
        channels=tuple(str(c) for c in settings.get("channels") or ("SE",)),
        time_s=0.5 * (start_s + end_s),
        end_s=end_s,
        flags=flags,
        dose_uc_per_cm2=_column(columns, f"{device}_dose_uc_per_cm2", count),
        accumulated_uc_per_cm2=_column(columns, f"{device}_accumulated_dose_uc_per_cm2", count),
        pixel_um=_pixel_um(settings),
        shown=looked_at.shown,
        lines=looked_at.lines,
        analysed=looked_at.analysed,
        voids=looked_at.voids,
        filaments=looked_at.filaments,
        spots=looked_at.spots,
        reason=reason,
    )


def _stream(run: Run) -> tuple[str, str] | None:
    found = [
        (len(columns["time"]), stream, key.removesuffix("_t_start_s"))
        for stream, columns in run.streams.items()
        for key in columns
        if key.endswith("_t_start_s")
        and key.replace("_t_start_s", "_t_end_s") in columns
        and is_microscope(run.descriptors.get(stream), key.removesuffix("_t_start_s"))
    ]
    return max(found)[1:] if found else None


def _frames(run: Run, stream: str) -> tuple[Image | None, str]:
    try:
        return np.asarray(run.frames(stream)[:], dtype=np.float32), ""
    except OrchestratorError as error:
        return None, f"the frames cannot be read: {error}"


def _column(columns: Columns, key: str, count: int) -> Floats:
    if key not in columns:
        return np.full(count, np.nan)
    return np.asarray(columns[key][:count], dtype=float)


def _pixel_um(settings: Mapping[str, Any]) -> float:
    width_px = float(settings["resolution_px"][0])
    return float(settings["hfw_um"]) / width_px if width_px > 0 else float("nan")


@dataclass(frozen=True)
class _Looked:
    """What was seen in the frames; as in `Micrographs`."""

    shown: Mapping[int, Image] = field(default_factory=dict)
    lines: Floats | None = None
    analysed: tuple[int, ...] = ()
    voids: tuple[VoidMeasurement, ...] = ()
    filaments: Mapping[int, FilamentMeasurement] = field(default_factory=dict)
    spots: tuple[SpallationCount, ...] = ()


def _look(
    frames: Image,
    settings: Mapping[str, Any],
    flags: tuple[str, ...],
    course: tuple[Floats, Records | None],
) -> _Looked:
    """Show and analyse frames, each kind in its way."""
    if frames.ndim == 3 and settings.get("method") == LINE:
        return _Looked(lines=np.asarray(frames[:, 0], dtype=np.float64))
    stacked = frames[:, None] if frames.ndim == 3 else frames
    if stacked.ndim != 4:
        return _Looked()
    usable = [k for k, flag in enumerate(flags) if flag == OK]
    shown = {k: stacked[k] for k in first_middle_last(usable or list(range(len(stacked))))}
    analysed = tuple(usable[k] for k in chosen_rows(len(usable), MOST_ANALYSED)) if usable else ()
    pixel_um = _pixel_um(settings)
    channels = list(settings.get("channels") or ())
    if INDUCED in channels and stacked.shape[1] > channels.index(INDUCED):
        induced = channels.index(INDUCED)
        spots = tuple(spallations(stacked[k, induced], pixel_um) for k in analysed)
        return _Looked(shown=shown, analysed=analysed, spots=spots)
    back = _plated_back(*course)
    return _Looked(
        shown=shown,
        analysed=analysed,
        voids=tuple(measure_voids(stacked[k, 0], pixel_um) for k in analysed),
        filaments={k: measure_filaments(stacked[k, 0], pixel_um) for k in analysed if back[k]},
    )


def _plated_back(end_s: Floats, records: Records | None) -> npt.NDArray[np.bool_]:
    """Whether metal had been plated by the end of each frame: charge has gone from B to A."""
    if records is None:
        return np.zeros(len(end_s), bool)
    furthest = np.maximum.accumulate(np.maximum(records.charge_mah, 0.0))
    back = np.interp(end_s, records.time_s, furthest - records.charge_mah)
    return np.asarray(back > max(_BACK_MAH, 1e-3 * float(records.throughput_mah[-1])))
