"""Bad experiment files: each error at its line, what was expected, a remedy, all at once."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.errors import ExperimentError
from orchestrator.experiment import load_campaign, load_experiment, read_experiment
from orchestrator.inputs.source import MAX_BYTES

EXAMPLE = Path(__file__).parents[2] / "examples" / "in_situ_mri.yaml"
LINE = re.compile(r"^(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?P<rest>.+) \((?P<remedy>.+)\)$")


@pytest.fixture
def write(tmp_path):
    """Write an experiment file; returns its path."""

    def written(content: str | bytes, name: str = "exp.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def changed(old: str, new: str) -> str:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert text.count(old) >= 1, old
    return text.replace(old, new, 1)


def errors(path: Path, **options) -> list[str]:
    with pytest.raises(ExperimentError) as caught:
        load_experiment(path, environ={}, **options)
    lines = str(caught.value).splitlines()
    for line in lines:
        assert LINE.match(line), line
    assert len(lines) == len(caught.value.problems)
    return lines


def line_of(text: str, fragment: str) -> tuple[int, int]:
    """Line and column, from 1, at which a fragment of a text begins."""
    before = text[: text.index(fragment)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def test_the_examples_are_valid():
    for path in sorted(EXAMPLE.parent.glob("*.yaml")):
        bench = load_campaign(path, environ={}).points[0].experiment.bench
        assert (path.parents[1] / "sim" / "benches" / f"{bench}.yaml").is_file()


# each of these, and of UNREADABLE, goes through the command in tests/e2e/test_malformed_files.py
CASES = [
    # old, new, where the error points, what it says
    ("sample:\n", "sampel: {}\nsample:\n", "sampel", r"sampel: is not a known key \(did you mean"),
    ("area_cm2: 0.1257", "area_cm2: 12.57 mm2", "12.57 mm2", r"expected an area in cm2, .*alone"),
    ("area_cm2: 0.1257", "area_mm2: 12.57", "area_mm2", r"area_cm2.*multiply the value by 0\.01"),
    ("area_cm2: 0.1257", "area_cm2: 0", "0\n  simulate", r"sample\.area_cm2: got 0.*greater than"),
    ("area_cm2: 0.1257", "area_cm2: yes", "yes", r"area_cm2: got 'yes', expected an area"),
    ("area_cm2: 0.1257", "area_cm2: true", "true", r"area_cm2: got true, expected an area"),
    ("area_cm2: 0.1257", 'area_cm2: "0.1257"', '"0.1257"', r"remove the quotes: 0\.1257"),
    ("name: LLZO-7", "name: [a]", "[a]", r"sample\.name: got a list of 1, expected a sample"),
    ("preset: small_4p8", "preset: small", "small, seed", r"got 'small'.*did you mean small_4p8"),
    ("model: llzo_cell", "model: llzo", "llzo,", r"sample\.simulate_as\.model: got 'llzo'"),
    ("max_voltage_V: 5, ", "", "safety: {", r"safety\.max_voltage_V: is missing, expected th"),
    (", max_capacity_mAh: 10", "", "safety: {", r"max_capacity_mAh: is missing"),
    ("max_voltage_V: 5", "max_voltage_V: .inf", ".inf", r"there is no unlimited"),
    ("max_voltage_V: 5", "max_voltage_V: 6", "6, min", r"got 6 V, expected within the limits of b"),
    ("min_current_mA: -1", "min_current_mA: -11", "-11", r"got -11 mA.*-10 to 10 mA"),
    ("min_voltage_V: -5", "min_voltage_V: 5", "{max_vol", r"got min_voltage_V 5 and max_voltage_V"),
    ("max_current_mA: 1", "max_current_A: 1", "max_current_A", r"max_current_mA.*by 1000"),
    (
        "current_mA_per_cm2: 0.1",
        "current_mA_per_cm2: 0",
        "0, until_time_s: 1800}\n    - {step: open",
        r"method\[1\]\.current_mA_per_cm2: got 0, expected a non-zero current in mA/cm2",
    ),
    (
        "current_mA_per_cm2: 0.1",
        "current_ma_per_cm2: 0.1",
        "current_ma_per_cm2",
        r"did you mean current_mA_per_cm2\?",
    ),
    ("current_mA_per_cm2: 0.1", "current_A: 0.1", "current_A:", r"current_mA.*by 1000"),
    (
        "current_mA_per_cm2: 0.1",
        "current_mA: 1.1",
        "1.1",
        r"current_mA: got 1\.1 mA, expected within safety, -1 to 1 mA",
    ),
    (
        "current_mA_per_cm2: 0.1",
        "current_mA: 1, current_mA_per_cm2: 1",
        "{step: constant_current, current_mA: 1",
        r"got current_mA and current_mA_per_cm2, expected exactly one",
    ),
    (
        "current_mA_per_cm2: 0.1, ",
        "",
        "{step: constant_current, until",
        r"got none of current_mA, current_mA_per_cm2 or rate_C",
    ),
    (
        "current_mA_per_cm2: 0.1",
        "rate_C: C/10",
        "{step: constant_current, rate_C",
        r"got a C-rate, expected sample\.capacity_mAh",
    ),
    ("until_time_s: 1800", "until_time_s: -1800", "-1800", r"until_time_s: got -1800.*greater tha"),
    ("until_time_s: 1800", "until_time_min: 30", "until_time_min", r"until_time_s.*by 60"),
    ("until_time_s: 1800", "until_voltage_V: 7", "7}", r"got 7 V, expected within safety"),
    (
        "current_mA_per_cm2: 0.1, until_time_s: 1800",
        "current_mA: 1, until_time_s: 1e6",
        "1e6",
        r"got a step that passes 277\.778 mAh, expected at most safety's max_capacity_mAh, 10",
    ),
    ("step: open_circuit_voltage", "step: rest", "rest", r"step: got 'rest', expected a step"),
    ("{step: tag, tag: cycle}", "{tag: cycle}", "{tag", r"method\[0\]\.step: is missing"),
    ("{step: tag, tag: cycle}", "tag", "tag\n", r"method\[0\]: got 'tag', expected a step such as"),
    ("loop_to: cycle", "loop_to: cycel", "cycel", r"got 'cycel'.*choose cycle"),
    ("loop_to: cycle", "loop_to: 6", "6,", r"got 6, which comes after the loop"),
    ("cycle_count: 1000", "cycle_count: 0", "0}\nimages", r"cycle_count: got 0, expected a number"),
    ("cycle_count: 1000", "cycle_count: 1.5", "1.5", r"write a whole number"),
    (
        "{step: open_circuit_voltage, until_time_s: 300}",
        "{step: impedance_spectroscopy, amplitude_V: 0.01, start_frequency_Hz: 7e6, "
        "end_frequency_Hz: 1}",
        "impedance_spectroscopy",
        r"pstat \(keithley_2450\) cannot run: a source-measure unit measures no impedance",
    ),
    (
        "{step: open_circuit_voltage, until_time_s: 300}",
        "{step: voltage_scan, start_voltage_V: 0, end_voltage_V: 1, scan_rate_mV_per_s: 1}",
        "voltage_scan",
        r"cannot run: its driver runs no sweeps yet",
    ),
    (
        "{step: open_circuit_voltage, until_time_s: 300}",
        "{step: constant_current, current_mA: 0.1, until_voltage_V: 0}",
        "{step: constant_current, current_mA: 0.1",
        r"refused by aurora-unicycler: Either until_time_s or until_voltage_V must be set",
    ),
    ("record: {time_s: 10}", "record: {time_s: 0}", "0}\n  safety", r"record\.time_s: got 0"),
    (
        "record: {time_s: 10}",
        "record: {time_s: 10, voltage_V: 0.01}",
        "0.01",
        r"got a change to record at, and pstat records by time only",
    ),
    (
        "device: mri",
        "device: sem",
        "sem",
        r"got 'sem', expected an imaging device of bench sim-mri",
    ),
    ("device: mri", "device: pstat", "pstat\n", r"a potentiostat, which takes no images"),
    ("mri: mri}", "mri: mir}", "mir", r"roles\.mri: got 'mir', expected a device of bench"),
    ("mri: mri}", "mri: pstat}", "pstat}", r"got 'pstat', a potentiostat, expected a mri"),
    ("roles: {", "roles: {sme: x, ", "sme", r"roles\.sme: got 'sme', expected a role"),
    ("matrix: [81, 52]", "matrix: [81, 0]", "0]", r"settings\.matrix\[1\]: got 0"),
    ("matrix: [81, 52]", "matrix: [81]", "{method", r"got 1 values for matrix, expected 2"),
    ("matrix: [81, 52]", "matrix: [65536, 65536]", "{method", r"expected at most 16777216"),
    ("averages: 1024", "averages: 0", "0, matrix", r"averages: got 0, expected a number of av"),
    ("tr_s: 0.3", "tr_s: -0.3", "-0.3", r"tr_s: got -0\.3, expected a repetition time in s"),
    ("tr_s: 0.3", "tr_ms: 300", "tr_ms", r"tr_s.*multiply the value by 0\.001"),
    ("te_s: 0.000918", "te_s: 0.918", "{method", r"expected the echo within TR"),
    (
        "method: flash2d",
        "method: rare",
        "rare",
        r"got 'rare', expected an imaging method: 'flash2d",
    ),
    ("{back_to_back: true}", "{back_to_back: 1}", "1} ", r"got 1, expected the word: true"),
    ("{back_to_back: true}", "{every: 5}", "{every: 5}", r"did you mean every_s\?"),
    ("{back_to_back: true}", "{every_s: 5, at: [end]}", "{every_s: 5", r"got every_s and at, exp"),
    ("{back_to_back: true}", "{at: [strat]}", "strat", r"at\[0\]: got 'strat'.*mean start"),
    ("{back_to_back: true}", "{at: []}", "[]}", r"when\.at: got an empty list, expected a list of"),
    ("{back_to_back: true}", "{every_mah_per_cm2: -1}", "-1}", r"every_mah_per_cm2: got -1"),
    ("{back_to_back: true}", "{on: hard_shrt}", "hard_shrt", r"when\.on: got 'hard_shrt'"),
    (
        "[hard_short]",
        "[{voltage_above_v: {value: 4, confrm: 2}}]",
        "confrm",
        r"confrm: is not a key of voltage_above_v \(did you mean confirm\?\)",
    ),
    (
        "[hard_short]",
        "[{voltage_above_v: {confirm: 2}}]",
        "{confirm",
        r"voltage_above_v: is missing its value, expected a voltage",
    ),
    (
        "[hard_short]",
        "[{voltage_above_v: {value: 4, confirm: 0}}]",
        "0}}]",
        r"confirm: got 0, expected a number of consecutive",
    ),
    (
        "[hard_short]",
        "[{voltage_above_v: {value: -4}}]",
        "-4}}",
        r"stop_when\[0\]\.voltage_above_v\.value: got -4",
    ),
    (
        "[hard_short]",
        "[{hard_short: {hysteresis: 1}}]",
        "hysteresis",
        r"hysteresis: is not a key of hard_short",
    ),
    (
        "[hard_short]",
        "[{voltage_above_v: {value: 4, repeat: true}}]",
        "repeat",
        r"repeat: got repeat, and the first time ends",
    ),
    (
        "[hard_short]",
        "[{contact_loss_above: 0.5}]",
        "{contact",
        r"got contact_loss_above, and no images that it could be seen in",
    ),
    (
        "[hard_short]",
        "[{bulk_resistance_drop: 0.5}]",
        "{bulk",
        r"got bulk_resistance_drop, and no spectra",
    ),
    (
        "{back_to_back: true}",
        "{on: {lithium_above_umol_per_cm2: 2}}",
        "{lithium",
        r"no images other than that which it triggers",
    ),
    (
        "[hard_short]",
        "[{pressure_below_mpa: 1}]",
        "{pressure",
        r"needs a device of the kind load_cell",
    ),
    ("[hard_short]", "[hard_short: 3]", "3]", r"stop_when\[0\]\.hard_short: got 3, expected no va"),
    ("[hard_short]", "[voltage_above_v]", "voltage_above_v]", r"is missing its value"),
    ("[hard_short]", "[{charge_mah_per_cm2: 0}]", "0}]", r"charge_mah_per_cm2: got 0"),
    (
        "[hard_short]",
        "[{contact_loss_above: 0.9}]",
        "{contact_loss",
        r"needs a device of the kind sem, and bench sim-mri has none",
    ),
    (
        "spectra: []",
        "spectra: [{when: {at: [end]}, settings: {amplitude_mA: 1, start_frequency_Hz: 7e6, "
        "end_frequency_Hz: 1}}]",
        "[{when: {at",
        r"got spectra, which pstat \(keithley_2450\) cannot take",
    ),
    ("temperature_celsius: 25", "temperature_celsius: -300", "-300", r"got -300, expected a temp"),
    ('operator: "your name"', "a.b: 1", "a.b", r"md\.a\.b: has a key with '\.'"),
    ('operator: "your name"', "x: {c/d: 1}", "c/d", r"md\.x\.c/d: has a key with"),
    ('operator: "your name"', "uid: 1", "uid", r"md\.uid: is a key that every run has by itself"),
    ('operator: "your name"', "x: .nan", ".nan", r"md\.x: got nan, expected a value that JSON has"),
    ('operator: "your name"', "x: [1, -.inf]", "-.inf", r"md\.x\[1\]: got -inf"),
    ('operator: "your name"', "x: 9007199254740993", "9007", r"whole number up to 2\^53"),
    ("bench: sim-mri", f"bench: {'a' * 150}", "a" * 150, r"expected the name of a bench profile"),
    ("bench: sim-mri", f"bench: {'a' * 300}.yaml", "a" * 300, r"File name too long"),
    ("bench: sim-mri", "bench: sim-mir", "sim-mir", r"bench: got 'sim-mir', found no such bench"),
    ("bench: sim-mri", "bench: ../nul", "../nul", r"bench: cannot be read: No such file"),
    (
        "bench: sim-mri",
        "",
        "experiment: in-situ",
        r"bench: is missing, expected the bench to run on",
    ),
]


def test_every_mistake_of_a_file_is_said_at_once(write):
    """Row 1: an experiment."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for old, new in [
        ("area_cm2: 0.1257", "area_cm2: -1"),
        ("max_voltage_V: 5, ", "max_voltage_V: 50, "),
        (", max_capacity_mAh: 10", ""),
        ("current_mA_per_cm2: 0.1,", "current_ma_per_cm2: 0.1,"),
        ("loop_to: cycle", "loop_to: cylce"),
        ("device: mri", "device: sem"),
        ("matrix: [81, 52]", "matrix: [0, 52]"),
        ("[hard_short]", "[hard_shorts]"),
        ('operator: "your name"', "a/b: .nan"),
    ]:
        assert old in text
        text = text.replace(old, new, 1)
    text = text.replace("environment:", "enviroment:")
    paths = [LINE.match(line)["rest"].split(": ")[0] for line in errors(write(text))]
    assert sorted(paths) == sorted(
        [
            "sample.area_cm2",
            "protocol.safety.max_voltage_V",
            "protocol.safety.max_capacity_mAh",
            "protocol.method[1].current_ma_per_cm2",
            "protocol.method[5].loop_to",
            "images[0].device",
            "images[0].settings.matrix[0]",
            "enviroment",
            "stop_when[0]",
            "md.a/b",
            "md.a/b",
        ]
    )


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)

