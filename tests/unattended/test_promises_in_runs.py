"""Rows of the fault matrix through the full stack, each ending with both promises."""

from __future__ import annotations

import io

import numpy as np
import pytest

from devices.errors import LinkError
from orchestrator.bench import open_bench
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile
from orchestrator.records.runs import load_run
from orchestrator.running import run_experiment
from tests.promises import Witness

STEP_S = 3600
FLASH = {
    "method": "flash2d", "tr_s": 0.3, "te_s": 0.000918, "flip_angle_deg": 30, "averages": 2,
    "matrix": [81, 52], "fov_mm": [17, 11],
}  # fmt: skip
MICROGRAPH = {"method": "image", "resolution_px": [320, 120], "current_na": 0.2}


class Ran:
    """An experiment with faults, run to its end with a witness.

    Args:
        data: Where records go.
        example: Whose sample and limits it has; on that example's bench.
        faults: What goes wrong.
        raises: The error that ends it; None where it ends in order.
        profile: Another bench; None: the example's.
        **parts: Of the experiment; `method` of its protocol.
    """

    def __init__(self, data, example, *faults, raises=None, profile=None, method=None, **parts):
        document = load_experiment(example_path(example), environ={}).to_document()
        step = {"step": "constant_current", "current_mA_per_cm2": 0.1, "until_time_s": STEP_S}
        document |= {"images": [], "stop_when": [], **parts}
        document["protocol"]["method"] = method or [step]
        bench = profile or load_profile(document["bench"])
        document |= {"bench": bench.bench, "roles": {}}
        one = Experiment.model_validate(document).bound_to(bench)
        assert one.check(bench) == []
        recipe = one.sample.simulate_as.model_dump(exclude_none=True)
        with open_bench(bench, data=data, sample=recipe, faults=faults) as bench:
            seen = Witness(bench)
            self.error = self.result = None
            try:
                self.result = run_experiment(one, bench, speak=io.StringIO())
            except Exception as error:
                if raises is None or not isinstance(error, raises):
                    raise
                self.error = error
            self.ended_s = bench.elapsed_s
            self.counters = {name: link.counters for name, link in bench.links.items()}
            self.truth_mah = bench.laboratory.world.sample.charge_mah(self.ended_s)
        assert (self.error is None) == (raises is None)
        self.documents = seen.promises_kept().documents
        recorder = bench._recorder
        self.run = load_run(recorder.directory.journal(recorder.uid))

    def events(self, *kinds):
        events = self.run.streams.get("events", {"event_kind": [], "event_text": []})
        rows = zip(events["event_kind"], events["event_text"], strict=True)
        return [(kind, text) for kind, text in rows if kind in kinds]

    def since_s(self, stream, key="time"):
        return np.asarray(self.run.streams[stream][key]) - self.run.start["time"]


def test_garbled_replies_three_times_in_a_row_end_the_run(tmp_path):
    """Row 6: of the transfer of records; each is counted, none is a number."""
    done = Ran(tmp_path, "in_situ_mri", "garble:pstat:1000:1e9:match=TRAC:DATA", raises=LinkError)
    assert 1000.0 <= done.ended_s <= 1000.0 + 30.0 + 3.0
    assert done.counters["pstat"].garbled >= 3
    assert done.run.stop["exit_status"] == "fail"
    ohm = 1e3 * done.run.streams["echem"]["pstat_voltage_v"] / 0.01257
    assert np.all((ohm > 3000) & (ohm < 5000))


def test_garbled_replies_fewer_than_three_in_a_row_change_nothing(tmp_path):
    """Row 6: asked again, and the records are those of a run without."""
    done = Ran(tmp_path / "garbled", "in_situ_mri", "garble:pstat:1000:1021.5:match=TRAC:DATA")
    sound = Ran(tmp_path / "sound", "in_situ_mri")
    assert done.counters["pstat"].garbled > 0
    for key in ("pstat_voltage_v", "pstat_charge_mah"):
        assert np.array_equal(done.run.streams["echem"][key], sound.run.streams["echem"][key])


