"""Waits until a load cell shows a stack pressure. Nothing here presses: a person does."""

from __future__ import annotations

import logging

from ophyd.status import Status

from devices.clock import Handle
from devices.errors import InstrumentFault, LinkError, NotReachedError
from devices.load_cell import LoadCell
from devices.surroundings import PressureSettling

log = logging.getLogger(__name__)

_LOOKS_PER_SOAK = 4
_LEAST_S, _MOST_S = 1.0, 10.0
"""Shortest and longest time between looks, s."""

_RETRIES = 3


class PressureWait:
    """Waits for a pressure; Movable in bluesky's sense, Stoppable.

    `set` gives a status that is done when the load cell has shown the pressure within the
    tolerance for the soak time, and fails with `NotReachedError` at the deadline. Drift is
    measured from then on.

    Args:
        load_cell: Measures the pressure.
    """

    parent = None

    def __init__(self, load_cell: LoadCell) -> None:
        self.name, self.clock = f"{load_cell.name}_wait", load_cell.clock
        self._load_cell = load_cell
        self._waiting: Status | None = None
        self._timer: Handle | None = None
        self._wanted_mpa = self._until_s = self._misses = 0.0
        self._within_since_s: float | None = None
        self._settling = PressureSettling(0.0, 0.0, 0.0)

    def set(self, mpa: float, settling: PressureSettling) -> Status:
        """Wait for a pressure, MPa."""
        self._wanted_mpa, self._settling = mpa, settling
        self._until_s = self.clock.time() + settling.deadline_s
        self._within_since_s, self._misses = None, 0
        waiting = self._waiting = Status(obj=self, timeout=None)
        self._timer = self.clock.call_later(0.0, self._tick, owner=self)
        return waiting

    def stop(self, *, success: bool = False) -> None:
        """Wait no more; idempotent. A pause (`success`) changes nothing."""
        if not success:
            self.callback_failed(
                NotReachedError(self.name, "was stopped before", remedy="wait again if needed")
            )

    def callback_failed(self, error: BaseException) -> None:
        """End the wait without the pressure."""
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done:
            waiting.set_exception(error)

    def _tick(self) -> None:
        try:
            self._load_cell.trigger()
            self._misses = 0
            self._judge()
        except LinkError as error:
            self._misses += 1
            log.warning("%s: reading %d of %d: %s", self.name, self._misses, _RETRIES, error)
            if self._misses < _RETRIES:
                self._again_after(_LEAST_S)
            else:
                self.callback_failed(error)
        except (InstrumentFault, NotReachedError) as error:  # an answer, not a fault of the bench
            self.callback_failed(error)

    def _judge(self) -> None:
        """Is it reached, is it too late, or to be looked at again?"""
        now_s, got_mpa = self.clock.time(), self._load_cell.pressure_mpa.get()
        allowed_mpa = self._load_cell.tolerance_mpa(
            self._wanted_mpa, self._settling.tolerance_percent
        )
        if abs(got_mpa - self._wanted_mpa) > allowed_mpa:
            self._within_since_s = None
        elif self._within_since_s is None:
            self._within_since_s = now_s
        since_s = self._within_since_s
        if since_s is not None and now_s - since_s >= self._settling.soak_s:
            self._reached()
        elif now_s >= self._until_s:
            raise NotReachedError(
                self._load_cell.name,
                f"stack pressure: got {got_mpa:.3g} MPa after {self._settling.deadline_s:.0f} s, "
                f"expected {self._wanted_mpa:g} MPa within {allowed_mpa:.2g} MPa for "
                f"{self._settling.soak_s:.0f} s",
                remedy="turn the press; allow more time (deadline_s) or a wider tolerance",
            )
        else:
            self._again_after(min(self._period_s, max(self._until_s - now_s, 0.0)))

    def _reached(self) -> None:
        self._load_cell.take_reference()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done:
            waiting.set_finished()

    @property
    def _period_s(self) -> float:
        return min(max(self._settling.soak_s / _LOOKS_PER_SOAK, _LEAST_S), _MOST_S)

    def _again_after(self, delay_s: float) -> None:
        self._timer = self.clock.call_later(delay_s, self._tick, owner=self)
