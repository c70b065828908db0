"""Protocols to and from aurora-unicycler and others: the same, or it is said what is lost."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import aurora_unicycler as unicycler
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.cli.main import main
from orchestrator.errors import ExperimentError
from orchestrator.exchange import FORMATS, export_protocol
from orchestrator.exchange.plain import plain_protocol
from orchestrator.experiment import load_experiment, read_campaign, read_experiment
from orchestrator.inputs.problems import dotted

EXAMPLES = Path(__file__).parents[2] / "examples"

YAML = """\
experiment: exchange
bench: sim-eis
sample: {name: Ångström-1, area_cm2: 0.5, capacity_mAh: 2, simulate_as: SIMULATED}
protocol: PROTOCOL
""".replace("SIMULATED", "{model: llzto_pellet, preset: lithiophilic}")

SAFETY = {
    "max_voltage_V": 4.5, "min_voltage_V": -4.5, "max_current_mA": 5, "min_current_mA": -5,
    "max_capacity_mAh": 1e6,
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Write an experiment around a method, or around the text of a protocol file."""

    def written(method: list[dict] | str, **more) -> Path:
        path = tmp_path / "exchange.yaml"
        if isinstance(method, str):
            (tmp_path / "p.json").write_text(method)
            path.write_text(YAML.replace("PROTOCOL", "p.json"))
            return path
        protocol = {"record": {"time_s": 10}, "safety": SAFETY, "method": method, **more}
        path.write_text(YAML.replace("PROTOCOL", json.dumps(protocol)))
        return path

    return written


REST = {"step": "open_circuit_voltage", "until_time_s": 60}
PLATE = {"step": "constant_current", "current_mA_per_cm2": 0.1, "until_time_s": 1800}
SCAN = {
    "step": "voltage_scan", "start_voltage_V": 1, "end_voltage_V": -1, "scan_rate_mV_per_s": 1,
}  # fmt: skip
EIS = {
    "step": "impedance_spectroscopy", "amplitude_mA_per_cm2": 0.01, "start_frequency_Hz": 7e6,
    "end_frequency_Hz": 0.5,
}  # fmt: skip


def lost(path: Path, form: str) -> dict[str, str]:
    export = export_protocol(read_experiment(path), form)
    assert not export.refused
    return {dotted(one.path): one.what for one in export.lost}


def refused(path: Path, form: str) -> dict[str, str]:
    export = export_protocol(read_experiment(path), form)
    assert export.content == b""
    return {dotted(one.path): one.what for one in export.refused}


# --- a plain file comes in -----------------------------------------------------------------------

VOLTS = st.floats(-4, 4).map(lambda v: round(v, 3)).filter(bool)
SECONDS = st.integers(1, 10**6).map(float)
MILLIAMPERE = st.floats(0.001, 4).map(lambda v: round(v, 4)) | st.floats(-4, -0.001)
RATES = st.sampled_from([0.1, -0.5, "C/10", "D/5", "1/3", " C / 2", 1])

TIMED = st.one_of(
    st.builds(unicycler.OpenCircuitVoltage, until_time_s=SECONDS),
    st.builds(unicycler.ConstantCurrent, current_mA=MILLIAMPERE, until_time_s=SECONDS),
    st.builds(
        unicycler.ConstantCurrent, rate_C=RATES, current_mA=MILLIAMPERE, until_voltage_V=VOLTS
    ),
    st.builds(unicycler.ConstantVoltage, voltage_V=VOLTS, until_rate_C=RATES, until_time_s=SECONDS),
    st.builds(unicycler.ConstantVoltage, voltage_V=VOLTS, until_current_mA=MILLIAMPERE),
    st.builds(
        unicycler.VoltageScan,
        start_voltage_V=st.floats(-4, -1),
        end_voltage_V=st.floats(1, 4),
        scan_rate_mV_per_s=st.floats(0.01, 100),
    ),
    st.builds(
        unicycler.ImpedanceSpectroscopy,
        amplitude_V=st.floats(0.001, 0.02),
        start_frequency_Hz=st.floats(1, 1e6),
        end_frequency_Hz=st.floats(0.01, 1e3),
    ),
)


