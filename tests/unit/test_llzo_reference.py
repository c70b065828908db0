"""The garnet cell against its equations, written down a second time and stepped plainly.

The reference knows nothing of the cell's code: equations and constants are typed again, the
classical Runge-Kutta method takes short equal steps, and a short is found by halving the step in
which it falls. Protocols are random; the calibrated ones run at 80, 100 and 120 % of the paper's
current, where the equations are the truth and not the paper's number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from sim.samples.llzo_cell import LlzoCell

pytestmark = pytest.mark.long

DAY_S = 86_400.0
MICROMOL_PER_MAH = 3.6 / 96_485.33212 * 1e6


@dataclass
class Constants:
    """The table of constants; the defaults are the small cell's."""

    area: float = 0.1257
    thickness: float = 0.10
    k_u: float = 0.0697
    phi_3: float = 0.014
    k_1: float = 1.5
    b_total: float = 0.25
    r_2: float = 2.25
    bridge: tuple[float, ...] = (0.139, 0.075, 0.070, 0.123)
    penetrate: float = 0.16
    theta: float = 0.30
    f_gb: float = 0.04
    kappa: float = 0.05


NEVER = (math.inf,) * 4
CONSTANTS = {
    "small_4p8": Constants(),
    "insitu_8p9": Constants(area=0.5027, thickness=0.12),
    "tracer_8p9": Constants(
        area=0.6044, thickness=0.12, k_u=0.0697 / 5, phi_3=0.005, b_total=2.0, r_2=0.60,
        bridge=NEVER, penetrate=math.inf, theta=0.35, f_gb=0.10, kappa=0.03,
    ),
}  # fmt: skip
M1, M2 = 100.0, 300.47
WEIGHTS = (0.11, 0.40, 0.38, 0.11)
GAIN = (1.08, 0.92)


