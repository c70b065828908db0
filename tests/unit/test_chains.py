"""Runs that go on with one another are one experiment for whoever reads them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from orchestrator.cli.main import main
from orchestrator.records.campaigns import find_campaign
from orchestrator.records.chains import chain_of, load_chain, resumed_by, summarise_chain
from orchestrator.records.directory import DataDirectory
from orchestrator.records.recovery import recover
from orchestrator.records.runs import load_run
from orchestrator.report import write_report
from orchestrator.report.campaign import members_of
from tests import sample_run

GAP = {
    "number": 1,
    "found": "off",
    "last_record_s": sample_run.EPOCH_S + 140.0,
    "gap_s": 600.0,
    "gap_mah_bound": 0.25,
}


def resumption(first: str, former: str, **changed) -> dict:
    return {"resumes": former, "resumes_first": first, "resumption": {**GAP, **changed}}


@pytest.fixture
def chain(tmp_path):
    """Three runs of one experiment, the first two cut off, and a run of something else."""
    first = sample_run.record_run(tmp_path, close=False)
    recover(tmp_path)
    second = sample_run.record_run(tmp_path, close=False, **resumption(first, first))
    other = sample_run.record_run(tmp_path)
    recover(tmp_path)
    third = sample_run.record_run(tmp_path, frames=0, **resumption(first, second, number=2))
    return tmp_path, (first, second, third), other


def test_every_part_leads_to_the_whole(chain):
    data, uids, other = chain
    directory = DataDirectory(data)
    assert {chain_of(directory, uid) for uid in uids} == {uids}
    assert chain_of(directory, other) == (other,)
    assert [resumed_by(directory, uid) for uid in (*uids, other)] == [
        (uids[1],), (uids[2],), (), (),
    ]  # fmt: skip
    assert load_chain(directory.journal(other)).parts == ()


def test_records_and_frames_follow_one_another(chain):
    data, uids, _ = chain
    directory = DataDirectory(data)
    whole = load_chain(directory.journal(uids[1]))
    parts = [load_run(directory.journal(uid)) for uid in uids]
    assert whole.start == parts[0].start
    assert whole.stop is not None
    assert (whole.stop["reason"], whole.stop["num_events"]["echem"]) == ("completed", 45)
    for key, column in whole.streams["echem"].items():
        expected = np.concatenate([part.streams["echem"][key] for part in parts])
        if key == "seq_num":
            expected = np.arange(1, 46)
        assert np.array_equal(column, expected), key
    assert whole.streams["mri"]["mri_frame"].tolist() == [0, 1, 2, 3]
    frames = whole.frames("mri")
    assert len(frames) == len(whole.streams["mri"]["time"]) == 4
    expected_frames = [sample_run.image(k) for k in (0, 1, 0, 1)]
    assert np.array_equal(frames[:], expected_frames)
    assert np.array_equal(frames[-1], sample_run.image(1))
    assert np.array_equal(frames[1:3], expected_frames[1:3])
    assert np.array_equal(list(frames), expected_frames)
    assert frames.scalars()["t_start"].tolist() == [sample_run.EPOCH_S + k for k in (0, 1, 0, 1)]
    assert [one.to_s - one.from_s for one in whole.gaps] == [600.0, 600.0]
    assert whole.gaps[0].bound_mah == 0.25


def test_a_frame_that_was_never_announced_is_left_out(tmp_path):
    """Written, then killed before its event: the frames stay beside their events."""
    first = sample_run.record_run(tmp_path, frames=3, close=False)
    journal = DataDirectory(tmp_path).journal(first)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))  # the last line is the event of the third frame
    recover(tmp_path)
    second = sample_run.record_run(tmp_path, frames=1, **resumption(first, first))
    whole = load_chain(DataDirectory(tmp_path).journal(second))
    assert np.array_equal(whole.frames("mri")[:], [sample_run.image(k) for k in (0, 1, 0)])
    assert len(whole.streams["mri"]["time"]) == 3


def test_two_that_go_on_with_the_same_run_are_not_mixed(tmp_path):
    first = sample_run.record_run(tmp_path, close=False)
    recover(tmp_path)
    rivals = [sample_run.record_run(tmp_path, **resumption(first, first)) for _ in range(2)]
    directory = DataDirectory(tmp_path)
    assert chain_of(directory, first) == (first,)
    assert [chain_of(directory, uid) for uid in rivals] == [(first, uid) for uid in rivals]


def test_a_circle_or_a_lost_beginning_ends_the_search(tmp_path):
    lost = sample_run.record_run(tmp_path, **resumption("gone", "gone"))
    directory = DataDirectory(tmp_path)
    assert chain_of(directory, lost) == (lost,)
    assert load_chain(directory.journal(lost)).uid == lost


def test_summed_up_as_one(chain):
    data, uids, _ = chain
    directory = DataDirectory(data)
    one = summarise_chain(directory.journal(uids[2]))
    assert (one.uid, one.state, one.parts) == (uids[0], "success", uids)
    assert one.events == {"echem": 45, "events": 3, "mri": 4}


def test_shown_as_one_or_alone(chain, capsys):
    data, uids, _ = chain
    assert main(["show", uids[1], "--data", str(data), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["uid"] == uids[0]
    assert shown["parts"] == list(uids)
    assert shown["streams"]["echem"]["rows"] == 45
    assert shown["frames"]["mri"]["count"] == 4
    assert main(["show", uids[1], "--data", str(data), "--alone"]) == 0
    alone = capsys.readouterr()
    assert f"goes on with run {uids[0]}" in alone.out + alone.err
    assert main(["show", uids[1], "--data", str(data)]) == 0
    told = capsys.readouterr()
    assert "gap 600 s, at most 0.25 mAh, found off" in told.out + told.err


def test_reported_as_one(chain, tmp_path):
    data, uids, _ = chain
    page = write_report(load_chain(DataDirectory(data).journal(uids[2])), tmp_path / "report")
    text = page.read_text()
    assert "2 times, see the gaps below" in text
    assert all(uid[:8] in text for uid in uids)
    assert text.count("the cell was found off") == 2


def test_one_run_of_a_campaign_though_it_was_resumed(tmp_path):
    campaign = {"uid": "campaign-1", "number": 1, "runs": 2, "values": {"x": 1}}
    first = sample_run.record_run(tmp_path, close=False, campaign=campaign)
    recover(tmp_path)
    sample_run.record_run(tmp_path, campaign=campaign, **resumption(first, first))
    sample_run.record_run(tmp_path, campaign={**campaign, "number": 2})
    found = find_campaign(tmp_path, "campaign-1")
    assert found is not None
    assert [(one.uid == first, one.state) for one in found.runs] == [
        (True, "success"), (False, "success"),
    ]  # fmt: skip
    (resumed, _) = members_of(found, DataDirectory(tmp_path))
    assert resumed.run is not None
    assert len(resumed.run.streams["echem"]["time"]) == 30
