"""`operando serve`: runs the queue, and answers over HTTP, until it is told to end."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.http.listening import Server, Where
    from orchestrator.http.service import Service
    from orchestrator.schedule import JobStore
    from orchestrator.schedule.job import Job
    from orchestrator.schedule.supervisor import Supervisor
    from orchestrator.units import Notifier

HELP = "run queued experiments when their time comes, one process each; HTTP for looking and asking"

_LONGEST_LIFE_S = 400 * 86_400.0
_LAST_PORT = 65_535


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "--once", action="store_true", help="end when nothing is due and nothing runs"
    )
    parser.add_argument(
        "--life-s", type=float, default=_LONGEST_LIFE_S, metavar="S", help="end after this time, s"
    )
    web = parser.add_argument_group("HTTP")
    web.add_argument("--no-http", action="store_true", help="run the queue only")
    web.add_argument("--port", type=int, default=0, help="port (default: any that is free)")
    web.add_argument(
        "--listen",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address (default 127.0.0.1); another needs TLS or --behind-tunnel",
    )
    web.add_argument(
        "--host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="answer to this host name too; may be repeated",
    )
    web.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain, PEM")
    web.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, PEM, mode 600")
    web.add_argument(
        "--behind-tunnel",
        action="store_true",
        help="something else encrypts what goes to --listen",
    )
    web.add_argument(
        "--experiments",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="experiment files below it may be queued over HTTP; may be repeated",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Look after the queue; runs that are under way outlive this process."""
    from orchestrator.alerts.process import Courier  # keep `--help` fast
    from orchestrator.errors import ScheduleError
    from orchestrator.http.places import HttpFiles
    from orchestrator.http.serving import Serving
    from orchestrator.schedule.asking import queue
    from orchestrator.schedule.supervisor import Supervisor, only_scheduler
    from orchestrator.schedule.telling import tell_of
    from orchestrator.units import Notifier

    if not (math.isfinite(args.life_s) and args.life_s > 0):
        raise ScheduleError("--life-s", f"got {args.life_s} s", remedy="give a time above 0")

    def tell(job: Job) -> None:
        out.line(f"job {job.id[:8]}: {job.state} {job.message}".rstrip())
        tell_of(job, args.data)

    manager = Notifier()

    def ends(why: str) -> None:
        manager.stopping()
        out.line(why)

    with only_scheduler(args.data):
        _switch_off_left(out)
        store = queue(args.data)
        supervisor, courier = Supervisor(store, args.data, tell=tell), Courier(args.data)
        service, server = (None, None) if args.no_http else _web(args, store, out, manager)

        def begun() -> None:
            out.line(f"serving the queue of {args.data}; Ctrl-C ends this, not what runs")
            if server is None:
                manager.ready()

        def look() -> bool:
            courier.tick()
            return _looked(supervisor, store, manager, once=args.once)

        serving = Serving(
            look,
            ends,
            server=server,
            lookout=None if service is None else service.lookout,
            begun=begun,
        )
        try:
            serving.run(args.life_s)
        finally:
            if server is not None:
                server.close()
                HttpFiles(args.data).silent()
    out.result({"data": str(args.data), "jobs": [job.as_dict() for job in store.jobs()]})
    return 0


def _switch_off_left(out: Output) -> None:
    """Before anything begins: what a process that died, or a power loss, has left energised."""
    from orchestrator.leaving import switch_off_left

    for one in switch_off_left():
        if one.report is not None:
            out.line(f"{one.bench}: left energised; {'off now' if one.ok else 'UNSAFE'}")


def _looked(supervisor: Supervisor, store: JobStore, manager: Notifier, *, once: bool) -> bool:
    """Look at the queue, in a round of the loop; whether to go on."""
    from orchestrator.schedule.job import State

    manager.beat()
    supervisor.tick()
    waiting = store.jobs(ended=False)
    busy = [one for one in waiting if one.state is State.RUNNING]
    manager.status(f"{len(busy)} running, {len(waiting) - len(busy)} waiting")
    return not once or bool(busy) or supervisor.due()


def _web(
    args: argparse.Namespace, store: JobStore, out: Output, manager: Notifier
) -> tuple[Service, Server]:
    """What answers over HTTP.

    Raises:
        ControlError: It cannot listen there, or should not.
    """
    from orchestrator.http.app import make_app
    from orchestrator.http.listening import Server
    from orchestrator.http.places import HttpFiles
    from orchestrator.http.service import Service
    from orchestrator.http.tokens import TokenFile

    files, where = HttpFiles(args.data), _where(args)

    def told(url: str) -> None:
        files.listening(url)
        manager.ready()
        out.line(f"page and interface: {url}")
        if not TokenFile(files.tokens).all():
            out.line("nobody may ask yet: `operando token new NAME --role operate` makes a token")

    service = Service(args.data, store, args.experiments)
    return service, Server(make_app(service, names=where.names), where, told)


def _where(args: argparse.Namespace) -> Where:
    """Where to listen.

    Raises:
        ControlError: The options do not go together.
    """
    from orchestrator.errors import ControlError
    from orchestrator.http.listening import Where
    from orchestrator.http.places import require_private

    if not 0 <= args.port <= _LAST_PORT:
        raise ControlError("--port", f"got {args.port}", remedy=f"0 to {_LAST_PORT}")
    if (args.tls_cert is None) != (args.tls_key is None):
        raise ControlError("--tls-cert", "goes with --tls-key", remedy="give both or neither")
    tls = None if args.tls_cert is None else (args.tls_cert, args.tls_key)
    where = Where(args.listen, args.port, frozenset(args.host_name), tls, args.behind_tunnel)
    where.check()
    if tls is not None:
        try:
            require_private(args.tls_key)
        except OSError as error:
            raise ControlError(
                "--tls-key", f"cannot be read: {error.strerror}", remedy="check the path"
            ) from error
    return where
