"""Frames are on disk before they are announced, and refused before they hurt."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal

import h5py
import numpy as np
import pytest

from orchestrator.errors import RecordError
from orchestrator.records.directory import DataDirectory
from orchestrator.records.frame_files import FrameReader, is_marked_open, scalar_dataset
from orchestrator.records.frames import RESERVE_BYTES, Hdf5Frames
from tests import sample_run

SCALARS = {"t_start_s": 1.0, "charge_start_mah": 0.25}


@pytest.fixture
def sink(tmp_path):
    frames = Hdf5Frames(DataDirectory(tmp_path))
    frames.open("mri", "mri_image", sample_run.SHAPE, "<f4")
    frames("start", sample_run.start("run"))
    yield frames
    frames.close()


def path_of(tmp_path):
    return DataDirectory(tmp_path).frames("run", "mri")


def test_a_frame_can_be_read_as_soon_as_it_is_written(sink, tmp_path):
    for index in range(4):
        assert sink.write("mri", sample_run.image(index), SCALARS) == index
        reader = FrameReader(path_of(tmp_path))
        assert len(reader) == index + 1
        assert np.array_equal(reader[index], sample_run.image(index))


def test_a_finished_file_is_an_ordinary_nexus_file(sink, tmp_path):
    sink.write("mri", sample_run.image(0), SCALARS)
    sink("stop", sample_run.stop("run"))
    assert not is_marked_open(path_of(tmp_path))
    with h5py.File(path_of(tmp_path), "r") as file:
        assert file.attrs["NX_class"] == "NXroot"
        entry = file[file.attrs["default"]]
        assert (entry.attrs["NX_class"], entry.attrs["simulated"]) == ("NXentry", "true")
        group = entry[entry.attrs["default"]]
        assert group.attrs["NX_class"] == "NXdata"
        assert group.attrs["signal"] == "data"
        assert list(group.attrs["axes"]) == ["t_start", ".", "."]
        assert group["data"].chunks == (1, *sample_run.SHAPE)
        assert group["data"].dtype == np.dtype("<f4")
        assert group["t_start"][0] == 1.0
        assert group["t_start"].attrs["units"] == "s"
        assert group["charge_start"].attrs["units"] == "mA*h"


@pytest.mark.parametrize(
    ("said", "expected"),
    [({"simulated": {"mri": False}}, "false"), ({"simulated": {}}, "unknown"), ({}, "unknown")],
)
def test_a_file_says_whether_it_is_simulated(tmp_path, said, expected):
    frames = Hdf5Frames(DataDirectory(tmp_path))
    frames.open("mri", "mri_image", sample_run.SHAPE, "<f4")
    frames("start", {"uid": "run", **said})
    frames.write("mri", sample_run.image(0), {})
    frames.close()
    assert FrameReader(path_of(tmp_path)).simulated == expected


def test_the_documents_of_a_frame(sink, tmp_path):
    for index in range(2):
        sink.write("mri", sample_run.image(index), SCALARS)
    (kind, resource), (other, first) = sink.asset_documents("mri", 0)
    assert (kind, other) == ("stream_resource", "stream_datum")
    assert resource["mimetype"] == "application/x-hdf5"
    assert resource["uri"] == f"file://localhost{path_of(tmp_path)}"
    assert resource["parameters"] == {
        "dataset": "/entry/data/data",
        "join_method": "concat",
        "chunk_shape": [1, *sample_run.SHAPE],
    }
    assert (resource["data_key"], resource["run_start"]) == ("mri_image", "run")
    ((_, second),) = sink.asset_documents("mri", 1)
    assert first["stream_resource"] == second["stream_resource"] == resource["uid"]
    assert second["indices"] == {"start": 1, "stop": 2}
    assert second["seq_nums"] == {"start": 0, "stop": 0}


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((5, 9), "<f4"),
        np.zeros((1, *sample_run.SHAPE), "<f4"),
        np.zeros(sample_run.SHAPE, "<f8"),
        np.zeros(sample_run.SHAPE, "<i4"),
        [[1.0]],
    ],
)
def test_frames_of_another_shape_or_type_are_refused(sink, tmp_path, bad):
    """Row 22: by the file of frames."""
    sink.write("mri", sample_run.image(0), SCALARS)
    with pytest.raises(RecordError, match="frames mri: got a frame of"):
        sink.write("mri", bad, SCALARS)
    assert sink.write("mri", sample_run.image(1), SCALARS) == 1


@pytest.mark.parametrize("shape", [(0, 9), (), (2**20, 2**20), (10**12, 10**12), (-1, 4)])
def test_absurd_frames_are_refused_before_they_exist(tmp_path, shape):
    """Row 22: when they are declared."""
    frames = Hdf5Frames(DataDirectory(tmp_path))
    with pytest.raises(RecordError, match="check the matrix"):
        frames.open("mri", "mri_image", shape, "<f4")


def test_another_shape_in_the_same_run_is_refused(sink):
    sink.open("mri", "mri_image", sample_run.SHAPE, "<f4")
    sink.write("mri", sample_run.image(0), SCALARS)
    sink.open("mri", "mri_image", sample_run.SHAPE, "<f4")
    with pytest.raises(RecordError, match="change the matrix between runs"):
        sink.open("mri", "mri_image", (3, 3), "<f4")


def test_the_next_run_has_a_file_and_a_resource_of_its_own(sink, tmp_path):
    sink.write("mri", sample_run.image(0), SCALARS)
    first = sink.asset_documents("mri", 0)[0][1]
    sink("stop", sample_run.stop("run"))
    sink("start", sample_run.start("next"))
    assert sink.write("mri", sample_run.image(5), SCALARS) == 0
    second = sink.asset_documents("mri", 0)[0][1]
    assert first["uid"] != second["uid"]
    assert second["uri"].endswith("/next/mri.h5")


def test_no_frame_without_a_run(tmp_path):
    frames = Hdf5Frames(DataDirectory(tmp_path))
    with pytest.raises(RecordError, match="is not declared"):
        frames.write("mri", sample_run.image(0), {})
    frames.open("mri", "mri_image", sample_run.SHAPE, "<f4")
    with pytest.raises(RecordError, match="got a frame but no run is open"):
        frames.write("mri", sample_run.image(0), {})
    with pytest.raises(RecordError, match="has no frame 0"):
        frames.asset_documents("mri", 0)


def test_a_full_disk_is_noticed_before_hdf5_does(tmp_path):
    """Row 23: frames."""
    left = [RESERVE_BYTES * 2, RESERVE_BYTES]
    frames = Hdf5Frames(DataDirectory(tmp_path), free=lambda path: left.pop(0))
    frames.open("mri", "mri_image", sample_run.SHAPE, "<f4")
    frames("start", sample_run.start("run"))
    frames.write("mri", sample_run.image(0), SCALARS)
    with pytest.raises(RecordError, match=r"the disk has 16777216 bytes left, expected 1677\d+"):
        frames.write("mri", sample_run.image(1), SCALARS)
    frames.close()
    assert len(FrameReader(path_of(tmp_path))) == 1


def fails_in_the_middle(tmp_path) -> None:
    """A run whose files may not grow beyond a few frames, as on a disk that fills up."""
    frames = Hdf5Frames(DataDirectory(tmp_path))
    frames.open("mri", "mri_image", (100, 100), "<f4")
    frames("start", sample_run.start("run"))
    frames.write("mri", np.ones((100, 100), "<f4"), SCALARS)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = path_of(tmp_path).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, size + 1000))
    with pytest.raises(RecordError, match="a frame cannot be written"):
        frames.write("mri", np.ones((100, 100), "<f4"), SCALARS)
    with pytest.raises(RecordError, match="an earlier frame failed"):
        frames.write("mri", np.ones((100, 100), "<f4"), SCALARS)


def test_after_a_failed_write_the_frames_before_it_stay(tmp_path):
    """Row 23: frames, by a limit of the kernel."""
    # in a child: HDF5 keeps a file that failed for the rest of its process
    child = multiprocessing.get_context("fork").Process(target=_alone, args=(tmp_path,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    frames = FrameReader(path_of(tmp_path))
    assert np.array_equal(frames[0], np.ones((100, 100)))


def _alone(tmp_path) -> None:
    fails_in_the_middle(tmp_path)
    os._exit(0)


def test_scalars_must_stay_the_same(sink):
    sink.write("mri", sample_run.image(0), SCALARS)
    with pytest.raises(RecordError, match="got scalars"):
        sink.write("mri", sample_run.image(1), {"t_start_s": 1.0})


@pytest.mark.parametrize("stream", ["../x", "a.b", "", "1x", "a b"])
def test_streams_that_are_no_file_names_are_refused(tmp_path, stream):
    """Row 35: names of streams."""
    with pytest.raises(RecordError, match="as a stream's name"):
        Hdf5Frames(DataDirectory(tmp_path)).open(stream, "k", (2, 2), "<f4")


def test_units_come_from_the_names():
    assert scalar_dataset("t_start_s") == ("t_start", "s")
    assert scalar_dataset("charge_end_mah") == ("charge_end", "mA*h")
    assert scalar_dataset("frame") == ("frame", "")


def test_a_file_that_is_no_hdf5_is_an_error_of_ours(tmp_path):
    path = tmp_path / "mri.h5"
    path.write_bytes(b"rubbish")
    with pytest.raises(RecordError, match="cannot be opened"):
        FrameReader(path)
    with h5py.File(path, "w") as file:
        file["other"] = 1
    with pytest.raises(RecordError, match="has no /entry/data/data of its own"):
        FrameReader(path)


def test_a_file_that_leads_into_another_is_refused(tmp_path):
    secret, path = tmp_path / "secret.h5", tmp_path / "mri.h5"
    with h5py.File(secret, "w") as file:
        file["entry/data/data"] = np.ones((1, 2, 2))
    with h5py.File(path, "w") as file:
        file["entry"] = h5py.ExternalLink(str(secret), "/entry")
    with pytest.raises(RecordError, match="has no /entry/data/data of its own"):
        FrameReader(path)
    layout = h5py.VirtualLayout((1, 2, 2), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "entry/data/data", shape=(1, 2, 2), dtype="f8")
    with h5py.File(path, "w") as file:
        file.create_group("entry/data").create_virtual_dataset("data", layout)
    with pytest.raises(RecordError, match="keeps /entry/data/data in another file"):
        FrameReader(path)
