"""A disk that fills up while a run goes on: a real one, as small as a run needs.

A child in a mount namespace of its own has a small tmpfs as data directory, which something else
fills in the middle of the run. Where the kernel allows no such namespace the file system is one of
numbers (`tests/unit/test_journal.py`, `tests/unit/test_frames.py`), and these tests are skipped.
"""

from __future__ import annotations

import ctypes
import io
import os
import traceback
from pathlib import Path

import pytest

from orchestrator.bench import open_bench
from orchestrator.errors import DiskError, RecordError
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.records.frames import RESERVE_BYTES
from orchestrator.records.recovery import recover
from orchestrator.records.runs import load_run
from orchestrator.running import run_experiment
from tests.promises import Witness

SIZE_BYTES = 96 * 2**20
FILLED_AT_S = 2000.0
SKIPPED = 77
_NEW_NAMESPACES = 0x00020000 | 0x10000000  # CLONE_NEWNS | CLONE_NEWUSER


def mount_small(folder: Path) -> bool:
    """Put a tmpfs on a folder, seen by this process only; whether that is allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_NEW_NAMESPACES) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path(f"/proc/self/{name}").write_text(text)
    options = f"size={SIZE_BYTES}".encode()
    return libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, options) == 0


def in_child(folder: Path, work) -> None:
    """Do it in a child with a small disk on `folder`."""
    folder.mkdir()
    said = folder.with_suffix(".txt")
    pid = os.fork()
    if pid == 0:
        code = SKIPPED
        try:
            if mount_small(folder):
                work(folder)
                code = 0
        except BaseException:  # noqa: BLE001 - told to the parent
            said.write_text(traceback.format_exc())
            code = 1
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == SKIPPED:
        pytest.skip("this kernel allows no mount in a namespace of one's own")
    assert code == 0, said.read_text() if said.exists() else code


class Filler:
    """Another program, which fills the disk but for so much.

    Args:
        bench: On whose clock it does so.
        folder: On the disk.
        leaves_bytes: What is left.
    """

    name = "filler"

    def __init__(self, bench, folder: Path, leaves_bytes: int) -> None:
        self.file, self.leaves_bytes = folder / "of-others", leaves_bytes
        bench.clock.call_later(FILLED_AT_S, self.fill, owner=self)

    def callback_failed(self, error):
        raise error

    def fill(self) -> None:
        stat = os.statvfs(self.file.parent)
        wanted = stat.f_bavail * stat.f_frsize - self.leaves_bytes
        with self.file.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, wanted)


def experiment(*, images: bool) -> Experiment:
    """An hour or so of cycling, with frames of four minutes perhaps."""
    document = load_experiment(example_path("in_situ_mri")).to_document()
    document["protocol"]["method"][-1]["cycle_count"] = 1
    document["images"][0]["settings"]["averages"] = 16
    if not images:
        document["images"] = []
    return Experiment.model_validate(document)


def run_until_full(folder: Path, *, images: bool, leaves_bytes: int, error: type) -> None:
    one = experiment(images=images)
    recipe = one.sample.simulate_as.model_dump(exclude_none=True)
    with open_bench("sim-mri", data=folder, sample=recipe) as bench:
        seen = Witness(bench)
        Filler(bench, folder, leaves_bytes)
        with pytest.raises(error) as raised:
            run_experiment(one, bench, speak=io.StringIO())
        assert FILLED_AT_S <= bench.elapsed_s <= FILLED_AT_S + 920
        assert not bench.RE.unsafe
    content = seen.promises_kept()
    stop = content.documents[-1][1]
    assert stop["exit_status"] == "fail"
    assert stop["reason"].startswith(str(raised.value)[:40])
    run = load_run(bench._recorder.directory.journal(content.documents[0][1]["uid"]))
    echem = run.streams["echem"]
    assert echem["time"][-1] - run.start["time"] == pytest.approx(bench.elapsed_s, abs=10.5)
    if images:
        frames = run.frames("mri")
        assert len(frames) == len(run.streams["mri"]["mri_frame"]) > 2
        assert frames[len(frames) - 1].std() > 0
    assert not [one for one in recover(folder) if one.error or one.frames_lost]


def test_the_journals_disk_fills_up_during_a_run(tmp_path):
    """Row 23: no byte is left; the last records and `stop` are in the place of the ballast."""

    def work(folder):
        run_until_full(folder, images=False, leaves_bytes=0, error=RecordError)

    in_child(tmp_path / "disk", work)


def test_the_frames_disk_fills_up_during_a_run(tmp_path):
    """Row 23: a frame would not fit any more; the run ends before HDF5 meets a full disk."""

    def work(folder):
        run_until_full(folder, images=True, leaves_bytes=RESERVE_BYTES // 2, error=DiskError)

    in_child(tmp_path / "disk", work)


def test_nothing_at_all_is_left_while_frames_are_taken(tmp_path):
    """Row 23: journal and frames at once."""

    def work(folder):
        run_until_full(folder, images=True, leaves_bytes=0, error=RecordError)

    in_child(tmp_path / "disk", work)
