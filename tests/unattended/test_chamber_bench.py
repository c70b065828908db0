"""Temperature and stack pressure: from an experiment file to the sample and back."""

import contextlib
import re
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from devices.errors import LimitError, NotReachedError
from orchestrator.analysis.impedance import fit_two_arc
from orchestrator.bench import open_bench
from orchestrator.errors import ExperimentError
from orchestrator.experiment.loading import load_experiment
from orchestrator.laboratory import Surroundings
from orchestrator.planning import experiment_plan
from orchestrator.profile.loading import load_profile
from orchestrator.records.runs import find_run, load_run
from orchestrator.report import write_report

EXAMPLES = Path(__file__).parents[2] / "examples"
EV_PER_K = 8.617333e-5
AREA_CM2 = 0.031416


@contextlib.contextmanager
def on_bench(tmp_path, example, documents, profile=None, **environment):
    """An open sim-chamber with an example ready to run; gives (bench, plan)."""
    profile = profile or load_profile("sim-chamber")
    experiment = load_experiment(EXAMPLES / f"{example}.yaml", profile=profile)
    wanted = experiment.environment.model_copy(update=environment)
    experiment = experiment.model_copy(update={"environment": wanted})
    with open_bench(
        profile,
        data=tmp_path,
        sample=experiment.sample.simulate_as.model_dump(exclude_none=True),
        surroundings=Surroundings(**wanted.model_dump()),
    ) as bench:
        bench.RE.subscribe(documents)
        yield bench, experiment_plan(experiment, bench, md={})


def cycled():
    """The bench with the source-measure unit of sim-cycler, which is quick over hours."""
    profile = load_profile("sim-chamber")
    smu = load_profile("sim-cycler").devices["pstat"]
    return profile.model_copy(update={"devices": {**profile.devices, "pstat": smu}})


def flows(bench):
    """Whether the chamber's air is on, as the instrument itself says."""
    return bool(int(bench.laboratory.instruments["oven"].answer(b"AUXC?")) & 0x20)


def run(tmp_path, example, documents, profile=None, **environment):
    """Run it; gives the simulated laboratory as it was when the bench closed."""
    with on_bench(tmp_path, example, documents, profile, **environment) as (bench, plan):
        bench.RE(plan)
        truth = bench.laboratory.truth()
        assert bench.oven.state.get() == "off"
        assert not flows(bench)
    return truth


class Documents(list):
    """Documents of a run in their order."""

    def __call__(self, name, doc):
        self.append((name, doc))

    def of(self, name):
        return [doc for kind, doc in self if kind == name]

    def stream(self, stream):
        """Columns of a stream, events and pages alike, with their times."""
        uids = {doc["uid"] for doc in self.of("descriptor") if doc["name"] == stream}
        columns = defaultdict(list)
        for name, doc in self:
            if name not in ("event", "event_page") or doc["descriptor"] not in uids:
                continue
            for key, value in {**doc["data"], "time": doc["time"]}.items():
                columns[key] += value if name == "event_page" else [value]
        return columns


@pytest.fixture
def documents():
    return Documents()


def resistance(celsius):
    """L / sigma(T) of the pellet, ohm cm2 (physics B3)."""
    return 120.0 * np.exp(0.42 / EV_PER_K * (1.0 / (celsius + 273.15) - 1.0 / 303.15))


def test_conductivity_is_activated_by_0p42_ev(tmp_path, documents):
    kelvin, bulk = [], []
    for celsius in (10.0, 40.0, 70.0):
        seen = Documents()
        truth = run(tmp_path, "conductivity_at_60_celsius", seen, temperature_celsius=celsius)
        around, eis = seen.stream("environment"), seen.stream("eis")
        measured = around["oven_temperature_celsius"][-1]
        assert measured == pytest.approx(celsius, abs=0.6)  # band and noise
        assert measured == pytest.approx(truth["temperature_celsius"], abs=0.2)
        hertz, real, imaginary = (
            np.array(eis[f"pstat_eis_{key}"])
            for key in ("frequency_hz", "z_real_ohm", "z_imag_ohm")
        )
        fit = fit_two_arc(
            hertz,
            real + 1j * imaginary,
            area_cm2=AREA_CM2,
            electrolyte_ohm_cm2=resistance(measured),
        )
        assert fit.state == "cell"  # and the interface of 5 ohm cm2 is not resolved beside it
        assert fit.bulk.error_ohm_cm2 < 0.03 * fit.bulk.ohm_cm2
        assert fit.bulk.ohm_cm2 == pytest.approx(truth["bulk_ohm_cm2"], rel=0.03)
        kelvin.append(measured + 273.15)
        bulk.append(fit.bulk.ohm_cm2)
    slope = np.polyfit(1.0 / np.array(kelvin), np.log(bulk), 1)[0]
    assert EV_PER_K * slope == pytest.approx(0.42, rel=0.03)


