"""The in situ MRI week through every layer: its results, its truth, the same twice."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest

from orchestrator.bench import open_bench
from orchestrator.experiment import load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.records.directory import DataDirectory
from orchestrator.records.reading import read_journal
from orchestrator.records.runs import load_run
from orchestrator.running import run_experiment
from plans.shorts import hard_short

pytestmark = pytest.mark.long

DAY_S = 86_400.0
SHORT_D = 7.592
"""Liu et al. 2025: 7.6 d; the model's equations give 7.592 d."""


class Week:
    """One run and the sample that it really had."""

    def __init__(self, data):
        experiment = load_experiment(example_path("in_situ_mri"))
        recipe = experiment.sample.simulate_as.model_dump()
        with open_bench("sim-mri", data=data, sample=recipe) as bench:
            self.result = run_experiment(experiment, bench, speak=io.StringIO())
            self.off = not bench.pstat._backend.output_on()
            self.cell = bench.laboratory.world.sample
            self.now_s = bench.laboratory.world.now()
        self.journal = DataDirectory(data).journal(self.result.uid)
        self.run = load_run(self.journal)
        self.begin_s = self.run.start["time"]


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    return Week(tmp_path_factory.mktemp("week"))


def test_the_short_comes_when_the_model_says_and_ends_the_run(week):
    assert week.result.stop_reason == "hard_short"
    assert week.result.exit_status == "success"
    assert week.off
    truth_s = week.cell.short_time_s(week.now_s)
    assert truth_s / DAY_S == pytest.approx(SHORT_D, abs=0.01)
    assert 0 <= week.result.stopped_at_s - truth_s <= 30 + 10  # one poll, one record to confirm
    echem = week.run.streams["echem"]
    assert echem["time"][-1] - week.begin_s == pytest.approx(week.result.stopped_at_s, abs=1e-3)


def test_the_voltage_begins_at_49_mv_and_runs_away_in_the_last_hour(week):
    echem = week.run.streams["echem"]
    volts = np.abs(echem["pstat_voltage_v"])
    hours_left = (week.cell.short_time_s(week.now_s) - (echem["time"] - week.begin_s)) / 3600
    flowing = np.abs(echem["pstat_current_ma"]) > 1e-3
    assert np.median(volts[flowing][:20]) == pytest.approx(0.049, abs=0.001)
    first_over = hours_left[flowing & (volts > 0.1)][0]
    assert 0.8 < first_over < 1.3
    assert volts.max() == pytest.approx(0.268, abs=0.003)
    six_days = flowing & (echem["time"] - week.begin_s < 6 * DAY_S)
    assert volts[six_days].mean() == pytest.approx(0.0538, abs=0.001)


def test_steps_end_to_the_second(week):
    echem = week.run.streams["echem"]
    step = echem["pstat_step_index"]
    began = echem["time"][np.concatenate(([True], step[1:] != step[:-1]))]
    lengths = np.diff(began)[:600]
    expected = np.tile([1800.0, 300.0], 300)
    assert np.abs(lengths - expected).max() < 0.01


def test_every_exposure_knows_the_charge_of_the_cell(week):
    frames = week.run.streams["mri"]
    # Behind the short a part of the current passes the cell without lithium; no potentiostat can
    # tell, so that part, from the short to its detection, comes on top.
    shorted_s = week.result.stopped_at_s - week.cell.short_time_s(week.now_s)
    for k in range(len(frames["mri_frame"])):
        begin, end = frames["mri_t_start_s"][k], frames["mri_t_end_s"][k]
        after = end - week.begin_s > week.cell.short_time_s(week.now_s)
        one_record_mah = 0.01257 * (10 + (shorted_s if after else 0)) / 3600
        truth0, truth1 = (week.cell.charge_mah(t - week.begin_s) for t in (begin, end))
        assert frames["mri_charge_start_mah"][k] == pytest.approx(truth0[0], abs=one_record_mah)
        assert frames["mri_charge_end_mah"][k] == pytest.approx(truth1[0], abs=one_record_mah)
        assert frames["mri_exposure_charge_mah"][k] == pytest.approx(
            truth1[0] - truth0[0], abs=one_record_mah
        )
    assert week.result.charge_mah == pytest.approx(
        week.cell.charge_mah(week.now_s)[0], abs=0.01257 * (10 + shorted_s) / 3600
    )


