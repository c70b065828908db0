"""Voids between a metal and its electrolyte: how one step of charge changes them.

The interface is a window of one line. A void is an interval on it with an area of its cross
section; a half ellipse of that area gives its height. Stripping widens and feeds voids, merges
those that touch, and (in the alloy) lets them collapse, split and be born; plating refills them.
Every function maps a population to a new one and draws chance from the step's own index, so a
step may be tried in part and done again. Model and calibration: see `sim.samples.void_parameters`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sim.samples.constants import UM_PER_MAH_PER_CM2
from sim.samples.void_parameters import VoidParameters

_GEOMETRY_STREAM, _FLICKER_STREAM, _EVENT_STREAM = 0, 5, 6
_LEAST_CONTACT = 1e-6
_EVENING_STARTS_MAH_PER_CM2 = 0.1
_BLOCK = 512


class Void(NamedTuple):
    """One void: edges (um), area (um2), speeds of its edges, where it splits and collapses."""

    left_um: float
    right_um: float
    area_um2: float
    speed_left: float
    speed_right: float
    split_um: float
    collapse_um: float

    @property
    def width_um(self) -> float:
        """Length of the interface without contact, um."""
        return self.right_um - self.left_um

    @property
    def height_um(self) -> float:
        """Height of the half ellipse of this width and area, um."""
        return 4.0 * self.area_um2 / (math.pi * self.width_um) if self.width_um > 0.0 else 0.0


class Population(NamedTuple):
    """The interface after some charge.

    Attributes:
        voids: Sorted from left to right, disjoint.
        void_charge: Void-forming charge, less what plating has undone, mAh/cm2.
        supplied_um2: Area given to voids since the beginning.
        closed_um2: Area lost in splits and collapses.
        refilled_um2: Area filled by plating.
        flicker: Fluctuation of the last contacts, standard normal.
    """

    voids: tuple[Void, ...]
    void_charge: float
    supplied_um2: float
    closed_um2: float
    refilled_um2: float
    flicker: float


class Chance:
    """The random numbers of one sample, by step index: asking twice gives the same.

    Args:
        seed: The sample's seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._flicker = np.random.default_rng([seed, _FLICKER_STREAM, 0])
        self._normals: list[float] = []
        self._births = np.random.default_rng([seed, _EVENT_STREAM, 0])
        self._uniforms: list[float] = []

    def geometry(self) -> np.random.Generator:
        """Stream of what exists before anything is stripped."""
        return np.random.default_rng([self._seed, _GEOMETRY_STREAM, 0])

    def flicker(self, index: int) -> float:
        """Standard normal number of the contact's fluctuation."""
        while len(self._normals) <= index:
            self._normals.extend(self._flicker.standard_normal(_BLOCK).tolist())
        return self._normals[index]

    def births(self, index: int, mean: float) -> int:
        """Poisson number of births in one step; a longer part of the step never has fewer."""
        while len(self._uniforms) <= index:
            self._uniforms.extend(self._births.uniform(size=_BLOCK).tolist())
        count, term = 0, math.exp(-mean)
        below = term
        while self._uniforms[index] > below and term > 0.0:
            count += 1
            term *= mean / count
            below += term
        return count

    def recoveries(self, index: int) -> np.random.Generator:
        """Stream of the splits and collapses of one step."""
        return np.random.default_rng([self._seed, _EVENT_STREAM, 2 * index + 1])

    def newborns(self, index: int) -> np.random.Generator:
        """Stream of the places and natures of what is born in one step."""
        return np.random.default_rng([self._seed, _EVENT_STREAM, 2 * index + 2])


def born(p: VoidParameters, chance: Chance) -> Population:
    """The interface before any charge: places of the first voids, without width or area."""
    stream = chance.geometry()
    count = round(p.voids_per_100_um * p.window_um / 100.0)
    centres = _separate(p, count, stream)
    sigma = math.sqrt(math.log1p(p.growth_cv**2))
    speeds = np.exp(sigma * stream.standard_normal(count))
    speeds = speeds / speeds.mean()
    voids = tuple(
        _newborn(p, float(centre), float(speed), stream)
        for centre, speed in zip(centres, speeds, strict=True)
    )
    return Population(voids, 0.0, 0.0, 0.0, 0.0, chance.flicker(0))


def contact_loss(p: VoidParameters, population: Population) -> float:
    """Share of the window without contact, 0 to 1."""
    return min(1.0, sum(v.right_um - v.left_um for v in population.voids) / p.window_um)


