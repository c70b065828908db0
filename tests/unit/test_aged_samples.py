"""Samples with a past, pellets with a probe, and magnesium that diffuses while a film grows."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.transport import ohmic_resistance_ohm
from orchestrator.errors import ProfileError
from orchestrator.experiment.sample import SimulateAs
from orchestrator.laboratory.samples import Surroundings, make_sample
from sim.errors import SimulationError
from sim.samples.aged import aged
from sim.samples.impedance import impedance_ohm
from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.probed_pellet import ProbedPellet
from sim.samples.void_cell import VoidCell
from sim.samples.void_composition import Film, metal_magnesium
from sim.samples.void_parameters import find_preset

LITHIUM_UM_CM2_PER_MAH = 4.839
ALLOY = find_preset("limg_lpscl").parameters


def shorted(probe: str | None = None):
    recipe = {
        "model": "llzto_pellet",
        "preset": "limg",
        "seed": 0,
        "prior": {"current_ma_per_cm2": 0.5, "until": "short", "mah_per_cm2": None},
        "probe": probe,
    }
    return make_sample(recipe, Surroundings())


@settings(max_examples=30, deadline=None)
@given(
    passed=st.floats(0.01, 1.2),
    current=st.sampled_from([-0.5, 0.3, 1.0]),
    later_s=st.floats(0.0, 5000.0),
)
def test_a_past_is_the_same_as_doing_it(passed, current, later_s):
    one = VoidCell.from_preset("li_lpscl", seed=4)
    age_s = 3600.0 * passed / abs(current)
    one.apply_current(0.0, current * one.area_cm2)
    one.apply_current(age_s, 0.0)
    one.apply_current(age_s + 100.0, 0.2 * one.area_cm2)
    old = aged(
        VoidCell.from_preset("li_lpscl", seed=4), current_ma_per_cm2=current, mah_per_cm2=passed
    )
    old.apply_current(100.0, 0.2 * old.area_cm2)
    at_s = 100.0 + later_s
    assert old.charge_mah(at_s) == one.charge_mah(at_s + age_s)
    assert old.terminals(np.array([at_s])) == pytest.approx(one.terminals(np.array([at_s + age_s])))
    assert np.array_equal(old.geometry(at_s).left_um, one.geometry(at_s + age_s).left_um)
    assert old.resistances(at_s) == one.resistances(at_s + age_s)
    assert old.snapshot(at_s)["t_s"] == at_s
    assert old.describe()["prior"]["duration_s"] == age_s


def test_the_past_ends_at_the_short():
    pellet = shorted()
    fresh = LlztoPellet.from_preset("limg", seed=0)
    fresh.apply_current(0.0, 0.5 * fresh.area_cm2)
    assert pellet.short_time_s(0.0) == 0.0
    assert pellet.charge_mah(0.0)[0] == pytest.approx(fresh.charge_mah(fresh.short_time_s(9e3))[0])
    assert copy.deepcopy(pellet).spallations(0.0) == pellet.spallations(0.0)
    assert not hasattr(pellet, "mean_layers_umol_per_cm2")


def test_a_past_that_cannot_be_is_refused():
    with pytest.raises(
        SimulationError, match=r"llzo_cell: no short at 0\.001 mA/cm2 within 60 days"
    ):
        aged(LlzoCell.from_preset("small_4p8"), current_ma_per_cm2=0.001)
    with pytest.raises(ProfileError, match="llzto_blocking: no short"):
        make_sample(
            {
                "model": "llzto_blocking",
                "preset": "nickel_2mm",
                "seed": 0,
                "prior": {"current_ma_per_cm2": 1.0},
            },
            Surroundings(),
        )


@pytest.mark.parametrize(("probe", "ohm"), [("connected", 440.0), (None, 486.0)])
def test_a_probe_sees_the_dendrite_and_the_terminals_the_cell(probe, ohm):
    pellet = shorted(probe)
    currents_ma, volts = np.array([-0.1, -0.05, 0.02, 0.05, 0.1]), []
    for index, current_ma in enumerate(currents_ma):
        pellet.apply_current(10.0 * index, float(current_ma))
        volts.append(float(pellet.terminals(np.array([10.0 * index + 1.0])).voltage_v[0]))
    found = ohmic_resistance_ohm(np.array(volts), currents_ma)
    assert found.value == pytest.approx(ohm, rel=0.01)
    z = impedance_ohm(np.array([1.0]), pellet.resistances(50.0))
    assert abs(z[0]) == pytest.approx(ohm, rel=0.01)


def test_a_forced_voltage_drives_the_probes_current():
    pellet = shorted("connected")
    charge = pellet.charge_mah(0.0)
    pellet.apply_voltage(0.0, 0.044)
    seen = pellet.terminals(np.array([0.0, 5.0]))
    assert seen.current_ma == pytest.approx([0.1, 0.1])
    assert seen.voltage_v == pytest.approx([0.044, 0.044])
    assert pellet.charge_mah(1e4) == charge, "a probe moves no lithium"
    truth = pellet.snapshot(5.0)
    assert (truth["probe"], truth["probe_ohm"]) == ("connected", 440.0)


def test_a_probe_on_an_isolated_spallation_ends_nowhere():
    for pellet in (
        shorted("isolated"),
        ProbedPellet(LlztoPellet.from_preset("limg", seed=0), "connected"),
    ):
        pellet.apply_current(0.0, 0.1)
        assert pellet.terminals(np.array([1.0])).voltage_v[0] == np.inf
        assert pellet.snapshot(1.0)["voltage_v"] is None
        pellet.apply_voltage(2.0, 0.5)
        assert pellet.terminals(np.array([2.0])).current_ma[0] == 0.0
    with pytest.raises(SimulationError, match="probe, got 'loose', expected one of connected"):
        ProbedPellet(LlztoPellet.from_preset("limg"), "loose")
    with pytest.raises(SimulationError, match="ascending times"):
        pellet.apply_current(1.0, 0.0)


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({"prior": {"current_ma_per_cm2": 0}}, "got a current of 0"),
        ({"prior": {"current_ma_per_cm2": 0.5}}, "expected one end"),
        (
            {"prior": {"current_ma_per_cm2": 0.5, "until": "short", "mah_per_cm2": 1}},
            "expected one end",
        ),
        ({"model": "llzo_cell", "preset": "small_4p8", "probe": "connected"}, "llzto_pellet only"),
    ],
)
def test_a_file_says_one_end_of_the_past(recipe, says):
    with pytest.raises(ValueError, match=says):
        SimulateAs.model_validate({"model": "llzto_pellet", "preset": "limg", **recipe})


# --- magnesium -----------------------------------------------------------------------------------


def plated(celsius: float) -> VoidCell:
    cell = VoidCell.from_preset("limg_lpscl", temperature_celsius=celsius)
    cell.apply_current(0.0, -0.28 * cell.area_cm2)
    cell.apply_current(33_430.0, 0.0)
    return cell


def film_share(cell: VoidCell, t_s: float) -> float:
    depths_um = np.linspace(0.0, 2.6 * LITHIUM_UM_CM2_PER_MAH, 1001)
    return float(cell.magnesium(depths_um, t_s).mean()) / ALLOY.magnesium


@pytest.mark.parametrize(("celsius", "share"), [(25.0, 0.502), (60.0, 0.805)])
def test_the_film_has_the_published_share(celsius, share):
    assert film_share(plated(celsius), 33_430.0) == pytest.approx(share, abs=0.005)


def test_warmth_counts_for_as_long_as_it_lasts():
    cold, warm, half = plated(25.0), plated(60.0), plated(25.0)
    half.set_temperature(15_000.0, 60.0)
    half.set_temperature(20_000.0, 25.0)
    shares = [film_share(cell, 33_430.0) for cell in (cold, half, warm)]
    assert shares[0] < shares[1] < shares[2]
    assert film_share(half, 14_000.0) == film_share(cold, 14_000.0)
    with pytest.raises(SimulationError, match="ascending times"):
        half.set_temperature(10_000.0, 25.0)


@settings(max_examples=30, deadline=None)
@given(stripped=st.floats(0.0, 6.0), film_um=st.floats(0.1, 20.0), spread=st.floats(1e-9, 3e-7))
def test_magnesium_is_kept_while_a_film_takes_its_share(stripped, film_um, spread):
    """Nothing is lost as long as nothing has come as far as the collector."""
    rest_um = ALLOY.metal_um - LITHIUM_UM_CM2_PER_MAH * stripped
    depths_um = np.linspace(0.0, film_um + rest_um, 20_001)
    profile = metal_magnesium(depths_um, Film(film_um, spread), stripped, ALLOY)
    total = float(np.trapezoid(profile, depths_um))
    assert total == pytest.approx(ALLOY.magnesium * ALLOY.metal_um, rel=2e-3)
    assert (profile >= 0.0).all()


def test_the_spread_profile_is_the_convolution_that_it_stands_for():
    stripped, film = 4.0, Film(12.58, 1.5e-6)
    begin = metal_magnesium(np.linspace(0.0, 400.0, 80_001), Film(12.58, 0.0), stripped, ALLOY)
    depth_um = np.linspace(0.0, 400.0, 80_001)
    begin = np.where(depth_um > 92.0, begin[depth_um < 92.0][-1], begin)  # semi-infinite
    begin[depth_um < 12.58] = 0.0
    sigma_um = np.sqrt(2e8 * 1.5e-6)
    for at_um in (0.0, 6.0, 12.0, 15.0, 30.0):
        kernel = sum(np.exp(-0.5 * ((at_um - s * depth_um) / sigma_um) ** 2) for s in (1, -1))
        kernel /= sigma_um * np.sqrt(2 * np.pi)
        expected = float(np.trapezoid(kernel * begin, depth_um))
        found = metal_magnesium(np.array([at_um]), film, stripped, ALLOY)[0]
        assert found == pytest.approx(expected, rel=2e-3)


def test_beyond_the_metal_and_in_lithium_there_is_none():
    cell = VoidCell.from_preset("limg_lpscl")
    assert cell.magnesium(np.array([0.0, 50.0, 101.0]), 0.0).tolist() == [0.03, 0.03, 0.0]
    lithium = VoidCell.from_preset("li_lpscl")
    assert not lithium.magnesium(np.linspace(0, 50, 5), 0.0).any()