def test_forty_one_frames_back_to_back_and_a_last_one(week):
    frames = week.run.streams["mri"]
    assert list(frames["mri_frame"]) == list(range(42))
    assert set(frames["mri_quality"]) == {"ok"}
    lengths = frames["mri_t_end_s"] - frames["mri_t_start_s"]
    assert lengths == pytest.approx(np.full(42, 0.3 * 52 * 1024), abs=1e-3)
    gaps = frames["mri_t_start_s"][1:41] - frames["mri_t_end_s"][:40]
    assert gaps.max() < 5.0
    last = frames["mri_t_start_s"][-1] - week.begin_s
    assert last == pytest.approx(week.result.stopped_at_s, abs=1.0)
    images = week.run.frames("mri")
    assert images[0].shape == (52, 81)
    assert len(images) == 42
    kinds = list(week.run.streams["events"]["event_kind"])
    assert kinds == ["condition", "frame_dropped"]


def test_the_one_criterion_finds_the_short_in_the_records(week):
    echem = week.run.streams["echem"]
    mets = hard_short().look(echem["time"], echem["pstat_voltage_v"], echem["pstat_current_ma"])
    # one batch: it does not matter how records fall into batches
    (met,) = mets
    assert met.t_s - week.begin_s == pytest.approx(week.cell.short_time_s(week.now_s), abs=25)


def test_streams_and_metadata_are_complete(week):
    assert set(week.run.streams) >= {"echem", "mri", "events"}
    start = week.run.start
    assert start["simulated"] == {"pstat": True, "mri": True}
    assert start["simulation"]["preset"] == "small_4p8"
    assert start["experiment"]["protocol"]["record"] == {"time_s": 10.0}
    assert start["sample"]["name"] == "LLZO-7"
    documents = read_journal(week.journal).documents
    descriptors = {d["name"]: d for n, d in documents if n == "descriptor"}
    volts = descriptors["echem"]["data_keys"]["pstat_voltage_v"]
    assert (volts["units"], volts["precision"]) == ("V", 6)
    image = descriptors["mri"]["data_keys"]["mri_image"]
    assert image["external"] == "STREAM:"
    assert image["shape"] == [1, 52, 81]
    config = descriptors["mri"]["configuration"]["mri"]["data"]
    assert config["mri_averages"] == 1024
    assert config["mri_expected_duration_s"] == pytest.approx(15974.4)


def test_times_of_pages_rise_and_overlap_nowhere(week):
    pages = [d for n, d in read_journal(week.journal).documents if n == "event_page"]
    assert all(np.all(np.diff(page["time"]) >= 0) for page in pages)
    assert all(one["time"][-1] <= two["time"][0] for one, two in pairwise(pages))
    assert max(page["time"][-1] - page["time"][0] for page in pages) <= 900 + 30
    seq = np.concatenate([page["seq_num"] for page in pages])
    assert np.array_equal(seq, np.arange(1, len(seq) + 1))


def test_a_second_run_gives_identical_documents(week, tmp_path):
    again = Week(tmp_path)
    hidden = {"uid", "run_start", "descriptor", "stream_resource", "uri", "scan_id"}

    def plain(value):
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in hidden}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return value

    def documents(one):
        return [(name, plain(doc)) for name, doc in read_journal(one.journal).documents]

    first, second = documents(week), documents(again)
    assert [name for name, _ in first] == [name for name, _ in second]
    different = [n for (n, a), (_, b) in zip(first, second, strict=True) if a != b]
    assert not different
    for k in (0, 20, 41):
        assert np.array_equal(week.run.frames("mri")[k], again.run.frames("mri")[k])


def test_no_document_carries_wall_time(week):
    """Row 32: documents are stamped by one clock."""
    end_s = week.begin_s + 8 * DAY_S

    def walk(value, path):
        if isinstance(value, dict):
            for key, item in value.items():
                walk(item, f"{path}.{key}")
        elif isinstance(value, list):
            for item in value:
                walk(item, path)
        elif isinstance(value, float) and value > 1e9:
            assert week.begin_s - 1 <= value <= end_s, f"{path}: {value}"

    for name, doc in read_journal(week.journal).documents:
        walk(doc, name)