def void_forming_share(p: VoidParameters, density_ma_per_cm2: float, pressure_mpa: float) -> float:
    """Share of a stripping current that neither diffusion nor creep makes good, 0 to 1.

    Power-law creep of lithium with exponent 6.6 (Masias et al.) [L], calibrated to the pressures
    and rates of the paper [A].

    Args:
        p: The metal.
        density_ma_per_cm2: Stripping current density, mA/cm2, > 0.
        pressure_mpa: Stack pressure, MPa.
    """
    creep = p.creep_ma_per_cm2 * (pressure_mpa / p.creep_mpa) ** p.creep_exponent
    share = 1.0 - (p.diffusion_ma_per_cm2 + creep) / density_ma_per_cm2
    return float(min(1.0, max(0.0, share)))


def strip(
    p: VoidParameters, before: Population, charges: tuple[float, float], chance: Chance, index: int
) -> Population:
    """One step of stripping.

    Args:
        p: The metal.
        before: The interface before the step.
        charges: Stripped charge and the void-forming part of it, mAh/cm2.
        chance: The sample's random numbers.
        index: Index of the step.
    """
    stripped, forming = charges
    contact = 1.0 - contact_loss(p, before)
    void_charge = before.void_charge + forming
    supply_um2 = p.void_share * UM_PER_MAH_PER_CM2 * forming * p.window_um
    voids: Iterable[Void] = before.voids
    if forming > 0.0:
        widening_um = _widening_um(p, before.void_charge, void_charge, contact)
        voids = _fed(_widened(p, before.voids, widening_um, void_charge), supply_um2)
    merged = _merged(voids)
    closed_um2 = 0.0
    if math.isfinite(p.split_um) and any(_unstable(void) for void in merged):
        closed_um2, merged = _recovered(p, merged, void_charge, chance.recoveries(index))
    mean = p.nucleation_per_100_um_per_mah * p.window_um / 100.0 * contact * stripped
    count = chance.births(index, mean)
    if count:
        merged = _with_births(p, merged, count, chance.newborns(index))
    return Population(
        tuple(merged),
        void_charge,
        before.supplied_um2 + (supply_um2 if before.voids else 0.0),
        before.closed_um2 + closed_um2,
        before.refilled_um2,
        _fluctuated(p, before.flicker, stripped, chance.flicker(index + 1)),
    )


def plate(
    p: VoidParameters, before: Population, plated: float, chance: Chance, index: int
) -> Population:
    """One step of plating: every void shrinks about its centre.

    Args:
        p: The metal.
        before: The interface before the step.
        plated: Plated charge, mAh/cm2.
        chance: The sample's random numbers.
        index: Index of the step.
    """
    factor = math.exp(-plated / p.refill_mah_per_cm2)
    voids = tuple(_scaled(void, factor, factor * factor) for void in before.voids)
    refilled_um2 = sum(void.area_um2 for void in before.voids) * (1.0 - factor * factor)
    return before._replace(
        voids=voids,
        void_charge=before.void_charge * factor,
        refilled_um2=before.refilled_um2 + refilled_um2,
        flicker=_fluctuated(p, before.flicker, plated, chance.flicker(index + 1)),
    )


def _separate(p: VoidParameters, count: int, stream: np.random.Generator) -> list[float]:
    """Random sequential places, no two closer than the spacing."""
    centres: list[float] = []
    low, high = 0.5 * p.spacing_um, p.window_um - 0.5 * p.spacing_um
    while len(centres) < count:
        trial = float(stream.uniform(low, high))
        if all(abs(trial - other) >= p.spacing_um for other in centres):
            centres.append(trial)
    return sorted(centres)


def _newborn(p: VoidParameters, place: float, speed: float, stream: np.random.Generator) -> Void:
    return Void(place, place, 0.0, speed, speed, *_thresholds(p, stream))


def _thresholds(p: VoidParameters, stream: np.random.Generator) -> tuple[float, float]:
    return _threshold(p.split_um, p.split_cv, stream), _threshold(
        p.collapse_um, p.collapse_cv, stream
    )


def _threshold(nominal_um: float, cv: float, stream: np.random.Generator) -> float:
    return nominal_um * max(cv, 1.0 + cv * float(stream.standard_normal()))


def _fluctuated(p: VoidParameters, flicker: float, charge: float, normal: float) -> float:
    """Ornstein-Uhlenbeck process in charge, exact over the step."""
    kept = math.exp(-charge / p.flicker_mah_per_cm2)
    return flicker * kept + math.sqrt(max(0.0, 1.0 - kept * kept)) * normal


def _widening_um(p: VoidParameters, before: float, after: float, contact: float) -> float:
    """Mean widening of a void over a step, um."""
    if math.isfinite(p.slowing_mah_per_cm2):
        rate = p.first_width_um / (p.first_void_share * p.first_charge_mah_per_cm2)
        slowed = math.exp(-after / p.slowing_mah_per_cm2) + p.late_widening
        return rate * slowed * (after - before)
    power, first = p.widening_exponent, p.first_charge_mah_per_cm2
    grown = (after / first) ** power - (before / first) ** power
    crowded = max(contact, _LEAST_CONTACT) ** -p.crowding_exponent
    return float(p.first_width_um * grown / p.first_void_share**power * crowded)


