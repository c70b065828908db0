"""Equations of the full cell: open-circuit voltage, resistances, and how charge moves its state.

The state x is the share of the cathode's lithium that charging has taken out (0: at rest at
2.6 V), the contact c the share of the cathode that still takes part. With the charge density q
(mAh/cm2), Q = 2.75 mAh/cm2 and the current density j (mA/cm2, > 0 charges)::

    V       = U(x) + j (R_e(T) + R_t / c)          R_e = L / sigma(T)
    dx/dq   = 1 / (Q c)                            what touches is charged alike
    dc/d|q| = -k(P) c                              k = k1 (P / 1 MPa)^-n, P at least 0.1 MPa

What loses contact keeps its lithium: the charge x Q (-dc) is stranded. Everything has a closed
form. Under a forced current, with y = exp(k |dq|): c = c0 / y and
|x - x0| = (y - 1) / (k Q c0). Under a forced voltage the piecewise linear U makes the time from
one point of the lattice to the next a sum of two logarithms (`Relaxation`), so that no step size
enters any result.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sim.samples.full_cell_parameters import FullCellParameters
from sim.world import Floats

LATTICE = 0.0005
"""Share of the cathode's lithium between two points of the open-circuit voltage's table."""

_KELVIN, _COLD_K, _WARM_K = 273.15, 298.15, 333.15
_MOST_NEWTON_STEPS = 6

_Index = slice | npt.NDArray[np.intp]


class OpenCircuit(NamedTuple):
    """Open-circuit voltage as a table that is linear between its points.

    Attributes:
        states: Share of lithium taken out, ascending, spaced by `LATTICE`.
        volts: Voltage there, V, ascending.
    """

    states: Floats
    volts: Floats

    def at(self, state: Floats | float) -> Floats:
        """Voltage at a state, V."""
        return np.asarray(np.interp(state, self.states, self.volts))

    def state_of(self, volts: float) -> float:
        """The state that rests at a voltage; the nearest end where there is none."""
        return float(np.interp(volts, self.volts, self.states))

    def slopes(self, states: Floats) -> Floats:
        """Rise of the voltage with the state in the cells that hold these states, V."""
        last = len(self.states) - 2
        cells = np.clip(np.searchsorted(self.states, states, side="right") - 1, 0, last)
        return np.asarray(np.diff(self.volts)[cells] / np.diff(self.states)[cells])


@lru_cache(maxsize=16)
def open_circuit(p: FullCellParameters) -> OpenCircuit:
    """The table of a parameter set.

    ``U = u0 + u1 x + a tanh((x - x_a)/w_a) - b exp(-x/w_b) + d exp((x - 1)/w_d)``: a slope with
    the step of NMC811, and two exponentials that make both ends steep [A].
    """
    count = round((p.most_state - p.least_state) / LATTICE) + 1
    x = np.linspace(p.least_state, p.most_state, count)
    volts = (
        p.ocv_v
        + p.ocv_slope_v * x
        + p.step_v * np.tanh((x - p.step_place) / p.step_width)
        - p.knee_v * np.exp(-x / p.knee_width)
        + p.rise_v * np.exp((x - 1.0) / p.rise_width)
    )
    return OpenCircuit(x, volts)


def electrolyte_ohm_cm2(p: FullCellParameters, celsius: float) -> float:
    """Resistance of the separator, ohm cm2: Arrhenius through the two measured conductivities.

    ``sigma = sigma_25 (sigma_60/sigma_25)^f`` with ``f = (1/298 K - 1/T)/(1/298 K - 1/333 K)``;
    an activation energy of 0.31 eV. Beyond 25 and 60 C it is an extrapolation.
    """
    share = (1.0 / _COLD_K - 1.0 / (celsius + _KELVIN)) / (1.0 / _COLD_K - 1.0 / _WARM_K)
    ratio = p.conductivity_60_ms_per_cm / p.conductivity_25_ms_per_cm
    conductivity = p.conductivity_25_ms_per_cm * ratio**share
    return float(p.electrolyte_um * 1e-4 / (conductivity * 1e-3))


def loss_rate(p: FullCellParameters, pressure_mpa: float) -> float:
    """Share of the contact that is lost per charge passed in either direction, cm2/mAh."""
    relative = max(pressure_mpa, p.least_pressure_mpa)  # over 1 MPa
    return float(p.loss_per_mah_per_cm2 * relative**-p.pressure_exponent)


class Conditions(NamedTuple):
    """What the surroundings make of the constants.

    Attributes:
        electrolyte: R_e, ohm cm2.
        transfer: R_t at full contact, ohm cm2.
        loss: k, cm2/mAh.
        capacity: Q, mAh/cm2 at full contact.
    """

    electrolyte: float
    transfer: float
    loss: float
    capacity: float

    def ohm_cm2(self, contact: Floats | float) -> Floats | float:
        """Resistance of the whole cell, ohm cm2."""
        return self.electrolyte + self.transfer / contact


def conditions(p: FullCellParameters, pressure_mpa: float, celsius: float) -> Conditions:
    """Constants at a stack pressure (MPa) and a temperature (degree Celsius)."""
    return Conditions(
        electrolyte=electrolyte_ohm_cm2(p, celsius),
        transfer=p.transfer_ohm_cm2,
        loss=loss_rate(p, pressure_mpa),
        capacity=p.theoretical_mah_per_g * 1e-3 * p.loading_mg_per_cm2,
    )


class Relaxation:
    """How the state follows a forced voltage, from a first state on.

    From one point of the table to the next the overpotential e = abs(V - U) falls linearly with
    the state. With e = e_a exp(-l), slope m, y = 1 + k Q c0 abs(x - x0) and D = m y_a + k Q c0 e_a
    the time since the point a is, in s for resistances in ohm cm2::

        t = 3.6 Q [ R_t l / m + R_e c0 / D (ln(y / y_a) + l) ]

    which Newton's method inverts for l to rounding: t is concave in l and almost proportional.

    Args:
        curve: The open-circuit voltage.
        at: Conditions meanwhile.
        state: First state x0.
        contact: First contact c0.
        volts: The forced voltage, V.

    Attributes:
        sign: 1 charges, -1 discharges, 0 rests.
        end_s: Time after which the cathode is full or empty and nothing flows, s; infinite where
            the state tends to an equilibrium.
    """

    def __init__(
        self, curve: OpenCircuit, at: Conditions, state: float, contact: float, volts: float
    ) -> None:
        self._at, self._first = at, state
        self._ends = float(curve.states[0]), float(curve.states[-1])
        first_v = float(curve.at(state))
        target = curve.state_of(volts)
        self.sign = 0 if target == state else int(math.copysign(1, volts - first_v))
        points = _between(curve.states, state, target)
        self._from = points[:-1]
        lengths = np.abs(np.diff(points))
        self._over_v = np.maximum(self.sign * (volts - curve.at(self._from)), 0.0)
        self._slopes = curve.slopes(0.5 * (points[:-1] + points[1:]))
        self._kappa = at.loss * at.capacity * contact
        self._y = 1.0 + self._kappa * np.abs(self._from - state)
        self._mixed = (
            at.electrolyte * contact / (self._slopes * self._y + self._kappa * self._over_v)
        )
        # the last point is the equilibrium, where e is 0 but for rounding, unless it is an end
        with np.errstate(divide="ignore", invalid="ignore"):
            fallen = np.minimum(self._slopes * lengths / self._over_v, 1.0)
            decays = -np.log1p(-fallen)
        if len(decays) and curve.volts[0] <= volts <= curve.volts[-1]:
            decays[-1] = math.inf
        times = self._time(slice(None), decays)
        self._starts_s = np.concatenate(([0.0], np.cumsum(times)[:-1])) if len(times) else times
        self.end_s = float(self._starts_s[-1] + times[-1]) if len(times) else math.inf

    def state(self, elapsed_s: Floats) -> tuple[Floats, Floats]:
        """State and overpotential (V, its sign that of the current) at times since the start."""
        if not self.sign:
            return np.full(elapsed_s.shape, self._first), np.zeros(elapsed_s.shape)
        piece = np.searchsorted(self._starts_s, elapsed_s, side="right") - 1
        decay = self._decay(piece, np.minimum(elapsed_s, self.end_s) - self._starts_s[piece])
        left = np.exp(-decay)
        moved = self._over_v[piece] * -np.expm1(-decay) / self._slopes[piece]
        over_v = np.where(elapsed_s >= self.end_s, 0.0, self._over_v[piece] * left)
        state = np.clip(self._from[piece] + self.sign * moved, *self._ends)
        return state, self.sign * over_v + 0.0  # + 0.0: no negative zero

    def _time(self, piece: _Index, decay: Floats) -> Floats:
        """Time from the beginning of pieces until the overpotential has fallen, s."""
        moved = self._over_v[piece] * -np.expm1(-decay) / self._slopes[piece]
        gain = np.log1p(self._kappa * moved / self._y[piece])
        plain = self._at.transfer * decay / self._slopes[piece]
        seconds = 3.6 * self._at.capacity * (plain + self._mixed[piece] * (gain + decay))
        return np.asarray(seconds)

    def _decay(self, piece: _Index, elapsed_s: Floats) -> Floats:
        """Logarithm of the fall of the overpotential after a time within pieces."""
        slopes, mixed = self._slopes[piece], self._mixed[piece]
        scale = 3.6 * self._at.capacity
        late = scale * (self._at.transfer / slopes + mixed)
        early = scale * mixed * self._kappa * self._over_v[piece] / (slopes * self._y[piece])
        decay: Floats = np.asarray(elapsed_s / (late + early))
        for _ in range(_MOST_NEWTON_STEPS):
            missing = elapsed_s - self._time(piece, decay)
            decay = np.maximum(decay + missing / (late + early * np.exp(-decay)), 0.0)
        return decay


def _between(states: Floats, start: float, end: float) -> Floats:
    """Start, the points of the table that lie strictly between, and the end, in this order."""
    low, high = min(start, end), max(start, end)
    first = int(np.searchsorted(states, low, side="right"))
    last = int(np.searchsorted(states, high, side="left"))
    inner = states[first:last]
    if start > end:
        inner = inner[::-1]
    return np.concatenate(([start], inner, [end])) if start != end else np.array([start])
