"""The void interface against its equations, written down a second time as plain loops.

The reference types equations and constants again. It shares with the cell only its chance: where
the first voids lie, and the random numbers of each step, so that both follow the same path and
agree void by void. Protocols are random: both directions, rests, pressures, and drives that
change within a step of the charge lattice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from sim.samples.void_cell import VoidCell
from sim.samples.void_parameters import PRESETS
from sim.samples.void_population import Chance, born

pytestmark = pytest.mark.long

WINDOW, UM = 160.0, 4.839


@dataclass
class Metal:
    """One column of the table of constants, with the values that replace the first ones."""

    w1: float
    cv: float
    d_min: float
    nu: float
    j_diff: float
    j_c: float
    p_c: float
    c_res: float
    j_cf: float
    is_alloy: bool


METALS = {
    "li_lpscl": Metal(1.87, 0.59, 2.4, 0.0, 0.10, 0.40, 1.5, 0.02, 4.0, is_alloy=False),
    "limg_lpscl": Metal(3.4, 0.26, 12.0, 1.3, 0.06, 0.44, 6.0, 0.06, 9.0, is_alloy=True),
}


@dataclass
class Gap:
    """A void: interval, area, multipliers of its edges, thresholds."""

    left: float
    right: float
    area: float
    zl: float
    zr: float
    split: float
    collapse: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return 4 * self.area / (math.pi * self.width) if self.width > 0 else 0.0


@dataclass
class Reference:
    """The interface, followed step by step."""

    name: str
    seed: int
    step: float = 0.005
    gaps: list[Gap] = field(default_factory=list)
    q_v: float = 0.0
    supplied: float = 0.0
    closed: float = 0.0
    refilled: float = 0.0
    n: float = 0.0
    index: int = 0
    stripped: float = 0.0
    plated: float = 0.0
    direction: int = 0
    pending: float = 0.0
    pending_forming: float = 0.0
    growing: bool = False
    grown: float = 0.0

    def __post_init__(self) -> None:
        self.m = METALS[self.name]
        self.chance = Chance(self.seed)
        start = born(PRESETS[self.name].parameters, Chance(self.seed))
        self.gaps = [Gap(*void) for void in start.voids]
        self.n = self.chance.flicker(0)

    def contact_loss(self) -> float:
        return min(1.0, sum(gap.width for gap in self.gaps) / WINDOW)

    def forming_share(self, j: float, pressure: float) -> float:
        made_good = self.m.j_diff + self.m.j_c * (pressure / self.m.p_c) ** 6.6
        return min(1.0, max(0.0, 1 - made_good / j))

    def threshold(self, nominal: float, sd: float, stream: np.random.Generator) -> float:
        return nominal * max(sd, 1 + sd * float(stream.standard_normal()))

    def thresholds(self, stream: np.random.Generator) -> tuple[float, float]:
        return self.threshold(21.0, 0.10, stream), self.threshold(5.0, 0.15, stream)

    def noise(self, dq: float) -> None:
        a = math.exp(-dq / 0.02)
        self.n = self.n * a + math.sqrt(1 - a * a) * self.chance.flicker(self.index + 1)

    def strip(self, dq: float, dq_v: float) -> None:
        contact = 1 - self.contact_loss()
        self.noise(dq)
        before, self.q_v = self.q_v, self.q_v + dq_v
        self.widen(before, contact)
        for gap in self.gaps:
            gap.left, gap.right = max(0.0, gap.left), min(WINDOW, gap.right)
        self.feed(0.50 * UM * dq_v * WINDOW)
        self.merge()
        if self.m.is_alloy:
            self.recover()
            self.nucleate(self.m.nu * contact * WINDOW / 100 * dq)
        self.index += 1

    def widen(self, before: float, contact: float) -> None:
        if self.m.is_alloy:
            g = self.m.w1 / (0.97 * 0.125) * (math.exp(-self.q_v / 0.75) + 0.30)
            g *= self.q_v - before
            evened = 1.0
        else:
            g = self.m.w1 * ((self.q_v / 0.125) ** 0.45 - (before / 0.125) ** 0.45) / 0.8**0.45
            g *= max(contact, 1e-6) ** -0.65
            evened = math.exp(-max(0.0, self.q_v - 0.1) / 0.25)
        for gap in self.gaps:
            gap.left -= (1 + (gap.zl - 1) * evened) * g / 2
            gap.right += (1 + (gap.zr - 1) * evened) * g / 2

    def feed(self, area: float) -> None:
        weights = [gap.width for gap in self.gaps]
        if sum(weights) == 0:
            weights = [gap.zl for gap in self.gaps]
        for gap, weight in zip(self.gaps, weights, strict=True):
            gap.area += area * weight / sum(weights)
        self.supplied += area

    def merge(self) -> None:
        self.gaps.sort(key=lambda gap: gap.left)
        k = 0
        while k + 1 < len(self.gaps):
            one, other = self.gaps[k], self.gaps[k + 1]
            if other.left > one.right:
                k += 1
                continue
            if other.right >= one.right:
                one.right, one.zr = other.right, other.zr
            one.area += other.area
            del self.gaps[k + 1]

    def recover(self) -> None:
        stream, fades = self.chance.recoveries(self.index), 1 - (self.q_v / 2.3) ** 4
        kept = []
        for gap in self.gaps:
            if gap.height > gap.collapse:
                centre, width = (gap.left + gap.right) / 2, gap.width * (1 - 0.15 * max(0.0, fades))
                gap.left, gap.right = centre - width / 2, centre + width / 2
                self.closed += gap.area / 2
                gap.area /= 2
                gap.collapse = self.threshold(5.0, 0.15, stream)
            if gap.width > gap.split:
                left_over = 1 - 0.40 * max(0.05, fades)
                width, area = gap.width * left_over / 2, gap.area * left_over / 2
                self.closed += gap.area - 2 * area
                kept.append(Gap(gap.left, gap.left + width, area, gap.zl, gap.zr, 0, 0))
                kept.append(Gap(gap.right - width, gap.right, area, gap.zl, gap.zr, 0, 0))
                for child in kept[-2:]:
                    child.split, child.collapse = self.thresholds(stream)
            else:
                kept.append(gap)
        self.gaps = kept

    def nucleate(self, mean: float) -> None:
        count, stream = self.chance.births(self.index, mean), self.chance.newborns(self.index)
        sigma = math.sqrt(math.log(1 + self.m.cv**2))
        for _ in range(count):
            x, near = float(stream.uniform(0, WINDOW)), self.m.d_min
            if any(gap.left - near <= x <= gap.right + near for gap in self.gaps):
                continue
            zeta = math.exp(sigma * float(stream.standard_normal()) - sigma**2 / 2)
            self.gaps.append(Gap(x, x, 0.0, zeta, zeta, *self.thresholds(stream)))
            self.gaps.sort(key=lambda gap: gap.left)

    def plate(self, dq: float) -> None:
        self.noise(dq)
        keep = math.exp(-dq / 2.5)
        for gap in self.gaps:
            centre, width = (gap.left + gap.right) / 2, gap.width * keep
            gap.left, gap.right = centre - width / 2, centre + width / 2
            self.refilled += gap.area * (1 - keep**2)
            gap.area *= keep**2
        self.q_v *= keep
        self.index += 1

    def finish(self) -> None:
        if self.pending > 1e-9 * self.step:
            if self.direction > 0:
                self.strip(self.pending, self.pending_forming)
            else:
                self.plate(self.pending)
        self.pending = self.pending_forming = 0.0

    def run(self, density: float, pressure: float, duration_s: float) -> None:
        """A current for some time; what is left of a step waits for the next in its direction."""
        if density == 0:
            return
        direction = 1 if density > 0 else -1
        if direction != self.direction:
            self.finish()
            self.direction = direction
            local = abs(density) / max(1 - self.contact_loss(), self.m.c_res)
            self.growing = direction < 0 and local > self.m.j_cf
        left = abs(density) * duration_s / 3600
        share = self.forming_share(density, pressure) if density > 0 else 0.0
        while left > 0:
            part = min(left, self.step - self.pending)
            self.pending += part
            self.pending_forming += share * part
            self.stripped += part if direction > 0 else 0.0
            self.plated += 0.0 if direction > 0 else part
            self.grown += part if self.growing else 0.0
            left -= part
            if self.pending >= self.step * (1 - 1e-9):
                self.finish()

    def tried(self) -> Reference:
        """A copy that has done its unfinished step as far as it has come."""
        copy = Reference(self.name, self.seed)
        for name, value in vars(self).items():
            setattr(copy, name, value)
        copy.gaps = [Gap(**vars(gap)) for gap in self.gaps]
        copy.finish()
        return copy

    def voltage(self, density: float) -> float:
        if density == 0:
            return -0.623
        contact = 1 - self.contact_loss()
        if contact < 0.1:
            contact += self.m.c_res * math.exp(0.5 * self.n - 0.125)
        eta = 1e-3 * abs(density) * (14.3 + 20.0 / contact)
        if density > 0:
            return -0.623 + eta
        used = (self.plated - (0.92 * self.stripped - 0.05)) / 0.05
        return -0.623 - eta - 0.25 * min(1.0, max(0.0, used))


def agree(cell: VoidCell, reference: Reference, density: float, t_s: float) -> None:
    found, now = cell.snapshot(t_s), reference.tried()
    gaps = [gap for gap in now.gaps if gap.width > 0]
    assert len(found["void_intervals_um"]) == len(gaps)
    expected = np.array([(gap.left, gap.right) for gap in gaps]).reshape(-1, 2)
    intervals = np.array(found["void_intervals_um"]).reshape(-1, 2)
    assert intervals == pytest.approx(expected, abs=1e-6)
    assert found["void_areas_um2"] == pytest.approx([gap.area for gap in gaps], abs=1e-6)
    assert found["void_heights_um"] == pytest.approx([gap.height for gap in gaps], rel=1e-5)
    assert found["contact_loss"] == pytest.approx(now.contact_loss(), abs=1e-9)
    assert found["void_charge_mah_per_cm2"] == pytest.approx(now.q_v, abs=1e-9)
    sums = [found[key] for key in ("supplied_um2", "closed_um2", "refilled_um2")]
    assert sums == pytest.approx([now.supplied, now.closed, now.refilled], abs=1e-6)
    assert found["voltage_v"] == pytest.approx(now.voltage(density), abs=1e-7)


def apply(cell: VoidCell, t_s: float, density: float, pressure: float) -> None:
    cell.apply_pressure(t_s, pressure)
    cell.apply_current(t_s, density * cell.area_cm2)


def random_protocol(stream: np.random.Generator) -> list[tuple[float, float, float]]:
    """Densities (mA/cm2), pressures (MPa) and durations (s), mostly stripping, no short."""
    protocol = []
    for _ in range(int(stream.integers(6, 14))):
        density = float(
            stream.choice([0.0, stream.uniform(0.1, 1.5), 0.5, stream.uniform(-0.25, -0.05)])
        )
        pressure = float(stream.choice([0.2, 0.2, 1.0, 1.5, 5.0, 14.0, stream.uniform(0.0, 3.0)]))
        protocol.append((density, pressure, float(stream.uniform(1.0, 5400.0))))
    return protocol


def _random_protocol(name: str, seed: int) -> None:
    cell, reference, t_s = VoidCell.from_preset(name, seed=seed), Reference(name, seed), 0.0
    for density, pressure, duration_s in random_protocol(np.random.default_rng([2026, seed])):
        apply(cell, t_s, density, pressure)
        reference.run(density, pressure, duration_s)
        t_s += duration_s
        if cell.short_time_s(t_s) is not None or max(map(abs, cell.charge_mah(t_s))) > 20.0:
            return
        agree(cell, reference, density, t_s)


@pytest.mark.parametrize("name", METALS)
@pytest.mark.parametrize("seed", range(8))
def test_random_protocols(name, seed):
    _random_protocol(name, seed)


@pytest.mark.soak
@pytest.mark.parametrize("name", METALS)
def test_many_random_protocols(name):
    for seed in range(100, 500):
        _random_protocol(name, seed)


@pytest.mark.parametrize("name", METALS)
@pytest.mark.parametrize("share", [0.8, 1.0, 1.2])
def test_stripped_at_the_papers_current_and_a_fifth_off(name, share):
    """To 4 mAh/cm2 of the alloy and the delamination of lithium, looked at within steps."""
    density, between = 0.5 * share, 0.2513
    for seed in range(5):
        cell, reference = VoidCell.from_preset(name, seed=seed), Reference(name, seed)
        apply(cell, 0.0, density, 0.2)
        for frame in range(1, (16 if METALS[name].is_alloy else 6) + 1):
            reference.run(density, 0.2, between / density * 3600)
            agree(cell, reference, density, frame * between / density * 3600)


@pytest.mark.parametrize("share", [0.8, 1.0, 1.2])
def test_cycled_voids(share):
    """Strip, plate, strip, plate and strip again, before any filament grows; both metals."""
    density = 0.5 * share
    for name in METALS:
        cell, reference, t_s = VoidCell.from_preset(name, seed=7), Reference(name, 7), 0.0
        for sign, charge in ((1, 0.8), (-1, 0.5), (1, 0.613), (-1, 0.2517), (1, 0.4)):
            apply(cell, t_s, sign * density, 0.2)
            for _ in range(3):
                reference.run(sign * density, 0.2, charge / 3 / density * 3600)
                t_s += charge / 3 / density * 3600
                agree(cell, reference, sign * density, t_s)
        assert not reference.growing
        assert reference.refilled > 1.0


@pytest.mark.parametrize("share", [0.8, 1.0, 1.2])
def test_filaments_after_delamination(share):
    """Rates, lengths, charge and the moment of the short follow from the sites drawn at birth."""
    density, shorted = 0.5 * share, 0
    for seed in range(6):
        cell, reference = VoidCell.from_preset("li_lpscl", seed=seed), Reference("li_lpscl", seed)
        apply(cell, 0.0, density, 0.2)
        reference.run(density, 0.2, 1.25 / density * 3600)
        turn_s = 1.25 / density * 3600
        apply(cell, turn_s, -density, 0.2)
        half_s = turn_s + 0.5 / density * 3600
        reference.run(-density, 0.2, 0.5 / density * 3600)
        agree(cell, reference, -density, half_s)
        seen = cell.geometry(half_s)
        assert (len(seen.filament_lengths_um) > 0) == reference.growing
        if not reference.growing:
            continue
        rates = seen.filament_lengths_um / 0.5
        assert len(rates) == 10
        assert rates.max() / (455 * 1.1) == pytest.approx(1.0, abs=0.35)  # 1 + 0.08 N
        volume = np.mean(math.pi * seen.filament_diameters_um**2 / 4 * seen.filament_lengths_um)
        charge = (10 / WINDOW) ** 2 * volume / UM
        assert cell.snapshot(half_s)["filament_charge_mah_per_cm2"] == pytest.approx(charge)
        short_s = turn_s + 500.0 / rates.max() / density * 3600
        assert cell.short_time_s(short_s + 10.0) == pytest.approx(short_s, abs=1e-3)
        shorted += 1
    assert shorted >= 4


@pytest.mark.parametrize(("name", "seeds"), [("li_lpscl", 6), ("limg_lpscl", 10)])
def test_finer_steps_change_little(name, seeds):
    """A quarter of the step: lithium's contact to 0.3 %; the alloy's events change their order."""
    charges = (0.125, 0.5, 1.0)
    losses, counts = np.empty((2, seeds, 3)), np.empty((2, seeds, 3))
    for fineness, step in enumerate((0.005, 0.00125)):
        for seed in range(seeds):
            reference = Reference(name, seed, step)
            for k, charge in enumerate(charges):
                reference.run(0.5, 0.2, (charge - reference.stripped) / 0.5 * 3600)
                losses[fineness, seed, k] = reference.contact_loss()
                counts[fineness, seed, k] = len(reference.gaps)
    if METALS[name].is_alloy:
        assert np.median(losses[1], axis=0) == pytest.approx(np.median(losses[0], axis=0), abs=0.03)
        assert np.mean(counts[1], axis=0) == pytest.approx(np.mean(counts[0], axis=0), abs=2.0)
    else:
        assert losses[1] == pytest.approx(losses[0], abs=0.005)
        assert np.abs(counts[1] - counts[0]).max() <= 1