@pytest.mark.long
def test_contact_is_kept_at_1p5_mpa_and_lost_at_1(tmp_path, documents):
    kept = run(tmp_path, "pressure_1p5_mpa", documents, cycled())
    assert documents.of("stop")[0]["reason"] == "completed"
    volts = np.array(documents.stream("echem")["pstat_voltage_v"])
    assert np.ptp(volts[10:-10]) < 0.01  # V, flat to 4 mAh/cm2
    assert kept["contact_loss"] < 0.05
    around = documents.stream("environment")
    read, error = (np.array(around[f"press_pressure{k}_mpa"]) for k in ("", "_error"))
    assert np.all(np.abs(read - 1.5) < 4.0 * error)
    assert max(around["press_drift_alarm"]) == 0
    assert np.diff(around["time"]).max() <= 330.0  # each 300 s, and a poll

    other = Documents()
    lost = run(tmp_path, "pressure_1p5_mpa", other, cycled(), stack_pressure_mpa=1.0)
    assert np.ptp(np.array(other.stream("echem")["pstat_voltage_v"])[10:-10]) > 0.2
    assert lost["contact_loss"] > 0.9


def test_a_reading_is_taken_before_the_cell_is_energised_and_after_it_is_off(tmp_path, documents):
    run(tmp_path, "conductivity_at_60_celsius", documents)
    around, echem = documents.stream("environment"), documents.stream("echem")
    before = [t for t in around["time"] if t <= echem["time"][0]]
    assert before
    assert around["oven_state"][len(before) - 1] == "settled"
    assert around["time"][-1] >= echem["time"][-1]
    said = documents.stream("events")["event_text"]
    assert [text.partition(" at ")[0] for text in said[:2]] == [
        "oven: goes to 60 C",
        "oven: settled",
    ]


@pytest.mark.long
def test_reading_the_surroundings_more_often_changes_nothing_else(tmp_path, documents):
    profile = load_profile("sim-chamber")
    oven = profile.devices["oven"].model_copy(update={"poll_period_s": 7.0})
    curious = profile.model_copy(update={"devices": {**profile.devices, "oven": oven}})
    run(tmp_path, "conductivity_at_60_celsius", documents)
    often = Documents()
    run(tmp_path, "conductivity_at_60_celsius", often, curious)
    assert len(often.stream("environment")["time"]) > 3 * len(
        documents.stream("environment")["time"]
    )
    for stream in ("echem", "eis"):
        assert often.stream(stream) == documents.stream(stream)


def test_the_report_shows_temperature_and_pressure(tmp_path, documents):
    run(tmp_path, "conductivity_at_60_celsius", documents)
    page = write_report(load_run(find_run(tmp_path, "-1")), tmp_path / "report")
    assert "<h2>Surroundings</h2>" in page.read_text()
    assert (page.parent / "surroundings.png").stat().st_size > 10_000


def never_energised(bench, documents):
    assert not documents.stream("echem")["time"]
    assert bench.laboratory.truth()["throughput_mah"] == 0.0
    assert documents.of("stop")[0]["exit_status"] == "fail"


def test_a_chamber_that_never_settles_fails_before_anything_is_energised(tmp_path, documents):
    profile = load_profile("sim-chamber")
    oven = profile.devices["oven"].model_copy(update={"deadline_s": 900.0, "soak_s": 9999.0})
    hasty = profile.model_copy(update={"devices": {**profile.devices, "oven": oven}})
    with on_bench(tmp_path, "conductivity_at_60_celsius", documents, hasty) as (bench, plan):
        with pytest.raises(NotReachedError, match=r"oven: got .* after 900 s, expected 60.0 C"):
            bench.RE(plan)
        never_energised(bench, documents)
        assert bench.oven.state.get() == "off"


def test_another_pressure_than_stated_fails_before_anything_is_energised(tmp_path, documents):
    with on_bench(tmp_path, "conductivity_at_60_celsius", documents, stack_pressure_mpa=2.0) as (
        bench,
        plan,
    ):
        bench.laboratory.world.apply_pressure(0.0, 5.0)  # somebody turned the bolt since
        with pytest.raises(LimitError, match=r"press: stack pressure: got 5.* expected 2 MPa"):
            bench.RE(plan)
        never_energised(bench, documents)


def test_a_pause_while_it_settles_leaves_the_chamber_alone(tmp_path, documents):
    with on_bench(tmp_path, "conductivity_at_60_celsius", documents) as (bench, plan):
        bench.clock.call_later(900.0, bench.pause, owner=bench.oven)
        bench.RE.run(plan)
        assert str(bench.RE.state) == "paused"
        assert flows(bench)
        bench.resume()
    assert documents.of("stop")[0]["exit_status"] == "success"
    assert len(documents.stream("echem")["time"]) == 133
    assert documents.stream("environment")["oven_state"].count("settled") >= 2