def test_a_contact_that_is_lost_is_flagged_in_the_records(tmp_path, latency):
    """Row 14: the step ends at the limit of voltage, and an event says so."""
    done = Ran(tmp_path, "in_situ_mri", "open:cell:605:1e9")
    assert done.result.stop_reason == "limit"
    ((_, text),) = done.events("limit")
    assert "V" in text
    took_s = done.ended_s - 605.0
    latency(14, "contact lost to the end of the step, of virtual time", took_s, promised_s=33)
    assert done.truth_mah[0] == pytest.approx(0.01257 * 605 / 3600, rel=1e-3)


def everything() -> BenchProfile:
    """A bench with a potentiostat that takes spectra, beside a magnet."""
    eis, mri = load_profile("sim-eis").to_document(), load_profile("sim-mri").to_document()
    devices = {"pstat": eis["devices"]["pstat"], "mri": mri["devices"]["mri"]}
    return BenchProfile.model_validate(eis | {"bench": "everything", "devices": devices})


def test_a_hard_short_leaves_a_spectrum_and_a_frame_of_the_open_cell(tmp_path, latency):
    """Row 13: evidence, taken once the cell is open; the spectrum shows the short."""
    sweep = {"amplitude_mA": 0.001, "start_frequency_Hz": 1e4, "end_frequency_Hz": 1}
    done = Ran(
        tmp_path, "in_situ_mri", "short:cell:1000:1e9:ohm=5",
        profile=everything(),
        stop_when=["hard_short"],
        images=[{"device": "mri", "when": {"at": ["end"]}, "settings": FLASH}],
        spectra=[{"when": {"at": ["end"]}, "settings": sweep}],
    )  # fmt: skip
    assert done.result.stop_reason == "hard_short"
    took_s = done.result.stopped_at_s - 1000.0
    latency(
        13, "hard short to open cell, of virtual time, polled every 30 s", took_s, promised_s=33
    )
    frames, spectra = done.run.streams["mri"], done.run.streams["eis"]
    assert frames["mri_t_start_s"][0] >= done.run.start["time"] + done.result.stopped_at_s
    assert frames["mri_exposure_throughput_mah"][0] == 0.0
    assert spectra["pstat_eis_z_real_ohm"][-1] == pytest.approx(5.0, abs=0.5)
    assert np.min(done.since_s("eis")) >= done.result.stopped_at_s


def test_a_busy_microscope_costs_its_frame_and_no_other(tmp_path):
    """Rows 19, 20: somebody else scans when a frame is due; another one is black."""
    done = Ran(
        tmp_path, "operando_sem", "occupied:sem:1190:1290", "black:sem:2390:2450",
        images=[{"device": "sem", "when": {"every_s": 600}, "settings": MICROGRAPH}],
    )  # fmt: skip
    assert done.result.stop_reason == "completed"
    began_s = done.since_s("sem", "sem_t_start_s")
    assert began_s == pytest.approx([0, 600, 1800, 2400, 3000, 3600], abs=1.0)
    assert list(done.run.streams["sem"]["sem_quality"]) == ["ok", "ok", "ok", "black", "ok", "ok"]
    assert len(done.run.frames("sem")) == 6
    ((_, text),) = done.events("frame_missing")
    assert "sem" in text
    assert done.truth_mah[0] == pytest.approx(0.1 * 0.09, rel=1e-3)


def test_a_busy_console_an_aborted_scan_and_a_cut_transfer_cost_their_frames(tmp_path):
    """Row 21: three frames are marked missing with their reasons, the others are on schedule."""
    done = Ran(
        tmp_path, "in_situ_mri",
        "occupied:mri:290:340", "abort:mri:910:911", "truncate:mri.console:1525:1600",
        images=[{"device": "mri", "when": {"every_s": 300}, "settings": FLASH}],
    )  # fmt: skip
    assert done.result.stop_reason == "completed"
    began_s = done.since_s("mri", "mri_t_start_s")
    lost_s = {300, 900, 1500}
    assert began_s == pytest.approx([t for t in range(0, 3601, 300) if t not in lost_s], abs=1.0)
    missing = [text for _, text in done.events("frame_missing")]
    assert len(missing) == 3
    assert "aborted by a fault" in missing[1]
    assert done.truth_mah[0] == pytest.approx(0.01257, rel=1e-3)
