"""Goes on with a step in which an interrupted run stood, from what was found at the instrument."""

from __future__ import annotations

from dataclasses import replace

import bluesky.plan_stubs as bps
from bluesky import Msg
from bluesky.utils import MsgGenerator
from ophyd.status import Status

from plans.cell_step import Attempt, Outcome, followed, outcome_of, start, technique_of
from plans.keeping import Place
from plans.preflight_run import check_again
from plans.progress import Progress
from plans.schedule import Position
from plans.steps import OwnStep
from plans.stubs import note


def take_up(
    progress: Progress, position: Position, place: Place, attempt: Attempt
) -> MsgGenerator[Outcome]:
    """Go on with a step; nothing of it that has passed a charge is repeated.

    A step of surroundings, a check or frames begins again (frames with those that are left).
    """
    pstat, found = progress.cycling.potentiostat, place.adoption
    if isinstance(position.step, OwnStep):
        progress.frames_left = place.state["frames_left"]
        yield from bps.stop(pstat)
        return (yield from attempt(False))  # noqa: FBT003 - see Attempt
    if found.found == "running":
        progress.present = pstat.technique
        ended: Status | None = yield Msg("complete", pstat, group="complete")
        return (yield from followed(progress, position, ended))
    if found.found == "finished":
        return (yield from outcome_of(progress, position))
    if place.skips_step or found.left is None:
        yield from note(progress.event, "step_left_out", f"{position}: nothing more of it is run")
        yield from bps.stop(pstat)  # else the next step would be asked for while this one runs
        return Outcome()
    known = pstat.technique or technique_of(progress, position)
    yield from check_again(progress)
    progress.step_begins(position)
    if progress.leaves_step:
        return (yield from outcome_of(progress, position))
    ended = yield from start(progress, replace(known, left=found.left, continues=False))
    return (yield from followed(progress, position, ended))