UNREADABLE = [
    (b"", 1, 1, r"is empty \(`operando new"),
    (b"  \n# only a comment\n", 1, 1, r"got nothing, expected the keys of an experiment"),
    (b"- a\n- b\n", 1, 1, r"got a list of 2, expected the keys of an experiment"),
    (b"experiment: x\nmd: {operator: \xe9}\n", 2, 16, r"got byte 0xe9, expected UTF-8"),
    ("experiment: x\n".encode("utf-16"), 1, 1, r"expected UTF-8 text"),
    (b"experiment: x\nmd: {a: \x00}\n", 2, 9, r"control character 0x00"),
    (b"experiment: x\nmd: {a: \x1b[31m}\n", 2, 9, r"control character 0x1b"),
    (b"experiment: x\nexperiment: y\n", 2, 1, r"got the key experiment twice, first in line 1"),
    (b"md: {a: 1, a: 2}\n", 1, 12, r"got the key a twice"),
    (b"md: !!python/object/apply:os.system ['id']\n", 1, 5, r"got the tag .*python/object"),
    (b"md: !!str 3\n", 1, 5, r"got the tag"),
    (b"a: &a [*a]\n", 1, 8, r"alias \*a, expected no anchor around it"),
    (b"a: *b\n", 1, 4, r"alias \*b, expected an anchor defined before it"),
    (b"a: 1\n---\nb: 2\n", 2, 1, r"got a second document"),
    (b"? [a, b]\n: 1\n", 1, 3, r"got a key that is not a plain word"),
    (b"a: [1, 2\nb: 3\n", 2, 2, r"is not YAML"),
    (b"a: 'x\n", 2, 1, r"is not YAML"),
    (b"\tb: 1\n", 1, 1, r"is not YAML"),
    (b"a: " + b"[" * 100 + b"]" * 100, 1, 28, r"nested deeper than 24 levels"),
    (BOMB.encode(), 1, 1, r"has more than 50000 values or 24 levels once aliases are expanded"),
    (b"%TAG ! tag:x,2000:\n--- !foo\na: 1\n", 2, 5, r"got the tag"),
    (b"x" * (10 * 1024 * 1024), 1, 1, r"got more than 256 KiB"),
]


