"""`operando serve`: runs the queue until it is told to end."""

from __future__ import annotations

import argparse
import math
import signal
import threading
from types import FrameType

from orchestrator.cli.output import Output

HELP = "run queued experiments when their time comes, one process each"

_LOOK_S = 0.5
"""Time between two looks at the queue, s of real time: start times are given in minutes."""

_LONGEST_LIFE_S = 400 * 86_400.0


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "--once", action="store_true", help="end when nothing is due and nothing runs"
    )
    parser.add_argument(
        "--life-s", type=float, default=_LONGEST_LIFE_S, metavar="S", help="end after this time, s"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Look after the queue; runs that are under way outlive this process."""
    from devices.clock import monotonic  # keep `--help` fast
    from orchestrator.schedule.asking import queue
    from orchestrator.errors import ScheduleError
    from orchestrator.schedule.job import Job, State
    from orchestrator.schedule.supervisor import Supervisor, only_scheduler
    from orchestrator.units import Notifier

    if not (math.isfinite(args.life_s) and args.life_s > 0):
        raise ScheduleError("--life-s", f"got {args.life_s} s", remedy="give a time above 0")

    def tell(job: Job) -> None:
        out.line(f"job {job.id[:8]}: {job.state} {job.message}".rstrip())

    manager = Notifier()
    with only_scheduler(args.data):
        store, end = queue(args.data), threading.Event()
        supervisor = Supervisor(store, args.data, tell=tell)

        def leave(number: int, _frame: FrameType | None) -> None:
            manager.stopping()
            out.line(f"{signal.Signals(number).name}: runs that are under way go on")
            end.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, leave)
        out.line(f"serving the queue of {args.data}; Ctrl-C ends this, not what runs")
        ends_s = monotonic() + args.life_s
        manager.ready()
        while not end.is_set() and monotonic() < ends_s:
            manager.beat()
            supervisor.tick()
            waiting = store.jobs(ended=False)
            busy = [one for one in waiting if one.state is State.RUNNING]
            manager.status(f"{len(busy)} running, {len(waiting) - len(busy)} waiting")
            if args.once and not busy and not supervisor.due():
                break
            end.wait(_LOOK_S)
    out.result({"data": str(args.data), "jobs": [job.as_dict() for job in store.jobs()]})
    return 0