@dataclass
class Reference:
    """State of the reference: sides A and B are 0 and 1, layers 0 to 3."""

    c: Constants
    y: list[float] = field(default_factory=list)
    t_s: float = 0.0
    short_s: float | None = None

    def __post_init__(self) -> None:
        electrode = M1 / (2 * 3.6 * self.c.area)
        self.y = [0.0] * 10 + [electrode, electrode, 0.0, 0.0]
        self.y += [0.95 * M1, 0.069825 * (1 - self.c.f_gb) * M2, 0.069825 * self.c.f_gb * M2]
        self.y += [0.0, 0.0, 0.0]

    def layers(self, y: list[float]) -> list[float]:
        """u_A u_B a_A a_B c_A c_B b_1..b_4 N_A N_B Q_T Q_N S_E S_G S_B S_D1 S_D2 n_D1."""
        return [y[2] + y[4] + y[6], y[7], y[8], y[3] + y[5] + y[9]]

    def ionic_ohm_cm2(self, t_s: float, y: list[float]) -> float:
        shunted = sum(
            min(1.0, amount / t) for amount, t in zip(self.layers(y), self.c.bridge, strict=True)
        )
        bulk = self.c.thickness / 1e-3 * (1 - 0.25 * shunted / 4)
        return bulk + 195 / (1 - y[0]) + 195 / (1 - y[1]) + 3 * math.sqrt(t_s / DAY_S)

    def conduct(self, t_s: float, y: list[float], drive: tuple[str, float]) -> tuple[float, float]:
        """Voltage (V) and ionic current density (mA/cm2)."""
        kind, value = drive
        ionic_ohm = self.ionic_ohm_cm2(t_s, y)
        if kind == "voltage":
            return value, 1e3 * value / ionic_ohm
        total = ionic_ohm
        if self.short_s is not None:
            total = 1 / (1 / ionic_ohm + 1 / (20.0 * self.c.area))
        return value * total / 1e3, value * total / ionic_ohm

    def rates(self, t_s: float, y: list[float], drive: tuple[str, float]) -> list[float]:
        c, d = self.c, [0.0] * 20
        fractions = []
        for side in (0, 1):
            amount = y[2 + side] + y[4 + side]
            x = y[4 + side] / amount if amount > 0 else 0.0
            fractions.append((amount, x))
            crystallises = (0.05 + c.k_1 * x) / DAY_S * y[2 + side]
            d[2 + side] -= crystallises
            d[4 + side] += crystallises
        voltage, ionic = self.conduct(t_s, y, drive)
        if ionic == 0:
            return d
        s, p = (0, 1) if ionic > 0 else (1, 0)
        j = abs(ionic) / 3600
        d[s] = c.k_u * j * (1 + (y[s] / 0.25) ** 8) * (1 - y[s] / 0.85)
        d[p] = -0.5 * c.k_u * j * y[p] / (y[p] + 0.02)
        amount, x = fractions[p]
        early = 0.10 * max(0.0, 1 - amount / (0.040 * GAIN[p]))
        late = c.phi_3 * x**6 / (x**6 + 0.70**6)
        g1 = GAIN[p] * j / (1 - y[p]) * (early + late)
        factor = c.r_2 / DAY_S * math.exp(-((0.030 / abs(voltage)) ** 2))
        db = []
        for layer, weight in enumerate(WEIGHTS):
            sites, b = weight * c.b_total, y[6 + layer]
            db.append(factor * (b + 0.003 * sites) * max(0.0, 1 - b / sites))
        if g1 + sum(db) > 0.70 * j:
            scale = 0.70 * j / (g1 + sum(db))
            g1, db = g1 * scale, [scale * each for each in db]
        d[2 + p] += g1
        d[6:10] = db
        d[10 + s], d[10 + p] = -j, j - g1 - sum(db)
        d[12], d[13] = j, math.copysign(j, ionic)
        to_c = 3.6 * c.area
        q, q1, q2 = j * to_c, g1 * to_c, sum(db) * to_c
        x_e = y[14] / (to_c * (y[10] + y[11]))
        x_g, x_b = y[15] / ((1 - c.f_gb) * M2), y[16] / (c.f_gb * M2)
        d[14] = -q * x_e + (q - q1 - q2) * x_g
        d[15] = (q - c.theta * q1) * x_e - (q - q1 - q2) * x_g - (1 - c.theta) * q1 * x_g
        d[15] += -q2 * x_g - c.kappa * q * (x_g - x_b)
        d[16] = q2 * (x_g - x_b) + c.kappa * q * (x_g - x_b)
        d[17] = q1 * (c.theta * x_e + (1 - c.theta) * x_g)
        d[18], d[19] = q2 * x_b, q1
        return d

    def stepped(self, h: float, drive: tuple[str, float]) -> list[float]:
        t, y = self.t_s, self.y
        k1 = self.rates(t, y, drive)
        k2 = self.rates(t + h / 2, [a + h / 2 * b for a, b in zip(y, k1, strict=True)], drive)
        k3 = self.rates(t + h / 2, [a + h / 2 * b for a, b in zip(y, k2, strict=True)], drive)
        k4 = self.rates(t + h, [a + h * b for a, b in zip(y, k3, strict=True)], drive)
        parts = zip(y, k1, k2, k3, k4, strict=True)
        return [a + h / 6 * (b + 2 * c + 2 * d + e) for a, b, c, d, e in parts]

    def bridges(self, y: list[float]) -> bool:
        spanned = min(a / t for a, t in zip(self.layers(y), self.c.bridge, strict=True))
        through = [(y[2 + side] + y[4 + side]) / self.c.penetrate for side in (0, 1)]
        return max(spanned, *through) >= 1

    def run(self, duration_s: float, drive: tuple[str, float], longest_s: float = 60.0) -> None:
        end_s = self.t_s + duration_s
        while self.t_s < end_s:
            h = min(longest_s, self.stable_s(drive), end_s - self.t_s)
            y = self.stepped(h, drive)
            if self.short_s is None and self.bridges(y):
                low, high = 0.0, h
                while high - low > 1e-4:
                    middle = (low + high) / 2
                    low, high = (
                        (low, middle)
                        if self.bridges(self.stepped(middle, drive))
                        else (middle, high)
                    )
                self.y = self.stepped(high, drive)
                self.t_s += high
                self.short_s = self.t_s
                y, h = self.stepped(h - high, drive), h - high
            self.y, self.t_s = y, end_s if h == end_s - self.t_s else self.t_s + h

    def stable_s(self, drive: tuple[str, float]) -> float:
        """A step that follows the run-away of the contact, which turns stiff towards 0.85."""
        j = abs(self.conduct(self.t_s, self.y, drive)[1]) / 3600
        u = max(self.y[0], self.y[1])
        runs_away = self.c.k_u * j * (1 + (u / 0.25) ** 8)
        if runs_away == 0:
            return math.inf
        return min(0.8 * 0.85 / runs_away, 0.02 / (runs_away * max(1 - u / 0.85, 1e-3)))


def apply(cell: LlzoCell, t_s: float, drive: tuple[str, float]) -> None:
    kind, value = drive
    if kind == "voltage":
        cell.apply_voltage(t_s, value)
    else:
        cell.apply_current(t_s, value * cell.area_cm2)


