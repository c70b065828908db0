"""Variables and sweeps of an experiment file: what they stand for, and where errors point."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ExperimentError
from orchestrator.experiment import load_campaign, load_experiment, read_campaign
from orchestrator.experiment.campaign import MAX_POINTS, worded
from orchestrator.experiment.variables import NoValue, Variable, evaluated, names_in

FILE = """\
experiment: series
bench: sim-mri
OWN
sample:
  name: LLZO-7
  area_cm2: 0.1257
  simulate_as: {model: llzo_cell, preset: small_4p8, seed: 0}
protocol:
  record: {time_s: 1}
  safety: {max_voltage_V: 5, min_voltage_V: -5, max_current_mA: 1, min_current_mA: -1, max_capacity_mAh: 1}
  method:
    - {step: constant_current, current_mA_per_cm2: $j, until_time_s: TIME}
    - {step: constant_current, current_mA_per_cm2: -$j, until_time_s: TIME}
environment: {temperature_celsius: 25}
"""  # noqa: E501 - as people write it


@pytest.fixture
def write(tmp_path):
    def written(own: str, time: str = "60", **changes: str):
        text = FILE.replace("OWN", own).replace("TIME", time)
        for old, new in changes.items():
            text = re.sub(rf"(?m)^(\s*){old}: .*$", rf"\g<1>{old}: {new}", text, count=1)
        path = tmp_path / "series.yaml"
        path.write_text(text)
        return path

    return written


def lines(path) -> list[str]:
    with pytest.raises(ExperimentError) as caught:
        load_campaign(path, environ={})
    return [line.removeprefix(str(path.parent) + "/") for line in str(caught.value).splitlines()]


def currents(campaign) -> list[float]:
    return [point.experiment.protocol.method[0].current_mA_per_cm2 for point in campaign.points]


# --- what references mean ------------------------------------------------------------------------


def scope(**values):
    return {name: Variable(value, (name,)) for name, value in values.items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$j", 0.5),
        ("-$j", -0.5),
        ("3600 * $q / $j", 1440.0),
        ("3*$third", 0.3),
        ("$n * 2", 6),
        ("$sample", {"name": "A"}),
        (" -  $j ", -0.5),
        (".5 * $j", 0.25),
        ("1e3 * $j", 500.0),
    ],
)
def test_values_of_references(text, value):
    known = scope(j=0.5, q=0.2, n=3, sample={"name": "A"}, third=0.1)
    assert names_in(text)
    found = evaluated(text, known)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("$k", r"got \$k, expected a variable of this file"),
        ("-$name", r"where \$name is 'A', expected a number"),
        ("2 * $yes", r"where \$yes is true, expected a number"),
        ("$j / $zero", "a quotient that has no value"),
        ("$big / $zero", "a quotient that has no value"),
    ],
)
def test_references_without_a_value(text, says):
    with pytest.raises(NoValue, match=says):
        evaluated(text, scope(j=0.5, zero=0, name="A", yes=True, big=10**60))


@pytest.mark.parametrize(
    "text", ["$5", "costs $j", "$j + 1", "$j.real", "$(j)", "${j}", "$j $k", "* $j", "x$j", "", "$"]
)
def test_what_is_no_reference(text):
    assert names_in(text) == ()


@given(st.text(alphabet="$jk0.12e-+*/ ()[]_", max_size=30))
def test_any_text_is_a_text_a_number_or_says_why_not(text):
    if not names_in(text):
        return
    with suppress(NoValue):
        assert isinstance(evaluated(text, scope(j=0.5, k=2)), int | float)


# --- files ---------------------------------------------------------------------------------------


def test_variables_without_a_sweep_are_one_experiment(write):
    path = write("variables: {j: 0.1, t: 6 / $j}", time="$t")
    experiment = load_experiment(path, environ={})
    first, second = experiment.protocol.method
    assert (first.current_mA_per_cm2, second.current_mA_per_cm2) == (0.1, -0.1)
    assert first.until_time_s == second.until_time_s == 60.0
    assert "variables" not in experiment.to_document()
    assert load_campaign(path, environ={}).sweep is None


def test_a_product_varies_the_last_name_fastest(write):
    own = "sweep: {product: {j: [0.1, 0.2], celsius: [25, 60]}}"
    campaign = load_campaign(write(own, environment="{temperature_celsius: $celsius}"), environ={})
    assert [p.values for p in campaign.points] == [
        {"j": 0.1, "celsius": 25}, {"j": 0.1, "celsius": 60},
        {"j": 0.2, "celsius": 25}, {"j": 0.2, "celsius": 60},
    ]  # fmt: skip
    assert [p.number for p in campaign.points] == [1, 2, 3, 4]
    assert currents(campaign) == [0.1, 0.1, 0.2, 0.2]
    warm = campaign.points[1].experiment
    assert warm.environment.temperature_celsius == 60
    assert len({p.experiment.experiment_hash for p in campaign.points}) == 4
    assert worded(campaign.points[3].values) == "j = 0.2, celsius = 60"


def test_lists_side_by_side(write):
    own = "sweep:\n  zip: {j: [0.1, 0.2], t: [120, 60]}\n  on_failure: go_on"
    campaign = load_campaign(write(own, time="$t"), environ={})
    assert [(p.values["j"], p.values["t"]) for p in campaign.points] == [(0.1, 120), (0.2, 60)]
    assert campaign.sweep.on_failure == "go_on"
    assert campaign.only([2]).points == campaign.points[1:]


def test_a_whole_sample_is_swept(write, tmp_path):
    cells = "".join(
        f"\n      - {{name: {name}, area_cm2: 0.1257, "
        f"simulate_as: {{model: llzo_cell, preset: small_4p8, seed: {seed}}}}}"
        for seed, name in enumerate("AB")
    )
    path = write(f"variables: {{j: 0.1}}\nsweep:\n  product:\n    cell:{cells}")
    text = path.read_text()
    start, end = text.index("sample:\n"), text.index("protocol:\n")
    path.write_text(f"{text[:start]}sample: $cell\n{text[end:]}")
    campaign = load_campaign(path, environ={})
    assert [p.experiment.sample.name for p in campaign.points] == ["A", "B"]
    assert worded(campaign.points[1].values) == "cell = B"
    wrong = path.read_text().replace("seed: 1", "sede: 1")
    path.write_text(wrong)
    number, line = next((n, s) for n, s in enumerate(wrong.splitlines(), 1) if "sede" in s)
    assert lines(path) == [
        f"series.yaml:{number}:{line.index('sede') + 1}: sample.simulate_as.sede: is not a known "
        "key, with cell = B (did you mean seed?)"
    ]


def test_a_sweep_is_not_one_experiment(write):
    path = write("sweep: {product: {j: [0.1, 0.2]}}")
    with pytest.raises(ExperimentError, match="has a sweep of 2 runs, expected one experiment"):
        load_experiment(path, environ={})
    assert len(read_campaign(path).points) == 2


def test_an_error_points_to_the_swept_value_and_names_its_run(write):
    path = write("sweep: {product: {j: [0.1, 9, 0.2]}}")
    assert lines(path) == [
        "series.yaml:3:28: protocol.method[0].current_mA_per_cm2: got 1.1313 mA, expected within "
        "safety, -1 to 1 mA, with j = 9 (change the step, or widen protocol.safety if the cell "
        "allows it)",
        "series.yaml:3:28: protocol.method[1].current_mA_per_cm2: got -1.1313 mA, expected within "
        "safety, -1 to 1 mA, with j = 9 (change the step, or widen protocol.safety if the cell "
        "allows it)",
    ]


def test_an_error_of_every_run_is_said_once(write):
    path = write("sweep: {product: {j: [0.1, 0.2]}}", record="{time_s: 0}")
    assert lines(path) == [
        "series.yaml:9:20: protocol.record.time_s: got 0, expected a time between records in s, "
        "greater than 0 and at most 86400 (give a value in this range)"
    ]


CASES = [
    # own keys, where, what
    ("sweep: {product: {j: []}}", "3:22", "sweep.product.j: got an empty list, expected a list"),
    ("sweep: {product: {j: 0.1}}", "3:22", "sweep.product.j: got 0.1, expected a list of values"),
    ("sweep: {j: [0.1]}", "3:9", "sweep.j: is not a known key"),
    ("sweep: {product: {}}", "3:18", "sweep.product: got an empty mapping, expected a list"),
    ("sweep: 3", "3:8", "sweep: got 3, expected a mapping"),
    ("sweep: {on_failure: stop}", "3:8", "sweep: got neither product nor zip, expected exactly"),
    (
        "sweep: {zip: {j: [1], k: [1, 2]}}",
        "3:14",
        "sweep.zip: got 1 of j, 2 of k, expected as many",
    ),
    ("sweep: {product: {j: [$j]}}", "3:23", "sweep.product.j[0]: got a reference, expected a val"),
    ("sweep: {product: {j: [.nan]}}", "3:23", "sweep.product.j[0]: got nan, expected a value"),
    ("sweep: {product: {j-1: [1]}}", "3:19", "sweep.product.j-1: got 'j-1', expected a name"),
    (
        "sweep: {product: {j: [0.1]}, on_failure: go on}",
        "3:42",
        "on_failure: got 'go on', expected what follows a failed run: 'stop' or 'go_on' (did you",
    ),
    (
        "sweep: {product: {j: [0.1], k: [1]}}",
        "3:29",
        "sweep.product.k: is used nowhere, expected $k in the file",
    ),
    ("variables: {j: 1, i: 2}", "3:19", "variables.i: is used nowhere, expected $i in the file"),
    ("variables: {1j: 1}", "3:13", "variables.1j: got '1j', expected a name of letters"),
    ("variables: []", "3:12", "variables: got an empty list, expected names with their values"),
    (
        "variables: {j: 1}\nsweep: {product: {j: [0.1]}}",
        "3:13",
        "variables.j: is swept too, expected one of both",
    ),
    ("variables: {j: $k}", "3:16", "variables.j: got $k, expected a variable of this file"),
    ("variables: {k: $j, j: 1}", "3:16", "variables.k: got $j, expected a variable of this file"),
    ("variables: {jj: 0.1}", "12:52", "current_mA_per_cm2: got $j, expected a variable of this f"),
    ("md: {}", "12:52", "current_mA_per_cm2: got $j, expected a variable of this file (add `var"),
    ("variables: {j: fast}", "13:52", "current_mA_per_cm2: got -$j, where $j is 'fast', expected"),
    ("variables: {j: fast}", "3:16", "current_mA_per_cm2: got 'fast', expected a non-zero curr"),
    (
        "sweep: {product: {j: [0.1, 0.2], b: [sim-mri, sim-sem]}}",
        "2:8",
        "bench: got $b, expected the text itself: every run shares it",
    ),
]


@pytest.mark.parametrize(("own", "where", "what"), CASES, ids=[case[2][:40] for case in CASES])
def test_errors(write, own, where, what):
    changes = {"bench": "$b"} if "sim-sem" in own else {}
    told = lines(write(own, **changes))
    assert any(line.startswith(f"series.yaml:{where}: ") and what in line for line in told), told


def test_a_variable_without_a_value_is_said_once(write):
    told = lines(write("variables: {z: 0, j: 1 / $z}"))
    assert told == [
        "series.yaml:3:22: variables.j: got 1 / $z, a quotient that has no value (give its "
        "variables values that are not 0)"
    ]


def test_a_campaign_has_an_end(write):
    many = ", ".join(str(0.1 + n / 1e4) for n in range(MAX_POINTS + 1))
    assert (
        f"got {MAX_POINTS + 1} runs, expected at most"
        in lines(write(f"sweep: {{product: {{j: [{many}]}}}}"))[0]
    )


def test_a_bench_that_is_not_there_is_said_once(write):
    path = write("sweep: {product: {j: [0.1, 0.2]}}", bench="sim-mir")
    told = lines(path)
    assert len(told) == 1
    assert told[0].startswith("series.yaml:2:8: bench:")


def test_a_text_that_looks_like_a_reference_can_be_written(write):
    path = write("variables: {j: 0.1}\nmd: {tag: $$j, price: $5}")
    assert load_experiment(path, environ={}).md == {"tag": "$j", "price": "$5"}
