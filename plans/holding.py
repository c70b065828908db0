"""The cell held at rest, or open, for the exposures of one series: asked for, in force, let go."""

from __future__ import annotations

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator
from ophyd.status import Status

from devices.cell_hold import CellState, HeldCell
from devices.event import EventNote
from devices.roles import CellLimits
from plans.stubs import is_done, note


class Holding:
    """What a series does to the cell, one exposure after another.

    Args:
        cell: The cell as the exposures want it.
        state: What they want, ``rest`` or ``open``.
        who: Name of the device, for the events.
        event: Where it is noted when the cell was held.

    Attributes:
        asking: The cell was asked for, and no exposure has begun yet.
    """

    def __init__(self, cell: HeldCell, state: CellState, who: str, event: EventNote) -> None:
        self._cell, self._state, self._who, self._event = cell, state, who, event
        self._status: Status | None = None
        self._since_s = 0.0
        self.asking = self._letting_go = False

    @property
    def name(self) -> str:
        """For whom the cell is held."""
        return self._cell.name

    @property
    def since_s(self) -> float:
        """When the cell was held last, Unix s."""
        return self._since_s

    def goes_on(self, since_s: float) -> None:
        """The cell is held still, for an exposure of an interrupted run."""
        self._since_s = since_s

    @property
    def in_force(self) -> bool:
        """Whether the cell was asked for and does what is wanted."""
        return self.asking and is_done(self._status)

    @property
    def letting_go(self) -> bool:
        """Whether the cell is about to go on."""
        return self._letting_go and not is_done(self._status)

    def waits_for(self) -> list[Status | None]:
        """Statuses whose end gives something to do."""
        return [self._status] if self.asking or self.letting_go else []

    def tighten(self, limits: CellLimits) -> None:
        """Let the cell rest within these limits from the next exposure on."""
        self._cell.limits = limits

    def ask(self) -> MsgGenerator[None]:
        """Ask for the cell; an exposure may begin when that is `in_force`."""
        self._status = yield from bps.abs_set(self._cell, self._state, group=self._cell.name)
        self.asking, self._letting_go = True, False

    def begin(self) -> MsgGenerator[None]:
        """The cell is held: note it, an exposure follows."""
        self.asking, self._since_s = False, self._cell.clock.time()
        text = f"{self._who}: the protocol stands still for a frame, the cell"
        if self._state == "rest":
            yield from note(self._event, "cell_rest", f"{text} rests")
        else:
            yield from note(self._event, "cell_open", f"{text} is open")

    def release(self, *, noted: bool = False) -> MsgGenerator[None]:
        """The exposure is over, or there is none: the protocol goes on with what was left.

        Args:
            noted: An interrupted run has said so already, and may not have come to do it.
        """
        begun, self.asking = not (self.asking or noted), False
        self._status = yield from bps.abs_set(self._cell, "keep", group=self._cell.name)
        self._letting_go = True
        if begun:
            lasted_s = self._cell.clock.time() - self._since_s
            text = f"{self._who}: the protocol goes on after {lasted_s:.6g} s"
            yield from note(self._event, "cell_goes_on", text, lasted_s)
