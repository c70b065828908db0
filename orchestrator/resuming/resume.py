"""Goes on with an interrupted run: the instrument is read first, then its step's policy decides."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Literal

from devices.adoption import Adoption
from devices.potentiostat import Potentiostat
from orchestrator.bench import Bench
from orchestrator.errors import ResumeError, ResumeHeldError
from orchestrator.records.checkpoint import Checkpoint
from orchestrator.records.software import software_hash
from orchestrator.remote.addresses import this_user
from orchestrator.resuming.interrupted import Interrupted
from orchestrator.resuming.past import RecordedPast
from orchestrator.resuming.plan import check_plan, experiment_of, plan_of
from orchestrator.running import Decision, RunResult, run_plan
from plans.course import Course
from plans.keeping import Place

Answer = Literal["continue", "skip", "end"]
"""What a person decides about a step that does not go on by itself: what its records have left is
run, it is left out, or the run is left as it was cut off."""

Ask = Callable[[str], Answer]
"""Asked with a sentence that says what was found."""


_NOTHING = Adoption("finished", text="nothing had been begun, so that it begins now")
"""Where a run was cut off before anything."""


@dataclass(frozen=True)
class Found:
    """What there is to go on from, once the instrument was read.

    Attributes:
        adoption: What was found at the potentiostat.
        answer: What is done with the step.
        text: All of it in words, for the records.
    """

    adoption: Adoption
    answer: Answer
    text: str


def changes(run: Interrupted, bench: Bench) -> list[str]:
    """What is not as it was when the run was cut off, each in a few words; row 41."""
    kept, found = run.checkpoint, []
    if bench.profile.profile_hash != run.start.get("profile_hash"):
        found.append(f"the profile of {bench.profile.bench} is another")
    if kept is not None and software_hash() != kept.software:
        found.append("the software is another")
    if run.recovery.frames_lost:
        found.append(f"frames cannot be read: {', '.join(run.recovery.frames_lost)}")
    return found


def check_resumable(run: Interrupted, bench: Bench) -> None:
    """See that a run can go on on a bench, before anything there is touched.

    Raises:
        ResumeError: It cannot.
    """
    check_plan(run.start, run.who)
    if run.start.get("bench", bench.profile.bench) != bench.profile.bench:
        what = f"was run on {run.start['bench']}, got {bench.profile.bench}"
        raise ResumeError(run.who, what, remedy="name its bench with --bench")
    if not bench.outlasts_process:
        what = f"{bench.profile.bench} is simulated in this process: its cell is a new one"
        remedy = "name the laboratory that it was run on with --laboratory"
        raise ResumeError(run.who, what, remedy=remedy)
    cell = "" if run.checkpoint is None else run.checkpoint.potentiostat
    if cell and not isinstance(bench.devices.get(cell), Potentiostat):
        what = f"was run with the potentiostat {cell}, which is not there"
        raise ResumeError(run.who, what, remedy="name its bench with --bench")


def resume_run(
    run: Interrupted,
    bench: Bench,
    *,
    ask: Ask | None,
    speak: IO[str],
    on_pause: Callable[[Bench], Decision] | None = None,
) -> RunResult:
    """Go on with an interrupted run on an open bench; a new run, linked to it.

    May be cut off anywhere and done again: nothing is started before the new run keeps where it
    stands, and until it does the former checkpoint counts.

    Args:
        run: From `find_interrupted`.
        bench: Open, with the same cell on it.
        ask: Asked where the step does not go on by itself; None: nobody is there.
        speak: Where bluesky's own messages go.
        on_pause: As for `run_experiment`.

    Raises:
        ResumeError: It cannot go on, or needs a decision and nobody is there; the cell is off.
        DeviceError: The instrument does not answer, or cannot be switched off.
    """
    check_resumable(run, bench)
    kept, place = run.checkpoint, None
    found = Found(_NOTHING, "continue", f"{run.who} was cut off: {_NOTHING.text}")
    if kept is not None:
        found = _read(run, kept, bench, ask)
        place = Place(
            state=kept.plan,
            adoption=found.adoption,
            noted=run.since.noted,
            frames=run.since.frames,
            recorded=run.since.recorded,
            skips_step=found.answer == "skip",
            past=RecordedPast(bench.data, run.chain),
            text=found.text,
        )
    plan = plan_of(run.start, bench, _said(run, found), run.who)
    bench.desk.audit.append(
        "resume",
        this_user(),
        run=run.uid,
        found=found.adoption.found,
        decision=found.answer,
        text=found.text,
    )
    with _going_on(bench, run, place):
        return run_plan(plan, bench, speak=speak, on_pause=on_pause)


@contextmanager
def _going_on(bench: Bench, run: Interrupted, place: Place | None) -> Iterator[None]:
    keeper = bench.keeper
    assert keeper is not None  # noqa: S101 - `check_resumable` has seen that it outlasts us
    keeper.place, keeper.chain = place, run.chain
    keeper.campaign = {} if run.checkpoint is None else run.checkpoint.campaign
    try:
        yield
    finally:
        keeper.place, keeper.chain, keeper.campaign = None, (), {}


def _read(run: Interrupted, kept: Checkpoint, bench: Bench, ask: Ask | None) -> Found:
    """Read the instrument and decide; unless a program goes on, the cell is off."""
    pstat: Potentiostat = bench.devices[kept.potentiostat]
    state, journaled = kept.plan["potentiostat"], run.since.journaled
    adoption = pstat.adopt(state, journaled)
    why = _asks(run, kept, adoption)
    if not why:
        return Found(adoption, "continue", _told(run, adoption))
    if adoption.found == "running":
        pstat.stop()
        adoption = pstat.adopt(state, journaled)  # with every record until the cell was off
    text = f"{_told(run, adoption)}; {why}"
    if ask is None:
        what = f"{text}; the cell is off"
        remedy = "decide: `operando resume` at a terminal, or --yes"
        raise ResumeHeldError(run.who, what, remedy=remedy)
    answer = ask(text)
    if answer == "end":
        what = f"{text}; it was left as it was cut off, and the cell is off"
        raise ResumeHeldError(run.who, what, remedy="`operando resume` goes on with it later")
    words = {"continue": "a person lets it go on", "skip": "a person leaves the step out"}
    return Found(adoption, answer, f"{text}; {words[answer]}")


def _asks(run: Interrupted, kept: Checkpoint, adoption: Adoption) -> str:
    """Why a person must decide; empty where the run goes on by itself."""
    if adoption.found == "lost":
        return "what was found does not fit what was left"
    course = Course.of(kept.plan["course"])
    in_step = course.stage in ("before", "steps", "after") and course.here is not None
    if not in_step or adoption.found == "finished":
        return ""
    experiment = experiment_of(run.start, run.who)
    assert course.here is not None  # noqa: S101 - it is in a step
    held = experiment and experiment.interruption_policy(course.here.step_index) == "hold"
    return "on_interruption: hold" if held else ""


def _said(run: Interrupted, found: Found) -> Mapping[str, Any]:
    """What the start document says of going on."""
    gap, journaled = found.adoption.gap, run.since.journaled
    bound = 0.0 if gap is None else gap.charge_mah_bound
    last_s = journaled.until_s if math.isfinite(journaled.until_s) else None
    return {
        "resumes": run.uid,
        "resumes_first": run.chain[0],
        "resumption": {
            "number": len(run.chain),
            "found": found.adoption.found,
            "gap_s": 0.0 if gap is None else gap.duration_s,
            "gap_mah_bound": bound if math.isfinite(bound) else None,
            "last_record_s": last_s if gap is None else gap.from_s,
            "interrupted_s": run.since.last_s,
            "decision": found.answer,
            "text": found.text,
        },
    }


def _told(run: Interrupted, adoption: Adoption) -> str:
    """What was cut off and what was found, in words."""
    at = datetime.fromtimestamp(run.since.last_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    gap = adoption.gap
    missing = "no record is missing"
    if gap is not None:
        bound = gap.charge_mah_bound
        most = f"at most {bound:.4g} mAh" if math.isfinite(bound) else "nobody knows how much"
        missing = f"no records for {gap.duration_s:.0f} s, in which {most} passed"
    return f"{run.who} was cut off, last heard of at {at}: {adoption.text}; {missing}"
