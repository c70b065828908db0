"""TIFF files of microscopes, ImageJ and OME."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from orchestrator.errors import DataFileError
from orchestrator.files.limits import checked_shape
from orchestrator.files.pixel_size import (
    PixelSize,
    fei_lines,
    from_fei,
    from_imagej,
    from_ome,
    from_zeiss,
)

MAX_PAGES = 10_000
"""Most images in one file."""
_BROKEN = (
    tifffile.TiffFileError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    NotImplementedError, RuntimeError, OSError, EOFError, OverflowError, MemoryError,
    struct.error, zlib.error,
)  # fmt: skip
"""What reading a damaged or compressed file raises."""

Found = tuple[npt.NDArray[Any], PixelSize | None, tuple[str, ...], bool]


def read_tiff(path: Path) -> Found:
    """Frames (frames, lines, columns), the size of a pixel, notes, and whether it is simulated.

    A file says that it is simulated by that word in capitals in its description.

    Pages of another shape than the first, such as thumbnails, are left out and noted; colour images
    whose channels are equal, as some microscopes save them, are read as grey.

    Raises:
        DataFileError: The file is damaged, compressed in a way that cannot be read, too large, or
            in colour.
    """
    try:
        with tifffile.TiffFile(path) as file:
            return _read(path, file)
    except DataFileError:
        raise
    except _BROKEN as error:
        raise DataFileError(
            str(path),
            f"is not a TIFF file that can be read: {_first_line(error)}",
            remedy="save it again as TIFF without compression",
        ) from error


def _read(path: Path, file: tifffile.TiffFile) -> Found:
    count = len(file.pages)
    if not 0 < count <= MAX_PAGES:
        raise DataFileError(
            str(path),
            f"pages, got {count}, expected 1 to {MAX_PAGES}",
            remedy="split the file",
        )
    first = file.pages.first
    pages = [page for page in file.pages if page.shape == first.shape]
    checked_shape(path, "images", (len(pages), *first.shape))
    _check_xml(path, first.description)
    series = file.series[0] if file.series else None
    notes: list[str] = []
    # ImageJ writes large stacks as one page: the series knows their shape, the pages do not
    if series is not None and len(pages) == 1 and len(series.shape) > len(first.shape):
        checked_shape(path, "images", series.shape)
        frames = _grey(path, np.asarray(series.asarray()))
    else:
        frames = np.stack([_grey(path, np.asarray(page.asarray())) for page in pages])
    if len(pages) < count:
        notes.append(f"{count - len(pages)} of {count} pages have another shape: left out")
    frames = frames.reshape(-1, *frames.shape[-2:])
    fei = file.fei_metadata or {}
    lines = fei_lines(fei)
    if lines is not None and lines < frames.shape[1]:
        notes.append(f"{frames.shape[1] - lines} lines below the scan (data bar) are left out")
        frames = frames[:, :lines]
    simulated = "SIMULATED" in f"{first.description}{file.imagej_metadata or ''}"
    return frames, _pixel(file, fei), tuple(notes), simulated


def _check_xml(path: Path, description: str) -> None:
    """Refuse XML that grows or reads other files; the TIFF library trusts what it finds.

    Raises:
        DataFileError: It has entities or a document type.
    """
    text = description.lstrip("\ufeff \t\r\n\0")
    if not text.startswith("<"):
        return
    try:
        fromstring(text.rstrip("\0"), forbid_dtd=True)
    except DefusedXmlException as error:
        raise DataFileError(
            str(path),
            f"its description is XML with entities or a document type: {type(error).__name__}",
            remedy="save it again, without its description if need be",
        ) from error
    except ParseError:
        return  # no XML after all; whoever expects some says so


def _grey(path: Path, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A grey image; of colour only if all channels are the same."""
    if image.ndim >= 3 and image.shape[-1] in (3, 4):
        channels = image[..., :3]
        if (channels == channels[..., :1]).all():
            return np.asarray(channels[..., 0])
        raise DataFileError(
            str(path),
            f"image, got {image.shape[-1]} different channels, expected grey values",
            remedy="export it in grey, without overlays",
        )
    return image


def _pixel(file: tifffile.TiffFile, fei: dict[str, Any]) -> PixelSize | None:
    """The first source that gives a size: instrument before software."""
    found = from_fei(fei) or from_zeiss(file.sem_metadata or {})
    if found is None and file.is_ome and file.ome_metadata:
        found = from_ome(file.ome_metadata)
    if found is None and file.imagej_metadata:
        found = from_imagej(file.imagej_metadata, _resolution(file))
    return found


def _resolution(file: tifffile.TiffFile) -> tuple[float, float]:
    """Pixels per unit along x and y; 0 where it is missing."""
    values = []
    for name in ("XResolution", "YResolution"):
        value = file.pages.first.tags.valueof(name)
        pair = value if isinstance(value, tuple) and len(value) == 2 else (0, 1)
        values.append(pair[0] / pair[1] if pair[1] else 0.0)
    return values[0], values[1]


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
