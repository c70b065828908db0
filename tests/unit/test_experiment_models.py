"""What an experiment file means: currents, loops, limits, documents, benches, protocol files."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import aurora_unicycler as unicycler
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from devices.cell_hold import CellState
from orchestrator.errors import ExperimentError
from orchestrator.experiment import Experiment, bench_of, load_experiment, read_experiment
from orchestrator.experiment.conditions import CONDITIONS, Condition
from orchestrator.experiment.imaging import CELL_DURING_EXPOSURE, MOMENTS, AtMoments
from orchestrator.experiment.lowering import lower_spectrum
from orchestrator.experiment.protocol import CELL_STEPS, Impedance
from orchestrator.experiment.rates import Rate
from orchestrator.experiment.sample import SIMULATED_SAMPLES, SimulateAs
from orchestrator.inputs.source import scalar
from orchestrator.laboratory.samples import LINEAR_CELL, SAMPLES, Surroundings, make_sample
from orchestrator.profile.loading import load_profile
from plans.conditions import CRITERIA
from plans.imaging import Moment
from plans.schedule import walk
from sim.samples.full_cell_parameters import PRESETS as FULL_CELL_PRESETS
from sim.samples.llzo_parameters import PRESETS
from sim.samples.llzto_parameters import PRESETS as LLZTO_PRESETS
from sim.samples.void_parameters import PRESETS as VOID_PRESETS

EXAMPLES = Path(__file__).parents[2] / "examples"
IN_SITU = EXAMPLES / "in_situ_mri.yaml"


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return load_experiment(IN_SITU, environ={})


def with_(experiment: Experiment, **changes) -> dict:
    """The file's content with some keys replaced, `a__b` meaning a.b."""
    document = experiment.to_document()
    for key, value in changes.items():
        *path, last = key.split("__")
        inner = document
        for part in path:
            inner = inner[part]
        inner[last] = value
    return document


def steps_of(experiment: Experiment, *steps: dict, **sample) -> list[unicycler.Step]:
    document = with_(experiment, protocol__method=list(steps))
    document["sample"] |= sample
    return list(Experiment.model_validate(document).lower().method)


def test_the_example_is_the_published_protocol(experiment):
    up, down = (s for s in experiment.lower().method if isinstance(s, unicycler.ConstantCurrent))
    assert (up.current_mA, down.current_mA) == (0.01257, -0.01257)  # 0.1 mA/cm2 x 0.1257 cm2
    first_cycles = [p for p, _ in zip(walk(experiment.lower().method), range(8), strict=False)]
    assert [p.step_index for p in first_cycles] == [1, 2, 3, 4, 1, 2, 3, 4]
    assert sum(p.step.until_time_s for p in first_cycles) == 2 * 4200
    settings = experiment.images[0].settings
    duration_h = settings.tr_s * settings.matrix[1] * settings.averages / 3600
    assert duration_h == pytest.approx(4.437, abs=5e-4)  # published as 4.5 h


def test_a_document_is_json_and_reads_back_as_the_same_experiment(experiment):
    document = json.loads(json.dumps(experiment.to_document(), allow_nan=False))
    again = Experiment.model_validate(document)
    assert again == experiment
    assert again.experiment_hash == experiment.experiment_hash


def test_the_hash_is_of_the_content(experiment, tmp_path):
    text = IN_SITU.read_text(encoding="utf-8")
    same = tmp_path / "same.yaml"
    same.write_text("# another comment\n" + text.replace("averages: 1024", "averages: 1.024e3"))
    other = tmp_path / "other.yaml"
    other.write_text(text.replace("averages: 1024", "averages: 1023"))
    assert load_experiment(same, environ={}).experiment_hash == experiment.experiment_hash
    assert load_experiment(other, environ={}).experiment_hash != experiment.experiment_hash


def test_an_experiment_cannot_be_changed(experiment):
    with pytest.raises(ValueError, match="frozen"):
        experiment.sample.area_cm2 = 1.0


