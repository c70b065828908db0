"""A frame of a run as a grey PNG, for a page; numbers are read from the file itself."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from orchestrator.errors import RecordError
from orchestrator.records.directory import DataDirectory
from orchestrator.records.frame_files import FrameReader

LONGEST_SIDE_PX = 1024
_LARGEST_PIXELS = 64 * 10**6
_PERCENTILES = (1.0, 99.0)


def frame_png(directory: DataDirectory, uid: str, stream: str, index: int) -> tuple[bytes, int]:
    """A frame as PNG, and its number.

    Grey runs from the first to the 99th percentile of the finite values. Of a volume the slice in
    the middle is shown. What is simulated says so in the file.

    Args:
        directory: The data directory.
        uid: The run.
        stream: Stream of the frames.
        index: Number of the frame from 0; -1 for the last.

    Raises:
        RecordError: There is no such frame, or it is no image.
    """
    reader = FrameReader(directory.frames(uid, stream))
    n = len(reader)
    if not -n <= index < n:
        raise RecordError(
            f"run {uid[:8]}",
            f"{stream} has {n} frames, expected number {index} to be one of them",
            remedy="count from 0, or ask for the latest",
        )
    if int(np.prod(reader.shape[1:])) > _LARGEST_PIXELS:
        raise _no_image(uid, stream, reader.shape)
    frame = np.asarray(reader[index], dtype=float)
    if frame.ndim == 3:
        frame = frame[len(frame) // 2]
    if frame.ndim != 2 or min(frame.shape) <= 2:
        raise _no_image(uid, stream, reader.shape)
    return _png(_shrunk(frame), simulated=reader.simulated), range(n)[index]


def _no_image(uid: str, stream: str, shape: tuple[int, ...]) -> RecordError:
    return RecordError(
        f"run {uid[:8]}",
        f"frames of {stream} have the shape {shape[1:]}, which is no image",
        remedy="read the numbers with `operando show` or from the report",
    )


def _shrunk(frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Every n-th line and column, so that no side is longer than a page shows."""
    step = -(-max(frame.shape) // LONGEST_SIDE_PX)
    return frame[::step, ::step]


def _png(frame: npt.NDArray[Any], *, simulated: str) -> bytes:
    finite = frame[np.isfinite(frame)]
    low, high = np.percentile(finite, _PERCENTILES) if finite.size else (0.0, 1.0)
    span = float(high - low) or 1.0
    grey = np.clip((np.nan_to_num(frame, nan=low, posinf=high, neginf=low) - low) / span, 0.0, 1.0)
    said = PngImagePlugin.PngInfo()
    said.add_text("simulated", simulated)
    out = io.BytesIO()
    Image.fromarray((255 * grey).round().astype(np.uint8)).save(out, "PNG", pnginfo=said)
    return out.getvalue()
