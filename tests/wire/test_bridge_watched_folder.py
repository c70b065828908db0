"""The console whose interface is a folder: what it writes, what it believes, what it refuses."""

import json

import pytest

from devices.bridge.protocol import MAX_BLOCK_BYTES, Refusal
from devices.bridge.watched_folder import WatchedFolderConsole
from devices.errors import DeviceError


class Folder:
    """A console on a folder, the vendor's side of it and a clock that the test sets."""

    def __init__(self, path):
        self.path, self.now_s = path, 1_000.0
        self.console = self.open()

    def open(self):
        return WatchedFolderConsole(self.path, grace_s=60.0, now=lambda: self.now_s)

    def names(self, kind):
        return sorted(path.name for path in (self.path / kind).iterdir())

    def request(self, number):
        return json.loads((self.path / "requests" / f"{number:06d}.json").read_text())

    def put(self, kind, number, value):
        (self.path / kind / f"{number:06d}.json").write_text(json.dumps(value))

    def deliver(self, number, *, size=160, **changes):
        (self.path / "results" / f"{number:06d}.raw").write_bytes(b"\0" * size)
        result = {"shape": [5, 8], "dtype": "<f4", "t_start_s": 1001.0, "t_end_s": 1006.0}
        self.put("results", number, result | changes)

    def status(self):
        return self.console.status()


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    folder.console.configure({"matrix": [8, 5], "averages": 2, "tr_s": 0.5})  # 5 s
    return folder


def test_arming_writes_one_whole_request_and_nothing_else(folder):
    folder.console.arm()
    assert folder.names("requests") == ["000001.json"]
    request = folder.request(1)
    assert (request["experiment"], request["created_s"]) == (1, 1000.0)
    assert request["settings"]["matrix"] == [8, 5]


def test_it_is_armed_until_the_vendor_says_more(folder):
    folder.console.arm()
    assert folder.status()["state"] == "armed"
    folder.put("progress", 1, {"state": "acquiring", "progress": 0.25, "t_start_s": 1001.0})
    assert folder.status()["state"] == "acquiring"
    assert (folder.status()["progress"], folder.status()["t_start_s"]) == (0.25, 1001.0)


@pytest.mark.parametrize(
    "progress", [{"state": "idle"}, {"state": 3, "progress": 7}, [], {"progress": "x"}]
)
def test_nonsense_in_the_progress_file_leaves_it_armed(folder, progress):
    folder.console.arm()
    folder.put("progress", 1, progress)
    assert (folder.status()["state"], folder.status()["progress"]) == ("armed", 0.0)


def test_a_result_is_an_image(folder):
    folder.console.arm()
    folder.deliver(1)
    assert (folder.status()["outcome"], folder.status()["t_end_s"]) == ("complete", 1006.0)
    assert folder.console.pixels() == b"\0" * 160
    assert folder.console.header()["experiment"] == 1


def test_the_header_keeps_the_settings_of_the_acquisition(folder):
    folder.console.arm()
    folder.deliver(1)
    folder.console.configure({"averages": 9})
    assert folder.console.header()["settings"]["averages"] == 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"size": 100}, "truncated image: got 100 bytes, expected 160"),
        ({"shape": [5]}, "without shape"),
        ({"shape": [5, -8]}, "expected 2 numbers from 1"),
        ({"shape": [16_384, 16_384]}, f"at most {MAX_BLOCK_BYTES}"),
        ({"dtype": ">f8"}, "dtype '<f4'"),
        ({"t_end_s": None}, "without t_start_s and t_end_s"),
        ({"error": "gradient overheated"}, "gradient overheated"),
    ],
)
def test_a_bad_result_is_an_error_with_its_reason(folder, changes, text):
    folder.console.arm()
    folder.deliver(1, **changes)
    assert (folder.status()["state"], folder.status()["outcome"]) == ("error", "failed")
    assert text in folder.status()["error"]
    with pytest.raises(Refusal, match="no image: experiment 1 is failed"):
        folder.console.pixels()
    folder.console.abort()
    assert folder.status()["state"] == "idle"
    folder.console.arm()
    assert folder.names("requests") == ["000001.json", "000002.json"]


def test_a_result_that_is_not_json_is_an_error(folder):
    folder.console.arm()
    (folder.path / "results" / "000001.json").write_text('{"shape": NaN}')
    assert "NaN is not JSON" in folder.status()["error"]


def test_a_result_that_never_comes_is_an_error_at_its_deadline(folder):
    folder.console.arm()
    folder.now_s += 5.0 + 60.0
    assert folder.status()["state"] == "armed"
    folder.now_s += 1.0
    assert "no result 60 s after its time" in folder.status()["error"]
    assert "000001.abort" in folder.names("requests")


def test_abort_tells_the_vendor_and_a_late_result_is_not_believed(folder):
    folder.console.arm()
    folder.console.abort()
    folder.console.abort()
    folder.deliver(1)
    assert (folder.status()["state"], folder.status()["outcome"]) == ("idle", "aborted")
    assert folder.names("requests") == ["000001.abort", "000001.json"]


def test_making_safe_ends_what_goes_on_and_says_why(folder):
    folder.console.make_safe("nothing goes on")
    assert folder.status()["state"] == "idle"
    folder.console.arm()
    folder.console.make_safe("client lost for more than 9 s")
    assert folder.status()["error"] == "experiment 1: client lost for more than 9 s"
    assert not folder.console.active()


def test_an_agent_that_begins_again_goes_on_with_the_request(folder):
    folder.console.arm()
    folder.console = folder.open()
    assert folder.console.active()
    assert folder.console.settings()["matrix"] == [8, 5]
    folder.deliver(1)
    assert folder.status()["outcome"] == "complete"
    folder.console.arm()
    folder.console.abort()
    folder.console = folder.open()
    assert (folder.status()["experiment"], folder.status()["outcome"]) == (2, "aborted")


def test_a_spoilt_request_is_an_error_and_foreign_files_do_not_count(folder):
    (folder.path / "requests" / "notes.json").write_text("{}")
    (folder.path / "requests" / "000007.json").write_text("{")
    folder.console = folder.open()
    assert (folder.status()["experiment"], folder.status()["state"]) == (7, "error")
    folder.console.arm()
    assert folder.status()["experiment"] == 8


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="give a folder that this user may write"):
        WatchedFolderConsole(tmp_path / "file")