@given(
    current=st.floats(1e-3, 5).flatmap(lambda x: st.sampled_from([x, -x])),
    area_cm2=st.floats(1e-3, 10),
)
def test_a_current_per_area_is_lowered_by_the_area(experiment, current, area_cm2):
    document = with_(experiment, sample__area_cm2=area_cm2)
    for key in ("max", "min"):
        document["protocol"]["safety"][f"{key}_current_mA"] = 100.0 if key == "max" else -100.0
    document["protocol"]["safety"]["max_capacity_mAh"] = 1e6
    document["protocol"]["method"] = [
        {"step": "constant_current", "current_mA_per_cm2": current, "until_time_s": 1}
    ]
    (step,) = Experiment.model_validate(document).lower().method
    assert step.current_mA == pytest.approx(current * area_cm2, rel=1e-9, abs=1e-11)
    assert math.copysign(1, step.current_mA) == math.copysign(1, current)


def test_a_rate_is_lowered_by_the_capacity(experiment):
    steps = steps_of(
        experiment,
        {"step": "constant_current", "rate_C": "C/10", "until_time_s": 60},
        {"step": "constant_current", "rate_C": "D/5", "until_time_s": 60},
        {"step": "constant_voltage", "voltage_V": 1, "until_rate_C": 0.05},
        capacity_mAh=2.0,
    )
    assert [s.current_mA for s in steps[:2]] == [0.2, -0.4]
    assert (steps[2].until_current_mA, steps[2].until_rate_C) == (0.1, None)


@pytest.mark.parametrize("text", ["C/10", "D/2", "1/5", "0.5C/3", " C / 4 ", "0.2"])
def test_rates_mean_what_aurora_unicycler_means(text):
    theirs = unicycler.ConstantCurrent(rate_C=text, until_time_s=1).rate_C
    assert Rate(nonzero=True).check(text) == pytest.approx(theirs)


@pytest.mark.parametrize(("text", "rate"), [("2C", 2.0), ("C", 1.0), ("D", -1.0)])
def test_rates_without_a_fraction(text, rate):
    assert Rate(nonzero=True).check(text) == rate


@pytest.mark.parametrize("text", ["", "x", "C/0", "0C", "C/10/2", "C10", "1e400"])
def test_what_is_no_rate(text):
    with pytest.raises(ValueError, match="expected a"):
        Rate(nonzero=True).check(text)


def test_every_step_lowers_to_its_namesake(experiment):
    examples = [
        {"step": "tag", "tag": "a"},
        {"step": "constant_current", "current_mA": 0.5, "until_voltage_V": 4.2, "id": "charge"},
        {"step": "constant_voltage", "voltage_V": 4.2, "until_current_mA_per_cm2": -0.1},
        {"step": "open_circuit_voltage", "until_time_s": 5},
        {
            "step": "voltage_scan",
            "start_voltage_V": 0,
            "end_voltage_V": 1,
            "scan_rate_mV_per_s": 1,
        },
        {
            "step": "impedance_spectroscopy",
            "amplitude_mA_per_cm2": 0.05,
            "start_frequency_Hz": 7e6,
            "end_frequency_Hz": 0.5,
        },
        {"step": "loop", "loop_to": "a", "cycle_count": 3},
    ]
    assert {e["step"] for e in examples} == set(CELL_STEPS)
    lowered = steps_of(experiment, *examples)
    assert [s.step for s in lowered] == [e["step"] for e in examples]
    assert lowered[1].id == "charge"
    assert lowered[2].until_current_mA == pytest.approx(0.01257)
    assert lowered[5].amplitude_mA == pytest.approx(0.05 * 0.1257)


def test_the_protocol_converts_with_aurora_unicycler(experiment):
    text = experiment.lower().to_biologic_mps()
    assert "0.01257" in text or "12.57" in text


def test_spectra_beside_the_protocol_lower_too(experiment):
    settings = Impedance(amplitude_mA_per_cm2=0.05, start_frequency_Hz=7e6, end_frequency_Hz=0.5)
    step = lower_spectrum(settings, experiment.sample)
    assert (step.amplitude_mA, step.points_per_decade) == (pytest.approx(0.006285), 10)


@pytest.mark.parametrize(
    "form",
    [
        {"back_to_back": True},
        {"every_s": 900.0},
        {"at": ["start", "step_end", "end"]},
        {"every_mah_per_cm2": 0.125},
        {"on": "hard_short"},
        {"on": {"voltage_above_v": 1.0}},
    ],
)
def test_every_form_of_when(experiment, form):
    document = with_(experiment)
    document["images"][0]["when"] = form
    again = Experiment.model_validate(document)
    assert again.to_document()["images"][0]["when"] == form


