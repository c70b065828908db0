"""Parses the command line, calls one verb and turns its errors into exit codes."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

from orchestrator.cli.interrupts import ending_in_order
from orchestrator.cli.logs import logged
from orchestrator.cli.options import common_options
from orchestrator.cli.output import Output

VERBS = (
    "demo", "run", "rehearse", "schedule", "serve", "token", "new", "export", "status",
    "pause", "resume", "resume-now", "stop", "skip-step", "image-now", "note", "set", "runs",
    "show", "report", "recover", "upload", "alerts", "audit", "units",
    "off", "interlocks", "shell", "bench", "doctor", "analyse", "reproduce", "schema",
)  # fmt: skip
"""Verbs in the order of the help page; its module has `_` for `-`."""

EXIT_BAD_INPUT, EXIT_INSTRUMENT, EXIT_SAFE_STATE, EXIT_RECORDS = 2, 3, 4, 5
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code of interface `operando`.

    Args:
        argv: Arguments without the program's name; None takes those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = _verb(arguments)
    try:
        args = _parser(verb).parse_args(arguments)
    except SystemExit as stop:  # argparse: 0 after --help, 2 after a bad option
        return int(stop.code or 0)
    if args.verb is None:
        _parser(None).print_help()
        return EXIT_BAD_INPUT
    out = Output(
        json=args.json,
        verbosity=-1 if args.quiet else args.verbose,
        progress=not args.no_progress,
    )
    try:
        with ending_in_order(), logged(out):
            return int(args.module.run(args, out))
    except KeyboardInterrupt:
        out.error("operando: interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # the reader went away: what is left to say, at exit too, has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the one place that turns errors into exit codes
        return _explain(error, out)


def exit_code(error: BaseException) -> int:
    """Exit code for an error, by its class."""
    from devices.errors import DeviceError, LimitError, PreflightError
    from orchestrator.errors import (
        AlertError,
        BusyError,
        ControlError,
        DataFileError,
        ExperimentError,
        InterlockTripped,
        NoAnswerError,
        ProfileError,
        RecordError,
        ResumeError,
        ResumeHeldError,
        ScheduleError,
        UnsafeBenchError,
    )
    from plans.errors import PlanError

    table: tuple[tuple[type[BaseException], int], ...] = (
        (ExperimentError, EXIT_BAD_INPUT),
        (ProfileError, EXIT_BAD_INPUT),
        (DataFileError, EXIT_BAD_INPUT),
        (ScheduleError, EXIT_BAD_INPUT),
        (AlertError, EXIT_BAD_INPUT),
        (LimitError, EXIT_BAD_INPUT),
        (PlanError, EXIT_BAD_INPUT),
        (ControlError, EXIT_BAD_INPUT),
        (ResumeHeldError, EXIT_SAFE_STATE),
        (ResumeError, EXIT_BAD_INPUT),
        (NoAnswerError, EXIT_INSTRUMENT),
        (InterlockTripped, EXIT_SAFE_STATE),
        (PreflightError, EXIT_SAFE_STATE),
        (RecordError, EXIT_RECORDS),
        (UnsafeBenchError, EXIT_INSTRUMENT),
        (BusyError, EXIT_INSTRUMENT),
        (DeviceError, EXIT_INSTRUMENT),
    )
    return next((code for kind, code in table if isinstance(error, kind)), 1)


def _explain(error: BaseException, out: Output) -> int:
    """Say what happened; a traceback only with -vv."""
    if out.verbosity >= 2:
        traceback.print_exception(error)
    code = exit_code(error)
    kind = "" if code != 1 else f"{type(error).__name__}: "
    out.error(f"operando: {kind}{error}" if code == 1 else str(error))
    if code == 1:
        out.error("operando: this is not an error we foresaw; run again with -vv and report it")
    return code


def _parser(verb: str | None) -> argparse.ArgumentParser:
    """Build the parser; only the chosen verb's module is imported, so that help is instant."""
    parser = argparse.ArgumentParser(
        prog="operando",
        description="Runs operando experiments: electrochemistry and imaging on one clock.",
        epilog="`operando VERB --help` says more. Start with `operando demo`.",
    )
    common_options(parser, after_verb=False)
    commands = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs", prog="operando")
    for name in VERBS:
        module = _module(name) if verb in (name, None) else None
        text = getattr(module, "HELP", "")
        sub = commands.add_parser(name, help=text, description=text)
        common_options(sub, after_verb=True)
        if module is not None:
            module.register(sub)
            sub.set_defaults(module=module)
    return parser


def _verb(arguments: Sequence[str]) -> str | None:
    """The verb: the first word that is neither an option nor the data directory's name."""
    words = iter(arguments)
    for word in words:
        if word == "--data":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"orchestrator.cli.{name.replace('-', '_')}")
