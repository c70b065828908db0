"""Journals reach Tiled once, whatever is in them and however often uploading is cut short."""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import sys
import warnings
from importlib.util import find_spec

import h5py
import httpx
import numpy as np
import pytest

from orchestrator.records.directory import DataDirectory
from orchestrator.records.journal import Journal
from orchestrator.records.recorder import Recorder
from orchestrator.records.recovery import recover
from orchestrator.records.tiled_run import RunUpload
from orchestrator.records.tiled_server import build_app, discard_unusable, import_tiled_server
from orchestrator.records.uploader import Uploader
from orchestrator.records.uploads import read_uploads, uploads_file
from tests import sample_run

FAR_S = 3600.0


class Now:
    """Real seconds that pass when told to."""

    s = 1000.0

    def __call__(self):
        return self.s


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A data directory and Tiled over it, in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries' own, while they are imported
        import_tiled_server()
        from tiled.client import from_context
        from tiled.client.context import Context

        directory = DataDirectory(tmp_path_factory.mktemp("served"))
        os.environ["TILED_RETRY_ATTEMPTS"] = "1"
        with Context.from_app(build_app(directory, "k" * 64), api_key="k" * 64) as context:
            yield directory, from_context(context).v3


@pytest.fixture
def uploader(served):
    directory, client = served
    for uid in list(directory.runs()):
        directory.journal(uid).unlink()
    client.delete_contents(recursive=True, external_only=False)
    return Uploader(directory, client, now=Now())


def run_all(uploader) -> None:
    while uploader.step():
        pass


def test_a_run_arrives_whole(served, uploader):
    directory, client = served
    uid = sample_run.record_run(directory.root, pages=3, rows=5, frames=2)
    run_all(uploader)
    echem = client[uid]["echem"].base["internal"].read()
    assert echem["seq_num"].tolist() == list(range(1, 16))
    assert np.array_equal(echem["pstat_voltage_v"], sample_run.voltage(np.arange(1, 16)))
    assert str(echem["pstat_cycle"].dtype) == "int64"
    assert np.array_equal(echem["ts_pstat_cycle"], echem["time"])
    events = client[uid]["events"].base["internal"].read()
    assert events["event_text"].tolist() == ["ünïcode"]
    assert math.isnan(events["event_value"][0])
    pixels = client[uid]["mri"]["mri_image"].read()
    assert pixels.dtype == np.dtype("<f4")
    assert np.array_equal(pixels, [sample_run.image(0), sample_run.image(1)])
    metadata = client[uid].metadata
    assert metadata["start"]["sample"]["name"] == "LLZO-7"
    assert metadata["stop"]["reason"] == "completed"
    described = client[uid]["echem"].metadata
    assert described["data_keys"]["pstat_current_ma"]["units"] == "mA"
    assert described["configuration"]["pstat"]["data"] == {"pstat_tr_s": 0.3}
    said = read_uploads(uploads_file(directory))[uid]
    assert said == {"seq": 13, "complete": True, "error": ""}


def test_uploading_again_adds_nothing(served, uploader):
    """Row 25: once."""
    directory, client = served
    uid = sample_run.record_run(directory.root, frames=1)
    run_all(uploader)
    rows = len(client[uid]["echem"].base["internal"].read())
    again = Uploader(directory, client, now=Now())
    assert not again.step()
    assert len(client[uid]["echem"].base["internal"].read()) == rows == 15
    assert list(client) == [uid]


def test_an_upload_that_was_cut_short_is_done_anew(served, uploader):
    """Row 25: cut short anywhere."""
    directory, client = served
    uid = sample_run.record_run(directory.root, pages=4, rows=5, frames=2)
    documents = list(journal_of(directory, uid))
    frame_file = directory.frames(uid, "mri")
    before = frame_file.read_bytes()
    for cut in (1, 7, len(documents) - 1):
        half = RunUpload(client, batch_rows=7)
        for name, doc in documents[:cut]:
            half(name, doc)
        half.flush()
        run_all(Uploader(directory, client, now=Now()))
        assert len(client[uid]["echem"].base["internal"].read()) == 20, cut
        assert client[uid]["mri"]["mri_image"].shape == (2, *sample_run.SHAPE)
        client.delete_contents(uid, recursive=True, external_only=False)
    assert frame_file.read_bytes() == before


def journal_of(directory, uid):
    from orchestrator.records.reading import read_journal

    return read_journal(directory.journal(uid)).documents