def test_all_that_reading_finds_is_said_at_once(write):
    lines = errors(write("a: !!x 1\nb: *c\nd: 1\nd: 2\n"))
    assert [line.split(":")[1] for line in lines] == ["1", "2", "4"]


def test_a_huge_file_is_refused_before_it_is_read_into_memory(tmp_path):
    path = tmp_path / "sparse.yaml"
    with path.open("wb") as stream:
        stream.truncate(10**12)  # sparse: it costs no disk
    assert "got more than 256 KiB" in errors(path)[0]
    assert MAX_BYTES == 256 * 1024


def test_what_cannot_be_opened(tmp_path):
    assert "cannot be read: No such file or directory" in errors(tmp_path / "none.yaml")[0]
    assert "cannot be read: Is a directory" in errors(tmp_path)[0]
    assert "cannot be read" in errors(Path("a\0b"))[0]


def test_yaml_1_1_traps(write):
    text = changed("{back_to_back: true}", "{on: hard_short}").replace(
        'operator: "your name"', "no: off, y: 7e6, on: 1_000, n: 0o7, d: 2025-01-01, e: 1e3"
    )
    md = load_experiment(write(text), environ={}).md
    assert md == {
        "no": "off", "y": 7e6, "on": "1_000", "n": "0o7", "d": "2025-01-01", "e": 1000.0,
        "proposal_id": "P-1",
    }  # fmt: skip