def _widened(
    p: VoidParameters, voids: Iterable[Void], widening_um: float, void_charge: float
) -> list[Void]:
    """Both edges of every void move outwards, within the window."""
    even = math.exp(-max(0.0, void_charge - _EVENING_STARTS_MAH_PER_CM2) / p.evening_mah_per_cm2)
    half, window_um = 0.5 * widening_um, p.window_um
    return [
        Void(
            max(0.0, left_um - half * (1.0 + (speed_left - 1.0) * even)),
            min(window_um, right_um + half * (1.0 + (speed_right - 1.0) * even)),
            area_um2,
            speed_left,
            speed_right,
            *thresholds,
        )
        for left_um, right_um, area_um2, speed_left, speed_right, *thresholds in voids
    ]


def _fed(voids: list[Void], supply_um2: float) -> list[Void]:
    """Shares an area among voids in proportion to their widths, or speeds while there are none."""
    weights = [void.right_um - void.left_um for void in voids]
    if not any(weights):
        weights = [void.speed_left for void in voids]
    per_weight = supply_um2 / sum(weights) if weights else 0.0
    return [
        Void(left_um, right_um, area_um2 + per_weight * weight, *rest)
        for (left_um, right_um, area_um2, *rest), weight in zip(voids, weights, strict=True)
    ]


def _merged(voids: Iterable[Void]) -> list[Void]:
    """Voids that touch become one: the outer edges, the sum of areas, the left one's thresholds."""
    apart: list[Void] = []
    for void in sorted(voids):
        if apart and void.left_um <= apart[-1].right_um:
            last = apart[-1]
            rightmost = void if void.right_um >= last.right_um else last
            apart[-1] = last._replace(
                right_um=rightmost.right_um,
                speed_right=rightmost.speed_right,
                area_um2=last.area_um2 + void.area_um2,
            )
        else:
            apart.append(void)
    return apart


def _unstable(void: Void) -> bool:
    return void.width_um > void.split_um or void.height_um > void.collapse_um


def _recovered(
    p: VoidParameters, voids: list[Void], void_charge: float, stream: np.random.Generator
) -> tuple[float, list[Void]]:
    """Collapses high voids, then splits wide ones; returns the closed area, um2, too."""
    recovery = 1.0 - (void_charge / p.recovery_mah_per_cm2) ** 4
    narrower = 1.0 - p.collapse_recovery * max(0.0, recovery)
    gap = p.split_recovery * max(p.least_split, recovery)
    closed_um2 = 0.0
    kept: list[Void] = []
    for each in voids:
        void = each
        if void.height_um > void.collapse_um:
            closed_um2 += 0.5 * void.area_um2
            void = _scaled(void, narrower, 0.5)._replace(
                collapse_um=_threshold(p.collapse_um, p.collapse_cv, stream)
            )
        if void.width_um > void.split_um:
            closed_um2 += gap * void.area_um2
            kept += _halves(p, void, gap, stream)
        else:
            kept.append(void)
    return closed_um2, kept


def _halves(p: VoidParameters, void: Void, gap: float, stream: np.random.Generator) -> list[Void]:
    """Two voids at the outer ends of one, with the share `gap` of its width between them."""
    width_um, area_um2 = 0.5 * (1.0 - gap) * void.width_um, 0.5 * (1.0 - gap) * void.area_um2
    left, right = void.left_um, void.right_um
    speeds = (void.speed_left, void.speed_right)
    return [
        Void(left, left + width_um, area_um2, *speeds, *_thresholds(p, stream)),
        Void(right - width_um, right, area_um2, *speeds, *_thresholds(p, stream)),
    ]


def _with_births(
    p: VoidParameters, voids: list[Void], count: int, stream: np.random.Generator
) -> list[Void]:
    """So many trials of a new void, each at a random place; it fails in or near another void."""
    sigma = math.sqrt(math.log1p(p.growth_cv**2))
    for _ in range(count):
        place = float(stream.uniform(0.0, p.window_um))
        free = all(
            place < void.left_um - p.spacing_um or place > void.right_um + p.spacing_um
            for void in voids
        )
        if free:
            # unit mean without a sample to divide by: exp(-sigma^2/2) is the logarithm's shift
            speed = math.exp(sigma * float(stream.standard_normal()) - 0.5 * sigma * sigma)
            voids = sorted([*voids, _newborn(p, place, speed, stream)])
    return voids


def _scaled(void: Void, width: float, area: float) -> Void:
    left_um, right_um, area_um2, *rest = void
    centre, half = 0.5 * (left_um + right_um), 0.5 * width * (right_um - left_um)
    return Void(centre - half, centre + half, area * area_um2, *rest)
