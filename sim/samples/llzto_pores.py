"""Pores under one electrode, and the spallations that plating makes of them.

Where the local current at a pore exceeds its threshold, lithium fills it and, after 3 uAh/cm2,
breaks the electrolyte above it away: a crater, which then widens with the charge plated. Sizes
and states after Siniscalchi et al., Energy Environ. Sci. 2024 (doi 10.1039/d3ee03916a); rate laws
calibrated [A].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.samples.llzto_equations import edge_factor
from sim.samples.llzto_parameters import LlztoParameters
from sim.world import Floats

_PORES_STREAM, _FILAMENTS_STREAM = 8, 7
_PASSED_ROUNDING_MAH_PER_CM2 = 1e-9

ISOLATED, CONNECTED, DEVELOPED = "isolated", "connected", "developed"
MAGNESIUM = {ISOLATED: "none", CONNECTED: "present", DEVELOPED: "strong"}
"""What EDS sees of the magnesium of a LiMg electrode in a spallation of each stage [P]."""


@dataclass(frozen=True)
class Spallation:
    """A crater under an electrode.

    Attributes:
        face: ``A`` or ``B``.
        x_um: Position from the electrode's centre, um.
        y_um: Position from the electrode's centre, um.
        diameter_um: Diameter, um.
        stage: ``isolated``, ``connected`` with the electrode, or ``developed``.
        magnesium: ``none``, ``present`` or ``strong``; always ``none`` under pure lithium.
        born_mah_per_cm2: Charge that had been plated on this face when it broke away, mAh/cm2.
    """

    face: str
    x_um: float
    y_um: float
    diameter_um: float
    stage: str
    magnesium: str
    born_mah_per_cm2: float


@dataclass(frozen=True)
class PoreState:
    """What changes about a face's pores.

    Attributes:
        passed_mah_per_cm2: Charge plated while the local current exceeded the threshold, (n,).
        born_mah_per_cm2: Charge plated on the face when each pore spalled; infinite before, (n,).
        spalled: How many have spalled.
    """

    passed_mah_per_cm2: Floats
    born_mah_per_cm2: Floats
    spalled: int


class Pores:
    """The pores under one electrode; all of their randomness is drawn here.

    Args:
        parameters: Constants.
        face: ``A`` or ``B``.
        seed: The sample's seed. The faces draw from streams of their own.

    Attributes:
        radius_um: Distance of each pore from the electrode's centre, um, (n,).
        threshold_ma_per_cm2: Local current above which each fills, mA/cm2, (n,).
        dendrite_scatter: Factor of this face's dendrite growth.
    """

    def __init__(self, parameters: LlztoParameters, face: str, seed: int) -> None:
        self._parameters, self.face = parameters, face
        p, index = parameters, 0 if face == "B" else 1
        pores = np.random.default_rng([seed, _PORES_STREAM, index])
        porosity = (1.0 - p.relative_density) / p.reference_porosity
        count = int(pores.poisson(p.pores_per_mm2 * porosity * 100.0 * p.area_cm2))
        self.radius_um = p.electrode_radius_um * np.sqrt(pores.random(count))
        self._edge = edge_factor(p, self.radius_um)
        self._angle = 2.0 * np.pi * pores.random(count)
        self.threshold_ma_per_cm2 = p.threshold_ma_per_cm2 + (
            p.threshold_scale_ma_per_cm2 * pores.weibull(p.threshold_shape, count)
        )
        self._growth = np.exp(p.growth_scatter * pores.standard_normal(count))
        filaments = np.random.default_rng([seed, _FILAMENTS_STREAM, index])
        self.dendrite_scatter = float(np.exp(p.dendrite_scatter * filaments.standard_normal()))

    def fresh(self) -> PoreState:
        """Pores under an electrode on which nothing was plated."""
        count = len(self.radius_um)
        return PoreState(np.zeros(count), np.full(count, np.inf), 0)

    def filling(self, density_ma_per_cm2: float, contact: float) -> npt.NDArray[np.bool_]:
        """Which pores fill while a current density (mA/cm2) is plated at a contact fraction."""
        local_ma_per_cm2 = density_ma_per_cm2 / contact * self._edge
        return np.asarray(local_ma_per_cm2 > self.threshold_ma_per_cm2)

    def plate(
        self,
        state: PoreState,
        filling: npt.NDArray[np.bool_],
        passed_mah_per_cm2: float,
        plated_mah_per_cm2: float,
    ) -> PoreState:
        """Pores after a step of plating; the same object where nothing changed.

        Args:
            state: Pores before.
            filling: Which of them filled during the step.
            passed_mah_per_cm2: Charge of the step, mAh/cm2.
            plated_mah_per_cm2: Charge plated on the face at the step's end, mAh/cm2.
        """
        filled = filling & np.isinf(state.born_mah_per_cm2)
        if not filled.any():
            return state
        passed = state.passed_mah_per_cm2 + passed_mah_per_cm2 * filled
        enough = self._parameters.spalling_mah_per_cm2 - _PASSED_ROUNDING_MAH_PER_CM2
        spalls = (passed >= enough) & np.isinf(state.born_mah_per_cm2)
        born = np.where(spalls, plated_mah_per_cm2, state.born_mah_per_cm2)
        return PoreState(passed, born, state.spalled + int(spalls.sum()))

    def spallations(
        self, state: PoreState, plated_mah_per_cm2: float, *, has_magnesium: bool
    ) -> list[Spallation]:
        """Craters after a charge plated on this face, oldest pores first.

        A `state` later than the charge answers for any charge before it.
        """
        born = np.flatnonzero(state.born_mah_per_cm2 <= plated_mah_per_cm2)
        diameters = self._diameters_um(state, plated_mah_per_cm2)
        found = []
        for k in born[np.argsort(state.born_mah_per_cm2[born], kind="stable")]:
            stage = self._stage(float(diameters[k]))
            found.append(
                Spallation(
                    face=self.face,
                    x_um=float(self.radius_um[k] * np.cos(self._angle[k])),
                    y_um=float(self.radius_um[k] * np.sin(self._angle[k])),
                    diameter_um=float(diameters[k]),
                    stage=stage,
                    magnesium=MAGNESIUM[stage] if has_magnesium else "none",
                    born_mah_per_cm2=float(state.born_mah_per_cm2[k]),
                )
            )
        return found

    def _diameters_um(self, state: PoreState, plated_mah_per_cm2: float) -> Floats:
        """``min(100, 5 + 90 zeta (q - q_k))`` um; meaningless where nothing has spalled."""
        p = self._parameters
        since = np.maximum(0.0, plated_mah_per_cm2 - state.born_mah_per_cm2)
        grown = p.first_diameter_um + p.growth_um_cm2_per_mah * self._growth * since
        return np.asarray(np.minimum(p.last_diameter_um, grown))

    def _stage(self, diameter_um: float) -> str:
        if diameter_um < self._parameters.connected_um:
            return ISOLATED
        return CONNECTED if diameter_um <= self._parameters.developed_um else DEVELOPED