def test_an_anchor_may_be_used_twice(write):
    text = changed(
        "{step: constant_current, current_mA_per_cm2: 0.1, until_time_s: 1800}",
        "&up {step: constant_current, current_mA_per_cm2: 0.1, until_time_s: 1800}",
    ).replace("    - {step: loop,", "    - *up\n    - {step: loop,")
    method = load_experiment(write(text), environ={}).protocol.method
    assert method[1] == method[5]


@pytest.mark.parametrize(
    ("loops", "says"),
    [
        ("[A, B, C, (2), B2, (1)]", None),
        ("[t:a, x, t:b, x, l:b, x, l:a]", None),
        ("[t:a, x, l:a, t:b, x, l:b]", None),
        ("[t:a, t:b, x, l:b, l:a]", None),
        ("[t:a, x, t:b, x, l:a, x, l:b]", "overlaps the one over 1 to 5"),
        ("[l:a, x, t:a]", "which comes after the loop"),
        ("[t:a, l:a, x]", "with no step that takes time between"),
        ("[t:a, t:b, l:a, x]", "with no step that takes time between"),
        ("[t:a, x, t:a, x, l:a]", "got 'a' again, expected each tag once"),
        ("[x, x, l:1]", None),
        ("[x, l:1]", "refused by aurora-unicycler: Loop start index 1 cannot be on or after"),
        ("[x, l:2]", "which comes after the loop"),
    ],
)
def test_loops(write, loops, says):
    steps = []
    for word in loops.strip("[]").split(", "):
        kind, _, name = word.partition(":")
        if kind == "t":
            steps.append(f"{{step: tag, tag: {name}}}")
        elif kind == "l":
            steps.append(f"{{step: loop, loop_to: {name}, cycle_count: 2}}")
        else:
            steps.append("{step: open_circuit_voltage, until_time_s: 1}")
    text = EXAMPLE.read_text(encoding="utf-8")
    start, end = text.index("  method:\n"), text.index("images:\n")
    body = "".join(f"    - {step}\n" for step in steps)
    path = write(f"{text[:start]}  method:\n{body}{text[end:]}")
    if says is None:
        assert len(load_experiment(path, environ={}).lower().method) == len(steps)
    else:
        assert any(says in line for line in errors(path))


