"""HDF5 files of detectors and simulations, and the framework's own.

Only what lies in the file itself is read: links and datasets that point elsewhere are refused,
since a file from outside could name any file on this machine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from orchestrator.errors import DataFileError
from orchestrator.files.limits import checked_shape
from orchestrator.files.pixel_size import UM_PER_UNIT, PixelSize

NEXUS_DEFAULT = "/entry/data/data"
"""Where NeXus files, and those of this framework, hold their images."""
MAX_LINKS = 16
"""Longest chain of soft links."""
MAX_OBJECTS = 10_000
"""Most objects that are looked at to find images."""
Selection = tuple[int | slice, ...]
_BROKEN = (OSError, ValueError, KeyError, TypeError, RuntimeError, OverflowError, MemoryError)


def read_hdf5(
    path: Path, dataset: str | None = None
) -> tuple[npt.NDArray[Any], PixelSize | None, bool]:
    """Values of a dataset, the size of a pixel, and whether the file says it is simulated.

    Args:
        path: The file.
        dataset: Path within it; by default `NEXUS_DEFAULT`, else the only dataset with two or
            three axes of numbers. Of more axes a part can be chosen as in numpy, by whole numbers
            and colons: ``/entry/data/data[-1]``, ``[:, 0]``.

    Raises:
        DataFileError: The file is damaged or too large, or the dataset is missing, ambiguous, or
            outside the file.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:  # others may be writing it
            name, which = _split(path, dataset)
            found = _chosen(path, file, name)
            values = _values(path, found, which)
            return values, _pixel(found), _says_simulated(found)
    except DataFileError:
        raise
    except _BROKEN as error:
        raise DataFileError(
            str(path),
            f"is not an HDF5 file that can be read: {str(error).strip() or type(error).__name__}",
            remedy="check it with `h5ls`, or export it again without special filters",
        ) from error


def _split(path: Path, dataset: str | None) -> tuple[str | None, Selection]:
    """Path of a dataset and what is chosen of it."""
    found = re.fullmatch(r"([^\[\]]*)(?:\[([-\d:, ]+)\])?", dataset or "")
    parts = [part.strip() for part in (found[2] or "").split(",")] if found else ["wrong"]
    if any(re.fullmatch(r":|-?\d{1,9}|", part) is None for part in parts):
        raise DataFileError(
            str(path),
            f"dataset, got {dataset!r}, expected a path, perhaps with whole numbers and colons",
            remedy="write it as /entry/data/data[-1] or /entry/data/data[:, 0]",
        )
    chosen = tuple(slice(None) if part == ":" else int(part) for part in parts if part)
    return (found[1] or None) if found else None, chosen


def _chosen(path: Path, file: h5py.File, dataset: str | None) -> h5py.Dataset:
    item = _resolved(path, file, dataset or NEXUS_DEFAULT)
    if item is None and dataset is None:
        found = [each for each in _datasets(file) if each.ndim in (2, 3)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(each.name for each in found[:8]) or "none"
        raise DataFileError(
            str(path),
            f"dataset, got {len(found)} with two or three axes ({names}), expected one",
            remedy="name it with --dataset",
        )
    if not isinstance(item, h5py.Dataset):
        problem = "is not in the file" if item is None else "is not a dataset"
        raise DataFileError(
            str(path), f"{dataset or NEXUS_DEFAULT}: {problem}", remedy="name one with --dataset"
        )
    return item


def _datasets(group: h5py.Group) -> Iterator[h5py.Dataset]:
    """Numeric datasets by hard links, each once."""
    waiting: list[h5py.Group] = [group]
    seen: set[tuple[int, int]] = set()
    while waiting and len(seen) < MAX_OBJECTS:
        here = waiting.pop()
        for name in here:
            if not isinstance(here.get(name, getlink=True), h5py.HardLink):
                continue
            item = here[name]
            info = h5py.h5o.get_info(item.id)
            key = (info.fileno, info.addr)
            if key in seen:
                continue
            seen.add(key)
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset) and item.dtype.kind in "uif":
                yield item


def _resolved(path: Path, file: h5py.File, wanted: str) -> Any:
    """Follow a path link by link; None if it is not there.

    Soft links stay in the file, external ones are refused before anything else is opened.
    """
    parts, here = [part for part in wanted.split("/") if part], file["/"]
    followed = 0
    while parts:
        part = parts.pop(0)
        link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise DataFileError(
                str(path),
                f"{wanted}: links to another file, {link.filename}",
                remedy="copy the data into one file, for example with `h5repack` or `h5copy`",
            )
        if isinstance(link, h5py.SoftLink):
            followed += 1
            if followed > MAX_LINKS:
                raise DataFileError(
                    str(path), f"{wanted}: soft links go in a circle", remedy="repair the file"
                )
            target = [each for each in link.path.split("/") if each]
            here = file["/"] if link.path.startswith("/") else here
            parts = target + parts
            continue
        here = here[part]
    return here


def _values(path: Path, dataset: h5py.Dataset, which: Selection) -> npt.NDArray[Any]:
    elsewhere = dataset.external or dataset.is_virtual
    if elsewhere:
        raise DataFileError(
            str(path),
            f"{dataset.name}: its values lie in other files",
            remedy="copy the data into one file, for example with `h5repack`",
        )
    if dataset.dtype.kind not in "uif":
        raise DataFileError(
            str(path),
            f"{dataset.name}: values, got {dataset.dtype}, expected real numbers",
            remedy="name another dataset with --dataset",
        )
    beyond = [n for n, one in zip(dataset.shape, which, strict=False) if not _within(one, n)]
    if len(which) > dataset.ndim or beyond:
        raise DataFileError(
            str(path),
            f"{dataset.name}: got {list(which)} of shape {dataset.shape}",
            remedy="correct what is in brackets behind --dataset",
        )
    kept = [n for n, one in zip_longest(dataset.shape, which) if not isinstance(one, int)]
    checked_shape(path, dataset.name, kept)
    return np.asarray(dataset[which])


def _within(one: int | slice, length: int) -> bool:
    return isinstance(one, slice) or -length <= one < length


def _pixel(dataset: h5py.Dataset) -> PixelSize | None:
    """Attribute `pixel_um`, or `pixel_size` with `pixel_size_units`, of one or (y, x) values."""
    attributes: Mapping[str, Any] = dataset.attrs
    for name in ("pixel_um", "pixel_size"):
        if name not in attributes:
            continue
        unit = "um" if name == "pixel_um" else _text(attributes.get("pixel_size_units", ""))
        values = np.ravel(attributes[name])
        if values.dtype.kind not in "uif" or not 1 <= len(values) <= 2:
            return None
        sides = [float(value) * UM_PER_UNIT.get(unit, math.nan) for value in values]
        if all(math.isfinite(side) and side > 0 for side in sides):
            return PixelSize(sides[-1], sides[0], f"HDF5 {name}")
    return None


def _says_simulated(dataset: h5py.Dataset) -> bool:
    """The framework's own frames carry it as an attribute."""
    return str(_text(dataset.attrs.get("simulated", ""))).lower() in {"true", "1"}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
