"""`operando shell`: IPython on an open bench."""

from __future__ import annotations

import argparse
import os

from orchestrator.bench import open_bench
from orchestrator.cli.output import Output
from orchestrator.session import namespace

HELP = "IPython with RE, bench, cat, db, bp, bps, plans and the devices by name"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "--bench",
        default=os.environ.get("OPERANDO_BENCH"),
        help="bench profile by name or path (default $OPERANDO_BENCH)",
    )
    parser.add_argument(
        "--real-time", action="store_true", help="put a simulated bench on the system's clock"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Open the bench, hand it to IPython, close it when the session ends."""
    import IPython
    from traitlets.config import Config

    from orchestrator.errors import ProfileError

    if not args.bench:
        raise ProfileError("shell", "no bench named", remedy="use --bench or $OPERANDO_BENCH")
    with open_bench(args.bench, data=args.data, real_time=args.real_time) as bench:
        bench.say = out.line
        names = namespace(bench)
        out.line(f"{bench!r}\n")
        out.line(f"Names: {', '.join(names)}. Devices are off until a plan switches them on.")
        if bench.clock.simulated:
            out.line("SIMULATED bench in virtual time: time passes while a plan runs, or with")
            out.line("bench.wait(seconds); at the prompt it stands still.")
        config = Config()
        config.TerminalInteractiveShell.confirm_exit = False
        config.TerminalIPythonApp.display_banner = False
        IPython.start_ipython(argv=[], user_ns=names, config=config)
    return 0
