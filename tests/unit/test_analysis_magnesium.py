"""Simulated magnesium profiles to enrichment, means and shares; states of spallations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.magnesium import (
    LineProfile,
    film_share,
    interface_enrichment,
    magnesium_state,
)
from orchestrator.analysis.measured import Measured
from sim.images.eds import BACKGROUND_COUNTS_PER_S_NA, MG_COUNTS_PER_S_NA, net_counts
from sim.samples.void_composition import (
    EFFECTIVE_CM2_PER_S,
    film_magnesium,
    mean_film_magnesium,
    stripped_magnesium,
)
from sim.samples.void_parameters import find_preset

METAL = find_preset("limg_lpscl").parameters
DEPTH_UM = np.arange(0.25, 80.0, 0.5)
STRIPPED_MAH_PER_CM2 = 4.0
SEEDS = range(20)


def line(seed: int, *, counts_in_bulk: float = 2000.0) -> tuple[LineProfile, np.ndarray]:
    """Counts along a line after 4 mAh/cm2, and the expected ones."""
    truth = stripped_magnesium(DEPTH_UM, STRIPPED_MAH_PER_CM2, METAL)
    expected = truth * counts_in_bulk / METAL.magnesium
    counts = np.random.default_rng(seed).poisson(expected)
    return LineProfile.of_counts(DEPTH_UM, counts), expected


def test_enrichment_at_the_interface_is_found_with_its_error() -> None:
    pulls = []
    for seed in SEEDS:
        profile, expected = line(seed)
        found = interface_enrichment(profile)
        assert found.enriched
        assert found.quality == "ok"
        near, far = expected[DEPTH_UM <= 2].mean(), expected[DEPTH_UM >= 20].mean()
        excess = np.trapezoid(expected - expected[-1], DEPTH_UM)
        excess += 0.25 * (expected[0] - expected[-1])
        pulls.append(
            [
                (found.ratio.value - near / far) / found.ratio.error,
                (found.depth_um.value - METAL.magnesium_depth_um) / found.depth_um.error,
                (found.bulk.value - far) / found.bulk.error,
                (found.excess.value - excess) / found.excess.error,
            ]
        )
    rms = np.sqrt(np.mean(np.square(pulls), axis=0))
    assert (rms > 0.5).all()
    assert (rms < 1.6).all()


def test_mean_after_stripping_is_the_published_alloy() -> None:
    """Li0.96Mg0.04 after 4 mAh/cm2 from 90 um."""
    profile, expected = line(0)
    mean = profile.mean()
    assert abs(mean.value - expected.mean()) < 3 * mean.error
    fraction = mean.value * METAL.magnesium / 2000.0
    assert fraction == pytest.approx(0.0375, abs=0.0025)


def test_a_profile_without_enrichment_has_none() -> None:
    found = []
    for seed in SEEDS:
        counts = np.random.default_rng(seed).poisson(2000.0, len(DEPTH_UM))
        found.append(interface_enrichment(LineProfile.of_counts(DEPTH_UM, counts)))
    assert not any(each.enriched for each in found)
    assert sum("no decay" in each.quality for each in found) >= 18


@pytest.mark.parametrize(("celsius", "share"), [(25.0, 0.50), (60.0, 0.80)])
def test_share_in_a_plated_film_is_the_published_one(celsius: float, share: float) -> None:
    film_um, time_s = 12.6, 9.29 * 3600.0
    diffusivity = EFFECTIVE_CM2_PER_S[celsius]
    heights_um = np.arange(0.15, film_um, 0.3)
    clean = film_magnesium(heights_um, film_um, time_s, diffusivity)
    truth = mean_film_magnesium(film_um, time_s, diffusivity)
    pulls = []
    for seed in SEEDS:
        stream = np.random.default_rng(seed)
        film = LineProfile.of_counts(heights_um, stream.poisson(1000.0 * clean))
        below = LineProfile.of_counts(heights_um, stream.poisson(1000.0, len(clean)))
        found = film_share(film, below.mean())
        assert found.value == pytest.approx(share, abs=0.03)
        pulls.append((found.value - truth) / found.error)
    assert np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_net_counts_of_the_simulated_line_keep_the_noise_of_their_background() -> None:
    truth = np.full(len(DEPTH_UM), 0.005)
    pulls = []
    for seed in SEEDS:
        counts = net_counts(truth, current_na=1.0, dwell_s=1.0, seed=seed, frame_index=0)
        profile = LineProfile.of_counts(DEPTH_UM, counts, background=BACKGROUND_COUNTS_PER_S_NA)
        mean = profile.mean()
        pulls.append((mean.value - 0.005 * MG_COUNTS_PER_S_NA) / mean.error)
        scatter = (counts - counts.mean()) / profile.errors
        assert scatter.std() == pytest.approx(1.0, abs=0.25)
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.4)


def test_normalised_is_one_where_it_was_normalised() -> None:
    profile, _ = line(1)
    assert profile.normalised(20.0).mean(19.0, 21.0).value == pytest.approx(1.0)
    with pytest.raises(ValueError, match="no magnesium around 500"):
        profile.normalised(500.0)


@settings(max_examples=30, deadline=None)
@given(
    scale=st.floats(1.0, 1e4),
    share=st.sampled_from([0.0, 0.2, 0.9]),
    background=st.floats(0.0, 10.0),
)
def test_state_does_not_depend_on_the_gain(scale: float, share: float, background: float) -> None:
    expected = {0.0: "none", 0.2: "present", 0.9: "strong"}[share]
    level = lambda value: Measured(scale * (value + background), 0.02 * scale)  # noqa: E731
    state, found = magnesium_state(level(share), beside=level(0.0), electrode=level(1.0))
    assert state == expected
    assert found.value == pytest.approx(share, abs=1e-9)


def test_what_cannot_be_told_is_undecided() -> None:
    beside, electrode = Measured(0.0, 0.1), Measured(1.0, 0.1)
    state, share = magnesium_state(Measured(0.1, 0.3), beside=beside, electrode=electrode)
    assert (state, share.quality) == ("undecided", "ok")
    state, share = magnesium_state(Measured(0.5, 0.05), beside=beside, electrode=electrode)
    assert (state, share.quality) == ("undecided", "between present and strong")
    state, share = magnesium_state(Measured(0.5, 0.05), beside=beside, electrode=Measured(0.1, 0.1))
    assert (state, share.quality) == ("undecided", "the reference is not above its noise")
    lost = Measured(1.0, 0.1, "no beam")
    film = LineProfile.of_counts([1, 2, 3, 4], [9, 9, 9, 9])
    assert film_share(film, lost).quality == "no beam"


def test_ranges_without_points_and_wrong_rows() -> None:
    profile, _ = line(2)
    assert math.isnan(profile.mean(200.0, 300.0).value)
    short = LineProfile.of_counts([1, 2, 3, 4], [9, 9, 9, 9])
    assert "no point" in interface_enrichment(short).quality
    with pytest.raises(ValueError, match="line profile: got"):
        LineProfile.of_counts([1, 1, 2, 3], [9, 9, 9, 9])
