"""The Li/LLZO/Li cell that every simulated instrument of a bench shares.

Only `apply_current` and `apply_voltage` change it. Everything else may be asked at any time from
0 s on, in any order and as often as one likes, and answers the same bits. Times are seconds since
the world began, which is when the cell was made: the growth of its interphase counts from there.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sim.errors import SimulationError
from sim.samples.bogacki_shampine import ATOL, H_MAX_S, RTOL
from sim.samples.impedance import CellResistances
from sim.samples.llzo_equations import AT, Floats, LlzoEquations
from sim.samples.llzo_history import Window, reduce
from sim.samples.llzo_parameters import (
    COULOMB_PER_MAH,
    SECONDS_PER_DAY,
    UMOL_PER_MAH,
    LlzoPreset,
    describe_parameters,
    find_preset,
    with_jitter,
)
from sim.samples.llzo_trajectory import EVENT_S, Trajectory
from sim.world import Terminals


@dataclass(frozen=True)
class IsotopeState:
    """Where the 6Li is.

    Attributes:
        x6_electrodes: 6Li fraction of the electrodes.
        x6_electrolyte: 6Li fraction of the electrolyte, grains and boundaries together.
        x6_dendrites: 6Li fraction of all dendrites; NaN while there are none.
        x6_bulk_dendrites: 6Li fraction of those of mechanism 2, all that the two inner layers
            hold; NaN while there are none.
        surface_dendrites_c: Dendrites of mechanism 1, C.
        bulk_dendrites_c: Dendrites of mechanism 2, C.
        bulk_fraction: Share of mechanism 2 in all dendrites; NaN while there are none.
        electrolyte_c: Lithium in the electrolyte, C; constant.
        throughput_c: Charge passed in either direction, C.
        total_6li_c: 6Li in all pools, C; constant.
    """

    x6_electrodes: float
    x6_electrolyte: float
    x6_dendrites: float
    x6_bulk_dendrites: float
    surface_dendrites_c: float
    bulk_dendrites_c: float
    bulk_fraction: float
    electrolyte_c: float
    throughput_c: float
    total_6li_c: float


class LlzoCell:
    """A symmetric lithium cell with a garnet electrolyte; implements `sim.world.Sample`.

    While a drive lasts, the integrator's step may reach beyond the time that is asked for and is
    interpolated; once the drive has changed, a step ends at the change. The same question asked
    before and after the change may therefore differ within the integrator's tolerance (1e-8
    mAh/cm2), but each answer depends only on what was applied until then.

    Args:
        preset: Shape and constants.
        seed: Seed of the sample; matters only with jitter (and for the sample's images).
        jitter: Scatter of four rate constants, standard deviation of their logarithms.

    Attributes:
        area_cm2: Electrode area, cm2.
        geometry: Shape of the pellet and its electrodes.
        seed: The sample's seed.
    """

    def __init__(self, preset: LlzoPreset, *, seed: int = 0, jitter: float = 0.0) -> None:
        self.seed = seed
        self.geometry = preset.geometry
        self._preset, self._jitter = preset, jitter
        self._parameters = with_jitter(preset.parameters, seed=seed, jitter=jitter)
        self.area_cm2 = self._parameters.area_cm2
        self._equations = LlzoEquations(self._parameters)
        self._course = Trajectory(self._equations)

    @classmethod
    def from_preset(cls, name: str, *, seed: int = 0, jitter: float = 0.0) -> LlzoCell:
        """A cell of the paper: ``small_4p8``, ``insitu_8p9`` or ``tracer_8p9``."""
        return cls(find_preset(name), seed=seed, jitter=jitter)

    def apply_current(self, t_s: float, current_ma: float) -> None:
        """Force a current A -> B through the cell from `t_s` on, mA; 0 is open circuit.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        self._course.apply(t_s, is_voltage=False, value=current_ma / self.area_cm2)

    def apply_voltage(self, t_s: float, voltage_v: float) -> None:
        """Force V(A) - V(B) on the cell from `t_s` on, V.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        self._course.apply(t_s, is_voltage=True, value=voltage_v)

    def terminals(self, times_s: Floats) -> Terminals:
        """Noise-free voltage (V) and current (mA) at ascending times, s.

        At a switching instant the new values hold. Where the electrode to be stripped is used
        up, a forced current cannot flow: the voltage is infinite with its sign and the current
        is 0 (unless a short carries it); a forced voltage drives 0 mA.

        Raises:
            SimulationError: Times descend, or are negative or not finite.
        """
        times = np.asarray(times_s, dtype=np.float64)
        voltage_v, current_ma = np.empty(times.shape), np.empty(times.shape)
        if times.size == 0:
            return Terminals(voltage_v, current_ma)
        if not (times[1:] >= times[:-1]).all():
            raise SimulationError(
                "llzo_cell: times of terminals() descend or are not numbers, expected ascending"
                " (sort them)"
            )
        self._look(float(times[0]))
        self._look(float(times[-1]))
        begin = 0
        for window in self._course.history.windows(times):
            part = slice(begin, begin + len(window.times_s))
            voltage_v[part], density = self._conduct(window)
            current_ma[part] = density * self.area_cm2
            begin = part.stop
        return Terminals(voltage_v, current_ma)

    def charge_mah(self, t_s: float) -> tuple[float, float]:
        """Charge that the lithium carried until `t_s`: (net A -> B, throughput), mAh."""
        y = self._state(t_s)
        return float(y[AT.net] * self.area_cm2), float(y[AT.throughput] * self.area_cm2)

    def layers_umol_per_cm2(self, t_s: float) -> Floats:
        """Metallic lithium in the four depth layers from A to B at `t_s`, micromol/cm2."""
        return UMOL_PER_MAH * reduce(self._state(t_s))[2:]

    def mean_layers_umol_per_cm2(self, t0_s: float, t1_s: float) -> Floats:
        """Mean of the layers from `t0_s` to `t1_s`, as an acquisition sees them, micromol/cm2.

        The exact integral of the interpolated state over the interval, divided by its length.

        Raises:
            SimulationError: The interval is empty or begins before 0 s.
        """
        if not t1_s > t0_s:
            raise SimulationError(
                f"llzo_cell: mean from {t0_s} to {t1_s} s, expected an interval"
                " (use layers_umol_per_cm2 for an instant)"
            )
        self._look(t0_s)
        self._look(t1_s)
        integral = self._course.history.integral
        mean = (integral(t1_s) - integral(t0_s)) / (t1_s - t0_s)
        return UMOL_PER_MAH * mean[2:]

    def crystalline_fraction(self, t_s: float) -> float:
        """Crystalline share of the surface dendrites of both faces; 0 while there are none."""
        y = self._state(t_s)
        crystalline = y[AT.crystalline_a] + y[AT.crystalline_b]
        amount = crystalline + y[AT.amorphous_a] + y[AT.amorphous_b]
        return float(crystalline / amount) if amount > 0.0 else 0.0

    def isotopes(self, t_s: float) -> IsotopeState:
        """Isotope fractions and dendrite amounts at `t_s`."""
        y, p = self._state(t_s), self._parameters
        per_amount = COULOMB_PER_MAH * self.area_cm2
        surface, bulk = float(y[AT.dendrite_1]), float(per_amount * y[6:10].sum())
        dendrites = surface + bulk
        x6_dendrites = (y[AT.s_dendrite_1] + y[AT.s_dendrite_2]) / dendrites if dendrites else None
        electrodes_c = per_amount * (y[AT.electrode_a] + y[AT.electrode_b])
        return IsotopeState(
            x6_electrodes=float(y[AT.s_electrodes] / electrodes_c),
            x6_electrolyte=float((y[AT.s_grains] + y[AT.s_boundaries]) / p.electrolyte_c),
            x6_dendrites=math.nan if x6_dendrites is None else float(x6_dendrites),
            x6_bulk_dendrites=float(y[AT.s_dendrite_2] / bulk) if bulk else math.nan,
            surface_dendrites_c=surface,
            bulk_dendrites_c=bulk,
            bulk_fraction=bulk / dendrites if dendrites else math.nan,
            electrolyte_c=p.electrolyte_c,
            throughput_c=float(per_amount * y[AT.throughput]),
            total_6li_c=float(y[AT.s_electrodes : AT.dendrite_1].sum()),
        )

    def short_time_s(self, t_now_s: float) -> float | None:
        """When the dendrites bridged the electrolyte, s; None until `t_now_s` has reached it."""
        self._look(t_now_s)
        short_s = self._course.short_s
        return short_s if t_now_s >= short_s else None

    def resistances(self, t_s: float) -> CellResistances:
        """What the impedance depends on at `t_s`, s; the interphase counts as interface."""
        y, p = self._state(t_s), self._parameters
        u_a, u_b = float(y[AT.u_a]), float(y[AT.u_b])
        days = t_s / SECONDS_PER_DAY
        return CellResistances(
            bulk_ohm_cm2=1e3 * float(self._equations.bulk_kohm_cm2(reduce(y)[2:])),
            interface_ohm_cm2=1e3
            * float(self._equations.contacts_kohm_cm2(u_a, u_b, math.sqrt(days))),
            area_cm2=self.area_cm2,
            short_ohm=None if self.short_time_s(t_s) is None else p.short_ohm,
        )

    def snapshot(self, t_s: float) -> dict[str, Any]:
        """The whole truth at `t_s`, for tests and for instruments that see inside.

        Resistances are in ohm cm2: electrolyte, both interfaces with their contact loss, and
        the interphase.
        """
        y = self._state(t_s)
        p, at_now = self._parameters, self.terminals(np.array([t_s]))
        u_a, u_b = float(y[AT.u_a]), float(y[AT.u_b])
        net_mah, throughput_mah = self.charge_mah(t_s)
        resistances = self.resistances(t_s)
        return {
            "t_s": t_s,
            "voltage_v": float(at_now.voltage_v[0]),
            "current_ma": float(at_now.current_ma[0]),
            "charge_mah": net_mah,
            "throughput_mah": throughput_mah,
            "layers_umol_per_cm2": self.layers_umol_per_cm2(t_s).tolist(),
            "crystalline_fraction": self.crystalline_fraction(t_s),
            "contact_loss": [u_a, u_b],
            "electrodes_mah_per_cm2": [float(y[AT.electrode_a]), float(y[AT.electrode_b])],
            "isotopes": asdict(self.isotopes(t_s)),
            "bulk_ohm_cm2": resistances.bulk_ohm_cm2,
            "interface_ohm_cm2": p.interface_ohm_cm2 / (1.0 - u_a)
            + p.interface_ohm_cm2 / (1.0 - u_b),
            "interphase_ohm_cm2": p.sei_ohm_cm2_per_sqrt_day * math.sqrt(t_s / SECONDS_PER_DAY),
            "short_ohm": resistances.short_ohm,
        }

    def describe(self) -> dict[str, Any]:
        """Model, preset, seed and every parameter with its source; JSON-able."""
        return {
            "model": "llzo_cell",
            "preset": self._preset.name,
            "seed": self.seed,
            "jitter": self._jitter,
            "geometry": asdict(self.geometry),
            "parameters": describe_parameters(self._parameters, self._preset.sources),
            "integrator": {
                "method": "Bogacki-Shampine 3(2)",
                "rtol": RTOL,
                "atol": ATOL,
                "max_step_s": H_MAX_S,
                "event_s": EVENT_S,
            },
        }

    def _look(self, t_s: float) -> None:
        self._course.run_past(t_s)

    def _state(self, t_s: float) -> Floats:
        self._look(t_s)
        return self._course.history.state(t_s)

    def _conduct(self, window: Window) -> tuple[Floats, Floats]:
        """Voltage (V) and current density (mA/cm2) of the terminals."""
        is_voltage, value, short, exhausted = window.drive
        u_a, u_b, *layers = window.reduced
        equations = self._equations
        resistance = equations.bulk_kohm_cm2(layers, np.minimum) + equations.contacts_kohm_cm2(
            u_a, u_b, np.sqrt(window.times_s / SECONDS_PER_DAY)
        )
        forced = is_voltage > 0.0
        ionic = value / (1.0 + short * resistance)
        voltage_v = np.where(forced, value, ionic * resistance)
        density = np.where(forced, value / resistance + value * short, value)
        if exhausted.any():
            used_up, leak = exhausted > 0.0, np.where(short > 0.0, short, np.inf)
            open_v = np.where(short > 0.0, value / leak, np.copysign(np.inf, value))
            voltage_v = np.where(used_up & ~forced, open_v, voltage_v)
            electronic = np.where(forced, value * short, np.where(short > 0.0, value, 0.0))
            density = np.where(used_up, electronic, density)
        return voltage_v, density
