"""Named plans: the same messages as their example files, arguments checked, nothing touched."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from contextlib import ExitStack
from dataclasses import asdict

import numpy as np
import pytest
from bluesky.simulators import check_limits, summarize_plan

import plans
from devices.errors import ExplainedError
from devices.impedance import SpectrumSeries
from devices.roles import CellLimits
from orchestrator.bench import open_bench
from orchestrator.experiment import load_campaign, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.planning import experiment_plan
from plans.conditions import Condition
from tests.plans.named_plans import AS_IN_THE_EXAMPLE, PRESSURE_SERIES, SMALL, short


@pytest.fixture(scope="module")
def benches(tmp_path_factory):
    """Every bench of the examples, open."""
    names = {load_experiment(example_path(name), environ={}).bench for name in AS_IN_THE_EXAMPLE}
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(open_bench(name, data=tmp_path_factory.mktemp(name)))
            for name in names
        }


@pytest.fixture(params=sorted(AS_IN_THE_EXAMPLE))
def name(request):
    return request.param


@pytest.fixture
def experiment(name):
    return load_experiment(example_path(name), environ={})


@pytest.fixture
def bench(experiment, benches):
    return benches[experiment.bench]


def called(name, bench, **arguments):
    """A named plan on a bench's devices, as the roles of its example are assigned."""
    plan = plans.PLANS[name]
    wanted = inspect.signature(plan).parameters
    kinds = {"potentiostat": "pstat", "mri": "mri", "sem": "sem"}
    devices = [getattr(bench, kinds[key]) for key in wanted if key in kinds]
    return plan(*devices, **arguments)


def shape(plan):
    """Messages without what only a run can know, and with what is behind every name."""
    messages = []
    for msg in plan:
        args = [] if msg.command == "wait_for" else [shown(arg) for arg in msg.args]
        kwargs = {k: shown(v) for k, v in msg.kwargs.items() if k not in ("md", "plan_name")}
        if msg.command == "open_run":
            kwargs = {}
        messages.append((msg.command, shown(msg.obj), args, kwargs))
    return messages


def shown(value):
    if isinstance(value, Condition):
        return value.name, contents(value._criterion)
    if isinstance(value, SpectrumSeries):
        return value.name, value._sweep, value.limits, value._number
    device = getattr(value, "device", None)  # an attempt at a frame
    if device is not None:
        return shown(device)
    return getattr(value, "name", value)


def contents(value):
    """An object as everything that is in it."""
    if hasattr(value, "__dict__"):
        return type(value).__name__, {key: contents(one) for key, one in vars(value).items()}
    return repr(value)


def test_every_plan_is_its_example_file(name, experiment, bench):
    by_file = shape(experiment_plan(experiment, bench, md={}))
    by_plan = shape(called(name, bench, **AS_IN_THE_EXAMPLE[name]))
    different = [pair for pair in zip(by_file, by_plan, strict=False) if pair[0] != pair[1]]
    assert different == []
    assert len(by_file) == len(by_plan)


def test_a_series_of_pressures_is_its_campaign(benches):
    points = load_campaign(example_path("pressure_series"), environ={}).points
    bench = benches["sim-cycler"]
    by_files = [shape(experiment_plan(one.experiment, bench, md={})) for one in points]
    by_plan = shape(plans.pressure_series(bench.pstat, **PRESSURE_SERIES))
    pauses = [k for k, message in enumerate(by_plan) if message[0] == "pause"]
    assert len(pauses) == len(points) - 1 == 3
    edges = [*pauses, len(by_plan)]
    runs = [by_plan[a:b] for a, b in zip([0, *(k + 1 for k in pauses)], edges, strict=True)]
    for run, by_file in zip(runs, by_files, strict=True):  # the series is not rewindable either
        assert without_rewindable(run) == without_rewindable(by_file)


def without_rewindable(run):
    return [message for message in run if message[0] != "rewindable"]


def messages(name, bench):
    return list(called(name, bench, **short(name)))


def test_no_plan_may_be_rewound_or_forgets_where_it_is(name, bench):
    """Row 38: no plan may be rewound."""
    asked = messages(name, bench)
    commands = [msg.command for msg in asked]
    assert "clear_checkpoint" not in commands
    assert [msg.args for msg in asked if msg.command == "rewindable"][1] == (False,)
    first = commands.index("open_run")
    assert commands.index("rewindable") < first
    assert commands[-1] == "rewindable"  # everything else happens in between


def counts(bench):
    return {who: (link.counters.writes, link.counters.queries) for who, link in bench.links.items()}


@pytest.mark.parametrize("look", [list, summarize_plan, check_limits])
def test_looking_at_a_plan_touches_no_instrument(name, bench, look, capsys):
    before = counts(bench)
    look(called(name, bench, **short(name)))
    assert counts(bench) == before
    assert np.isnan(bench.pstat.voltage_v.get())


def test_the_start_document_says_what_the_plan_was_given(name, bench):
    given = short(name)
    plan = called(name, bench, **given, md={"operator": "Ada", "sample": {"name": "S"}})
    (start,) = [msg.kwargs for msg in plan if msg.command == "open_run"]
    assert start["plan_name"] == name
    assert start["operator"] == "Ada"
    assert start["sample"] == {"name": "S", "area_cm2": given["area_cm2"]}
    recorded = json.loads(json.dumps(start["plan_args"], allow_nan=False))
    assert recorded == start["plan_args"]
    assert recorded["potentiostat"] == "pstat"
    assert recorded["limits"] == asdict(given["limits"])
    # what is recorded is the same plan again
    again = {key: one for key, one in recorded.items() if key not in ("potentiostat", "mri", "sem")}
    assert shape(called(name, bench, **again)) == shape(called(name, bench, **given))