def agree(cell: LlzoCell, reference: Reference, drive: tuple[str, float]) -> None:
    """Within what step refinement changes: 3e-4 of the amounts, 5e-5 d of the short."""
    t_s, y = reference.t_s, reference.y
    found = cell.snapshot(t_s)
    layers = MICROMOL_PER_MAH * np.array(reference.layers(y))
    assert found["layers_umol_per_cm2"] == pytest.approx(layers, rel=3e-4, abs=1e-6)
    assert found["contact_loss"] == pytest.approx(y[:2], rel=3e-4, abs=2e-5)
    assert found["electrodes_mah_per_cm2"] == pytest.approx(y[10:12], abs=1e-4)
    assert np.array([found["throughput_mah"], found["charge_mah"]]) / cell.area_cm2 == (
        pytest.approx(y[12:14], rel=1e-5, abs=1e-4)
    )
    crystalline = (y[4] + y[5]) / sum(y[2:6]) if sum(y[2:6]) > 0 else 0.0
    assert found["crystalline_fraction"] == pytest.approx(crystalline, rel=3e-4, abs=1e-6)
    isotopes = found["isotopes"]
    assert isotopes["x6_electrodes"] == pytest.approx(
        y[14] / (3.6 * cell.area_cm2 * (y[10] + y[11])), rel=1e-5
    )
    assert isotopes["x6_electrolyte"] == pytest.approx((y[15] + y[16]) / M2, rel=1e-5)
    if y[19] > 1e-4:
        dendrites_c = y[19] + 3.6 * cell.area_cm2 * sum(y[6:10])
        assert isotopes["x6_dendrites"] == pytest.approx((y[17] + y[18]) / dendrites_c, rel=3e-4)
        assert isotopes["bulk_fraction"] == pytest.approx(1 - y[19] / dendrites_c, abs=1e-4)
    voltage, _ = reference.conduct(t_s, y, drive)
    assert found["voltage_v"] == pytest.approx(voltage, rel=1e-4, abs=1e-12)
    if reference.short_s is None:
        assert cell.short_time_s(t_s) is None
    else:
        assert cell.short_time_s(t_s) == pytest.approx(reference.short_s, abs=5e-5 * DAY_S)


def random_drive(stream: np.random.Generator) -> tuple[str, float]:
    kind = stream.choice(["current", "current", "current", "rest", "voltage"])
    sign = float(stream.choice([-1.0, 1.0]))
    if kind == "rest":
        return "current", 0.0
    if kind == "voltage":
        return "voltage", sign * float(stream.uniform(0.005, 0.12))
    return "current", sign * float(stream.uniform(0.01, 0.6))


@pytest.mark.parametrize("protocol", range(12))
def test_random_protocols(protocol):
    """Currents both ways, voltages and rests of up to two hours, on every preset."""
    stream = np.random.default_rng([2026, protocol])
    preset = sorted(CONSTANTS)[protocol % 3]
    cell, reference = LlzoCell.from_preset(preset), Reference(CONSTANTS[preset])
    for _ in range(25):
        drive, duration_s = random_drive(stream), float(stream.uniform(1.0, 7200.0))
        apply(cell, reference.t_s, drive)
        reference.run(duration_s, drive)
        agree(cell, reference, drive)


def _past_the_short(preset: str, protocol: int) -> None:
    """Large currents for long times, so that dendrites bridge in the middle of a protocol."""
    stream = np.random.default_rng([2027, protocol])
    cell, reference = LlzoCell.from_preset(preset), Reference(CONSTANTS[preset])
    after = 0
    while after < 3:
        sign, size = float(stream.choice([-1.0, 1.0])), float(stream.uniform(0.15, 0.4))
        drive, duration_s = ("current", sign * size), float(stream.uniform(600.0, 14_400.0))
        apply(cell, reference.t_s, drive)
        reference.run(duration_s, drive)
        agree(cell, reference, drive)
        after += reference.short_s is not None


def test_a_random_protocol_past_the_short():
    _past_the_short("insitu_8p9", 1)


@pytest.mark.soak
@pytest.mark.parametrize("protocol", range(2, 12))
def test_random_protocols_past_the_short(protocol):
    _past_the_short("small_4p8", protocol)


@pytest.mark.parametrize("share", [0.8, 1.0, 1.2])
def test_reversed_every_half_hour_to_the_short(share):
    """The paper's week at 80, 100 and 120 % of its current."""
    density = 0.1 * share
    cell, reference = LlzoCell.from_preset("small_4p8"), Reference(CONSTANTS["small_4p8"])
    sign, halves = 1.0, 0
    while reference.short_s is None:
        for drive, duration_s in ((("current", sign * density), 1800.0), (("current", 0.0), 300.0)):
            apply(cell, reference.t_s, drive)
            reference.run(duration_s, drive, longest_s=75.0)
            if halves % 60 == 0:
                agree(cell, reference, drive)
        sign, halves = -sign, halves + 1
    agree(cell, reference, ("current", 0.0))
    assert halves > 200


def test_scattered_pellets():
    """The four factors of jitter, drawn in their order from the stream of the sample."""
    for seed in (3, 4):
        factors = np.exp(0.2 * np.random.default_rng([seed, 0, 0]).standard_normal(4))
        k_u, r_2, k_1, phi_3 = (float(each) for each in factors)
        scattered = Constants(k_u=0.0697 * k_u, r_2=2.25 * r_2, k_1=1.5 * k_1, phi_3=0.014 * phi_3)
        cell, reference = (
            LlzoCell.from_preset("small_4p8", seed=seed, jitter=0.2),
            Reference(scattered),
        )
        for half in range(40):
            drive = ("current", (-1) ** half * 0.25)
            apply(cell, reference.t_s, drive)
            reference.run(3600.0, drive)
        agree(cell, reference, drive)
