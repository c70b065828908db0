"""Rehearses an experiment or a plan: the same file, plan and drivers on a simulated twin."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
    redirect_stdout,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bluesky.utils import MsgGenerator

from devices.clock import monotonic
from devices.errors import DeviceError, LimitError
from orchestrator.bench import Bench
from orchestrator.errors import InterlockTripped, RecordError
from orchestrator.experiment import Experiment
from orchestrator.interlocks import Account
from orchestrator.laboratory import Surroundings
from orchestrator.planning import experiment_plan
from orchestrator.rehearsal.recording import RehearsalRecorder
from orchestrator.rehearsal.twin import Twin
from orchestrator.rehearsal.watch import Course, Watch
from orchestrator.running import start_metadata
from plans.trip import INTERLOCK

HORIZON_S = 60 * 86_400.0
"""Experiment time after which a rehearsal is cut off, s."""

PlanFactory = Callable[[Bench], MsgGenerator[Any]]
During = Callable[[Bench], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Performance:
    """One rehearsed run, before anything is concluded from it.

    Attributes:
        course: What happened.
        stop_reason: Why it ended.
        failure: What a device or the records raised; None if nothing did.
        wall_s: Real time, s.
        record_bytes: Bytes of documents, with as many pages as the real bench writes.
        frame_bytes: Bytes of frames by device.
        stopped_at_s: Experiment time at which the protocol ended, s.
        charge_mah: Net charge, mAh.
        throughput_mah: Charge in both directions, mAh.
        interlocks: What the interlocks of the bench have seen.
    """

    course: Course
    stop_reason: str
    failure: Exception | None
    wall_s: float
    record_bytes: int
    frame_bytes: Mapping[str, int]
    stopped_at_s: float
    charge_mah: float
    throughput_mah: float
    interlocks: Sequence[Account] = ()


@dataclass(frozen=True)
class Stage:
    """Where and how a rehearsal takes place.

    Attributes:
        twin: The simulated bench.
        recipe: What lies on it.
        surroundings: What surrounds that from the beginning.
        horizon_s: Experiment time after which it is cut off, s.
        keep: A directory in which records and frames are kept; None: counted and forgotten.
        during: A context around the run, for progress.
    """

    twin: Twin
    recipe: Mapping[str, Any] | None
    surroundings: Surroundings | None = None
    horizon_s: float = HORIZON_S
    keep: Path | None = None
    during: During = lambda _bench: nullcontext()


class _Curtain:
    """Cuts a rehearsal off that does not end.

    Args:
        bench: The twin.
        horizon_s: After this experiment time, s.
    """

    name = "rehearsal"

    def __init__(self, bench: Bench, horizon_s: float) -> None:
        self.fallen = False
        self._bench = bench
        self._handle = bench.clock.call_later(horizon_s, self._fall, owner=self)

    def _fall(self) -> None:
        self.fallen = True
        self._bench.RE.interrupt(abort=True, reason="horizon")

    def cancel(self) -> None:
        """It has ended by itself."""
        self._handle.cancel()

    def callback_failed(self, error: BaseException) -> None:
        """Called by the clock if `interrupt` raised, which it does not."""
        del error


def perform(plan_of: PlanFactory, stage: Stage) -> Performance:
    """Run a plan on the twin to its end.

    Args:
        plan_of: Makes the plan from the open twin.
        stage: Where it takes place.

    Raises:
        ProfileError: The twin cannot be made: a sample that a console cannot see.
        LimitError: The plan asks for more than the bench allows; nothing was energised.
        ExperimentError: No plan carries the file out.
    """
    watch = Watch()
    began_s = monotonic()
    with ExitStack() as stack:
        data = stage.keep or Path(stack.enter_context(tempfile.TemporaryDirectory("-rehearsal")))
        recorder = RehearsalRecorder(data, keep=stage.keep is not None)
        recorder.watch = watch.document
        bench = stack.enter_context(_opened(stage, data, recorder))
        watch.follow(bench)
        failure, fallen = _run(plan_of(bench), bench, stage)
        live = bench.live.snapshot()
        course = watch.course()
        stop = course.stop
        record_bytes = recorder.journal_bytes() + _further_pages(recorder, course, stage.twin)
        return Performance(
            course=course,
            stop_reason=_reason(stop, failure, fallen=fallen),
            failure=failure,
            wall_s=monotonic() - began_s,
            record_bytes=record_bytes,
            frame_bytes=recorder.frame_bytes(),
            stopped_at_s=course.duration_s if live.stopped_at_s is None else live.stopped_at_s,
            charge_mah=live.charge_mah,
            throughput_mah=live.throughput_mah,
            interlocks=[monitor.account() for monitor in bench.interlocks.monitors],
        )


def experiment_factory(experiment: Experiment) -> PlanFactory:
    """The plan of an experiment file, as `run` makes it, marked as a rehearsal."""
    return lambda bench: experiment_plan(experiment, bench, md=start_metadata(experiment))


@contextmanager
def _opened(stage: Stage, data: Path, recorder: RehearsalRecorder) -> Iterator[Bench]:
    with Bench(
        stage.twin.profile,
        data,
        sample=stage.recipe,
        surroundings=stage.surroundings,
        recorder=recorder,
    ) as bench:
        bench.RE.attended = False
        bench.RE.md["rehearsal"] = {
            "of_bench": stage.twin.real.bench,
            # lists: a key of metadata has no dot
            "not_opened": [f"{who}: {where}" for who, where in stage.twin.addresses.items()],
            "replaced": [f"{who}: {a} by {b}" for who, (a, b) in stage.twin.replaced.items()],
        }
        yield bench


def _run(plan: MsgGenerator[Any], bench: Bench, stage: Stage) -> tuple[Exception | None, bool]:
    """Run the plan; what failed, and whether it was cut off."""
    curtain = _Curtain(bench, stage.horizon_s)
    try:
        with stage.during(bench), redirect_stdout(io.StringIO()):
            bench.RE.run(plan)
    except LimitError:
        raise
    except (DeviceError, RecordError, InterlockTripped) as error:
        return error, False
    finally:
        curtain.cancel()
    if bench.RE.signalled:
        raise KeyboardInterrupt
    return None, curtain.fallen


def _reason(stop: Mapping[str, Any], failure: Exception | None, *, fallen: bool) -> str:
    if isinstance(failure, InterlockTripped):
        return INTERLOCK
    if failure is not None:
        return "failed"
    if fallen:
        return "horizon"
    return str(stop.get("reason") or stop.get("exit_status") or "nothing ran")


def _further_pages(recorder: RehearsalRecorder, course: Course, twin: Twin) -> int:
    """Bytes of the pages that the real bench closes more often than the twin."""
    if twin.profile is twin.real or not recorder.pages:
        return 0
    descriptor = max(recorder.pages, key=recorder.pages.__getitem__)
    on_s = sum(step.ended_s - step.began_s for step in course.steps)
    real = int(on_s / twin.real.journal_period_s)
    return max(0, real - recorder.pages[descriptor]) * recorder.page_bytes[descriptor]
