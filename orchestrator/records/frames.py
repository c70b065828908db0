"""Frames on their way to disk: durable before they are announced, refused before they hurt.

One HDF5 file per stream and run (layout: `frame_files`). Each frame is written, flushed and
fsynced before its documents exist; a frame that was announced survives the writer's death.
"""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from orchestrator.errors import DiskError, RecordError
from orchestrator.records.directory import DataDirectory, checked_stream, sync_directory
from orchestrator.records.frame_files import DATASET, scalar_dataset

MAX_FRAME_BYTES = 256 * 2**20
"""Largest frame; a console that claims more is refused before memory is set aside."""

RESERVE_BYTES = 16 * 2**20
"""Free disk space below which no frame is begun: HDF5 does not survive a full disk."""


def free_bytes(path: Path) -> int:
    """Free space on the disk of a path."""
    return shutil.disk_usage(path).free


@dataclass
class _Stream:
    """What is known of a stream of frames, and its open file."""

    data_key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    units: str = "a.u."
    resource_uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    path: Path | None = None
    file: h5py.File | None = None
    scalars: dict[str, Any] = field(default_factory=dict)
    announced: bool = False
    broken: bool = False


class Hdf5Frames:
    """Writes the frames of the open run; implements `devices.roles.FrameSink`.

    It learns of runs from their documents: call it with each of them (a `start` begins, a `stop`
    closes the files, which leaves them as ordinary HDF5 files).

    Args:
        directory: The data directory.
        max_frame_bytes: Largest frame.
        free: Free bytes on the disk of a path.
    """

    def __init__(
        self,
        directory: DataDirectory,
        *,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._directory = directory
        self._max_frame_bytes, self._free = max_frame_bytes, free
        self._uid = ""
        self._simulated: Mapping[str, Any] = {}
        self._streams: dict[str, _Stream] = {}
        self._lock = threading.Lock()

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Follow the runs' documents."""
        if name == "start":
            self._uid = doc["uid"]
            simulated = doc.get("simulated", {})
            self._simulated = simulated if isinstance(simulated, Mapping) else {}
        elif name == "stop" and doc.get("run_start") == self._uid:
            self.close()

    def open(
        self,
        stream: str,
        data_key: str,
        shape: tuple[int, ...],
        dtype: str,
        *,
        units: str = "a.u.",
    ) -> None:
        """Declare a stream of frames of one shape; its file is made with its first frame.

        May be called before the run's start document; idempotent for the same run.

        Args:
            stream: Name of the stream and of the file.
            data_key: Key of the image in the stream's events.
            shape: (lines, columns).
            dtype: As in NumPy, for example ``<f4``.
            units: Unit of a pixel; of several channels their units in order.

        Raises:
            RecordError: A frame would be empty or too large, or the stream has another shape
                in the same run.
        """
        wanted = _Stream(data_key, tuple(int(n) for n in shape), np.dtype(dtype), units)
        size_bytes = int(np.prod(wanted.shape, dtype=object)) * wanted.dtype.itemsize
        if not wanted.shape or min(wanted.shape) < 1 or size_bytes > self._max_frame_bytes:
            raise self._refused(
                stream,
                f"frames of {size_bytes} bytes (shape {wanted.shape}, {dtype}), expected 1 to "
                f"{self._max_frame_bytes} bytes",
                "check the matrix of the acquisition",
            )
        with self._lock:
            known = self._streams.get(checked_stream(stream))
            if known is None or known.file is None:
                self._streams[stream] = wanted
            elif (known.shape, known.dtype) != (wanted.shape, wanted.dtype):
                raise self._refused(
                    stream,
                    f"got shape {wanted.shape} {wanted.dtype} in a run that has frames of shape "
                    f"{known.shape} {known.dtype}",
                    "change the matrix between runs only",
                )

    def write(self, stream: str, image: npt.NDArray[Any], scalars: Mapping[str, float]) -> int:
        """Append one frame durably: it is on the disk when this returns.

        Args:
            stream: A stream declared with `open`.
            image: The frame, of the declared shape and dtype.
            scalars: Values to keep beside it, with their unit in the name; the same names for
                every frame of a stream.

        Returns:
            The frame's index, from 0.

        Raises:
            RecordError: The frame is not what was declared, or the disk refuses it.
        """
        with self._lock:
            one = self._declared(stream)
            self._check(stream, one, image)
            try:
                if one.file is None:
                    self._create(stream, one, scalars)
                return self._append(stream, one, image, scalars)
            except (OSError, RuntimeError) as error:  # h5py raises both when a disk refuses
                one.broken = True
                raise self._disk(
                    stream, f"a frame cannot be written: {str(error).splitlines()[0]}"
                ) from error

    def asset_documents(self, stream: str, index: int) -> list[tuple[str, dict[str, Any]]]:
        """`stream_resource` (the first time) and `stream_datum` documents of one frame."""
        with self._lock:
            one = self._declared(stream)
            if one.path is None:
                raise self._refused(stream, f"has no frame {index}", "write it first")
            documents: list[tuple[str, dict[str, Any]]] = []
            if not one.announced:
                one.announced = True
                documents.append(("stream_resource", self._resource(one, one.path)))
            datum = {
                "uid": f"{one.resource_uid}/{index}",
                "stream_resource": one.resource_uid,
                "descriptor": "",  # the engine fills in this and seq_nums
                "indices": {"start": index, "stop": index + 1},
                "seq_nums": {"start": 0, "stop": 0},
            }
            return [*documents, ("stream_datum", datum)]

    def close(self) -> None:
        """Close every file as an ordinary one and forget the run, not its streams; idempotent.

        Raises:
            RecordError: A file could not be closed; its frames can still be read.
        """
        with self._lock:
            streams, self._uid = self._streams, ""
            self._streams = {
                name: _Stream(one.data_key, one.shape, one.dtype, one.units)
                for name, one in streams.items()
            }
            failed = [failure for one in streams.values() if (failure := _closed(one))]
        if failed:
            raise RecordError(
                "frames",
                f"could not be closed: {'; '.join(failed)}",
                remedy="`operando recover` rewrites the files",
            )

    # --- inside ---

    def _declared(self, stream: str) -> _Stream:
        try:
            return self._streams[stream]
        except KeyError:
            raise self._refused(stream, "is not declared", "stage the device first") from None

    def _check(self, stream: str, one: _Stream, image: npt.NDArray[Any]) -> None:
        if not isinstance(image, np.ndarray) or image.shape != one.shape:
            got = getattr(image, "shape", type(image).__name__)
            raise self._refused(
                stream,
                f"got a frame of shape {got}, expected {one.shape}",
                "compare the instrument's matrix with the experiment's",
            )
        if (image.dtype.kind, image.dtype.itemsize) != (one.dtype.kind, one.dtype.itemsize):
            raise self._refused(
                stream,
                f"got a frame of dtype {image.dtype}, expected {one.dtype}",
                "compare the instrument's data type with the driver's",
            )
        if one.broken or not self._uid:
            why = "an earlier frame failed" if one.broken else "no run is open"
            raise self._refused(stream, f"got a frame but {why}", "begin another run")
        self._directory.root.mkdir(parents=True, exist_ok=True)
        free = self._free(self._directory.root)
        if free < image.nbytes + RESERVE_BYTES:
            raise self._disk(
                stream, f"the disk has {free} bytes left, expected {image.nbytes + RESERVE_BYTES}"
            )

    def _create(self, stream: str, one: _Stream, scalars: Mapping[str, float]) -> None:
        path = self._directory.frames(self._uid, stream)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise self._refused(stream, f"{path} exists", "begin another run")
        unnamed = path.with_suffix(".new")
        file = h5py.File(unnamed, "w", libver="latest", locking=False)
        one.file = file
        simulated = self._simulated.get(stream)
        said = "unknown" if simulated is None else str(bool(simulated)).lower()
        one.scalars = lay_out(file, one.shape, one.dtype, list(scalars))
        file.attrs["default"] = "entry"
        file["entry"].attrs.update({"title": self._uid, "simulated": said})
        file[DATASET].attrs.update({"simulated": said, "units": one.units})
        file.swmr_mode = True
        os.fsync(file.id.get_vfd_handle())
        unnamed.rename(path)  # from its first moment under its name it can be read
        one.path = path
        sync_directory(path.parent)
        sync_directory(path.parent.parent)

    def _append(
        self, stream: str, one: _Stream, image: npt.NDArray[Any], scalars: Mapping[str, float]
    ) -> int:
        if set(scalars) != set(one.scalars):
            raise self._refused(
                stream,
                f"got scalars {sorted(scalars)}, expected {sorted(one.scalars)}",
                "give every frame of a stream the same",
            )
        file: h5py.File = one.file
        data = file[DATASET]
        index = int(data.shape[0])
        for name, dataset in one.scalars.items():
            dataset.resize(index + 1, axis=0)
            dataset[index] = scalars[name]
            dataset.flush()
        data.resize(index + 1, axis=0)  # last, so that a frame that counts is whole
        data[index] = image
        data.flush()
        os.fsync(file.id.get_vfd_handle())
        return index

    def _resource(self, one: _Stream, path: Path) -> dict[str, Any]:
        return {
            "uid": one.resource_uid,
            "run_start": self._uid,
            "data_key": one.data_key,
            "mimetype": "application/x-hdf5",
            "uri": "file://localhost" + path.resolve().as_uri().removeprefix("file://"),
            "parameters": {
                "dataset": DATASET,
                "join_method": "concat",
                "chunk_shape": [1, *one.shape],
            },
        }

    def _disk(self, stream: str, what: str) -> DiskError:
        remedy = f"free space on, or replace, the disk of {self._directory.root}"
        return DiskError(f"frames {stream[:80]}", what, remedy=remedy)

    def _refused(self, stream: str, what: str, remedy: str) -> RecordError:
        return RecordError(f"frames {stream[:80]}", what, remedy=remedy)


def lay_out(
    file: h5py.File, shape: tuple[int, ...], dtype: np.dtype[Any], scalars: list[str]
) -> dict[str, Any]:
    """Make the groups and growing datasets of a file of frames.

    Args:
        file: A new file.
        shape: (lines, columns).
        dtype: Type of a pixel.
        scalars: Names of the values beside each frame, with their unit.

    Returns:
        The scalars' datasets by name.
    """
    file.attrs["NX_class"] = "NXroot"
    entry = file.create_group("entry")
    entry.attrs.update({"NX_class": "NXentry", "default": "data"})
    group = entry.create_group("data")
    axes = ["t_start" if "t_start_s" in scalars else ".", *("." for _ in shape)]
    group.attrs.update({"NX_class": "NXdata", "signal": "data"})
    group.attrs["axes"] = np.array(axes, dtype=h5py.string_dtype())
    data = group.create_dataset(
        "data", shape=(0, *shape), maxshape=(None, *shape), chunks=(1, *shape), dtype=dtype
    )
    data.attrs.update({"units": "a.u.", "interpretation": "image"})
    made = {}
    for name in scalars:
        dataset, units = scalar_dataset(name)
        made[name] = group.create_dataset(
            dataset, shape=(0,), maxshape=(None,), chunks=(512,), dtype="<f8", fillvalue=np.nan
        )
        made[name].attrs.update({"units": units, "operando_name": name})
    return made


def _closed(one: _Stream) -> str:
    """Close a stream's file; returns why it could not be closed, else nothing."""
    if one.file is None:
        return ""
    try:
        one.file.close()
    except (OSError, RuntimeError) as error:
        return f"{one.path}: {str(error).splitlines()[0]}"
    return ""
