"""Faults as people write them: one text or one mapping, and where they stand in a file."""

from __future__ import annotations

import math
import pickle
from dataclasses import fields
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ExperimentError, ProfileError
from orchestrator.experiment import load_experiment
from orchestrator.experiment.fault_kinds import CELL, FAULTS, OPTIONS
from orchestrator.experiment.faults import Fault, fault_of, load_faults
from orchestrator.experiment.templates import example_path
from orchestrator.laboratory.faults import simulated_fault
from orchestrator.profile.loading import load_profile
from sim.faults.cell import CellFault, CellFaultKind
from sim.faults.upsets import IMAGER_KINDS, METER_KINDS, Upset
from sim.wire.faults import Fault as WireFault
from sim.wire.faults import FaultKind

pytestmark = pytest.mark.unit

VALUES = {
    "delay_s": st.floats(0, 3600),
    "seed": st.integers(0, 2**32 - 1),
    "match": st.sampled_from([":READ", "a:b=c:seed=1", "x|y", "ACQ:"]),
    "ohm": st.floats(1e-6, 1e9),
    "x_um_per_h": st.floats(-1e3, 1e3),
    "y_um_per_h": st.floats(-1e3, 1e3),
}


@st.composite
def mappings(draw):
    """Any fault as a mapping."""
    kind = draw(st.sampled_from(sorted(FAULTS)))
    start_s = draw(st.floats(0, 1e7))
    place = CELL if FAULTS[kind].where == CELL else draw(st.sampled_from(["pstat", "mri.console"]))
    found = {"kind": kind, "device": place, "start_s": start_s}
    if draw(st.booleans()):
        found["end_s"] = start_s + draw(st.floats(1.0, 1e7))
    for name in FAULTS[kind].options:
        if draw(st.booleans()):
            found[name] = draw(VALUES[name])
    return found


@given(given=mappings())
def test_the_text_of_a_fault_reads_back_the_same(given):
    fault = fault_of(given)
    assert fault_of(str(fault)) == fault
    assert fault_of(fault.model_dump(exclude_none=True)) == fault
    assert pickle.loads(pickle.dumps(fault)) == fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("late:smu:1:2:delay_s=3.5", WireFault("late", 1, 2, delay_s=3.5)),
        ("garble:smu:1:2:seed=7", WireFault("garble", 1, 2, seed=7)),
        ("stuck:smu:0:inf:match=:READ|:FETC", WireFault("stuck", 0, math.inf, ":READ|:FETC")),
        (
            "late:smu:1:2:delay_s=3:match=a:seed=b",
            WireFault("late", 1, 2, delay_s=3, match="a:seed=b"),
        ),
        ("short:cell:1:2:ohm=5", CellFault("short", 1, 2, ohm=5)),
        ("open:cell:1:inf", CellFault("open", 1, math.inf)),
        ("drift:mri:1:2:y_um_per_h=-3", Upset("drift", 1, 2, y_um_per_h=-3)),
    ],
)
def test_what_the_simulation_makes_of_it(text, fault):
    assert simulated_fault(fault_of(text)) == fault


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "got '', expected a fault: KIND:DEVICE:START:END"),
        ("late:smu:1", "got 'late:smu:1', expected a fault"),
        ("slow:smu:1:2", "kind: got 'slow', expected a kind of fault: 'silence'"),
        ("late:smu:soon:2", "start_s: got 'soon'"),
        ("late:smu:-1:2", "start_s: got -1"),
        ("late:smu:nan:2", "start_s: got nan"),
        ("late:smu:inf:inf", "start_s: got inf"),
        ("late:smu:3:2", "end_s: got the end 2 s, expected it after the start 3 s"),
        ("late:smu:1:2:3", "got the option '3', expected NAME=VALUE once"),
        ("late:smu:1:2:delay_s=1:delay_s=2", "got the option 'delay_s=2'"),
        ("late:smu:1:2:seed=3", "seed: got the option seed, expected of late only delay_s or"),
        ("late:smu:1:2:delay_s=1e9", "delay_s: got 1000000000, expected a delay in s"),
        ("late:smu:1:2:ohms=3", "ohms: is not a known key"),
        ("garble:smu:1:2:seed=x", "seed: got 'x'"),
        ("refuse:smu:1:2:match=x", "match: got the option match, expected none"),
        ("stuck:smu:1:2:match=(", "match: got '\\(', expected a regular expression"),
        ("short:cell:1:2:ohm=0", "ohm: got 0, expected"),
        ("short:pstat:1:2", "device: got 'pstat', expected cell for short"),
        ("late:cell:1:2", "device: got 'cell', expected an instrument for late"),
    ],
)
def test_what_cannot_be_read_is_said(text, says):
    with pytest.raises(ProfileError, match=says):
        fault_of(text, "--fault")


