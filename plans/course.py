"""How far a protocol has come: what a run that goes on need not do again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from plans.schedule import Position

Stage = Literal["environment", "preflight", "before", "steps", "finish", "after", "over"]
"""Parts of a protocol in their order."""

_STAGES: tuple[Stage, ...] = (
    "environment", "preflight", "before", "steps", "finish", "after", "over"
)  # fmt: skip

Turn = Literal["cycle_end", "step_start", "settle", "run", "step_end", "over"]
"""What happens about one step of the method, in its order."""

_TURNS: tuple[Turn, ...] = ("cycle_end", "step_start", "settle", "run", "step_end", "over")


@dataclass
class Course:
    """Where a protocol stands.

    Attributes:
        stage: The part that is under way.
        turn: What is under way about the step `here`.
        here: The step at hand; None before the first.
        former_cycle: Cycle of the step before it; 0 before the first.
        reason: Why the protocol has ended; empty while it goes on.
        resumed: The step at hand is one in which an interrupted run stood.
    """

    stage: Stage = "environment"
    turn: Turn = "cycle_end"
    here: Position | None = None
    former_cycle: int = 0
    reason: str = ""
    resumed: bool = False

    def enters(self, stage: Stage) -> bool:
        """Go on to a part of the protocol; whether it is still to be done."""
        if _STAGES.index(stage) < _STAGES.index(self.stage):
            return False
        if stage != self.stage:
            self.stage, self.resumed = stage, False
        return True

    def comes_to(self, position: Position) -> None:
        """A step is at hand; one that was at hand before goes on where it stood."""
        if self.resumed and self.here is not None and same(position, self.here):
            return
        self.former_cycle = 0 if self.here is None else self.here.cycle
        self.here, self.turn, self.resumed = position, "cycle_end", False

    def turns(self, turn: Turn) -> bool:
        """Go on with the step at hand; whether that is still to be done."""
        if _TURNS.index(turn) < _TURNS.index(self.turn):
            return False
        self.turn = turn
        return True

    def is_past(self, position: Position) -> bool:
        """Whether a step of a block is over, or was in an interrupted run."""
        return self.resumed and self.here is not None and position.step_index < self.here.step_index

    def state(self) -> dict[str, Any]:
        """As JSON knows it."""
        here = self.here
        return {
            "stage": self.stage,
            "turn": self.turn,
            "here": None
            if here is None
            else {
                "step_index": here.step_index,
                "cycle": here.cycle,
                "passes": [[loop, count] for loop, count in here.passes.items()],
            },
            "former_cycle": self.former_cycle,
            "reason": self.reason,
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Course:
        """The course that `state` has written, about to go on."""
        kept = state["here"]
        here = None
        if kept is not None:
            passes = {int(loop): int(count) for loop, count in kept["passes"]}
            here = Position(kept["step_index"], kept["cycle"], None, passes=passes)
        former, reason = state["former_cycle"], state["reason"]
        return cls(state["stage"], state["turn"], here, former, reason, resumed=here is not None)


def same(one: Position, other: Position) -> bool:
    """Whether two positions are one step at one moment: a cycle has each step once."""
    return (one.step_index, one.cycle) == (other.step_index, other.cycle)
