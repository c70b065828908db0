"""The interface's course in time: what is applied, what follows from it, nothing from looking.

Voids change in steps of a fixed charge. A piece of the course has one drive and lies within one
such step; what a drive leaves of a step, the next drive in the same direction completes. Between
the ends of steps an answer is the unfinished step tried in part: its random numbers belong to
its index, so trying it, finishing it and asking again give the same.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import NamedTuple

from sim.errors import SimulationError
from sim.samples.constants import UM_PER_MAH_PER_CM2
from sim.samples.void_filaments import draw_sites, nucleates
from sim.samples.void_parameters import LATTICE_MAH_PER_CM2, VoidParameters
from sim.samples.void_population import (
    Chance,
    Population,
    born,
    contact_loss,
    plate,
    strip,
    void_forming_share,
)

_S_PER_H = 3600.0
_ROUNDING_MAH_PER_CM2 = 1e-9 * LATTICE_MAH_PER_CM2
"""A step this close to its end is at its end: a time is only a rounded charge."""


class Drive(NamedTuple):
    """What is applied: a current density (mA/cm2) or a voltage (V), and the stack pressure."""

    is_voltage: bool
    value: float
    pressure_mpa: float


class Position(NamedTuple):
    """How far the interface has come.

    Attributes:
        population: The interface at the last finished step.
        step: Number of finished steps.
        direction: 1 stripping, -1 plating, 0 before either.
        pending: Charge of the unfinished step, mAh/cm2.
        forming: Void-forming part of it, mAh/cm2.
        stripped: Charge stripped since the beginning, mAh/cm2.
        plated: Charge plated since the beginning, mAh/cm2.
        growing: Whether this plating grows filaments.
        grown: Charge plated while filaments grew, mAh/cm2.
        shorted: Whether a filament has crossed the electrolyte.
    """

    population: Population
    step: int = 0
    direction: int = 0
    pending: float = 0.0
    forming: float = 0.0
    stripped: float = 0.0
    plated: float = 0.0
    growing: bool = False
    grown: float = 0.0
    shorted: bool = False


class Piece(NamedTuple):
    """The course from `t0_s` on: one drive, one lithium current, one unfinished step.

    Attributes:
        t0_s: Beginning, s.
        position: How far the interface has come at the beginning.
        drive: What is applied.
        ionic: Current density that the lithium carries, mA/cm2; > 0 strips.
        forming_share: Void-forming share of it.
        charge: Charge until the piece ends by itself, mAh/cm2; infinite if it does not.
        exhausted: Whether the metal is used up and a forced current cannot flow.
    """

    t0_s: float
    position: Position
    drive: Drive
    ionic: float
    forming_share: float
    charge: float
    exhausted: bool

    @property
    def end_s(self) -> float:
        """When the piece ends by itself, s."""
        return self.t0_s + self.charge / abs(self.ionic) * _S_PER_H if self.ionic else math.inf


class Course:
    """Follows one interface under piecewise constant drives.

    Args:
        parameters: The metal.
        seed: The sample's seed.
        pressure_mpa: Stack pressure at the beginning, MPa.

    Attributes:
        sites: Where filaments grow if they do.
    """

    def __init__(self, parameters: VoidParameters, *, seed: int, pressure_mpa: float) -> None:
        self._p = parameters
        self._chance = Chance(seed)
        self.sites = draw_sites(parameters, seed)
        self._bridging = self.sites.bridging_mah_per_cm2(parameters)
        self._metal = parameters.metal_um / UM_PER_MAH_PER_CM2
        self._drive = Drive(is_voltage=False, value=0.0, pressure_mpa=pressure_mpa)
        self._applied_s = 0.0
        start = Position(born(parameters, self._chance))
        self._pieces = [self._piece(0.0, start)]
        self._starts_s = [0.0]

    @property
    def drive(self) -> Drive:
        """What is applied since the last change."""
        return self._drive

    def apply(self, t_s: float, drive: Drive) -> None:
        """Drive the interface differently from `t_s` on; the same drive again changes nothing.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        if not (math.isfinite(t_s) and math.isfinite(drive.value)):
            raise SimulationError(
                f"void_cell: apply {drive.value} at {t_s} s, expected finite numbers (check them)"
            )
        if t_s < self._applied_s:
            raise SimulationError(
                f"void_cell: apply at {t_s} s after {self._applied_s} s, expected ascending times"
                " (the world's clock never goes back)"
            )
        self._applied_s = t_s
        if drive == self._drive:
            return
        self._drive_until(t_s)
        self._drive = drive
        self._append(t_s, self._advanced(self._pieces[-1], t_s))

    def at(self, t_s: float) -> Piece:
        """The piece in which `t_s` lies.

        Raises:
            SimulationError: The time is negative or not finite.
        """
        if not (math.isfinite(t_s) and t_s >= 0.0):
            raise SimulationError(
                f"void_cell: time {t_s} s, expected 0 or later (count from the world's beginning)"
            )
        self._extend(t_s)
        return self._pieces[bisect_right(self._starts_s, t_s) - 1]

    def position(self, t_s: float) -> Position:
        """How far the interface has come at `t_s`, with the unfinished step pending."""
        return self._advanced(self.at(t_s), t_s)

    def population(self, position: Position) -> Population:
        """The interface there, with the unfinished step tried as far as it has come."""
        if position.pending <= 0.0:
            return position.population
        if position.direction > 0:
            charges = (position.pending, position.forming)
            return strip(self._p, position.population, charges, self._chance, position.step)
        return plate(self._p, position.population, position.pending, self._chance, position.step)

    def short_s(self, t_now_s: float) -> float | None:
        """When a filament crossed the electrolyte, s; None until `t_now_s` has reached it."""
        if not self.at(t_now_s).position.shorted:
            return None
        first = next(piece for piece in self._pieces if piece.position.shorted)
        return first.t0_s

    def plating(self, t_s: float) -> tuple[float, float, float]:
        """The plating that is on top at `t_s`: when it began, its charge, what was stripped before.

        Rests belong to it; once the metal is stripped again there is none.

        Returns:
            (begin, s; plated since then, mAh/cm2; net charge stripped until then, mAh/cm2). Without
            a plating on top the time is `t_s` and its charge 0.
        """
        now = self.position(t_s)
        first = None
        for piece in reversed(self._pieces):
            if piece.t0_s > t_s:
                continue
            if piece.position.direction >= 0:
                break
            first = piece
        if first is None:
            return t_s, 0.0, now.stripped - now.plated
        before = first.position
        return first.t0_s, now.plated - before.plated, before.stripped - before.plated

    def resistance_kohm_cm2(self, population: Population) -> float:
        """Electrolyte and contact, kohm cm2.

        Below a tenth of contact the last of it flickers [A]: ``c_res exp(n/2 - 1/8)`` with the
        standard normal process n of the population has the mean c_res.
        """
        return 1e-3 * (
            self._p.electrolyte_ohm_cm2 + self._p.transfer_ohm_cm2 / self.contact(population)
        )

    def contact(self, population: Population) -> float:
        """Effective contact of the overpotential, > 0."""
        left = 1.0 - contact_loss(self._p, population)
        if left >= 0.1:
            return left
        return left + self._p.residual_contact * math.exp(0.5 * population.flicker - 0.125)

    def depletion_v(self, position: Position) -> float:
        """Extra voltage of plating as the counter electrode runs out of lithium, V."""
        p = self._p
        begins = p.usable_share * position.stripped - p.depletion_mah_per_cm2
        share = (position.plated - begins) / p.depletion_mah_per_cm2
        return p.depletion_v * min(1.0, max(0.0, share))

    def _drive_until(self, t_s: float) -> None:
        """The course up to `t_s` as if nothing had been applied at `t_s` itself."""
        self._extend(t_s)
        while len(self._pieces) > 1 and self._starts_s[-1] >= t_s:
            self._pieces.pop()
            self._starts_s.pop()

    def _extend(self, t_s: float) -> None:
        while self._pieces[-1].end_s <= t_s:
            last = self._pieces[-1]
            self._append(last.end_s, self._moved(last, last.charge))

    def _append(self, t_s: float, position: Position) -> None:
        self._pieces.append(self._piece(t_s, position))
        self._starts_s.append(t_s)

    def _advanced(self, piece: Piece, t_s: float) -> Position:
        return self._moved(piece, min(piece.charge, abs(piece.ionic) * (t_s - piece.t0_s) / 3600.0))

    def _moved(self, piece: Piece, charge: float) -> Position:
        """The position after a charge of a piece, mAh/cm2."""
        there = piece.position
        if charge <= 0.0:
            return there
        strips = piece.ionic > 0.0
        return there._replace(
            pending=there.pending + charge,
            forming=there.forming + piece.forming_share * charge,
            stripped=there.stripped + (charge if strips else 0.0),
            plated=there.plated + (0.0 if strips else charge),
            grown=there.grown + (charge if there.growing else 0.0),
        )

    def _finished(self, position: Position) -> Position:
        """The unfinished step becomes a finished one, however long it is."""
        return position._replace(
            population=self.population(position), step=position.step + 1, pending=0.0, forming=0.0
        )

    def _piece(self, t_s: float, reached: Position) -> Piece:
        """The piece that begins at `t_s` under the present drive."""
        position = reached
        if position.pending >= LATTICE_MAH_PER_CM2 - _ROUNDING_MAH_PER_CM2:
            position = self._finished(position)
        if position.grown >= self._bridging - _ROUNDING_MAH_PER_CM2:
            position = position._replace(shorted=True, growing=False)
        exhausted = position.stripped - position.plated >= self._metal - _ROUNDING_MAH_PER_CM2
        wanted = 0.0 if position.shorted else self._ionic(position)
        ionic = 0.0 if exhausted and wanted > 0.0 else wanted
        direction = int(math.copysign(1.0, ionic)) if ionic else position.direction
        if direction != position.direction:
            position = self._turned(position, direction, abs(ionic))
        share = 0.0
        if ionic > 0.0:
            share = void_forming_share(self._p, ionic, self._drive.pressure_mpa)
        charge = self._remaining(position, ionic)
        return Piece(t_s, position, self._drive, ionic, share, charge, ionic != wanted)

    def _turned(self, position: Position, direction: int, density: float) -> Position:
        """Stripping after plating or the reverse: the unfinished step ends where it is."""
        if position.pending > _ROUNDING_MAH_PER_CM2:
            position = self._finished(position)
        lost = contact_loss(self._p, position.population)
        growing = direction < 0 and nucleates(self._p, density, lost)
        return position._replace(direction=direction, pending=0.0, forming=0.0, growing=growing)

    def _remaining(self, position: Position, ionic: float) -> float:
        """Charge until something happens: a step ends, a short, the metal is used up."""
        if ionic == 0.0:
            return math.inf
        charge = LATTICE_MAH_PER_CM2 - position.pending
        if ionic > 0.0:
            charge = min(charge, self._metal - (position.stripped - position.plated))
        elif position.growing:
            charge = min(charge, self._bridging - position.grown)
        return charge

    def _ionic(self, position: Position) -> float:
        """Current density that the drive makes the lithium carry, mA/cm2."""
        if not self._drive.is_voltage:
            return self._drive.value
        overpotential_v = self._drive.value + self._p.counter_v
        resistance = self.resistance_kohm_cm2(self.population(position))
        if overpotential_v >= 0.0:
            return overpotential_v / resistance
        return min(0.0, overpotential_v + self.depletion_v(position)) / resistance
