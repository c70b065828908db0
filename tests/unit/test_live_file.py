"""The live file is whole whenever it is read, and never costs a run."""

from __future__ import annotations

import math

from orchestrator.records.live import LiveState, read_live


class Now:
    s = 0.0

    def __call__(self):
        return self.s


def test_it_is_replaced_once_a_second_at_most(tmp_path):
    now = Now()
    live = LiveState(tmp_path / "d" / "live.json", now=now)
    assert live.update(step=1)
    now.s = 0.99
    assert not live.update(step=2, frames=3)
    assert read_live(live.path) == {"step": 1}
    now.s = 1.0
    assert live.update()
    assert read_live(live.path) == {"step": 2, "frames": 3}
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["live.json"]


def test_what_json_lacks_is_null(tmp_path):
    live = LiveState(tmp_path / "live.json", now=Now())
    live.update(voltage_v=math.nan)
    assert read_live(live.path) == {"voltage_v": None}


def test_a_failure_is_kept_not_raised(tmp_path):
    (tmp_path / "file").write_text("")
    live = LiveState(tmp_path / "file" / "live.json", now=Now())
    assert not live.update(step=1)
    assert "Not a directory" in live.failure or "File exists" in live.failure
    assert not LiveState(tmp_path / "live.json", now=Now()).update(bad={1})


def test_no_file_is_no_state(tmp_path):
    assert read_live(tmp_path / "none.json") == {}
    (tmp_path / "torn.json").write_text('{"a"')
    assert read_live(tmp_path / "torn.json") == {}