@st.composite
def protocols(draw) -> unicycler.CyclingProtocol:
    body = draw(st.lists(TIMED, min_size=1, max_size=4))
    cycles = draw(st.integers(1, 5))
    method: list = [*body]
    if draw(st.booleans()):
        loop = unicycler.Loop(loop_to="x", cycle_count=cycles)
        method = [unicycler.Tag(tag="x"), *body, loop, *draw(st.lists(TIMED, max_size=2))]
    return unicycler.CyclingProtocol(
        sample={"name": "s", "capacity_mAh": 2},
        record={"time_s": 1},
        safety=SAFETY,
        method=method,
    )


def absolute(step: unicycler.Step) -> dict:
    """What a step does, with every current in mA."""
    keys = step.model_dump(exclude_none=True)
    for rate, current in (("rate_C", "current_mA"), ("until_rate_C", "until_current_mA")):
        if rate in keys:
            keys[current] = keys.pop(rate) * 2
    if "until_current_mA" in keys:
        keys["until_current_mA"] = abs(keys["until_current_mA"])
    return {k: float(f"{v:.9g}") if isinstance(v, float) else v for k, v in keys.items()}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(protocol=protocols())
def test_every_plain_protocol_loads_unchanged(write, protocol):
    experiment = read_experiment(write(protocol.to_json()))
    want = [absolute(step) for step in protocol.method]
    assert [absolute(step) for step in experiment.lower().method] == want
    assert experiment.lower().safety == protocol.safety
    again = export_protocol(experiment, "unicycler").content
    back = unicycler.CyclingProtocol.from_dict(json.loads(again))
    assert [absolute(step) for step in back.method] == want


def test_a_plain_file_is_read_as_aurora_unicycler_reads_it(write):
    """Texts for numbers, empty texts, a rate before a current, ends at 0, a loop to the start."""
    text = json.dumps({
        "unicycler": {"version": "0.4.0"},
        "sample": {"name": "$NAME", "capacity_mAh": "3"},
        "record": {"time_s": "10", "current_mA": None, "voltage_V": None},
        "safety": {**SAFETY, "max_voltage_V": "4.5", "delay_s": 0},
        "method": [
            {"step": "constant_current", "rate_C": "C/10", "current_mA": 0, "until_time_s": "",
             "until_voltage_V": "4.1"},
            {"step": "constant_current", "rate_C": "", "current_mA": "-0.5", "until_time_s": 60.0,
             "until_voltage_V": ""},
            {"step": "constant_voltage", "voltage_V": 4, "until_time_s": 0, "until_rate_C": "0.05",
             "until_current_mA": 1},
            {"step": "loop", "cycle_count": 3},
        ],
    })  # fmt: skip
    experiment = load_experiment(write(text), environ={})
    theirs = unicycler.CyclingProtocol.from_dict(json.loads(text)).method
    assert [getattr(step, "rate_C", None) for step in theirs[:2]] == [0.1, None]
    first, second, third, loop = experiment.protocol.method
    assert (first.rate_C, first.current_mA, first.until_time_s) == (0.1, None, None)
    assert (second.current_mA, second.until_time_s) == (-0.5, 60)
    assert (third.until_rate_C, third.until_current_mA, third.until_time_s) == (0.05, None, None)
    assert loop.loop_to == 1
    assert experiment.sample.capacity_mAh == 2  # ours goes before the file's


def test_what_no_plan_runs_is_refused_at_its_line_with_the_reason(write):
    protocol = {
        "record": {"time_s": 10, "voltage_V": 0.01},
        "safety": {**SAFETY, "delay_s": 5},
        "method": [PLATE | {"current_mA": 1} | {}, SCAN],
    }
    protocol["method"][0].pop("current_mA_per_cm2")
    path = write(json.dumps(protocol, indent=1))
    path.write_text(path.read_text().replace("sim-eis", "sim-mri"))
    with pytest.raises(ExperimentError) as caught:
        load_experiment(path, environ={})
    said = {(Path(p.file).name, dotted(p.finding.path)): str(p) for p in caught.value.problems}
    assert "delay" in said["p.json", "protocol.safety.delay_s"]
    assert "records by time only" in said["p.json", "protocol.record.voltage_V"]
    assert "cannot run" in said["p.json", "protocol.method[1].step"]
    lines = (path.parent / "p.json").read_text().splitlines()
    where = int(re.search(r"p\.json:(\d+):", said["p.json", "protocol.safety.delay_s"])[1])
    assert "delay_s" in lines[where - 1]


# --- and goes out --------------------------------------------------------------------------------


