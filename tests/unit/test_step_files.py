"""Steps of surroundings, policies and blocks as an experiment file says them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from devices.surroundings import Approach, PressureSettling
from orchestrator.bench import open_bench
from orchestrator.errors import ExperimentError
from orchestrator.estimate import blocks_s, duration_s
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.failure import OnFailure
from orchestrator.experiment.planned import planned_steps
from orchestrator.report import wording
from plans.cycling import StepPolicy
from plans.steps import FrameStep, PressureStep, TemperatureStep, VoltageCheck

EXAMPLES = Path(__file__).parents[2] / "examples"
SERIES = EXAMPLES / "conductivity_series.yaml"
POLICY = "{retry: 3, wait_s: 600, then: skip}"
METHOD = f"    - {{step: temperature, celsius: 0, on_failure: &patient {POLICY}}}"
BEFORE = "  - {step: ocv_check, min_voltage_V: -0.02, max_voltage_V: 0.02}"
AFTER = "  - {step: temperature, celsius: 25}"


def written(tmp_path, old, new, source=SERIES):
    text = source.read_text()
    assert text.count(old) == 1, old
    path = tmp_path / source.name
    path.write_text(text.replace(old, new).replace("*patient", "skip"))
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (METHOD, "    - {step: temperature, celsius: 120}",
         r"method\[0\].celsius: got 120 degree Celsius, expected within the limits of oven on "
         r"sim-chamber, -20 to 80"),
        (METHOD, "    - {step: temperature, celsius: 40, ramp_celsius_per_min: 20}",
         r"method\[0\].ramp_celsius_per_min: got 20 .* expected at most 5"),
        (METHOD, "    - {step: temperature, celsius: 40, settle: {soak_s: 700}, deadline_s: 600}",
         r"method\[0\].deadline_s: got a deadline of 600 s, expected more than soak_s, 700"),
        (METHOD, "    - {step: temperature}", r"method\[0\].celsius: is missing, expected a temp"),
        (METHOD, "    - {step: temperature, temperature_celsius: 40, celsius: 40}",
         r"method\[0\].temperature_celsius: is not a known key"),
        (METHOD, "    - {step: stack_pressure, mpa: 100}",
         r"method\[0\].mpa: got 100 MPa, expected at most 78.8 MPa"),
        (METHOD, "    - {step: stack_pressure, kpa: 1500}",
         r"method\[0\].kpa: is not a known key \(the key is mpa: .* multiply the value by 0.001"),
        (METHOD, "    - {step: temprature, celsius: 40}",
         r"method\[0\].step: got 'temprature', expected a step \(did you mean temperature"),
        (METHOD, "    - {step: temperature, celsius: 40, on_failure: retry}",
         r"method\[0\].on_failure: got 'retry' alone, expected its number \(write `\{retry: 3"),
        (METHOD, "    - {step: temperature, celsius: 40, on_failure: {then: skip, rest_s: 5}}",
         r"method\[0\].on_failure: got then: skip and rest_s, expected one of them"),
        (METHOD, "    - {step: temperature, celsius: 40, on_failure: {wait_s: 5, then: skip}}",
         r"method\[0\].on_failure: got wait_s without retry"),
        (METHOD, "    - {step: temperature, celsius: 40, on_failure: {retry: 0}}",
         r"method\[0\].on_failure.retry: got 0, expected a number of tries"),
        (METHOD, "    - {step: temperature, celsius: 40, on_failure: ignore}",
         r"method\[0\].on_failure: got 'ignore', expected what happens, or a mapping"),
        (METHOD, "    - {step: temperature, celsius: 40, on_pause: repeat}",
         r"method\[0\].on_pause: got 'repeat', expected what happens to the rest of a step"),
        (METHOD, "    - {step: tag, tag: a, on_pause: drop}",
         r"method\[0\].on_pause: is not a known key"),
        (BEFORE, "  - {step: ocv_check, min_voltage_V: 0.02, max_voltage_V: -0.02}",
         r"before\[0\]: got 0.02 to -0.02 V, expected a window of voltages"),
        (BEFORE, "  - {step: ocv_check, min_voltage_V: -2, max_voltage_V: 0.02}",
         r"before\[0\].min_voltage_V: got -2 V, expected within safety, -1 to 1 V"),
        (BEFORE, "  - {step: constant_current, current_mA: 0.1, until_time_s: 5}",
         r"before\[0\].step: got 'constant_current', expected a step \(put it into protocol"),
        (BEFORE, "  - {step: image, device: mri}",
         r"before\[0\].device: got 'mri', expected an imaging device of bench sim-chamber"),
        (BEFORE, "  - {step: image, device: mri}",
         r"before\[0\].settings: is missing, expected settings: images has no series of mri"),
        (BEFORE, "  - {step: impedance_spectroscopy, amplitude_V: 2, start_frequency_Hz: 9, "
         "end_frequency_Hz: 1}",
         r"before\[0\].amplitude_V: got \+-2 V, expected within safety"),
        (AFTER, "  - {step: temperature, celsius: -40}",
         r"after\[0\].celsius: got -40 degree Celsius, expected within the limits of oven"),
        (AFTER, "  - {step: ocv_check, min_voltage_V: -0.02, max_voltage_V: 0.02}",
         r"after\[0\].step: got ocv_check, expected it in `before`"),
        (AFTER, "  - rest", r"after\[0\]: got 'rest', expected a step such as"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_line(tmp_path, old, new, said):
    path = written(tmp_path, old, new)
    line = SERIES.read_text()[: SERIES.read_text().index(old)].count("\n") + 1
    with pytest.raises(ExperimentError) as raised:
        load_experiment(path, environ={})
    problems = str(raised.value).splitlines()
    assert any(re.search(rf":{line}:\d+: .*{said}", problem) for problem in problems), problems


@pytest.mark.parametrize(
    ("step", "kind"),
    [("temperature, celsius: 40", "chamber"), ("stack_pressure, mpa: 2", "load_cell")],
)  # fmt: skip
def test_a_bench_without_the_device_refuses_the_step(tmp_path, step, kind):
    example = EXAMPLES / "quick_look.yaml"
    first = next(line for line in example.read_text().splitlines() if "{step:" in line)
    path = written(tmp_path, first, f"    - {{step: {step}}}\n{first}", example)
    with pytest.raises(ExperimentError, match=rf"needs a {kind}, and bench sim-mri has none"):
        load_experiment(path, environ={})


def test_what_a_step_leaves_out_is_the_benchs_and_stands_in_the_document():
    experiment = load_experiment(SERIES, environ={})
    first, second = experiment.protocol.method[0], experiment.protocol.method[2]
    assert (first.ramp_celsius_per_min, first.settle.band_celsius, first.settle.soak_s) == (
        5,
        0.5,
        600,
    )
    assert (second.ramp_celsius_per_min, second.settle.soak_s, second.deadline_s) == (2, 900, 14400)
    document = experiment.to_document()
    assert document["protocol"]["method"][0]["on_failure"] == {
        "retry": 3, "wait_s": 600.0, "then": "skip",
    }  # fmt: skip
    assert OnFailure.model_validate("skip") == OnFailure.model_validate({"then": "skip"})
    assert OnFailure.model_validate("skip").model_dump() == "skip"
    again = Experiment.model_validate(document)
    assert again.experiment_hash == experiment.experiment_hash
    assert [step.step for step in again.after] == ["temperature", "impedance_spectroscopy"]


def test_for_other_cyclers_a_step_of_the_surroundings_is_a_rest_and_policies_are_left_out():
    lowered = load_experiment(SERIES, environ={}).lower().method
    assert [step.step for step in lowered[:2]] == ["open_circuit_voltage", "impedance_spectroscopy"]
    assert lowered[0].until_time_s == 14400
    assert not hasattr(lowered[0], "on_failure")


def test_the_plan_gets_the_same_steps(tmp_path):
    text = SERIES.read_text()
    more = """
  - step: stack_pressure
    mpa: 2
    settle: {tolerance_percent: 1}
    deadline_s: 500
    on_pause: restart
  - step: open_circuit_voltage
    until_time_s: 5
    on_failure: {retry: 2, rest_s: 60}
    on_pause: drop
