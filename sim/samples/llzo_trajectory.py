"""The cell's course in time: what is applied, what follows from it, and nothing from looking.

Within a segment of constant drive the integrator may run ahead of the time that is asked for.
When the drive changes, everything after the change is forgotten and the step that crosses it is
done again, up to the change. The accepted steps therefore depend on the drives alone, whatever
was asked in between.
"""

from __future__ import annotations

import math

from sim.errors import SimulationError
from sim.samples.bogacki_shampine import H_MAX_S, H_START_S, State, Trial, attempt, next_step_s
from sim.samples.llzo_equations import Drive, LlzoEquations
from sim.samples.llzo_history import History, Step

EVENT_S = 1e-3
"""Shorts and exhausted electrodes are located to this, s."""
_SMALLEST_STEP_S = 1e-9
_REST = Drive(is_voltage=False, value=0.0, short_s_per_cm2=0.0, exhausted=False)


class Trajectory:
    """Integrates the equations of one cell under piecewise constant drives.

    Args:
        equations: The cell.

    Attributes:
        history: The accepted steps.
    """

    def __init__(self, equations: LlzoEquations) -> None:
        self.history = History()
        self._equations = equations
        self._applied_s = 0.0
        self._short_s = math.inf
        self._t_s = 0.0
        self._y: State = equations.initial_state()
        self._restart(_REST)

    @property
    def short_s(self) -> float:
        """Time of the short as far as it is known; infinite if none was met."""
        return self._short_s

    def apply(self, t_s: float, *, is_voltage: bool, value: float) -> None:
        """Drive the cell differently from `t_s` on; the same drive again changes nothing.

        Args:
            t_s: Time of the change, s; not before the last change.
            is_voltage: Whether a voltage is forced rather than a current.
            value: V, or mA/cm2.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        if not (math.isfinite(value) and math.isfinite(t_s)):
            raise SimulationError(
                f"llzo_cell: applied {value!r} at t = {t_s!r} s, expected finite numbers"
                " (check what the instrument sources)"
            )
        if t_s < self._applied_s:
            raise SimulationError(
                f"llzo_cell: applied at t = {t_s} s, expected not before {self._applied_s} s"
                " (what is applied cannot be changed in the past)"
            )
        if (self._drive.is_voltage, self._drive.value) == (is_voltage, value):
            return
        self._rewind(t_s)
        self._applied_s = t_s
        self._restart(self._drive_for(is_voltage=is_voltage, value=value))

    def run_past(self, t_s: float) -> None:
        """Integrate until the last accepted step ends after `t_s`."""
        if t_s < 0.0 or not math.isfinite(t_s):
            raise SimulationError(
                f"llzo_cell: asked for t = {t_s} s, expected a finite time from 0 s on"
                " (times count from the world's beginning)"
            )
        while self._t_s <= t_s:
            self._advance(math.inf)

    def _rewind(self, t_s: float) -> None:
        """Make the course end at `t_s` exactly."""
        if t_s > self._t_s:
            self.run_past(t_s)
        start = self.history.cut(t_s)
        if start is None:
            return
        if self._short_s > t_s:
            self._short_s = math.inf
        self._t_s, self._y, drive = start
        self._restart(drive)
        self._h_s = H_MAX_S
        while self._t_s < t_s:
            self._advance(t_s)

    def _drive_for(self, *, is_voltage: bool, value: float) -> Drive:
        shorted = self._t_s >= self._short_s
        return Drive(
            is_voltage=is_voltage,
            value=value,
            short_s_per_cm2=self._equations.short_ms_per_cm2 if shorted else 0.0,
            exhausted=self._equations.exhausts(self._y, value),
        )

    def _restart(self, drive: Drive) -> None:
        """Begin a stretch with another right-hand side."""
        self._drive = drive
        self._f = self._equations.rates(self._t_s, self._y, drive)
        self._h_s = min(H_MAX_S, H_START_S)

    def _advance(self, end_s: float) -> None:
        """Accept one step, not beyond `end_s`."""
        h_s = min(self._h_s, end_s - self._t_s)
        trial = self._try(h_s)
        while trial.error > 1.0:
            h_s = next_step_s(h_s, trial.error)
            if h_s < _SMALLEST_STEP_S:
                raise SimulationError(
                    f"llzo_cell: step at t = {self._t_s} s under {self._drive} fell below"
                    f" {_SMALLEST_STEP_S} s (reduce the applied current or voltage)"
                )
            trial = self._try(h_s)
        following_s = next_step_s(h_s, trial.error)
        event = self._is_event(trial.y1)
        if event:
            h_s, trial = self._locate(h_s, trial)
        t1_s = end_s if h_s == end_s - self._t_s else self._t_s + h_s
        self.history.append(
            Step(self._t_s, t1_s, self._y, trial.y1, self._f, trial.f1, self._drive)
        )
        self._t_s, self._y, self._f, self._h_s = t1_s, trial.y1, trial.f1, following_s
        if event:
            self._happen()

    def _try(self, h_s: float) -> Trial:
        drive, rates = self._drive, self._equations.rates
        return attempt(lambda t_s, y: rates(t_s, y, drive), self._t_s, self._y, self._f, h_s)

    def _is_event(self, y: State) -> bool:
        return self._shorts(y) or self._exhausts(y)

    def _shorts(self, y: State) -> bool:
        return self._drive.short_s_per_cm2 == 0.0 and self._equations.bridges(y)

    def _exhausts(self, y: State) -> bool:
        return not self._drive.exhausted and self._equations.exhausts(y, self._drive.value)

    def _locate(self, h_s: float, trial: Trial) -> tuple[float, Trial]:
        """Shorten a step until it ends at most 1 ms after its first event."""
        before_s, after_s = 0.0, h_s
        while after_s - before_s > EVENT_S:
            middle_s = 0.5 * (before_s + after_s)
            shorter = self._try(middle_s)
            if self._is_event(shorter.y1):
                after_s, trial = middle_s, shorter
            else:
                before_s = middle_s
        return after_s, trial

    def _happen(self) -> None:
        """Go on after a short or with an exhausted electrode."""
        if self._shorts(self._y):
            self._short_s = self._t_s
        self._restart(self._drive_for(is_voltage=self._drive.is_voltage, value=self._drive.value))
