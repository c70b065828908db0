"""What would make the real run fail: limits, disks, devices; and the exit code of the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import OrchestratorError, RecordError
from orchestrator.estimate import check_disk
from orchestrator.experiment import Experiment
from orchestrator.experiment.advice import Advice
from orchestrator.rehearsal.findings import Margin
from orchestrator.rehearsal.performing import Performance
from plans.trip import INTERLOCK

_EXIT_INSTRUMENT, _EXIT_SAFE_STATE, _EXIT_RECORDS = 3, 4, 5


def violations(
    done: Performance, experiment: Experiment | None, data: Path, found: Sequence[Margin]
) -> tuple[list[Advice], int]:
    """What would make the real run fail, and the exit code that it would end with.

    Args:
        done: The rehearsed run.
        experiment: The file; None for a plan of one's own.
        data: The data directory of the real run; nothing is written.
        found: How near it came to each limit.
    """
    wrong: list[Advice] = []
    code = 0
    if experiment is not None:
        try:
            check_disk(experiment, data)
        except RecordError as error:
            wrong.append(Advice("disk", (), _what(error), error.remedy))
            code = _EXIT_RECORDS
    if done.stop_reason == INTERLOCK:
        wrong += _interlock_violations(done)
        code = _EXIT_SAFE_STATE
    elif done.failure is not None:
        is_record = isinstance(done.failure, OrchestratorError)
        wrong.append(
            Advice("failure", (), _what(done.failure), getattr(done.failure, "remedy", ""))
        )
        code = _EXIT_RECORDS if is_record else _EXIT_INSTRUMENT
    if done.stop_reason == "limit":
        wrong += _limit_violations(done, found)
        code = _EXIT_SAFE_STATE
    return wrong, code


def _interlock_violations(done: Performance) -> list[Advice]:
    """Which interlocks ended the run, or would not let it begin."""
    remedy = "change the experiment, or the interlock of the bench if the cell allows it"
    tripped = [one for one in done.interlocks if one.tripped]
    if not tripped and done.failure is not None:
        return [Advice("interlock", (), _what(done.failure), remedy)]
    when = f"after {done.stopped_at_s / 3600.0:.2f} h, and ended the run with the cell off"
    return [
        Advice("interlock", (), f"interlock {one.name} tripped {when}: {one.tripped}", remedy)
        for one in tripped
    ]


def _limit_violations(done: Performance, found: Sequence[Margin]) -> list[Advice]:
    """Which limit ended the run, in which step."""
    last = done.course.steps[-1] if done.course.steps else None
    where = ""
    if last is not None:
        before = last.index < 0
        where = " before step 1" if before else f" in step {last.index + 1} of cycle {last.cycle}"
    beyond = [one for one in found if one.used >= 1.0]
    return [
        Advice(
            "limit",
            ("protocol", "safety", one.key),
            f"{one.reached:.4g} {one.unit} passed {one.key} {one.limit:g} {one.unit}{where} after "
            f"{one.at_s / 3600.0:.2f} h, and ended the run with the cell off",
            "change the step, or widen the limit if the cell allows it",
            value=one.reached,
            expected=one.limit,
            unit=one.unit,
        )
        for one in beyond
    ] or [
        Advice(
            "limit",
            ("protocol", "safety"),
            f"a limit ended the run{where} after {done.stopped_at_s / 3600.0:.2f} h",
            "change the step, or widen the limit if the cell allows it",
        )
    ]


def _what(error: Exception) -> str:
    """A message without its remedy, which is said apart."""
    remedy = getattr(error, "remedy", "")
    return str(error).removesuffix(f" ({remedy})")