"""
    path = tmp_path / "more.yaml"
    path.write_text(text.replace("md: {operator", more.strip("\n") + "\nmd: {operator"))
    experiment = load_experiment(path, environ={})
    with open_bench("sim-chamber", data=tmp_path) as bench:
        steps = planned_steps(experiment, bench.devices)
    assert steps.before[0] == VoltageCheck(-0.02, 0.02, 60.0)
    assert steps.method[2] == TemperatureStep(20.0, Approach(2.0, 0.3, 900.0, 14400.0))
    assert steps.after[2] == PressureStep(2.0, PressureSettling(1.0, 60.0, 500.0))
    count = len(steps.method)
    assert steps.policies == {
        **dict.fromkeys((0, 2, 4, 6), StepPolicy(retries=3, wait_s=600.0, then="skip")),
        count + 2: StepPolicy(then="skip", on_pause="restart"),
        count + 3: StepPolicy(retries=2, then="rest", rest_s=60.0, on_pause="drop"),
    }


def test_frames_of_a_block_take_the_settings_of_their_series_and_count_in_the_estimate(tmp_path):
    example = EXAMPLES / "quick_look.yaml"
    block = "before:\n  - {step: image, device: mri, count: 2}\nprotocol:"
    path = written(tmp_path, "protocol:", block, example)
    experiment, plain = load_experiment(path, environ={}), load_experiment(example, environ={})
    series = experiment.images[0]
    assert experiment.before[0].settings == series.settings
    assert experiment.before[0].device == series.device
    frame_s = series.settings.exposure_s
    assert blocks_s(experiment) == pytest.approx(2 * frame_s)
    assert duration_s(experiment) == pytest.approx(duration_s(plain) + 2 * frame_s)
    with open_bench("sim-mri", data=tmp_path) as bench:
        (step,) = planned_steps(experiment, bench.devices).before
        assert isinstance(step, FrameStep)
        assert step.device is bench.devices[series.device]
        assert step.settings["matrix"] == list(series.settings.matrix)
    other = written(
        tmp_path, "protocol:",
        "before:\n  - {step: image, device: mri, settings: {method: flash2d, tr_s: 1, te_s: 0.001, "
        "flip_angle_deg: 9, averages: 1, matrix: [8, 8], fov_mm: [17, 11]}}\nprotocol:", example,
    )  # fmt: skip
    with pytest.raises(ExperimentError, match=r"before\[0\].settings: got other settings for mri"):
        load_experiment(other, environ={})


def test_the_page_says_steps_policies_and_blocks_in_words():
    start = {"experiment": load_experiment(SERIES, environ={}).to_document()}
    method = wording.protocol(start)
    assert method[0] == (
        "temperature to 0 °C at 5 °C/min, settled within 0.5 °C for 600 s "
        "(tried again 3 times if it fails, then left out)"
    )
    assert "temperature to 20 °C at 2 °C/min, settled within 0.3 °C for 900 s" in method[2]
    assert wording.block(start, "before").startswith(
        "open-circuit voltage within -0.02 to 0.02 V after 60 s; impedance spectroscopy"
    )
    assert wording.block({}, "after") == ""