def test_an_abort_while_it_settles_makes_the_chamber_safe(tmp_path, documents):
    with on_bench(tmp_path, "conductivity_at_60_celsius", documents) as (bench, plan):
        bench.clock.call_later(900.0, bench.pause, owner=bench.oven)
        bench.RE.run(plan)
        bench.abort()
        assert not flows(bench)
        assert not bench.RE.unsafe
    assert documents.of("stop")[0]["exit_status"] == "abort"


def test_a_chamber_that_falls_silent_during_a_run_is_noted_and_the_run_goes_on(tmp_path, documents):
    with on_bench(tmp_path, "pressure_1p5_mpa", documents, cycled()) as (bench, plan):
        bench.laboratory.inject("silence:oven:7200:9000")
        bench.RE(plan)
    missing = [
        text
        for kind, text in zip(
            documents.stream("events")["event_kind"],
            documents.stream("events")["event_text"],
            strict=True,
        )
        if kind == "environment_missing"
    ]
    assert 3 <= len(missing) <= 8
    assert all(text.startswith("oven: ") for text in missing)
    assert documents.of("stop")[0]["reason"] == "completed"


def test_temperatures_beyond_the_benchs_limits_are_refused_with_their_place(tmp_path):
    text = (EXAMPLES / "conductivity_at_60_celsius.yaml").read_text()
    hot = tmp_path / "hot.yaml"
    hot.write_text(text.replace("{temperature_celsius: 60}", "{temperature_celsius: 120}"))
    with pytest.raises(
        ExperimentError,
        match=r"environment.temperature_celsius: got 120 .* limits of oven .* -20 to 80",
    ):
        load_experiment(hot)


def example_run(tmp_path, example, documents, meanwhile=None, profile=None):
    """Run an example as it is; gives the folder of its report."""
    with on_bench(tmp_path, example, documents, profile) as (bench, plan):
        if meanwhile is not None:
            meanwhile(bench)
        bench.RE(plan)
        assert not bench.pstat._backend.output_on()
        assert not flows(bench)
    return documents.of("start")[0]["uid"]


def test_a_series_of_temperatures_in_one_run_gives_the_activation_energy(tmp_path, documents):
    uid = example_run(tmp_path, "conductivity_series", documents)
    assert documents.of("stop")[0]["reason"] == "completed"
    eis, around = documents.stream("eis"), documents.stream("environment")
    begins = [eis["pstat_eis_spectrum"].index(number) for number in range(6)]
    times = [eis["time"][row] for row in begins]
    celsius = np.interp(times, around["time"], around["oven_temperature_celsius"])
    assert celsius == pytest.approx([25, 0, 20, 40, 60, 25], abs=0.6)
    echem = documents.stream("echem")
    steps, cycles = np.array(echem["pstat_step_index"]), np.array(echem["pstat_cycle"])
    assert list(dict.fromkeys(steps)) == [-2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert np.all((cycles == 0) == ((steps < 0) | (steps >= 8)))
    resting = steps == 0
    assert np.all(np.abs(np.array(echem["pstat_current_ma"])[resting]) < 1e-6)
    assert np.count_nonzero(resting) > 1000 / 10
    run = load_run(find_run(tmp_path, uid))
    page = write_report(run, tmp_path / "report").read_text()
    energy = re.search(r"activation energy of ([\d.]+) ± ([\d.]+)", page)
    assert float(energy[1]) == pytest.approx(0.42, abs=4 * float(energy[2]))
    assert "The cell shorted" not in page  # a warm pellet is not taken for a shorted one


def test_the_press_is_looked_at_before_each_stripping(tmp_path, documents):
    def turned(bench):  # somebody loosens the press during the second pulse, and mends it later
        world = bench.laboratory.world
        for after_s, mpa in ((7000.0, 1.3), (10_000.0, 1.5)):
            turn = partial(lambda mpa: world.apply_pressure(world.now(), mpa), mpa)
            bench.clock.call_later(after_s, turn, owner=bench.press)

    example_run(tmp_path, "pressure_check", documents, turned, cycled())
    assert documents.of("stop")[0]["reason"] == "completed"
    echem = documents.stream("echem")
    steps, cycles = np.array(echem["pstat_step_index"]), np.array(echem["pstat_cycle"])
    times = np.array(echem["time"])
    waits = [np.ptp(times[(steps == 1) & (cycles == cycle)]) for cycle in (1, 2, 3, 4)]
    assert waits[0] == pytest.approx(120, abs=40)
    assert max(waits) > 600  # until the press was mended
    assert sum(wait < 200 for wait in waits) == 3
    pressure = np.interp(
        times, *(documents.stream("environment")[k] for k in ("time", "press_pressure_mpa"))
    )
    begins = [times[(steps == 2) & (cycles == cycle)][0] for cycle in (1, 2, 3, 4)]
    at_begin = np.interp(begins, times, pressure)
    assert at_begin == pytest.approx([1.5] * 4, rel=0.04)