def test_the_table_is_the_simulations():
    """Kinds, options and defaults are written down once here and once in the simulation."""
    kinds = {
        "wire": (get_args(FaultKind), WireFault),
        "cell": (get_args(CellFaultKind), CellFault),
        "imager": (IMAGER_KINDS, Upset),
        "meter": (METER_KINDS, Upset),
    }
    assert list(FAULTS) == [kind for names, _ in kinds.values() for kind in names]
    for kind, form in FAULTS.items():
        names, value = kinds[form.where]
        assert kind in names
        defaults = {one.name: one.default for one in fields(value)}
        assert {name: defaults[name] for name in form.options} == dict(form.options)
        assert set(form.options) <= set(OPTIONS)


def test_a_file_of_faults_says_every_error_at_its_place(tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text(
        "- short:cell:60:inf:ohm=2\n"
        "- {kind: shrt, device: cell, start_s: 1}\n"
        "- kind: late\n"
        "  device: pstat\n"
        "  start_s: 1\n"
        "  ohm: 3\n"
        "- black:psta:0:1\n"
        "- black:pstat:0:1\n"
    )
    with pytest.raises(ExperimentError) as caught:
        load_faults(path, load_profile("sim-mri"))
    lines = str(caught.value).removeprefix(str(path)).splitlines()
    assert ":2:10: [1].kind: got 'shrt'" in lines[0]
    assert ":6:3: [2].ohm: got the option ohm, expected of late only" in lines[1]
    assert ":7:3: [3].device: got 'psta', expected an instrument of bench sim-mri" in lines[2]
    assert ":8:3: [4].device: got pstat, which cannot have the fault black" in lines[3]
    path.write_text("faults: []\n")
    with pytest.raises(ExperimentError, match=":1:1: got a mapping, expected a list of faults"):
        load_faults(path)
    path.write_text("- short:cell:60:inf\n- {kind: open, device: cell, start_s: 1, end_s: 2}\n")
    assert list(map(str, load_faults(path))) == ["short:cell:60:inf", "open:cell:1:2"]


def experiment_with(tmp_path, faults: str):
    text = example_path("in_situ_mri").read_text()
    old = "seed: 0}"
    assert text.count(old) == 1
    path = tmp_path / "exp.yaml"
    path.write_text(text.replace(old, f"seed: 0, faults: {faults}}}"))
    return path


def test_an_experiment_file_may_have_faults(tmp_path):
    path = experiment_with(
        tmp_path, "['short:cell:60:inf', {kind: abort, device: mri, start_s: 9}]"
    )
    faults = load_experiment(path, environ={}).sample.simulate_as.faults
    assert list(map(str, faults)) == ["short:cell:60:inf", "abort:mri:9:inf"]
    assert isinstance(faults[0], Fault)


def test_its_errors_have_a_place(tmp_path):
    path = experiment_with(tmp_path, "[short:cell:60:inf, late:sem:1:2]")
    with pytest.raises(
        ExperimentError, match=r":9:\d+: sample.simulate_as.faults\[1\].device: got"
    ):
        load_experiment(path, environ={})


HALF_REAL = """
bench: half
instrument_name: half
devices:
  pstat:
    kind: potentiostat
    driver: keithley_2450
    resource: "TCPIP::192.0.2.7::5025::SOCKET"
    limits: {max_voltage_v: 5, max_current_ma: 10}
  mri:
    kind: mri
    console: {driver: console_bridge, resource: "sim://console"}
"""


def test_there_is_no_fault_injection_beside_hardware(tmp_path):
    (tmp_path / "half.yaml").write_text(HALF_REAL)
    path = experiment_with(tmp_path, "['abort:mri:1:2']")
    with pytest.raises(ExperimentError, match="got faults, and pstat of bench half is real"):
        load_experiment(path, bench=tmp_path / "half.yaml", environ={})
