"""Nothing acknowledged is lost when the program is killed, whenever that is.

A child forked from this warm process records a run and says through a pipe what is acknowledged:
documents by their sequence number, frames by their index. It is killed at a drawn moment; then
every acknowledged document and frame must be there, before and after recovery.
"""

from __future__ import annotations

import os
import random
import select
import signal
import struct

import numpy as np
import pytest

from orchestrator.records.directory import DataDirectory
from orchestrator.records.frame_files import FrameReader
from orchestrator.records.reading import read_journal
from orchestrator.records.recorder import Recorder
from orchestrator.records.recovery import recover
from orchestrator.records.runs import load_run
from tests import sample_run

MESSAGE = struct.Struct("<cq")
DEADLINE_S = 20.0


def record_for_ever(data, uid, say) -> None:
    recorder = Recorder(data)
    recorder.frames.open("mri", "mri_image", sample_run.SHAPE, "<f4")
    recorder("start", sample_run.start(uid))
    say(b"d", recorder.acknowledged)
    recorder("descriptor", sample_run.echem_descriptor(uid))
    recorder("descriptor", sample_run.mri_descriptor(uid))
    say(b"d", recorder.acknowledged)
    for k in range(10_000):
        recorder("event_page", sample_run.page(uid, 1 + 4 * k, 4))
        if k % 3 == 0:
            recorder.journal.sync()
        if k % 4 == 0:
            sample_run.take_frame(recorder, uid, k // 4)
            say(b"f", k // 4)
        say(b"d", recorder.acknowledged)


def kill_after(data, uid, moment: tuple[int, float]) -> tuple[int, int]:
    """Kill a recording child some messages and some time in; last document and frame said."""
    messages, delay_s = moment
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            record_for_ever(data, uid, lambda *said: os.write(writing, MESSAGE.pack(*said)))
        finally:
            os._exit(1)
    os.close(writing)
    said = b""
    try:
        while len(said) < messages * MESSAGE.size:
            ready, _, _ = select.select([reading], [], [], DEADLINE_S)
            assert ready, "the child says nothing"
            piece = os.read(reading, 4096)
            assert piece, "the child ended by itself"
            said += piece
        select.select([], [], [], delay_s)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    while piece := os.read(reading, 4096):  # what it said in its last moments counts too
        said += piece
    os.close(reading)
    whole = said[: len(said) // MESSAGE.size * MESSAGE.size]
    last = {b"d": -1, b"f": -1, **dict(MESSAGE.iter_unpack(whole))}
    return last[b"d"], last[b"f"]


def check_journal(data, uid, document: int) -> None:
    content = read_journal(DataDirectory(data).journal(uid))
    assert len(content.documents) > document
    assert content.missing == 0
    assert all(bad.torn for bad in content.bad)
    for k, page in enumerate(d for name, d in content.documents if name == "event_page"):
        seq_num = np.arange(1 + 4 * k, 5 + 4 * k)
        assert page["seq_num"] == seq_num.tolist()
        assert page["data"]["pstat_voltage_v"] == sample_run.voltage(seq_num).tolist()


def check_frames(data, uid, frame: int) -> None:
    path = DataDirectory(data).frames(uid, "mri")
    if frame < 0:
        return
    frames = FrameReader(path)
    assert len(frames) > frame
    for index, pixels in enumerate(frames[: frame + 1]):
        assert np.array_equal(pixels, sample_run.image(index))


def kill_many(data, times: int) -> tuple[int, int]:
    draw = random.Random(20250101)
    documents = frames = 0
    for k in range(times):
        uid = f"run{k}"
        moment = (draw.randrange(1, 60), draw.random() * 0.01)
        document, frame = kill_after(data, uid, moment)
        check_journal(data, uid, document)
        check_frames(data, uid, frame)
        documents, frames = documents + document + 1, frames + frame + 1
    done = recover(data)
    assert [one.error for one in done] == [""] * times
    assert all(one.closed and not one.frames_lost for one in done)
    for one in done:
        run = load_run(DataDirectory(data).journal(one.uid))
        assert run.stop is not None
        assert not run.bad
        events = run.streams.get("mri", {"time": []})
        if len(events["time"]):
            kept = run.frames("mri")
            assert len(kept) >= len(events["time"])
            assert np.array_equal(kept[len(kept) - 1], sample_run.image(len(kept) - 1))
    assert not any(one.changed for one in recover(data))
    return documents, frames


@pytest.mark.long
def test_a_hundred_kills_lose_nothing_acknowledged(tmp_path):
    """Row 28: a hundred times, at drawn moments."""
    documents, frames = kill_many(tmp_path, 100)
    # the moments were spread over runs, not all at their first document
    assert documents > 1000
    assert frames > 200


@pytest.mark.soak
def test_a_thousand_kills_lose_nothing_acknowledged(tmp_path):
    """Row 28: a thousand times."""
    kill_many(tmp_path, 1000)