@pytest.mark.parametrize(
    ("form", "name", "value"),
    [
        ("hard_short", "hard_short", None),
        ("soft_short", "soft_short", None),
        ({"hard_short": None}, "hard_short", None),
        ({"voltage_above_v": 4}, "voltage_above_v", 4.0),
        ({"charge_mah_per_cm2": 2}, "charge_mah_per_cm2", 2.0),
        ({"throughput_mah_per_cm2": 2}, "throughput_mah_per_cm2", 2.0),
        ({"duration_s": 86400}, "duration_s", 86400.0),
        ({"lithium_above_umol_per_cm2": 9}, "lithium_above_umol_per_cm2", 9.0),
    ],
)
def test_conditions(experiment, form, name, value):
    (found,) = Experiment.model_validate(with_(experiment, stop_when=[form])).stop_when
    assert (found.name, found.value) == (name, value)
    assert Experiment.model_validate(with_(experiment, stop_when=[form])).to_document()


def test_a_condition_can_be_made_in_python():
    assert Condition(name="hard_short").value is None
    assert Condition(name="duration_s", value=3).value == 3.0
    assert Condition(name="duration_s", value=3).model_dump() == {"duration_s": 3.0}


def test_the_tables_agree_with_those_who_carry_them_out():
    assert set(CONDITIONS) == set(CRITERIA)
    assert tuple(MOMENTS) == Moment.__args__
    assert AtMoments(at=list(MOMENTS)).at == MOMENTS
    assert CellState.__args__ == CELL_DURING_EXPOSURE
    assert set(SIMULATED_SAMPLES) | {LINEAR_CELL} == set(SAMPLES)  # that one rehearses only
    assert set(SIMULATED_SAMPLES["llzo_cell"]) == set(PRESETS)
    assert set(SIMULATED_SAMPLES["void_interface"]) == set(VOID_PRESETS)
    assert set(SIMULATED_SAMPLES["llzto_pellet"]) == set(LLZTO_PRESETS)
    assert set(SIMULATED_SAMPLES["full_cell"]) == set(FULL_CELL_PRESETS)


@pytest.mark.parametrize("model", SIMULATED_SAMPLES)
def test_every_sample_of_a_file_can_be_made(model):
    for preset in SIMULATED_SAMPLES[model]:
        recipe = SimulateAs(model=model, preset=preset, seed=3).model_dump(exclude_none=True)
        around = Surroundings(temperature_celsius=40.0, stack_pressure_mpa=2.0)
        told = make_sample(recipe, around).describe()
        assert (told["model"], told["preset"], told["seed"]) == (model, preset, 3)


@pytest.mark.parametrize("name", ["jitter", "relative_density"])
def test_options_belong_to_one_model(name):
    owner = {"jitter": "llzo_cell", "relative_density": "llzto_pellet"}[name]
    for model, (preset, *_) in SIMULATED_SAMPLES.items():
        recipe = {"model": model, "preset": preset, name: 0.5}
        if model == owner:
            assert getattr(SimulateAs(**recipe), name) == 0.5
        else:
            with pytest.raises(ValidationError, match=f"expected it for {owner} only"):
                SimulateAs(**recipe)


def test_the_example_is_the_preset_it_is_simulated_as(experiment):
    preset = PRESETS[experiment.sample.simulate_as.preset]
    diameter_cm = preset.geometry.electrode_diameter_mm / 10
    assert experiment.sample.area_cm2 == pytest.approx(math.pi / 4 * diameter_cm**2, rel=1e-3)


# --- which bench ---------------------------------------------------------------------------------

BENCH = """\
bench: {name}
instrument_name: test
devices:
  smu: {{kind: potentiostat, driver: keithley_2450, resource: "sim://smu", limits: {limits}}}
  magnet: {{kind: mri, console: {{driver: console_bridge, resource: "sim://console"}}}}
"""


@pytest.fixture
def lab(tmp_path):
    """A folder with two benches and an experiment that names none."""
    limits = "{max_voltage_v: 5, max_current_ma: 10}"
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(BENCH.format(name=name, limits=limits))
    text = IN_SITU.read_text(encoding="utf-8")
    text = text.replace("bench: sim-mri", "").replace("roles: {potentiostat: pstat, mri: mri}", "")
    (tmp_path / "exp.yaml").write_text(text)
    (tmp_path / "own.yaml").write_text(f"bench: one\n{text}")
    (tmp_path / "path.yaml").write_text(f"bench: ./two.yaml\n{text}")
    return tmp_path


