"""`operando shell`: IPython on an open bench."""

from __future__ import annotations

import argparse
import os
import signal
import textwrap
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from orchestrator.cli import fault_options, laboratory_option
from orchestrator.cli.interrupts import ending_in_order
from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.bench import Bench
    from orchestrator.desk import Word

HELP = "IPython with RE, bench, cat, db, bp, bps, plans and the devices by name"

_EXIT_INTERRUPTED = 130


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
    laboratory_option.register(parser)
    fault_options.register(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Open the bench, hand it to IPython, close it when the session ends."""
    from orchestrator.errors import ProfileError  # keep `--help` fast

    if not args.bench:
        raise ProfileError("shell", "no bench named", remedy="use --bench or $OPERANDO_BENCH")
    from devices.errors import InstrumentFault
    from orchestrator.bench import open_bench
    from orchestrator.profile.loading import load_profile

    profile = load_profile(args.bench)
    faults = fault_options.chosen(args, profile)
    with open_bench(
        profile,
        data=args.data,
        faults=faults,
        real_time=args.real_time,
        laboratory=args.laboratory,
    ) as bench:
        bench.say = out.line
        _session(bench, out)
    if bench.RE.unsafe:
        raise InstrumentFault(
            ", ".join(bench.RE.unsafe), "not known to be off", remedy="disconnect the cell by hand"
        )
    out.line(f"{args.bench}: off and closed")
    return 0


def _session(bench: Bench, out: Output) -> None:
    """IPython until the user leaves, the terminal is gone or a signal ends it."""
    from IPython.terminal.ipapp import TerminalIPythonApp
    from traitlets.config import Config

    from orchestrator.session import Screen, namespace
    from orchestrator.session.prompt import install

    names = namespace(bench)
    out.line(_greeting(bench, names))
    config = Config()
    config.TerminalInteractiveShell.confirm_exit = False
    config.TerminalIPythonApp.display_banner = False
    # devices are made at run time: completion must ask the objects, not read their source
    config.IPCompleter.use_jedi = False
    app: Any = TerminalIPythonApp.instance(config=config, user_ns=names)
    app.initialize([])
    screen = Screen(bench, out.people)
    install(app.shell, bench, screen)
    if screen.can_plot:
        with suppress(Exception):  # a window that cannot be opened is no reason not to measure
            app.shell.enable_matplotlib()

    def leave() -> NoReturn:
        app.shell.ask_exit()
        raise SystemExit(_EXIT_INTERRUPTED)

    def leave_if_ended() -> None:
        if bench.RE.signalled in (signal.SIGTERM, signal.SIGHUP):  # it came while a plan ran
            app.shell.ask_exit()

    bench.desk.decide = typing_at(app.shell)
    app.shell.events.register("post_run_cell", lambda _result: leave_if_ended())
    try:
        with ending_in_order(leave):
            app.start()
    finally:
        screen.close()


def typing_at(shell: Any) -> Callable[[Word], bool]:
    """How a paused run is told from another terminal to go on or end: as if it were typed here.

    So it runs where a plan must run, in the main thread, with Ctrl-C as always, and the screen
    shows it. What somebody was typing is kept for the next prompt.

    Args:
        shell: IPython's.
    """

    def say(word: Word) -> bool:
        session = getattr(shell, "pt_app", None)
        prompt = getattr(session, "app", None)
        if session is None or prompt is None or not prompt.is_running or prompt.loop is None:
            return False  # no prompt, or it is not there: something else runs

        def type_it() -> None:
            if prompt.is_running:
                shell.rl_next_input = session.default_buffer.text or None
                prompt.exit(result=f"bench.{word}()")

        prompt.loop.call_soon_threadsafe(type_it)
        return True

    return say


def _greeting(bench: Bench, names: dict[str, Any]) -> str:
    """What is here, what to type, and what the session remembers; at most 80 columns."""
    first = next((name for name, one in bench.devices.items() if hasattr(one, "configure")), "")
    lines = [
        f"{bench!r}",
        "",
        *_wrapped(f"Names:   {' '.join(names)}"),
        "Magics:  %mov %movr %ct %wa %live   (%mov? explains one)",
        f"Try:     {first}?   plans.<Tab>   plans.in_situ_mri?   %wa   db[-1]",
        _remembered(bench),
    ]
    if bench.clock.simulated:
        lines += [
            "SIMULATED bench in virtual time: time passes while a plan runs, or with",
            "bench.wait(seconds); at the prompt it stands still.",
        ]
    return "\n".join(lines)


def _remembered(bench: Bench) -> str:
    """The standing metadata, which begins every run of this bench and data directory."""
    keys = ", ".join(f"{key} {value!r}" for key, value in bench.md.items()) or "none yet"
    text = f"bench.md: {keys}; last scan id {bench.md.last_scan_id}"
    return "\n".join(_wrapped(text))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 80, subsequent_indent="         ")