def test_an_open_run_grows_in_the_catalogue(served, uploader):
    directory, client = served
    recorder = Recorder(directory.root)
    recorder.frames.open("mri", "mri_image", sample_run.SHAPE, "<f4")
    recorder("start", sample_run.start("opened"))
    recorder("descriptor", sample_run.echem_descriptor("opened"))
    recorder("descriptor", sample_run.mri_descriptor("opened"))
    recorder("event_page", sample_run.page("opened", 1, 5))
    sample_run.take_frame(recorder, "opened", 0)
    run_all(uploader)
    assert "opened" in client
    uploader._now.s += FAR_S
    run_all(uploader)
    assert len(client["opened"]["echem"].base["internal"].read()) == 5
    assert client["opened"]["mri"]["mri_image"].shape == (1, *sample_run.SHAPE)
    assert not read_uploads(uploads_file(directory))["opened"]["complete"]
    recorder("event_page", sample_run.page("opened", 6, 5))
    sample_run.take_frame(recorder, "opened", 1)
    recorder("stop", sample_run.stop("opened"))
    recorder.close()
    run_all(uploader)
    seq_nums = client["opened"]["echem"].base["internal"].read()["seq_num"]
    assert seq_nums.tolist() == list(range(1, 11))
    assert client["opened"]["mri"]["mri_image"].shape == (2, *sample_run.SHAPE)
    assert read_uploads(uploads_file(directory))["opened"]["complete"]


def test_a_run_that_was_cut_off_waits_for_its_recovery(served, uploader):
    directory, client = served
    uid = sample_run.record_run(directory.root, close=False)
    run_all(uploader)
    assert uid not in client
    assert "recover" in read_uploads(uploads_file(directory))[uid]["error"]
    recover(directory.root)
    run_all(uploader)
    assert client[uid].metadata["stop"]["exit_status"] == "abort"
    assert client[uid]["mri"]["mri_image"].shape == (2, *sample_run.SHAPE)


def test_the_catalogue_keeps_the_order_of_the_runs(served, uploader):
    directory, client = served
    uids = [sample_run.record_run(directory.root, frames=0) for _ in range(4)]
    run_all(uploader)
    assert list(client) == uids


def test_whole_numbers_first_and_fractions_later(served, uploader):
    directory, client = served
    documents = list(sample_run.echem_documents("casts", pages=2, rows=2))
    documents[2][1]["data"]["pstat_voltage_v"] = [1, 2]
    documents[3][1]["data"]["pstat_voltage_v"] = [0.5, None]
    documents[3][1]["data"]["pstat_cycle"] = [3.0, 2.5]
    write(directory, "casts", documents)
    run_all(Uploader(directory, client, now=Now(), batch_rows=2))
    table = client["casts"]["echem"].base["internal"].read()
    assert np.array_equal(table["pstat_voltage_v"], [1, 2, 0.5, np.nan], equal_nan=True)
    assert table["pstat_cycle"].tolist()[:3] == [0, 0, 3]
    assert math.isnan(table["pstat_cycle"][3])


def test_arrays_in_events_become_their_json(served, uploader):
    directory, client = served
    keys = {"z": {"source": "s", "dtype": "array", "shape": [2], "dtype_numpy": "<f8"}}
    documents = [
        ("start", sample_run.start("arrays")),
        ("descriptor", sample_run.descriptor("arrays", "eis", "pstat", keys)),
        ("event", sample_run.event("arrays", "eis", 1, {"z": [1.0, 2.0]})),
        ("event", sample_run.event("arrays", "eis", 2, {"z": [3.0, math.nan]})),
        ("stop", sample_run.stop("arrays")),
    ]
    write(directory, "arrays", documents)
    run_all(uploader)
    table = client["arrays"]["eis"].base["internal"].read()
    assert table["z"].tolist() == ["[1.0, 2.0]", "[3.0, NaN]"]


def test_a_reconfigured_stream_stays_one_table(served, uploader):
    directory, client = served
    documents = list(sample_run.echem_documents("twice", pages=2, rows=2))
    again = {**sample_run.echem_descriptor("twice"), "uid": "twice-again"}
    documents.insert(3, ("descriptor", again))
    documents[4][1]["descriptor"] = "twice-again"
    write(directory, "twice", documents)
    run_all(uploader)
    table = client["twice"]["echem"].base["internal"].read()
    assert table["seq_num"].tolist() == [1, 2, 3, 4]


def test_a_damaged_run_arrives_without_its_damage(served, uploader):
    """Row 40: in the catalogue."""
    directory, client = served
    write(directory, "damaged", sample_run.echem_documents("damaged"))
    path = directory.journal("damaged")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"#" + lines[2], *lines[3:]]))
    run_all(uploader)
    table = client["damaged"]["echem"].base["internal"].read()
    assert table["seq_num"].tolist() == list(range(6, 16))
    said = read_uploads(uploads_file(directory))["damaged"]
    assert said["complete"]
    assert "1 damaged lines" in said["error"]


def test_events_whose_descriptor_is_lost_are_left_out_and_counted(served, uploader):
    directory, _ = served
    documents = [d for d in sample_run.echem_documents("orphans") if d[0] != "descriptor"]
    datum = {"uid": "x/0", "stream_resource": "x", "descriptor": "orphans-mri", "indices": {}}
    documents.insert(1, ("event", sample_run.event("orphans", "mri", 1, {"a": 1})))
    documents.insert(1, ("stream_datum", {**datum, "seq_nums": {"start": 1, "stop": 2}}))
    write(directory, "orphans", documents)
    run_all(uploader)
    said = read_uploads(uploads_file(directory))["orphans"]
    assert (said["complete"], said["error"]) == (True, "0 damaged lines, 17 events left out")