def test_two_series_of_one_device_share_their_settings(write):
    text = EXAMPLE.read_text(encoding="utf-8")
    series = text[text.index("  - device: mri") : text.index("spectra:")]
    both = text.replace(series, series + series.replace("back_to_back: true", "at: [end]"))
    assert len(load_experiment(write(both), environ={}).images) == 2
    other = series.replace("averages: 1024", "averages: 8")
    lines = errors(write(text.replace(series, series + other)))
    assert any("images[1].settings: got other settings for mri" in line for line in lines)


def test_a_simulated_bench_needs_to_know_what_it_simulates(write):
    text = changed("  simulate_as: {model: llzo_cell, preset: small_4p8, seed: 0}", "")
    path = write(text)
    assert "sample.simulate_as: is missing" in errors(path)[0]
    assert read_experiment(path).sample.simulate_as is None


def test_the_diameter_must_agree_with_the_area(write):
    good = changed("area_cm2: 0.1257", "area_cm2: 0.1257\n  electrode_diameter_mm: 4")
    assert load_experiment(write(good), environ={}).sample.electrode_diameter_mm == 4.0
    bad = changed("area_cm2: 0.1257", "area_cm2: 0.1257\n  electrode_diameter_mm: 0.4")
    assert "which is 0.001257 cm2, expected the two to agree" in errors(write(bad))[0]


def test_the_command_line_says_it_without_a_traceback(write, tmp_path, capsys):
    path = write(changed("averages: 1024", "averages: 0"))
    code = main(["run", str(path), "--data", str(tmp_path / "data"), "--no-progress"])
    printed = capsys.readouterr()
    assert code == 2
    line, column = line_of(path.read_text(), "0, matrix")
    assert f"{path}:{line}:{column}: images[0].settings.averages: got 0" in printed.err
    assert "Traceback" not in printed.err + printed.out
    assert not (tmp_path / "data").exists()


def test_the_error_crosses_processes(write):
    with pytest.raises(ExperimentError) as caught:
        load_experiment(write("x: 1\n"), environ={})
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.problems == caught.value.problems
    assert json.dumps(str(again))
