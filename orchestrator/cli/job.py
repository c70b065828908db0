"""`operando run --job`: a job of the queue in a process of its own, started by `operando serve`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from orchestrator.cli.output import Output
from orchestrator.schedule.asking import queue
from orchestrator.schedule.hashes import differences, hashes_of
from orchestrator.schedule.job import Job, State
from orchestrator.schedule.jobs import JobStore
from orchestrator.schedule.supervisor import running_job
from orchestrator.schedule.telling import tell_of


def carried_out(
    args: argparse.Namespace, out: Output, run: Callable[[argparse.Namespace, Output], int]
) -> int:
    """Run a job and write into the queue what became of it.

    Raises:
        ScheduleError: The job is not one that is running.
        BusyError: Somebody else runs it.
    """
    store = queue(args.data)
    with running_job(args.data, store.get(args.job).id):
        job = store.get(args.job)
        changed = differences(job.request.hashes, hashes_of(args.experiment, args.bench))
        if changed:
            text = f"not as it was asked for: {', '.join(changed)}"
            store.finish(job.id, State.CHANGED, text)
            out.line(f"job {job.id[:8]}: {text}")
            return 0
        args.began = lambda uid: store.began_run(job.id, uid)
        return _ended(store, job, lambda: run(args, out))


def gone_on(
    args: argparse.Namespace, out: Output, resume: Callable[[argparse.Namespace, Output], int]
) -> int:
    """Go on with a job that was cut off, and write into the queue what became of it.

    What cannot go on without a person stays interrupted, with the reason.

    Raises:
        ScheduleError: The job is not one that is running.
        BusyError: Somebody else runs it.
    """
    from orchestrator.errors import ResumeError  # keep `--help` fast

    store = queue(args.data)
    with running_job(args.data, store.get(args.job).id):
        job = store.get(args.job)
        args.began = lambda uid: store.began_run(job.id, uid)

        def go() -> int:
            return resume(args, out)

        try:
            return _ended(store, job, go, asking=ResumeError)
        except ResumeError as error:
            store.finish(job.id, State.INTERRUPTED, str(error), refused=True)
            raise


def _ended(
    store: JobStore,
    job: Job,
    run: Callable[[], int],
    *,
    asking: type[BaseException] | tuple[()] = (),
) -> int:
    """Run, and say how it ended; what cannot be said is noticed by the scheduler."""
    try:
        code = run()
    except asking:
        raise
    except BaseException as error:
        _tell(store.finish(job.id, State.FAILED, str(error) or type(error).__name__), store)
        raise
    state, text = (State.DONE, "completed") if code == 0 else (State.FAILED, _meaning(code))
    _tell(store.finish(job.id, state, text), store)
    return code


def _tell(job: Job, store: JobStore) -> None:
    """Tell people here, too: there may be no scheduler any more."""
    tell_of(job, store.path.parent)


def _meaning(code: int) -> str:
    """Why a job failed; an error of a campaign's run is in the record of its runs."""
    return _MEANINGS.get(code, f"ended with exit code {code}: see its runs")


_MEANINGS = {4: "ended in the safe state: see its run", 130: "aborted: see its run"}
