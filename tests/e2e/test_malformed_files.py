"""Hundreds of experiment files with a mistake: each is told at its line, and nothing is touched.

Those written by hand go through the command in this process and say where and what; those that
hypothesis spoils, one word of any example at a time, must be told at that word's line and field.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from orchestrator.bench import Bench
from orchestrator.cli.main import main
from orchestrator.experiment import load_campaign
from orchestrator.inputs.problems import dotted
from tests.command import operando
from tests.malformed import EVERYTHING, IMAGED, PLACED, SPOTS, good_files, nothing_touched, spoiled
from tests.unit.test_experiment_errors import CASES as SINGLE
from tests.unit.test_experiment_errors import EXAMPLE, UNREADABLE, line_of

SWEPT = """\
experiment: series
bench: sim-mri
OWN
sample: {name: LLZO-7, area_cm2: 0.1257, simulate_as: {model: llzo_cell, preset: small_4p8}}
protocol:
  record: {time_s: 1}
  safety: {max_voltage_V: 5, min_voltage_V: -5, max_current_mA: 1, min_current_mA: -1, max_capacity_mAh: 1}
  method:
    - {step: constant_current, current_mA_per_cm2: $j, until_time_s: 60}
"""  # noqa: E501 - as people write it

CAMPAIGNS = [
    # variables and sweep, line, path, what
    ("sweep: {product: {j: []}}", 3, "sweep.product.j", "expected a list of values"),
    ("sweep: {product: {j: 0.1}}", 3, "sweep.product.j", "expected a list of values"),
    ("sweep: {prodct: {j: [1]}}", 3, "sweep.prodct", "did you mean product"),
    ("sweep: [0.1]", 3, "sweep", "expected a mapping"),
    ("sweep: {}", 3, "sweep", "neither product nor zip"),
    ("sweep: {product: {j: [1]}, zip: {j: [1]}}", 3, "sweep", "got product and zip"),
    ("sweep: {zip: {j: [0.1], t: [1, 2]}}", 3, "sweep.zip", "as many values of each"),
    ("sweep: {zip: {j: [$j]}}", 3, "sweep.zip.j[0]", "got a reference"),
    ("sweep: {zip: {j: [.inf]}}", 3, "sweep.zip.j[0]", "a value that JSON has"),
    ("sweep:\n  zip: {j: [0.1]}\n  on_failure: stpo", 5, "sweep.on_failure", "did you mean stop"),
    ("sweep:\n  product:\n    j: [0.1]\n    k: [1]", 6, "sweep.product.k", "is used nowhere"),
    ("sweep: {product: {2j: [0.1]}}", 3, "sweep.product.2j", "expected a name of letters"),
    ("sweep:\n  zip:\n    j:\n    - 0.1\n    - 90", 7, "protocol.method[0].current_mA_per_cm2",
     "expected within safety, -1 to 1 mA, with j = 90"),
    ("sweep: {zip: {j: [0.1, x]}}", 3, "protocol.method[0].current_mA_per_cm2", "with j = x"),
    ("variables: {j: {a: 1}}", 3, "protocol.method[0].current_mA_per_cm2", "got a mapping"),
    ("variables: 3", 3, "variables", "expected names with their values"),
    ("variables: {j: $i, i: 1}", 3, "variables.j", "use those before it: move it down"),
    ("variables: {j: 0.1, i: 1}", 3, "variables.i", "is used nowhere"),
    ("variables: {j: 0}", 3, "protocol.method[0].current_mA_per_cm2", "got 0, expected a non-zero"),
    ("variables: {j: 1 / $z, z: 0}", 3, "variables.j", "got $z, expected a variable"),
    ("variables: {z: 0, j: 1 / $z}", 3, "variables.j", "a quotient that has no value"),
    ("", 9, "protocol.method[0].current_mA_per_cm2", "got $j, expected a variable of this file"),
]  # fmt: skip

MORE = [
    # in EVERYTHING: old, new, path of the error, what it says; the error is at the changed line
    ("step: ocv_check", "step: ocv", "before[0].step", "got 'ocv'"),
    ("step: ocv_check", "step: loop", "before[0]", "loop"),
    ("min_voltage_V: -0.5", "min_voltage_V: 0.6", "before[0]", ""),
    ("min_voltage_V: -0.5, ", "", "before[0].min_voltage_V", "is missing"),
    ("until_time_s: 30}", "until_time_h: 1}", "before[0].until_time_h", "the value by 3600"),
    ("ocv_s: 30", "ocv_s: 0", "preflight.ocv_s", "got 0, expected a time at rest"),
    ("ocv_s: 30", "ocv_min: 1", "preflight.ocv_min", "multiply the value by 60"),
    ("[-0.5, 0.5]", "[0.5, -0.5]", "preflight", "expected the first to be smaller"),
    ("[-0.5, 0.5]", "[-0.5, 50]", "preflight.ocv_window_v", "within safety"),
    ("[-0.5, 0.5]", "[-0.5]", "preflight.ocv_window_v", "expected"),
    ("ohm: 5e4", "ohm: low", "preflight.max_contact_resistance_ohm", "got 'low'"),
    ("max_contact_resistance_ohm: 5e4, ", "", "preflight", "got a probe_current_mA, expected max"),
    ("probe_current_mA: 0.001", "probe_current_mA: 1", "preflight.probe_current_mA", "at most"),
    ("retry: 2", "retry: 0", "protocol.method[1].on_failure.retry", "got 0"),
    ("retry: 2", "retry: many", "protocol.method[1].on_failure.retry", "got 'many'"),
    ("then: skip", "then: explode", "protocol.method[1].on_failure.then", "got 'explode'"),
    ("wait_s: 60", "wait_min: 1", "protocol.method[1].on_failure.wait_min", "wait_s"),
    ("on_pause: continue", "on_pause: contineu", "protocol.method[2].on_pause", "continue"),
    ("celsius: 30,", "celsius: 1500,", "protocol.method[4].celsius", "got 1500"),
    ("celsius: 30,", "kelvin: 300,", "protocol.method[4].kelvin", "is not a known key"),
    ("deadline_s: 3600", "deadline_s: -1", "protocol.method[4].deadline_s", "got -1"),
    ("rate_C: D/20", "rate_C: D/0", "protocol.method[2].rate_C", "do not divide by 0"),
    ("rate_C: D/20", "rate_C: fast", "protocol.method[2].rate_C", "write it like C/10"),
    ("rate_C: D/20", "rate_C: C/20, current_mA: 1", "protocol.method[2]", "expected exactly one"),
    ("until_voltage_V: -2", "until_voltage_V: -5", "protocol.method[2].until_voltage_V", "-4 to 4"),
    ("voltage_V: 0.1,", "voltage_V: 10,", "protocol.method[3].voltage_V", "within safety"),
    ("until_rate_C: 0.01, until_time_s: 60", "id: a", "protocol.method[3]", "got no end"),
    ("points_per_decade: 5", "points_per_decade: 0", "protocol.method[5].points_per_decade",
     "got 0"),
    ("amplitude_V: 0.01", "amplitude_V: 0", "protocol.method[5].amplitude_V", "greater than 0"),
    ("amplitude_V: 0.01", "amplitude_V: 9", "protocol.method[5]", ""),
    ("1e6, end", "1e9, end", "protocol.method[5].start_frequency_Hz", "got 1000000000, expected"),
    ("loop_to: cycle", "loop_to: cicle", "protocol.method[6].loop_to", "choose cycle"),
    ("cycle_count: 2", "cycle_count: -2", "protocol.method[6].cycle_count", "got -2"),
    ("every_s: 240", "every_min: 4", "spectra[0].when", "every_s"),
    ("amplitude_mA: 0.001", "amplitude_mA: 0.5", "spectra[0].settings", ""),
    ("  - {step: open_circuit_voltage, until_time_s: 60}\nstop", "  - {step: image}\nstop",
     "after[0].device", "is missing"),
    ("{voltage_above_v: 3}", "{voltage_above_V: 3}", "stop_when[1]", "voltage_above_v"),
    ("{voltage_above_v: 3}", "{voltage_above_v: -3}", "stop_when[1].voltage_above_v", "got -3"),
    ("{duration_s: 86400}", "{duration_s: 1 d}", "stop_when[2].duration_s", "got '1 d'"),
    ("electrode_diameter_mm: 2", "electrode_diameter_mm: 20", "sample", "expected the two"),
    ("electrodes: 2", "electrodes: 5", "sample.electrodes", "got 5"),
    ("relative_density: 0.95", "relative_density: 95", "sample.simulate_as.relative_density", "95"),
    ("preset: lithiophobic", "preset: lithofobic", "sample.simulate_as.preset", "lithiophobic"),
    ("potentiostat: pstat", "potentiostat: oven", "roles.potentiostat", "a chamber, expected"),
    ("celsius: [25, 60]", "celsius: [25, 600]", "environment.temperature_celsius",
     "with j = 0.2, celsius = 600"),
    ("soft_short: {confirm: 4}", "soft_short: {confirm: 0}", "stop_when[3].soft_short", "got 0"),
    ("soft_short: {confirm: 4}", "soft_short: {confrim: 4}", "stop_when[3].soft_short", "confirm"),
    ("soft_short: {confirm: 4}", "soft_short: {layer: 4}", "stop_when[3].soft_short", "layer"),
    ("within_s: 60", "within_s: -60", "stop_when[4].dv_dt_above_v_per_h.within_s", "got -60"),
    ("value: 30, ", "", "stop_when[4].dv_dt_above_v_per_h", "expected"),
    ("temperature_above_celsius: 75", "temperature_above_celsius: hot",
     "stop_when[5].temperature_above_celsius", "got 'hot'"),
    ("hysteresis: 0.2", "hysteresis: wide", "stop_when[6].pressure_below_mpa", "got 'wide'"),
    ("bulk_resistance_drop: 0.5", "bulk_resistance_drop: 50", "stop_when[7].bulk_resistance_drop",
     "got 50"),
    ("tags: [a, b]", "tags: [a, .nan]", "md.tags[1]", "got nan"),
    ("tags: [a, b]", "campaign: 3", "md.campaign", "a key that every run has by itself"),
]  # fmt: skip

IMAGES = [
    # in IMAGED, as above
    ("cell: rest", "cell: sleep", "images[0].cell", "got 'sleep'"),
    ("cell: rest", "cel: rest", "images[0].cel", "did you mean cell"),
    ("on_pause: restart", "on_pause: restrat", "images[0].on_pause", "restart"),
    ("layer: 2", "layer: 5", "images[0].when.on", "got 5"),
    ("repeat: true", "repeat: often", "images[0].when.on", "got 'often'"),
    ("lithium_above_umol_per_cm2", "lithium_above_mol_per_cm2", "images[0].when.on",
     "lithium_above_umol_per_cm2"),
    ("{every_s: 900}", "{back_to_back: true}\n    cell: open", "images[1]", "expected keep"),
    ("count: 2", "count: 0", "after[0].count", "got 0"),
    ("step: image, device: mri", "step: image, device: sem", "after[0]", "sem"),
    ("averages: 4, matrix: [81, 52], fov_mm: [17, 11]}\nafter",
     "averages: 5, matrix: [81, 52], fov_mm: [17, 11]}\nafter", "images[1].settings", "same"),
]  # fmt: skip

PLAIN = {
    "record": {"time_s": 10},
    "safety": {"max_voltage_V": 5, "min_voltage_V": -5, "max_current_mA": 1, "min_current_mA": -1,
               "max_capacity_mAh": 1},
    "method": [
        {"step": "constant_current", "current_mA": 0.1, "until_time_s": 60},
        {"step": "open_circuit_voltage", "until_time_s": 60},
        {"step": "loop", "loop_to": 1, "cycle_count": 2},
    ],
}  # fmt: skip

PROTOCOL_FILES = [
    # in the JSON file: old, new, path, what
    ('"current_mA": 0.1', '"current_mA": 2', "protocol.method[0].current_mA", "within safety"),
    ('"current_mA": 0.1', '"rate_C": "C/10"', "protocol.method[0]", "expected sample.capacity_mAh"),
    ('"current_mA": 0.1', '"current_mA": ""', "protocol.method[0]", "got none of"),
    ('"max_voltage_V": 5', '"max_voltage_V": null', "protocol.safety.max_voltage_V", ""),
    ('"step": "loop"', '"step": "lop"', "protocol.method[2].step", "did you mean loop"),
    ('"loop_to": 1', '"loop_to": 3', "protocol.method[2].loop_to", "comes after the loop"),
    ('"time_s": 10', '"time_s": "soon"', "protocol.record.time_s", "got 'soon'"),
    ('"max_capacity_mAh": 1', '"max_capacity_mAh": 1, "delay_s": 3',
     "protocol.safety.delay_s", "got 3"),
    ('"cycle_count": 2', '"cycle_count": NaN', "protocol.method[2].cycle_count", "got 'NaN'"),
    ('"until_time_s": 60}', '"until_time_s" 60}', "", "is not YAML"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_bench(monkeypatch):
    """Opening a bench is an error that no exit code hides."""

    def opened(*_arguments: object, **_options: object) -> None:
        pytest.fail("a bench was opened")

    monkeypatch.setattr(Bench, "__init__", opened)


def told(folder: Path, text: str | bytes, capsys, *, verb: str = "run") -> list[re.Match[str]]:
    """Run a file that cannot be run; returns its errors."""
    path = folder / "bad.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = sorted(folder.iterdir())
    with nothing_touched():
        code = main([verb, str(path), "--data", str(folder / "data"), "--json"])
    printed = capsys.readouterr()
    assert code == 2, printed.err
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert sorted(folder.iterdir()) == before
    lines = printed.err.splitlines()
    assert len(lines) == len(set(lines))
    found = [PLACED.match(line) for line in lines]
    assert lines
    assert all(found), printed.err
    return [one for one in found if one]


def path_of(problem: re.Match[str]) -> str:
    """Keys that an error names; empty where it names none."""
    return problem["rest"].split(": ")[0] if ": " in problem["rest"] else ""


@pytest.mark.parametrize(("old", "new", "where", "says"), SINGLE, ids=lambda v: str(v)[:40])
def test_of_the_example(tmp_path, capsys, old, new, where, says):
    """Rows 1, 2: one mistake, told at its line; limits that are missing among them."""
    text = EXAMPLE.read_text("utf-8").replace(old, new, 1)
    found = told(tmp_path, text, capsys)
    place = line_of(text, where)
    at_place = [one for one in found if (int(one["line"]), int(one["column"])) == place]
    assert any(re.search(says, one.string) for one in at_place), (place, found)


@pytest.mark.parametrize(("raw", "line", "column", "says"), UNREADABLE, ids=lambda v: str(v)[:30])
def test_of_what_is_no_experiment(tmp_path, capsys, raw, line, column, says):
    first = told(tmp_path, raw, capsys)[0]
    assert (int(first["line"]), int(first["column"])) == (line, column)
    assert re.search(says, first.string)


@pytest.mark.parametrize(("own", "line", "path", "says"), CAMPAIGNS, ids=lambda v: str(v)[:40])
def test_of_campaigns(tmp_path, capsys, own, line, path, says):
    found = told(tmp_path, SWEPT.replace("OWN", own), capsys)
    assert any(
        int(one["line"]) == line and path_of(one) == path and says in one.string for one in found
    ), [one.string for one in found]


@pytest.mark.parametrize(
    ("good", "old", "new", "path", "says"),
    [*((EVERYTHING, *row) for row in MORE), *((IMAGED, *row) for row in IMAGES)],
    ids=lambda v: str(v)[:40],
)
def test_of_everything(tmp_path, capsys, good, old, new, path, says):
    """Row 1: every kind of mistake in a file of everything."""
    assert good.count(old) >= 1
    text = good.replace(old, new, 1)
    line = good[: good.index(old)].count("\n") + 1
    found = told(tmp_path, text, capsys)
    near = range(line - 5, line + 2) if path == "sample" else range(line, line + 2)
    assert any(
        int(one["line"]) in near and path_of(one).startswith(path) and says in one.string
        for one in found
    ), [one.string for one in found]


@pytest.mark.parametrize(("old", "new", "path", "says"), PROTOCOL_FILES, ids=lambda v: str(v)[:40])
def test_of_protocol_files(tmp_path, capsys, old, new, path, says):
    good = json.dumps(PLAIN, indent=1)
    good = re.sub(r'{\n\s+("step"[^}]*?)\n\s+}', lambda m: "{" + " ".join(m[1].split()) + "}", good)
    assert old in good
    text = good.replace(old, new, 1)
    (tmp_path / "plain.json").write_text(text)
    yaml = SWEPT[: SWEPT.index("protocol:")].replace("OWN", "protocol: plain.json")
    found = told(tmp_path, yaml, capsys)
    line = text[: text.index(new)].count("\n") + 1
    assert any(
        one["file"].endswith("plain.json")
        and int(one["line"]) == line
        and path_of(one).startswith(path)
        and says in one.string
        for one in found
    ), [one.string for one in found]


HEALTHY = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=100, deadline=None, suppress_health_check=HEALTHY)
@given(case=spoiled())
def test_of_any_word_of_any_example(tmp_path, capsys, case):
    check_spoiled(tmp_path, capsys, *case)


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None, suppress_health_check=HEALTHY)
@given(case=spoiled())
def test_of_many_words(tmp_path, capsys, case):
    check_spoiled(tmp_path, capsys, *case)


def check_spoiled(tmp_path, capsys, spot, word) -> None:
    found = told(tmp_path, spot.changed(word), capsys)
    at_line = [one for one in found if int(one["line"]) == spot.place.line]
    if spot.key:  # a mapping that lacks a key is wrong where it begins
        begin = {spot.place.line} | beginnings(spot)
        at_line = [one for one in found if int(one["line"]) in begin]
    assert at_line, (spot, word, [one.string for one in found])
    if spot.path[0] in ("variables", "sweep") or "twice" in at_line[0].string:
        return  # the path is that of the place where the value is used, or of none
    parent = dotted(spot.path[:-1])
    assert any(path_of(one).startswith(parent) for one in at_line), (spot, word, at_line)


def beginnings(spot) -> set[int]:
    """Lines on which the mappings around a key begin."""
    return {
        other.place.line
        for other in SPOTS
        if other.file == spot.file and other.path[: len(spot.path) - 1] == spot.path[:-1]
    }


def test_the_good_files_are_good(tmp_path):
    """So that each error is that of the one word."""
    for text in (EVERYTHING, IMAGED):
        (tmp_path / "good.yaml").write_text(text)
        assert load_campaign(tmp_path / "good.yaml", environ={}).points
    assert len(SPOTS) > 1000
    assert "everything.yaml" in good_files()


def test_there_are_as_many_as_promised():
    by_hand = len(SINGLE) + len(UNREADABLE) + len(CAMPAIGNS) + len(MORE) + len(IMAGES)
    assert by_hand >= 150


TEN = [
    EVERYTHING.replace(old, new, 1).encode()
    for old, new, *_ in [MORE[k] for k in (0, 5, 10, 17, 28)]
] + [SWEPT.replace("OWN", CAMPAIGNS[k][0]).encode() for k in (0, 12)] + [
    UNREADABLE[k][0] for k in (3, 9, 19)
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(TEN)))
def test_as_a_process(tmp_path, number):
    (tmp_path / "bad.yaml").write_bytes(TEN[number])
    done = operando("run", "bad.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert all(PLACED.match(line) for line in done.stderr.splitlines())
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]
