"""Maps of known spallations: how many, how wide, and what is said where they touch."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest

from orchestrator.analysis.spallations import SpallationCount, spallations
from orchestrator.analysis.transport import ebic_diameter_um
from sim.images import ebic
from sim.images.pellet_face import PelletImager
from sim.samples.llzto_pores import Spallation

SEEDS = range(20)
PIXEL_UM = 1.0
AXIS_UM = np.arange(-200.0, 200.0, PIXEL_UM)


def crater(x_um: float, y_um: float, diameter_um: float) -> Spallation:
    return Spallation("A", x_um, y_um, diameter_um, "connected", "present", 0.0)


@lru_cache
def scene(seed: int) -> tuple[tuple[Spallation, ...], np.ndarray]:
    """Nine craters of 14 to 100 um, one per field, and their map of induced current."""
    stream = np.random.default_rng(seed)
    diameters = np.exp(stream.uniform(np.log(14.0), np.log(100.0), 9))
    places = [(x, y) for x in (-130.0, 0.0, 130.0) for y in (-130.0, 0.0, 130.0)]
    craters = tuple(
        crater(x + stream.uniform(-8, 8), y + stream.uniform(-8, 8), float(d))
        for (x, y), d in zip(places, diameters, strict=True)
    )
    clean = ebic.ebic_map_na(craters, AXIS_UM, AXIS_UM)
    return craters, ebic.with_noise(clean, seed=seed, frame_index=0)


@lru_cache
def found(seed: int) -> SpallationCount:
    return spallations(scene(seed)[1], PIXEL_UM)


def test_number_and_diameters_within_their_errors() -> None:
    off, pulls = [], []
    for seed in SEEDS:
        craters, _ = scene(seed)
        seen = found(seed)
        assert seen.number.value == len(craters)
        for spot in seen.spots:
            x_um, y_um = spot.x_um + AXIS_UM[0], spot.y_um + AXIS_UM[0]
            one = min(craters, key=lambda c: math.hypot(c.x_um - x_um, c.y_um - y_um))
            assert math.hypot(one.x_um - x_um, one.y_um - y_um) < 1.0
            off.append(spot.diameter_um / one.diameter_um - 1)
            pulls.append((spot.diameter_um - one.diameter_um) / spot.diameter_error_um)
    print(f"{len(off)} craters: bias {np.mean(off):.4f}, SD {np.std(off):.4f}")
    assert abs(np.mean(off)) < 0.005
    assert np.std(off) < 0.012
    assert np.sqrt(np.mean(np.square(pulls))) < 1.6


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hundred_micrometres_are_found(seed: int) -> None:
    """The design's round trip: 100.4 against 100.0 um."""
    clean = ebic.ebic_map_na([crater(0.0, 0.0, 100.0)], AXIS_UM[100:300], AXIS_UM[100:300])
    image = ebic.with_noise(clean, seed=seed, frame_index=1)
    (spot,) = spallations(image, PIXEL_UM).spots
    alone = ebic_diameter_um(image, pixel_um=PIXEL_UM)
    assert spot.diameter_um == pytest.approx(100.0, abs=0.5)
    assert alone.value == pytest.approx(100.0, abs=0.5)
    assert spot.quality == alone.quality == "ok"


def test_craters_with_a_bright_rim_in_electron_images() -> None:
    """Half contrast alone would be 1.4 um too small: the rim hides part of the crater."""
    off, pulls = [], []
    for seed in SEEDS:
        stream = np.random.default_rng(seed)
        craters = [crater(x, 0.0, float(stream.uniform(14.0, 60.0))) for x in (-65.0, 0.0, 65.0)]
        imager = PelletImager(seed, (800, 360), 0.25)
        seen = spallations(imager.frame(craters, 0), 0.25)
        assert (seen.number.value, seen.quality) == (3, "ok")
        for spot in seen.spots:
            one = min(craters, key=lambda c: abs(c.x_um - spot.x_um + 100.0))
            off.append(spot.diameter_um - one.diameter_um)
            pulls.append(off[-1] / spot.diameter_error_um)
    assert abs(np.mean(off)) < 0.1
    assert np.std(off) < 0.15
    assert np.abs(pulls).max() < 2


def test_density_and_sizes() -> None:
    seen = found(0)
    assert seen.per_mm2.value == pytest.approx(9 / 0.16)
    assert seen.per_mm2.error >= 3 / 0.16
    assert list(seen.diameters_um) == sorted(seen.diameters_um, reverse=True)


def test_bright_craters_and_an_offset() -> None:
    _, image = scene(3)
    seen = spallations(120.0 - 40.0 * image, PIXEL_UM, polarity="bright")
    assert seen.number.value == 9
    assert seen.diameters_um == pytest.approx(found(3).diameters_um, rel=1e-6)
    assert spallations(120.0 - 40.0 * image, PIXEL_UM).number.value == 0


def test_two_in_one_are_flagged() -> None:
    pair = [crater(-20.0, 0.0, 50.0), crater(20.0, 0.0, 50.0)]
    image = ebic.with_noise(ebic.ebic_map_na(pair, AXIS_UM, AXIS_UM), seed=1, frame_index=0)
    seen = spallations(image, PIXEL_UM)
    assert (seen.number.value, seen.number.error) == (1, 1)
    assert "perhaps several" in seen.spots[0].quality


def test_a_crater_at_the_border_is_cut() -> None:
    both = [crater(-195.0, 0.0, 40.0), crater(0.0, 0.0, 40.0)]
    image = ebic.with_noise(ebic.ebic_map_na(both, AXIS_UM, AXIS_UM), seed=1, frame_index=0)
    seen = spallations(image, PIXEL_UM)
    assert sorted(spot.cut for spot in seen.spots) == [False, True]
    assert len(seen.diameters_um) == 1


def test_noise_alone_has_none() -> None:
    for seed in SEEDS:
        noise = np.random.default_rng(seed).standard_normal((300, 300))
        assert spallations(noise, PIXEL_UM).number.value == 0


def test_broken_and_wrong_images() -> None:
    image = scene(0)[1].copy()
    image[5, 5] = np.nan
    assert "not finite" in spallations(image, PIXEL_UM).quality
    assert spallations(np.zeros((40, 40)), PIXEL_UM).number.value == 0
    with pytest.raises(ValueError, match="spallations: got shape"):
        spallations(np.zeros(40), PIXEL_UM)