def test_a_run_without_a_start_keeps_nobody_waiting(served, uploader):
    directory, client = served
    write(directory, "headless", list(sample_run.echem_documents("headless"))[1:])
    uid = sample_run.record_run(directory.root, frames=0)
    run_all(uploader)
    assert list(client) == [uid]
    assert "start document is lost" in read_uploads(uploads_file(directory))["headless"]["error"]


def test_a_run_that_tiled_refuses_does_not_keep_the_others_out(served, uploader):
    """Row 25: one that is refused."""
    directory, client = served
    documents = list(sample_run.echem_documents("refused"))
    documents[1][1]["data_keys"]["pstat_cycle"]["dtype"] = "nonsense"
    write(directory, "refused", documents)
    uid = sample_run.record_run(directory.root, frames=0)
    run_all(uploader)
    assert client[uid].metadata["stop"]["reason"] == "completed"
    assert "nonsense" in read_uploads(uploads_file(directory))["refused"]["error"]
    write(directory, "refused", sample_run.echem_documents("refused"))
    assert not uploader.step()  # not before some time has passed
    uploader._now.s += FAR_S
    run_all(uploader)
    assert read_uploads(uploads_file(directory))["refused"]["complete"]


def test_recovery_of_a_followed_journal_is_noticed(served, uploader):
    directory, client = served
    journal = Journal.create(directory.journals, "followed")
    for name, doc in list(sample_run.echem_documents("followed"))[:3]:
        journal.append(name, doc)
    run_all(uploader)
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b"torn")
    recover(directory.root)
    run_all(uploader)
    table = client["followed"]["echem"].base["internal"].read()
    assert table["seq_num"].tolist() == [1, 2, 3, 4, 5]
    assert client["followed"].metadata["stop"]["exit_status"] == "abort"


def test_without_tiled_the_uploader_says_so(served, uploader):
    directory, _ = served

    class Gone:
        def include_data_sources(self):
            raise httpx.ConnectError("refused")

    uploader._client = Gone()
    sample_run.record_run(directory.root, frames=0)
    with pytest.raises(httpx.ConnectError):
        uploader.step()


def write(directory, uid, documents) -> None:
    directory.journal(uid).unlink(missing_ok=True)
    journal = Journal.create(directory.journals, uid)
    for name, doc in documents:
        journal.append(name, doc)
    journal.close()


@pytest.mark.filterwarnings("ignore:No path_separator found:DeprecationWarning")
def test_an_unusable_catalogue_is_deleted_and_a_good_one_kept(served, tmp_path):
    directory = DataDirectory(tmp_path)
    directory.store.mkdir()
    catalog = directory.store / "catalog.db"
    assert not discard_unusable(directory)
    catalog.write_bytes(b"rubbish" * 1000)
    (directory.store / "files" / "x").mkdir(parents=True)
    assert discard_unusable(directory)
    assert list(directory.store.iterdir()) == []
    build_app(directory, "k" * 64)
    assert not discard_unusable(directory)
    with contextlib.closing(sqlite3.connect(catalog)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'another'")
        connection.commit()
    assert discard_unusable(directory)
    assert not catalog.exists()


def test_a_package_that_is_not_here_leaves_no_trace(served):
    import_tiled_server()
    missing = [name for name in ("sparse", "hdf5plugin") if find_spec(name) is None]
    assert not set(missing) & set(sys.modules)


def test_a_file_outside_the_data_directory_is_never_served(served, tmp_path):
    """Not even to somebody with the key, who says that an array is kept in any file."""
    from tiled.client.utils import ClientError
    from tiled.structures.array import ArrayStructure
    from tiled.structures.core import StructureFamily
    from tiled.structures.data_source import Asset, DataSource, Management

    directory, client = served
    image = np.arange(6.0).reshape(2, 3)

    def added(path, key):
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["entry/data/data"] = image
        source = DataSource(
            management=Management.external,
            mimetype="application/x-hdf5",
            structure_family=StructureFamily.array,
            structure=ArrayStructure.from_array(image),
            parameters={"dataset": "entry/data/data"},
            assets=[Asset(f"file://localhost{path}", False, "data_uris", 0)],
        )
        return client.new(StructureFamily.array, [source], key=key)

    inside = added(directory.root / "frames" / "run" / "mri.h5", "inside")
    np.testing.assert_array_equal(inside.read(), image)
    (directory.root / "frames" / "link").symlink_to(tmp_path)
    asset = inside.data_sources()[0].assets[0].id
    raw = client.context.http_client.get("/api/v1/asset/bytes/inside", params={"id": asset})
    assert raw.status_code == 403
    for k, outside in enumerate((
        tmp_path / "secret.h5",
        directory.root / "frames" / ".." / ".." / "secret.h5",
        directory.root / "journals" / "secret.h5",
        directory.root / "frames" / "link" / "secret.h5",
    )):  # fmt: skip
        with pytest.raises((ClientError, RuntimeError), match=r"outside|40\d|500"):
            added(outside, f"outside-{k}").read()