def test_the_option_wins_then_the_file_then_the_environment(lab):
    assert bench_of(lab / "own.yaml", environ={}).bench == "one"
    assert bench_of(lab / "path.yaml", environ={}).bench == "two"
    chosen = bench_of(lab / "own.yaml", bench=lab / "two.yaml", environ={"OPERANDO_BENCH": "x"})
    assert chosen.bench == "two"
    by_environment = bench_of(lab / "exp.yaml", environ={"OPERANDO_BENCH": str(lab / "one.yaml")})
    assert by_environment.bench == "one"
    environ = {"OPERANDO_BENCH": "two", "OPERANDO_BENCHES": str(lab)}
    assert bench_of(lab / "exp.yaml", environ=environ).bench == "two"


def test_no_bench_is_never_a_silent_default(lab):
    with pytest.raises(ExperimentError, match=r"bench: is missing.*use --bench or \$OPERANDO_B"):
        load_experiment(lab / "exp.yaml", environ={})
    with pytest.raises(ExperimentError, match="bench: is missing"):
        bench_of(lab / "exp.yaml", environ={})
    assert read_experiment(lab / "exp.yaml").bench is None


def test_roles_are_filled_where_the_bench_has_one_of_each(lab):
    experiment = load_experiment(lab / "own.yaml", environ={})
    assert experiment.roles == {"potentiostat": "smu", "mri": "magnet"}
    assert experiment.device_of("potentiostat") == "smu"
    assert [image.device for image in experiment.images] == ["magnet"]  # the file says `mri`
    assert read_experiment(lab / "own.yaml").images[0].device == "mri"


def test_a_role_must_be_assigned_where_the_bench_has_two(lab):
    path = lab / "one.yaml"
    twice = path.read_text() + (
        '  smu2: {kind: potentiostat, driver: keithley_2450, resource: "sim://smu2", '
        "limits: {max_voltage_v: 1, max_current_ma: 10}}\n"
    )
    path.write_text(twice)
    with pytest.raises(ExperimentError, match=r"roles\.potentiostat: is missing.*2 of them"):
        load_experiment(lab / "own.yaml", environ={})
    text = (lab / "own.yaml").read_text()
    (lab / "own.yaml").write_text(f"{text}roles: {{potentiostat: smu2}}\n")
    with pytest.raises(ExperimentError, match=r"max_voltage_V: got 5 V.*bench one, -1 to 1 V"):
        load_experiment(lab / "own.yaml", environ={})


def test_a_broken_profile_and_a_broken_experiment_are_told_together(lab):
    (lab / "one.yaml").write_text("bench: one\n")
    text = (lab / "own.yaml").read_text().replace("averages: 1024", "averages: 0")
    (lab / "own.yaml").write_text(text)
    with pytest.raises(ExperimentError) as caught:
        load_experiment(lab / "own.yaml", environ={})
    files = {Path(problem.file).name for problem in caught.value.problems}
    assert files == {"own.yaml", "one.yaml"}


def test_a_given_profile_is_used_as_it_is(lab):
    profile = load_profile(lab / "two.yaml")
    assert load_experiment(lab / "exp.yaml", profile=profile, environ={}).roles["mri"] == "magnet"


def test_a_bench_can_be_asked_before_anything_is_opened(experiment, lab):
    small = (lab / "one.yaml").read_text().replace("max_voltage_v: 5", "max_voltage_v: 3")
    (lab / "one.yaml").write_text(small)
    found = experiment.check(load_profile(lab / "one.yaml"))
    assert {finding.path for finding in found} == {
        ("roles", "potentiostat"),  # the example names pstat
        ("roles", "mri"),
    }
    unassigned = read_experiment(lab / "exp.yaml")
    found = unassigned.check(load_profile(lab / "one.yaml"))
    assert {finding.path[-1] for finding in found} == {"max_voltage_V", "min_voltage_V"}
    assert unassigned.check(load_profile(lab / "two.yaml")) == []


# --- plain aurora-unicycler files ----------------------------------------------------------------


