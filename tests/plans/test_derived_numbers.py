"""Numbers out of images and spectra: conditions stop on them and trigger by them, all recorded."""

from __future__ import annotations

import numpy as np
import pytest

from devices.derived import Analyses, Analysis, Finding
from orchestrator.analysis.voids import measure_voids
from orchestrator.bench import open_bench
from orchestrator.experiment import load_experiment
from orchestrator.experiment.model import Experiment
from orchestrator.experiment.templates import example_path
from orchestrator.planning import experiment_plan
from orchestrator.profile.loading import load_profile
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from orchestrator.report.imaging import find_imaging
from orchestrator.report.impedance import find_impedance
from plans.conditions import condition


class Ran:
    """An experiment run to its end on its own bench, read back."""

    def __init__(self, experiment, data, faults=()):
        recipe = experiment.sample.simulate_as.model_dump(mode="json", exclude_none=True)
        with open_bench(experiment.bench, data=data, sample=recipe, faults=faults) as bench:
            bench.RE.attended = False
            result = bench.RE.run(experiment_plan(experiment, bench, md=start(experiment)))
            assert result.exit_status == "success"
            assert not bench.pstat.energised
            self.run = load_run(DataDirectory(bench.data).journal(bench.live.snapshot().run))
        self.began_s = float(self.run.start["time"])
        self.streams = self.run.streams

    def events(self, kind):
        events = self.streams.get("events", {})
        rows = zip(
            events.get("event_kind", []),
            events.get("event_text", []),
            events.get("event_value", []),
            strict=True,
        )
        return [(text, float(value)) for what, text, value in rows if what == kind]


def start(experiment):
    return {"sample": experiment.sample.to_document()}


def changed(name, **parts):
    """An example with other parts."""
    read = load_experiment(example_path(name), environ={})
    document = {**read.to_document(), **parts}
    experiment = Experiment.model_validate(document)
    profile = load_profile(experiment.bench)
    assert experiment.check(profile) == []
    return experiment.bound_to(profile)


# --- micrographs --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    experiment = load_experiment(example_path("stop_on_contact_loss"), environ={})
    return Ran(experiment, tmp_path_factory.mktemp("stopped"))


def test_a_run_stops_on_the_second_frame_that_shows_contact_lost(stopped):
    assert stopped.run.stop["reason"] == "contact_loss_above"
    loss = np.asarray(stopped.streams["sem_contact_loss"]["sem_contact_loss"])
    assert (loss > 0.5).sum() == 2
    assert (loss[-2:] > 0.5).all()
    ((text, value),) = stopped.events("condition")
    assert text.startswith("contact_loss_above: contact loss")
    assert value == loss[-1]


def test_what_is_decided_upon_is_what_the_report_measures(stopped):
    numbers, frames = stopped.streams["sem_contact_loss"], stopped.run.frames("sem")
    assert list(numbers["sem_contact_loss_frame"]) == list(range(len(frames)))
    for index, frame in enumerate(frames):
        seen = measure_voids(frame, 0.1)
        assert numbers["sem_contact_loss"][index] == seen.contact_loss
        assert numbers["sem_contact_loss_error"][index] == seen.contact_loss_error
        assert numbers["sem_contact_loss_quality"][index] == seen.quality
    assert np.array_equal(numbers["time"], stopped.streams["sem"]["sem_t_end_s"])
    assert (np.asarray(numbers["sem_contact_loss_latency_s"]) >= 0.0).all()


def test_a_number_has_a_unit_and_names_its_source(stopped):
    keys = stopped.run.descriptors["sem_contact_loss"]["data_keys"]
    assert keys["sem_contact_loss"]["source"] == "analysis:sem"
    assert keys["sem_contact_loss_latency_s"]["units"] == "s"


def test_black_frames_meet_nothing_and_kill_nothing(tmp_path):
    """Row 19: no condition is met by one."""
    experiment = changed(
        "stop_on_contact_loss",
        stop_when=[{"contact_loss_above": 0.2}, {"duration_s": 2400}],
    )
    ran = Ran(experiment, tmp_path, faults=["black:sem:0:2000"])
    numbers = ran.streams["sem_contact_loss"]
    qualities = list(numbers["sem_contact_loss_quality"])
    assert qualities[:-1] == ["the frame is black"] * (len(qualities) - 1)
    assert np.isnan(np.asarray(numbers["sem_contact_loss"])[:-1]).all()
    assert ran.run.stop["reason"] == "contact_loss_above"  # at the first that can be seen


def test_a_frame_on_each_jump_of_the_voltage(tmp_path):
    experiment = load_experiment(example_path("image_on_voltage_jump"), environ={})
    ran = Ran(experiment, tmp_path)
    served = ran.events("triggered")
    assert len(served) >= 3
    assert all(0.0 <= latency_s <= 30.0 for _, latency_s in served)
    frames = [int(text.split()[1]) for text, _ in served]
    assert frames == list(range(1, len(ran.streams["sem"]["sem_frame"])))
    began_s = np.asarray(ran.streams["sem"]["sem_t_start_s"])[frames]
    causes_s = began_s - [latency_s for _, latency_s in served]
    echem = ran.streams["echem"]
    t_s, volts = np.asarray(echem["time"]), np.asarray(echem["pstat_voltage_v"])
    for cause_s in causes_s:
        at = int(np.argmin(np.abs(t_s - cause_s)))
        assert abs(t_s[at] - cause_s) < 1e-3
        assert np.abs(volts[at] - volts[at - 3 : at]).max() > 0.01


