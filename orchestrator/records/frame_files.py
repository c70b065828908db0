"""HDF5 files of frames: their layout, and reading them, torn by a crash or not.

Layout (NeXus: NXroot, NXentry, NXdata)::

    /entry                  title = run uid, simulated = true | false | unknown
    /entry/data             signal = data, axes = [t_start, ., .]
    /entry/data/data        (frames, lines, columns), one chunk per frame
    /entry/data/<scalar>    (frames,), one value per frame, with units

While a run is open its files are in HDF5's single-writer-multiple-reader mode, so that others can
read them, and so that what was flushed can be read after the writer was killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from orchestrator.errors import RecordError

DATASET = "/entry/data/data"
"""Where the frames are in their file."""

UNITS = (
    ("_uc_per_cm2", "uC/cm^2"),
    ("_mah", "mA*h"),
    ("_ma", "mA"),
    ("_v", "V"),
    ("_s", "s"),
    ("_celsius", "degC"),
)
"""Suffix of a scalar's name and the unit it stands for, in the form that NeXus takes."""


def scalar_dataset(name: str) -> tuple[str, str]:
    """Name of a scalar's dataset and its units: ``t_start_s`` is ``t_start`` in ``s``."""
    for suffix, units in UNITS:
        if name.endswith(suffix):
            return name.removesuffix(suffix), units
    return name, ""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A file of frames for reading, whether it is finished, being written or torn.

    Raises:
        RecordError: It is none of these.
    """
    who = f"frames {path.parent.name}/{path.name}"
    if not path.is_file():
        raise RecordError(who, f"is not there, expected {path}", remedy="bring the file back")
    try:
        file = _open(path)
    except OSError as error:
        why = str(error).splitlines()[0][:120]
        raise RecordError(
            who, f"cannot be opened: {why}", remedy="`operando recover` keeps what can be read"
        ) from error
    try:
        yield file
    finally:
        file.close()


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError:
        # the mark of a writer is still on it: it is open now, or its writer was killed
        return h5py.File(path, "r", libver="latest", swmr=True, locking=False)


def is_marked_open(path: Path) -> bool:
    """Whether a file carries the mark of a writer, so that it opens only for shared reading."""
    try:
        h5py.File(path, "r", locking=False).close()
    except OSError:
        return True
    return False


class FrameReader:
    """Frames of one stream; each access opens the file, reads and closes it.

    Args:
        path: The file.

    Raises:
        RecordError: The file cannot be opened, or holds no frames.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened(path) as file:
            self._shape = tuple(int(n) for n in frames_of(file, path).shape)
            self.simulated = str(file["entry"].attrs.get("simulated", "unknown"))

    def __len__(self) -> int:
        return self._shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """(frames, lines, columns) when the reader was made."""
        return self._shape

    def __getitem__(self, index: int | slice) -> npt.NDArray[Any]:
        """One frame, shape (lines, columns), or several, shape (n, lines, columns)."""
        if isinstance(index, int):
            index = range(len(self))[index]
        with opened(self.path) as file:
            return np.asarray(frames_of(file, self.path)[index])

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[k] for k in range(len(self)))

    def scalars(self) -> dict[str, npt.NDArray[np.float64]]:
        """Values beside the frames by dataset name, each of shape (frames,)."""
        with opened(self.path) as file:
            group = frames_of(file, self.path).parent
            names = [name for name in group if name != "data"]
            return {name: np.asarray(group[name][: len(self)], dtype=float) for name in names}


class JoinedFrames:
    """Frames of one stream from several runs that are one experiment, one after another.

    Args:
        parts: Readers in their order, each with how many frames of it were announced: what was
            written but never announced when a run was cut off is left out.

    Raises:
        RecordError: The frames of the parts have different shapes.
    """

    def __init__(self, parts: Sequence[tuple[FrameReader, int]]) -> None:
        self._parts = [(reader, min(len(reader), announced)) for reader, announced in parts]
        shapes = {reader.shape[1:] for reader, count in self._parts if count}
        if len(shapes) > 1:
            raise RecordError(
                f"frames {self.path.name}",
                f"have shapes {sorted(shapes)} in the parts of one experiment, expected one",
                remedy="read each part by its own uid: orchestrator.records.runs.load_run",
            )
        self._where = [(reader, k) for reader, count in self._parts for k in range(count)]
        self.simulated = self._parts[0][0].simulated

    def __len__(self) -> int:
        return len(self._where)

    @property
    def path(self) -> Path:
        """File of the first part."""
        return self._parts[0][0].path

    @property
    def shape(self) -> tuple[int, ...]:
        """(frames, lines, columns)."""
        return (len(self), *self._parts[0][0].shape[1:])

    def __getitem__(self, index: int | slice) -> npt.NDArray[Any]:
        """One frame, shape (lines, columns), or several, shape (n, lines, columns)."""
        if isinstance(index, int):
            reader, at = self._where[index]
            return reader[at]
        if index == slice(None):
            return np.concatenate([reader[:count] for reader, count in self._parts])
        chosen = [reader[at] for reader, at in self._where[index]]
        return np.stack(chosen) if chosen else self._parts[0][0][:0]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (reader[at] for reader, at in self._where)

    def scalars(self) -> dict[str, npt.NDArray[np.float64]]:
        """Values beside the frames by dataset name, each of shape (frames,)."""
        parts = [
            {name: values[:count] for name, values in reader.scalars().items()}
            for reader, count in self._parts
        ]
        names = [name for name in parts[0] if all(name in one for one in parts)]
        return {name: np.concatenate([one[name] for one in parts]) for name in names}


def frames_of(file: h5py.File, path: Path) -> Any:
    """The dataset of frames in an open file.

    Raises:
        RecordError: There is none, or it is a way into another file.
    """
    place = ""
    for name in DATASET.strip("/").split("/"):
        place += f"/{name}"
        if not isinstance(file.get(place, getlink=True), h5py.HardLink):
            raise _foreign(path, f"has no {DATASET} of its own")
    dataset = file[DATASET]
    if dataset.is_virtual or dataset.external:
        raise _foreign(path, f"keeps {DATASET} in another file")
    return dataset


def _foreign(path: Path, what: str) -> RecordError:
    return RecordError(
        f"frames {path.parent.name}/{path.name}",
        what,
        remedy="it was not written by this program",
    )