def plain_protocol(**safety) -> unicycler.CyclingProtocol:
    limits = {
        "max_voltage_V": 5, "min_voltage_V": -5, "max_current_mA": 1, "min_current_mA": -1,
        "max_capacity_mAh": 10,
    }  # fmt: skip
    return unicycler.CyclingProtocol(
        sample={"name": "x", "capacity_mAh": 2.0},
        record={"time_s": 10},
        safety=limits | safety,
        method=[
            unicycler.Tag(tag="a"),
            unicycler.ConstantCurrent(rate_C=0.1, until_time_s=60),
            unicycler.OpenCircuitVoltage(until_time_s=60),
            unicycler.Loop(loop_to="a", cycle_count=2),
        ],
    )


@pytest.fixture
def with_file(tmp_path):
    """Write a protocol file and an experiment that names it; returns the experiment's path."""

    def written(protocol: str) -> Path:
        text = IN_SITU.read_text(encoding="utf-8")
        start, end = text.index("protocol:"), text.index("images:\n")
        (tmp_path / "p.json").write_text(protocol)
        path = tmp_path / "exp.yaml"
        path.write_text(f"{text[:start]}protocol: p.json\n{text[end:]}")
        return path

    return written


def test_a_plain_unicycler_file_is_a_protocol(with_file):
    experiment = load_experiment(with_file(plain_protocol().to_json()), environ={})
    assert [step.step for step in experiment.lower().method] == [
        "tag", "constant_current", "open_circuit_voltage", "loop",
    ]  # fmt: skip
    assert experiment.lower().method[1].current_mA == 0.2
    again = Experiment.model_validate(experiment.to_document())  # the file's content travels along
    assert again == experiment


def test_what_is_wrong_in_a_protocol_file_is_said_at_its_line_there(with_file):
    text = plain_protocol().to_json().replace('"until_time_s": 60', '"until_time_s": -60', 1)
    text = text.replace('"max_capacity_mAh": 10.0', '"max_capacity_mAh": null')
    path = with_file(text)
    with pytest.raises(ExperimentError) as caught:
        load_experiment(path, environ={})
    places = {(Path(p.file).name, p.line, str(p).split(": ")[1]) for p in caught.value.problems}
    lines = text.splitlines()
    assert places == {
        ("p.json", 1 + next(i for i, s in enumerate(lines) if "null" in s and "capacity" in s),
         "protocol.safety.max_capacity_mAh"),
        ("p.json", 1 + next(i for i, s in enumerate(lines) if "-60" in s),
         "protocol.method[1].until_time_s"),
    }  # fmt: skip


def test_a_protocol_file_that_is_not_there_or_not_json(with_file, tmp_path):
    path = with_file("{")
    with pytest.raises(ExperimentError, match=r"p\.json:1:2: is not YAML") as caught:
        load_experiment(path, environ={})
    assert len(caught.value.problems) == 1
    (tmp_path / "p.json").unlink()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.json").symlink_to(Path(__file__))
    for name, says in (
        ("p" * 5000, "cannot be read"),
        ("../", "expected a file beside the experiment file"),
        ("../p.json", "expected a file beside the experiment file"),
        ("/etc/shadow", "expected a file beside the experiment file"),
        (".", "which is no file"),
        ("pipe", "which is no file"),
        ("link.json", "expected a file beside the experiment file"),
    ):
        other = path.with_name("other.yaml")
        other.write_text(path.read_text().replace("p.json", name))
        with pytest.raises(ExperimentError, match=rf"other\.yaml:\d+:11: protocol: .*{says}"):
            load_experiment(other, environ={})
    with pytest.raises(ExperimentError, match=r"exp\.yaml:.*protocol: 'p\.json' cannot be read"):
        load_experiment(path, environ={})


# --- scalars -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7e6", 7e6), ("1e3", 1e3), ("-1.5E-3", -1.5e-3), (".5", 0.5), ("5.", 5.0), ("010", 10),
        ("+3", 3), ("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("1_000", "1_000"),
        ("12:30", "12:30"), ("0x1F", "0x1F"), ("true", True), ("~", None), ("null", None),
        ("9" * 65, "9" * 65), ("1e999", math.inf),
    ],
)  # fmt: skip
def test_plain_scalars_follow_yaml_1_2(text, value):
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)
