"""Images of any supported file as one stack of frames with the size of a pixel."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.errors import DataFileError
from orchestrator.files.limits import MAX_IMAGE_FILE_BYTES, checked_file
from orchestrator.files.pixel_size import PixelSize

TIFF_ENDINGS = (".tif", ".tiff")
HDF5_ENDINGS = (".h5", ".hdf5", ".hdf", ".nxs")
_DISAGREE = 0.02


@dataclass(frozen=True)
class ImageStack:
    """Frames of one file.

    Attributes:
        path: The file.
        frames: Values, shape (frames, lines, columns); for volumes the first axis is depth.
        pixel: Size of a pixel, or None if the file does not say.
        notes: What was done on the way or is odd, for people.
        simulated: Whether the file says that its data is simulated.
    """

    path: Path
    frames: npt.NDArray[Any]
    pixel: PixelSize | None
    notes: tuple[str, ...] = field(default=())
    simulated: bool = False

    @property
    def pixel_um(self) -> float:
        """Edge of a square pixel, um.

        Raises:
            DataFileError: The file does not say, or its pixels are not square.
        """
        if self.pixel is None:
            raise DataFileError(
                str(self.path),
                "pixel size, got none in the file's metadata",
                remedy="give --pixel-um, or `with_pixel_um` in Python",
            )
        if not self.pixel.square:
            raise DataFileError(
                str(self.path),
                f"pixel size, got {self.pixel.x_um:g} x {self.pixel.y_um:g} um, expected squares",
                remedy="resample the image, or give --pixel-um if the metadata is wrong",
            )
        return self.pixel.x_um

    def with_pixel_um(self, pixel_um: float) -> ImageStack:
        """The same with a size of its square pixels; a different one in the file is noted.

        Raises:
            DataFileError: The size is not positive.
        """
        if not pixel_um > 0:
            raise DataFileError(
                str(self.path),
                f"pixel size, got {pixel_um} um, expected a positive number",
                remedy="correct --pixel-um",
            )
        notes = self.notes
        if self.pixel is not None and abs(self.pixel.x_um / pixel_um - 1.0) > _DISAGREE:
            notes += (
                f"pixel size given as {pixel_um:g} um, the file says {self.pixel.x_um:g} um "
                f"({self.pixel.source})",
            )
        return replace(self, pixel=PixelSize(pixel_um, pixel_um, "given"), notes=notes)

    def cropped(self, first: int, last: int) -> ImageStack:
        """The lines from `first` to before `last` of every frame.

        Raises:
            DataFileError: No line is left.
        """
        lines = self.frames.shape[1]
        if not 0 <= first < last <= lines:
            raise DataFileError(
                str(self.path),
                f"lines, got {first}:{last}, expected a range within 0:{lines}",
                remedy="correct --lines",
            )
        notes = (*self.notes, f"lines {first} to {last - 1} of {lines} are used")
        return replace(self, frames=self.frames[:, first:last], notes=notes)


def read_images(path: str | Path, *, dataset: str | None = None) -> ImageStack:
    """Read the images of a TIFF or HDF5 file.

    Args:
        path: The file; its name ends in .tif, .tiff, .h5, .hdf5, .hdf or .nxs.
        dataset: Path of the dataset within an HDF5 file, perhaps with a part of it in brackets
            (``/entry/data/data[-1]``); by default that of NeXus, or the only one of images.

    Raises:
        DataFileError: The file cannot be used; says why and what to do.
    """
    file = Path(path)
    ending = file.suffix.lower()
    if ending not in TIFF_ENDINGS + HDF5_ENDINGS:
        raise DataFileError(
            str(file),
            f"kind of file, got {ending or 'no ending'!r}, expected one of "
            f"{', '.join(TIFF_ENDINGS + HDF5_ENDINGS)}",
            remedy="export it as TIFF without compression, or as HDF5",
        )
    checked_file(file, max_bytes=MAX_IMAGE_FILE_BYTES)
    if ending in TIFF_ENDINGS:
        if dataset is not None:
            raise DataFileError(
                str(file), "dataset, got one for a TIFF file", remedy="leave --dataset out"
            )
        from orchestrator.files.tiff import read_tiff  # only what the file needs is imported

        frames, pixel, notes, simulated = read_tiff(file)
        return ImageStack(file, _numeric(file, frames), pixel, notes, simulated)
    from orchestrator.files.hdf5 import read_hdf5

    values, pixel, simulated = read_hdf5(file, dataset)
    return ImageStack(file, _numeric(file, values), pixel, simulated=simulated)


def _numeric(path: Path, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As a stack of three axes of real numbers."""
    if values.dtype.kind not in "uif" or values.ndim not in (2, 3):
        raise DataFileError(
            str(path),
            f"images, got {values.ndim} axes of {values.dtype}, expected 2 or 3 of real numbers",
            remedy="export grey values as (frames, lines, columns); of an HDF5 file with more axes "
            "name a part, such as --dataset '/entry/data/data[-1]'",
        )
    return np.asarray(values[None] if values.ndim == 2 else values)