def test_every_example_is_exported_or_refused_with_a_reason():
    for path in sorted(EXAMPLES.glob("*.yaml")):
        for point, form in itertools.product(read_campaign(path).points, FORMATS):
            export = export_protocol(point.experiment, form)
            assert bool(export.content) != bool(export.refused), (path.name, form)
            assert any(one.path == ("md",) for one in export.lost)


def test_rates_stay_rates_and_currents_per_area_become_absolute(write):
    rate = {"step": "constant_current", "rate_C": "C/10", "until_time_s": 10}
    path = write([PLATE, rate])
    protocol = plain_protocol(read_experiment(path))
    assert (protocol.method[0].current_mA, protocol.method[1].rate_C) == (0.05, 0.1)
    assert protocol.method[1].current_mA is None
    found = lost(path, "unicycler")
    assert found["protocol.method[0].current_mA_per_cm2"] == (
        "lost: per area; it is mA for this sample's 0.5 cm2"
    )
    assert "rate" in lost(path, "mps")["protocol.method[1].rate_C"]
    assert "PyBaMM takes its model's" in lost(path, "pybamm")["sample.capacity_mAh"]


def test_everything_beside_the_protocol_is_said():
    found = lost(EXAMPLES / "in_situ_mri.yaml", "unicycler")
    assert set(found) == {
        "experiment", "sample", "images", "environment", "stop_when", "md",
        "protocol.method[1].current_mA_per_cm2",
    }  # fmt: skip
    assert found["sample"] == "lost: area_cm2"
    for form in ("pybamm", "battinfo"):
        more = lost(EXAMPLES / "in_situ_mri.yaml", form)
        assert more["protocol.safety"] == "lost: every limit"
        assert "protocol.record" in more
    mps = lost(EXAMPLES / "in_situ_mri.yaml", "mps")
    assert mps["protocol.safety.max_capacity_mAh"] == "lost: the largest charge, 10 mAh"


def test_labels_ends_at_zero_and_one_sided_limits_are_said(write):
    ends = {"step": "constant_current", "current_mA": -1, "until_time_s": 9, "until_voltage_V": 0}
    path = write([ends, REST | {"id": "r"}], safety=SAFETY | {"min_current_mA": -2})
    for form in ("mps", "pybamm", "battinfo"):
        found = lost(path, form)
        assert "the end at 0 V" in found["protocol.method[0].until_voltage_V"]
        assert found["protocol.method[1].id"] == "lost: the label"
    assert "one limit acts both ways, 5 mA" in lost(path, "mps")["protocol.safety.min_current_mA"]


def test_what_pybamm_does_not_have(write):
    assert set(refused(write([REST, SCAN, EIS]), "pybamm")) == {
        "protocol.method[1].step", "protocol.method[2].step",
    }  # fmt: skip
    many = [REST, {"step": "loop", "loop_to": 1, "cycle_count": 6000}]
    assert (
        "12000 steps"
        in refused(write([{"step": "tag", "tag": "a"}, *many]), "pybamm")["protocol.method"]
    )
    few = [REST, {"step": "loop", "loop_to": 1, "cycle_count": 3}]
    export = export_protocol(read_experiment(write([{"step": "tag", "tag": "a"}, *few])), "pybamm")
    assert json.loads(export.content) == ["Rest for 60.0 seconds"] * 3


def test_biologic_numbers(write):
    found = lost(write([PLATE | {"until_voltage_V": 4.12345}]), "mps")
    key = "protocol.method[0].until_voltage_V"
    assert found[key] == "lost: decimals; 4.12345 becomes 4.123 V"
    small = {"step": "constant_voltage", "voltage_V": 1, "until_current_mA": 0.0004}
    tiny = {"step": "constant_current", "current_mA": 4e-7, "until_time_s": 60}
    slow = EIS | {"end_frequency_Hz": 1e-4}
    found = refused(write([small, tiny, slow]), "mps")
    assert set(found) == {
        "protocol.method[0].until_current_mA",
        "protocol.method[1].current_mA",
        "protocol.method[2].end_frequency_Hz",
    }
    assert "round to 0" in found["protocol.method[1].current_mA"]


