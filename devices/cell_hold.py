"""What the cell does during an exposure: it goes on, rests, or is open.

Several exposures may want something of one cell at a time; the strictest wish is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ophyd.status import Status

from devices.cell_program import CellLimits, Program
from devices.clock import Clock

CellState = Literal["keep", "rest", "open"]
"""``keep``: the protocol goes on. ``rest``: the running step stands still, no current flows, the
cell stays connected and is recorded. ``open``: it stands still and the output is off."""

_STRICTNESS: dict[CellState, int] = {"keep": 0, "rest": 1, "open": 2}

_REST_S = 3600.0
"""A program of rest is without an end as little as any other; it is begun again, s."""


@dataclass(frozen=True)
class Wish:
    """What one exposure wants of the cell.

    Attributes:
        state: What the cell is to do.
        limits: Limits at the cell while it rests.
        period_s: Time between records while it rests, s.
    """

    state: CellState
    limits: CellLimits
    period_s: float

    def program(self) -> Program:
        """The program of a cell that rests."""
        return Program("rest", 0.0, _REST_S, self.period_s, self.limits)


class CellHold:
    """The wishes of all exposures, and what is in force.

    Args:
        changed: Called when something else is wanted than before.

    Attributes:
        in_force: What the cell does now.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._wishes: dict[str, Wish] = {}
        self._waiting: list[Status] = []
        self.in_force: CellState = "keep"

    @property
    def wish(self) -> Wish | None:
        """The strictest wish; None where the protocol is to go on."""
        wishes = self._wishes.values()
        return max(wishes, key=lambda wish: _STRICTNESS[wish.state], default=None)

    @property
    def wanted(self) -> CellState:
        """What the cell is to do."""
        return "keep" if self.wish is None else self.wish.state

    @property
    def pending(self) -> bool:
        """Whether something else is wanted than what is in force."""
        return self.wanted != self.in_force

    @property
    def names(self) -> list[str]:
        """Who wants something of the cell."""
        return list(self._wishes)

    def state(self) -> dict[str, Any]:
        """All wishes, JSON-able."""
        return {who: asdict(wish) for who, wish in self._wishes.items()}

    def restore(self, wishes: Mapping[str, Wish]) -> None:
        """These wishes are in force."""
        self._wishes = dict(wishes)
        self.carried_out()

    def ask(self, who: str, wish: Wish) -> Status:
        """Want something until the next wish of the same exposure; idempotent.

        Returns:
            A status that is done when what is wanted is in force.
        """
        if wish.state == "keep":
            self._wishes.pop(who, None)
        else:
            self._wishes[who] = wish
        status = Status(timeout=None)
        if not self.pending:
            status.set_finished()
            return status
        self._waiting.append(status)
        self._changed()
        return status

    def carried_out(self) -> None:
        """What is wanted is in force."""
        self.in_force = self.wanted
        waiting, self._waiting = self._waiting, []
        for status in waiting:
            status.set_finished()

    def lost(self) -> None:
        """What was in force is so no longer, because the step failed; it is wanted still."""
        self.in_force = "keep"

    def clear(self) -> None:
        """Nobody wants anything any more; the cell is off."""
        self._wishes.clear()
        self.carried_out()


class HeldCell:
    """The cell as the exposures of one series want it; Movable: ``keep``, ``rest``, ``open``.

    Without a method `stop`: bluesky calls that on a pause, and the exposure may outlast one.

    Args:
        name: Whose exposures they are.
        clock: The experiment's clock.
        hold: The wishes of all exposures.
        limits: Limits at the cell while it rests.
        period_s: Time between records while it rests, s.

    Attributes:
        limits: As given; may be tightened for later exposures.
    """

    parent = None

    def __init__(
        self, name: str, clock: Clock, hold: CellHold, limits: CellLimits, period_s: float
    ) -> None:
        self.name, self.clock, self.limits = name, clock, limits
        self._hold, self._period_s = hold, period_s

    def set(self, state: CellState) -> Status:
        """Want the cell to do something; the status is done when it does."""
        if state not in _STRICTNESS:
            raise ValueError(
                f"{self.name}: got {state!r}, expected {', '.join(_STRICTNESS)} (use one of them)"
            )
        return self._hold.ask(self.name, Wish(state, self.limits, self._period_s))