# --- images of lithium --------------------------------------------------------------------------

FAST = {
    "method": "flash2d", "tr_s": 0.3, "te_s": 0.000918, "flip_angle_deg": 30, "averages": 512,
    "matrix": [81, 52], "fov_mm": [17, 11],
}  # fmt: skip


def test_lithium_in_images_stops_a_run_and_is_that_of_the_report(tmp_path):
    experiment = changed(
        "in_situ_mri",
        images=[{"device": "mri", "when": {"back_to_back": True}, "settings": FAST}],
        spectra=[],
        stop_when=[
            {"lithium_above_umol_per_cm2": {"value": 2.0, "layer": 1}},
            {"lithium_above_umol_per_cm2": 50.0},
            {"duration_s": 200_000},
        ],
    )
    ran = Ran(experiment, tmp_path)
    assert ran.run.stop["reason"] == "lithium_above_umol_per_cm2"
    imaging = find_imaging(ran.run, ran.began_s, ran.run.start["sample"])
    layers = imaging.analysis.layers
    outer = ran.streams["mri_lithium_layer_1_umol_per_cm2"]
    total = ran.streams["mri_lithium_umol_per_cm2"]
    assert len(outer["time"]) == len(layers.amounts_umol_per_cm2)
    key = "mri_lithium_layer_1_umol_per_cm2"
    assert outer[key][-1] == pytest.approx(layers.amounts_umol_per_cm2[-1, 0], rel=1e-9)
    assert outer[f"{key}_error"][-1] == pytest.approx(layers.errors_umol_per_cm2[-1, 0], rel=1e-9)
    assert total["mri_lithium_umol_per_cm2"][-1] == pytest.approx(layers.total()[0][-1], rel=1e-9)
    looked_back = layers.amounts_umol_per_cm2[:, 0]
    errors = np.asarray(outer[f"{key}_error"])
    assert (np.abs(np.asarray(outer[key]) - looked_back) < 5.0 * errors).all()


# --- spectra ------------------------------------------------------------------------------------


def test_resistances_are_those_of_the_report_and_trigger(tmp_path):
    settings = {
        "amplitude_mA_per_cm2": 0.05, "start_frequency_Hz": 7e6, "end_frequency_Hz": 1.0,
        "points_per_decade": 8,
    }  # fmt: skip
    spectra = [
        {"when": {"every_s": 600}, "settings": settings},
        {"when": {"on": {"interface_above_ohm_cm2": 1e-3}}, "settings": settings},
    ]
    stop_when = [{"bulk_resistance_drop": 0.9}, {"duration_s": 1500}, "hard_short"]
    experiment = changed("geis_plating", spectra=spectra, stop_when=stop_when)
    ran = Ran(experiment, tmp_path)
    found = find_impedance(ran.run, ran.began_s, ran.run.start["sample"])
    numbers = ran.streams["pstat_eis_bulk_ohm_cm2"]
    interface = ran.streams["pstat_eis_interface_ohm_cm2"]["pstat_eis_interface_ohm_cm2"]
    assert list(numbers["pstat_eis_bulk_ohm_cm2_frame"]) == [one.number for one in found.spectra]
    for index, one in enumerate(found.spectra):
        assert numbers["pstat_eis_bulk_ohm_cm2"][index] == one.fit.bulk.ohm_cm2
        assert interface[index] == one.fit.interface.ohm_cm2
    ((text, latency_s),) = ran.events("triggered")
    assert "pstat_eis_1" in text
    assert 0.0 <= latency_s < 60.0


# --- the device ---------------------------------------------------------------------------------


def test_an_analysis_is_done_only_while_somebody_wants_it(virtual_engine):
    looks = []

    def look(frame):
        looks.append(frame)
        if frame == "strange":
            raise ValueError("no such frame")
        return {"a": Finding(1.0, 0.1)}

    analyses = Analyses("cam", virtual_engine.clock)
    numbers = Analysis(analyses, look, units={"a": "mm", "b": ""}).numbers
    assert not analyses
    assert analyses.look("unseen") == []
    numbers["a"].stage()
    analyses.tell(analyses.look("frame"), 0, 5.0)
    assert numbers["a"].latest.value == 1.0
    assert "analysis gives none" in numbers["b"].latest.quality
    analyses.tell(analyses.look("strange"), 1, 6.0)
    assert numbers["a"].latest.quality == "not analysed: no such frame"
    analyses.tell(analyses.look("dark", "black"), 2, 7.0)
    assert looks == ["frame", "strange"]
    (page,) = numbers["a"].collect_pages()
    assert page["data"]["cam_a_frame"] == [0, 1, 2]
    assert list(numbers["a"].collect_pages()) == []
    watching = condition("contact_loss_above", numbers["a"], value=0.5)
    watching.trigger()
    numbers["a"].unstage()
    assert analyses
    watching.stop()
    assert not analyses
    assert numbers["a"].describe_collect()["cam_a"]["units"] == "mm"
    assert "1" in repr(numbers["a"]) or "nan" in repr(numbers["a"])
