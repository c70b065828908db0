"""What the frames of one series remember, and how a run that goes on takes it over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bluesky.utils import MsgGenerator

from devices.attempt import Attempt
from devices.event import EventNote
from plans.holding import Holding
from plans.imaging import SPECTRA, Capture
from plans.keeping import Past
from plans.triggers import Cause, note_recorded


class TrackState:
    """What one series remembers from one frame to the next.

    Args:
        capture: What to take and when.
        attempt: Takes the frames of the device.
        holding: Holds the cell for its exposures; None where the protocol goes on meanwhile.
    """

    def __init__(self, capture: Capture, attempt: Attempt, holding: Holding | None) -> None:
        self.capture, self._attempt, self._holding = capture, attempt, holding
        self.running = self.held = self.wanted = False
        self._begun = self._over = self._lost = self._remarked = self._last_begun = False
        self._failures = 0
        self._next_s: float | None = None
        self._next_mah = 0.0
        self._serves: list[Cause] = []
        self._unsaid: list[Cause] = []
        self._moment: list[Any] = []
        self._rejoins, self._since_s = False, 0.0
        self._storing = self._released = self._overheld = False

    @property
    def _engaged(self) -> bool:
        """Whether a frame is being taken, or the cell is asked for to take one."""
        return self.running or (self._holding is not None and self._holding.asking)

    def state(self) -> dict[str, Any]:
        """What a run that goes on must know of it, JSON-able."""
        on = self.capture.on
        return {
            "device": self.capture.device.name,
            "begun": self._begun,
            "over": self._over,
            "last_begun": self._last_begun,
            "every_s": self.capture.every_s,
            "next_s": self._next_s,
            "next_mah": self._next_mah,
            "failures": self._failures,
            "remarked": self._remarked,
            "wanted": self.wanted,
            "held": self.held,
            "moment": self._moment,
            "engaged": self.running or self._storing or self._rejoins or self._lost,
            "asking": self._engaged and not self.running,
            "storing": self._storing,
            "held_since_s": None
            if self._holding is None
            else max(self._holding.since_s, self._since_s),
            "serves": [cause.state() for cause in self._serves],
            "on": None if on is None else on.state(),
        }

    def restore(
        self, state: Mapping[str, Any], *, recorded: bool, found: str, holds: Sequence[str]
    ) -> None:
        """Go on where the same series of an interrupted run stood.

        Args:
            state: As `state` has written it.
            recorded: The frame that was being taken then has come into the records since.
            found: Whether its device still takes it (``running``), or has it (``finished``).
            holds: For what the cell is still held.
        """
        if state["every_s"] is not None:
            self.capture = replace(self.capture, every_s=state["every_s"])
        self._begun, self._over = state["begun"], state["over"]
        self._last_begun = state["last_begun"]
        self._next_s, self._next_mah = state["next_s"], state["next_mah"]
        self._failures, self._remarked = state["failures"], state["remarked"]
        self.wanted, self.held, self._moment = state["wanted"], state["held"], state["moment"]
        if self.capture.on is not None and state["on"] is not None:
            self.capture.on.restore(state["on"])
        here = self._holding is not None and self._holding.name in holds
        self._overheld = here and not state["asking"] and (recorded or not state["engaged"])
        if not state["engaged"]:
            self.wanted |= state["asking"]  # the cell was asked for, and nothing else had begun
            return
        held = self._holding is None or here
        self._since_s = state["held_since_s"] or 0.0
        self._rejoins = not recorded and (found == "finished" or (found == "running" and held))
        self._lost = not (self._rejoins or recorded)
        self._last_begun = self._last_begun and not self._lost
        causes = [Cause.of(one) for one in state["serves"]]
        if recorded:
            self._failures, self._unsaid = 0, causes
        else:
            self._attempt.causes += causes

    def let_go(self) -> MsgGenerator[None]:
        """Let the cell go where it is still held for a frame that the records have."""
        if self._overheld and self._holding is not None:
            yield from self._holding.release(noted=True)
        self._overheld = False

    def say_served(self, event: EventNote, past: Past | None) -> MsgGenerator[None]:
        """Say of a frame that was recorded what it was taken for, if nobody has come to say it."""
        causes, self._unsaid = self._unsaid, []
        name, collects = self.capture.device.name, self.capture.collects
        taken = None if past is None else past.taken_last(name if collects is None else SPECTRA)
        if taken is not None:
            yield from note_recorded(event, name, causes, taken)