def settings_of(content: bytes) -> dict[str, list[str]]:
    rows = content.decode("cp1252").split("Modulo Bat\n")[1].splitlines()
    return {row[:20].strip(): [row[k : k + 20].strip() for k in range(20, len(row), 20)]
            for row in rows}  # fmt: skip


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(protocol=protocols())
def test_biologic_settings_hold_what_is_not_said_to_be_lost(write, protocol):
    experiment = read_experiment(write(protocol.to_json()))
    export = export_protocol(experiment, "mps")
    if export.refused:
        assert all("round to 0" in one.what for one in export.refused)
        return
    said = {one.path for one in export.lost}
    table = settings_of(export.content)
    steps = [(i, s) for i, s in enumerate(experiment.lower().method) if s.step != "tag"]
    for column, (index, step) in enumerate(steps):
        place = ("protocol", "method", index)
        if step.step == "constant_current" and {(*place, "current_mA"), (*place, "rate_C")} - said:
            value = float(table["ctrl1_val"][column])
            value /= 1e3 if table["ctrl1_val_unit"][column] == "uA" else 1
            assert value == pytest.approx(step.current_mA, abs=5.1e-4)
        if step.step == "open_circuit_voltage":
            assert float(table["lim1_value"][column]) == step.until_time_s


def test_battinfo_repeats_a_loop_to_the_first_step_as_often_as_it_says(write):
    """aurora-unicycler 0.4.6 alone runs such a loop's body once more."""
    loop = {"step": "loop", "loop_to": "a", "cycle_count": 3}
    path = write([{"step": "tag", "tag": "a"}, PLATE, loop, REST])
    task = json.loads(export_protocol(read_experiment(path), "battinfo").content)
    assert task["@type"] == "IterativeWorkflow"
    assert task["hasTask"]["@type"] == "ConstantCurrentCharging"
    assert task["hasNext"]["@type"] == "OpenCircuitHold"
    assert "hasNext" not in task["hasNext"]
    assert "@context" in task
    numbered = [PLATE, REST, {"step": "loop", "loop_to": 1, "cycle_count": 2}]
    task = json.loads(export_protocol(read_experiment(write(numbered)), "battinfo").content)
    assert task["hasTask"]["hasNext"]["@type"] == "OpenCircuitHold"
    assert "hasNext" not in task
    assert "points_per_decade" in lost(write([EIS]), "battinfo")["protocol.method[0]"]


# --- the verb ------------------------------------------------------------------------------------


def test_export_writes_a_file_and_says_what_is_lost(write, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write([PLATE, REST])
    assert main(["export", str(path), "--protocol", "mps", "--json"]) == 0
    printed = capsys.readouterr()
    value = json.loads(printed.out)
    assert value["protocol"] == "mps"
    assert b"\xc5ngstr\xf6m-1" in Path(value["file"]).read_bytes()
    assert {one["path"] for one in value["lost"]} >= {"experiment", "sample"}
    *said, wrote = printed.err.splitlines()
    assert len(said) == len(value["lost"])
    assert all(re.match(r".+exchange\.yaml:\d+:\d+: .*lost: ", line) for line in said)
    assert wrote == "Wrote exchange.mps (Biologic settings); 4 things are not in it."
    assert main(["export", str(path), "--protocol", "mps"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["export", str(path), "--protocol", "mps", "--force", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_export_refuses_at_the_line(write, tmp_path, capsys):
    path = write(
        json.dumps({"record": {"time_s": 1}, "safety": SAFETY, "method": [SCAN]}, indent=1)
    )
    to = tmp_path / "out.json"
    assert main(["export", str(path), "--protocol", "pybamm", "--to", str(to)]) == 2
    assert re.match(r".+p\.json:\d+:\d+: protocol\.method\[0\]\.step: got voltage_scan, which a "
                    r"PyBaMM", capsys.readouterr().err)  # fmt: skip
    assert not to.exists()
    path.write_text(path.read_text().replace("Ångström-1", "锂"))
    assert main(["export", str(path), "--protocol", "mps", "--to", str(to)]) == 2
    assert "sample.name: got '锂', which Biologic settings cannot hold" in capsys.readouterr().err


def test_export_of_a_sweep_takes_one_run(tmp_path, capsys):
    path, to = EXAMPLES / "current_series.yaml", tmp_path / "p.json"
    assert main(["export", str(path), "--protocol", "pybamm", "--to", str(to)]) == 2
    assert "has 3 runs, got no --point (choose one with --point, from 1 to 3)" in (
        capsys.readouterr().err
    )
    options = ["--point", "2", "--to", str(to), "-q"]
    assert main(["export", str(path), "--protocol", "pybamm", *options]) == 0
    assert json.loads(to.read_text())[0] == "Charge at 0.01257 mA for 12 minutes"
