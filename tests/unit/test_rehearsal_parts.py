"""Parts of a rehearsal that are pure: the twin, the timeline, margins, dead times."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ProfileError
from orchestrator.experiment import Experiment
from orchestrator.profile.models import BenchProfile
from orchestrator.profile.tables import DRIVER_GROUP, Driver, drivers
from orchestrator.rehearsal.findings import dead_times, exposing, margins, step_summaries
from orchestrator.rehearsal.stand_in import stand_in
from orchestrator.rehearsal.timeline import (
    coarser_s,
    covered,
    overlaps,
    row_length_s,
    timeline,
)
from orchestrator.rehearsal.twin import STAND_IN_DRIVERS, twin_of
from orchestrator.rehearsal.watch import Course, Exposure, Happening, StepRun
from tests.command import EXAMPLES

pytestmark = pytest.mark.unit

REAL = {
    "bench": "lab-21t",
    "instrument_name": "21.1 T magnet",
    "devices": {
        "pstat": {
            "disconnect": {
                "driver": "keithley_2750",
                "resource": "GPIB0::7::INSTR",
                "channel": 101,
            },
            "kind": "potentiostat",
            "driver": "keithley_2450",
            "resource": "GPIB0::24::INSTR",
            "identity": "MODEL 2450,04123456",
            "poll_period_s": 7,
            "limits": {"max_voltage_v": 4, "max_current_ma": 3, "min_voltage_v": -2},
        },
        "MRI_2": {
            "kind": "mri",
            "console": {"driver": "console_bridge", "resource": "TCPIP::192.0.2.7::5025::SOCKET"},
            "trigger": {"driver": "agilent_33500", "resource": "sim://mri-2-console"},
        },
        "oven": {
            "kind": "chamber",
            "driver": "temptronic_ats545",
            "resource": "TCPIP::192.0.2.8::5025::SOCKET",
            "limits": {"min_celsius": -20, "max_celsius": 80, "max_ramp_celsius_per_min": 5},
            "soak_s": 77,
        },
    },
    "journal_every_s": 8,
}


def profile(document=REAL):
    return BenchProfile.model_validate(document)


def experiment(name="quick_look", **sample):
    document = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    document["sample"].update(sample)
    return Experiment.model_validate(document)


# --- the twin -----------------------------------------------------------------------------------


def test_the_twin_differs_from_the_bench_in_its_addresses_alone():
    real = profile()
    twin = twin_of(real)
    assert twin.profile.simulated
    assert set(twin.addresses) == {"pstat", "pstat.disconnect", "MRI_2.console", "oven"}
    resources = [link.resource for link in twin.profile.links.values()]
    assert len(set(resources)) == len(resources)
    assert "sim://mri-2-console" in resources, "what was simulated keeps its address"
    mine, theirs = twin.profile.to_document(), real.to_document()
    for document in (mine, theirs):
        document.pop("journal_every_s", None)
        for device in document["devices"].values():
            for part in ("", "disconnect", "console", "trigger"):
                link = device.get(part, {}) if part else device
                link.pop("resource", None)
                link.pop("identity", None)
    assert mine == theirs
    assert (twin.real.journal_period_s, twin.profile.journal_period_s) == (8, 900)


def test_the_twin_of_a_simulated_bench_is_itself():
    simulated = twin_of(twin_of(profile()).profile)
    assert simulated.profile is simulated.real
    assert not simulated.addresses


def test_a_driver_of_another_distribution_is_replaced_by_its_role(monkeypatch):
    table = {**drivers(), "acme_9000": Driver("acme_9000", "potentiostat"),
             "acme_laser": Driver("acme_laser", "laser")}  # fmt: skip
    for module in ("profile.links", "profile.models", "profile.checks", "rehearsal.twin"):
        monkeypatch.setattr(f"orchestrator.{module}.drivers", lambda: table, raising=False)
    document = yaml.safe_load(yaml.safe_dump(REAL))
    document["devices"]["pstat"]["driver"] = "acme_9000"
    twin = twin_of(profile(document))
    assert twin.replaced == {"pstat": ("acme_9000", "potentiostat_bridge")}
    broken = profile().devices["pstat"].model_copy(update={"driver": "acme_laser"})
    real = profile().model_copy(update={"devices": {"pstat": broken}})
    with pytest.raises(ProfileError, match="nothing simulated stands for the driver acme_laser"):
        twin_of(real)


def test_every_role_of_our_drivers_has_a_stand_in():
    assert {one.role for one in drivers().values()} <= set(STAND_IN_DRIVERS), DRIVER_GROUP


# --- what stands for the sample -----------------------------------------------------------------


def test_the_samples_own_recipe_is_used_without_a_word():
    found = stand_in(experiment(), profile())
    assert found.stated
    assert found.recipe["preset"] == "small_4p8"
    assert not found.advice


@pytest.mark.parametrize(
    ("bench", "area_cm2", "recipe"),
    [
        ("mri", 0.13, {"model": "llzo_cell", "preset": "small_4p8"}),
        ("mri", 0.45, {"model": "llzo_cell", "preset": "insitu_8p9"}),
        ("pstat", 2.0, {"model": "linear_cell", "resistance_ohm": 250.0, "area_cm2": 2.0}),
    ],
)
def test_without_a_recipe_a_stated_default_stands_in(bench, area_cm2, recipe):
    document = yaml.safe_load(yaml.safe_dump(REAL))
    if bench == "pstat":
        document["devices"] = {"pstat": document["devices"]["pstat"]}
    found = stand_in(experiment(simulate_as=None, area_cm2=area_cm2), profile(document))
    assert not found.stated
    assert {key: found.recipe[key] for key in recipe} == recipe
    assert found.advice[0].kind == "stand_in"
    assert "shorts are those of the stand-in" in found.advice[0].what


def test_a_battery_without_a_recipe_goes_between_its_voltages_in_its_capacity():
    document = yaml.safe_load(yaml.safe_dump(REAL))
    document["devices"] = {"pstat": document["devices"]["pstat"]}
    cell = experiment("full_cell_cycling", simulate_as=None)
    recipe = stand_in(cell, profile(document)).recipe
    assert recipe["emf_v"] == pytest.approx(2.6)
    assert recipe["stiffness_v_per_mah"] * cell.sample.capacity_mAh == pytest.approx(4.25 - 2.6)


def test_another_area_is_said():
    (one,) = stand_in(experiment(area_cm2=0.25), profile()).advice
    assert (one.kind, one.expected) == ("stand_in_area", 0.25)
    assert "1.99 times" in one.what


# --- the timeline -------------------------------------------------------------------------------


def course():
    """A day: an hour of settling, then cycles of 2 h on and 1 h rest, off in the fifth hour."""
    steps = []
    for cycle in range(1, 8):
        began = 3600.0 + (cycle - 1) * 3 * 3600.0
        steps += [StepRun(1, cycle, began, began + 7200.0, "time"),
                  StepRun(2, cycle, began + 7200.0, began + 10_800.0, "time")]  # fmt: skip
    times = np.arange(3600.0, 79_200.0 + 1, 60.0)
    records = {
        "time_s": times,
        "voltage_v": np.where(times < 40_000, 0.1, -0.2),
        "current_ma": np.full(len(times), 0.5),
        "charge_mah": 0.5 * (times - 3600.0) / 3600.0,
        "throughput_mah": 0.5 * (times - 3600.0) / 3600.0,
        "step_index": np.ones(len(times)),
        "cycle": np.ones(len(times)),
    }
    exposures = [Exposure("mri", 3600.0 * k, 3600.0 * (k + 0.5), "ok") for k in range(1, 24)]
    return Course(
        duration_s=86_400.0,
        records=records,
        steps=steps,
        off=[(0.0, 3600.0), (15_000.0, 15_300.0), (79_200.0, 86_400.0)],
        held=[(15_100.0, 15_600.0)],
        exposures=exposures,
        spectra=[],
        events=[Happening(90_000.0, "completed", "every step has run")],
        stop={},
    )


def test_a_day_is_told_hour_by_hour():
    rows = timeline(course(), {2})
    assert len(rows) == 24
    assert [row.from_s for row in rows] == [3600.0 * k for k in range(24)]
    assert (rows[0].idle_s, rows[0].first_cycle, rows[0].records) == (3600.0, 0, 0)
    assert (rows[1].on_s, rows[3].rest_s, rows[3].steps) == (3600.0, 3600.0, (2,))
    assert rows[4].idle_s == 600.0
    assert (rows[1].min_voltage_v, rows[-4].min_voltage_v) == (0.1, -0.2)
    assert rows[-1].charge_mah == pytest.approx(0.5 * 21)
    assert sum(row.frames["mri"] for row in rows) == 23
    assert rows[2].exposing_s == {"mri": 1800.0}
    assert rows[-1].events == ("completed: every step has run",)
    for row in rows:
        assert row.on_s + row.rest_s + row.idle_s == pytest.approx(3600.0)


def test_dead_times_margins_and_steps_of_a_day():
    found = {one.kind: one.seconds for one in dead_times(course(), frozenset({2}))}
    assert found == {"rest": 7 * 3600.0, "before": 3600.0, "within": 600.0, "after": 7200.0}
    limits = {"max_voltage_V": 0.125, "min_voltage_V": -0.2, "max_capacity_mAh": 21.0}
    used = {one.key: one.used for one in margins(course().records, limits)}
    assert used == pytest.approx(
        {"max_voltage_V": 0.8, "min_voltage_V": 1.0, "max_capacity_mAh": 0.5}
    )
    assert exposing(course()) == {"mri": pytest.approx(23 * 0.5 / 24)}
    on, rest = step_summaries(course())
    assert (on.passes, on.seconds, on.ended_by) == (7, 7 * 7200.0, {"time": 7})
    assert rest.shortest_s == rest.longest_s == 3600.0


@pytest.mark.parametrize(
    ("duration_s", "length_s"), [(5, 1), (400, 60), (9_000, 600), (21_600, 3600), (1.2e6, 3600)]
)
def test_rows_are_hours_but_in_short_runs(duration_s, length_s):
    assert row_length_s(duration_s) == length_s
    assert duration_s / coarser_s(duration_s, 30) <= 30


SPANS = st.lists(st.floats(0, 1000), min_size=2, max_size=40, unique=True).map(
    lambda times: list(zip(*[iter(sorted(times))] * 2, strict=False))
)


@given(SPANS, st.integers(1, 30))
def test_rows_lose_no_time_of_any_span(spans, rows):
    edges = np.linspace(0, 1000, rows + 1)
    assert covered(edges, spans).sum() == pytest.approx(sum(b - a for a, b in spans), abs=1e-6)
    assert (covered(edges, spans) >= -1e-9).all()
    assert (covered(edges, spans) <= np.diff(edges) + 1e-9).all()


@given(SPANS, SPANS)
def test_overlaps_are_those_of_a_brute_force_search(first, second):
    expected = sorted(
        (max(a, c), min(b, d)) for a, b in first for c, d in second if min(b, d) > max(a, c)
    )
    assert sorted(overlaps(first, second)) == expected