def refused(name, bench, **changed):
    plan = called(name, bench, **{**AS_IN_THE_EXAMPLE[name], **changed})
    with pytest.raises(ValueError, match=r"\(.+\)$") as raised:
        next(plan)
    assert isinstance(raised.value, ExplainedError)
    return str(raised.value)


def test_a_wrong_area_is_refused_before_the_first_message(name, bench):
    for value in (0, -1, "0.1", None, True, float("nan"), float("inf")):
        said = refused(name, bench, area_cm2=value)
        assert said.startswith(f"{name}: area_cm2: got {value!r}, expected a number above 0 (")


WRONG_LIMITS = [
    ({}, "got none, expected min_voltage_v, max_voltage_v, min_current_ma, max_current_ma"),
    (None, "got None, expected min_voltage_v"),
    (asdict(SMALL["limits"]) | {"max_voltage_v": float("inf")}, "max_voltage_v: got inf"),
    (asdict(SMALL["limits"]) | {"max_voltage_v": -6}, "min_voltage_v -5 and max_voltage_v -6"),
    (CellLimits(-5, 5, -1, float("nan")), "max_current_ma: got nan"),
]


def test_no_limit_may_be_missing_or_infinite(name, bench):
    """Row 2: of a plan's arguments."""
    for limits, said in WRONG_LIMITS:
        assert said in refused(name, bench, limits=limits)


def test_an_unlimited_charge_is_refused(name, bench):
    """Row 2: the charge."""
    assert "max_capacity_mah" in refused(name, bench, max_capacity_mah=float("inf"))


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("in_situ_mri", {"cycles": 2.5}, "in_situ_mri: cycles: got 2.5, expected a whole number"),
        ("in_situ_mri", {"current_ma_per_cm2": 0}, "expected a number other than 0"),
        ("in_situ_mri", {"current_ma_per_cm2": 100}, "current 12.57 mA is outside the limits"),
        ("in_situ_mri", {"stop_when": "hard_short"}, "stop_when: got 'hard_short', expected a"),
        ("in_situ_mri", {"stop_when": [{"duration_s": "1"}]}, "stop_when.duration_s: got '1'"),
        ("in_situ_mri", {"stop_when": [{}]}, "stop_when: got {}, expected a condition"),
        ("in_situ_mri", {"stop_when": ["duration_s"]}, "got duration_s without its value"),
        ("in_situ_mri", {"stop_when": [{"hard_short": 1}]}, "got 1 for hard_short, expected no"),
        ("in_situ_mri", {"stop_when": [{"pressure_above_mpa": 1}]}, "looks at another device"),
        ("in_situ_mri", {"settings": "flash2d"}, "settings: got 'flash2d', expected a mapping"),
        ("in_situ_mri", {"md": "Ada"}, "md: got 'Ada', expected a mapping"),
        ("in_situ_mri", {"environment": 25}, "environment: got 25, expected an Environment"),
        ("full_cell_cycling", {"charge_to_v": 5}, "ends at 5 V, outside the limits 2 to 4.4 V"),
        ("rate_test", {"rates_per_h": []}, "method: got no step"),
        ("rate_test", {"rates_per_h": [1, 0]}, "rates_per_h[1]: got 0"),
        ("rate_test", {"rates_per_h": 1}, "rates_per_h: got 1, expected a list"),
        ("critical_current", {"at": ["begin"]}, "at[0]: got 'begin', expected one of start"),
        ("critical_current", {"charge_mah_per_cm2": 10}, "passes 0.314 mAh, expected at most 0.2"),
        ("electronic_conductivity", {"voltage_v": 2}, "voltage 2 V is outside the limits"),
        ("geis_plating", {"amplitude_ma_per_cm2": 50}, "amplitude 1.57 mA"),
        ("geis_plating", {"start_frequency_hz": 1e9}, "got 1e+09 Hz"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_first_message(bench, name, changed, said):
    assert said in refused(name, bench, **changed)


def test_a_condition_that_does_not_exist_is_refused_before_the_first_message(benches):
    plan = called("cycle", benches["sim-cycler"], **SMALL, cycles=1, stop_when=["sunrise"])
    with pytest.raises(ValueError, match="no condition 'sunrise' \\(use one of"):
        next(plan)


def test_devices_in_the_wrong_order_are_told_apart(benches):
    bench = benches["sim-sem"]
    plan = plans.operando_sem(bench.sem, bench.pstat, **AS_IN_THE_EXAMPLE["operando_sem"])
    with pytest.raises(plans.PlanError, match=r"potentiostat: got .*, expected a Potentiostat"):
        next(plan)


def test_plans_are_generator_functions_with_md_last():
    for plan in plans.PLANS.values():
        assert inspect.isgeneratorfunction(plan) or inspect.isgeneratorfunction(plan.__wrapped__)
        parameters = list(inspect.signature(plan).parameters.values())
        assert parameters[-1].name == "md"
        assert all(one.kind is not one.VAR_POSITIONAL for one in parameters)
        body = ast.parse(textwrap.dedent(inspect.getsource(plan.__wrapped__))).body[0].body
        assert body[-1].end_lineno - body[1].lineno + 1 <= 40
