"""What a verb prints: one JSON object for programs, lines for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Output:
    """Where a verb speaks.

    With ``--json`` exactly one JSON object goes to standard output and everything else to
    standard error, so that a program can read the one and a person the other. The streams are
    those of the moment at which it was made: what is redirected later does not silence it.

    Attributes:
        json: Whether the result is wanted as JSON.
        verbosity: -1 quiet, 0 normal, 1 verbose, 2 with tracebacks.
        progress: Whether a live progress line is welcome.
        stdout: Standard output.
        stderr: Standard error.
    """

    json: bool = False
    verbosity: int = 0
    progress: bool = True
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)

    @property
    def people(self) -> TextIO:
        """Stream for people."""
        return self.stderr if self.json else self.stdout

    def line(self, text: str = "") -> None:
        """Print a line for people."""
        if self.verbosity >= 0:
            print(text, file=self.people, flush=True)

    def prompt(self, text: str) -> None:
        """Print a question for people, without a new line; asked also where lines are unwanted."""
        print(text, file=self.people, end="", flush=True)

    def warn(self, text: str) -> None:
        """Print a warning on standard error, whatever goes to standard output."""
        if self.verbosity >= 0:
            print(text, file=self.stderr, flush=True)

    def error(self, text: str) -> None:
        """Print an error; never silenced."""
        print(text, file=self.stderr, flush=True)

    def result(self, value: Mapping[str, Any]) -> None:
        """Print the result object on standard output if JSON was asked for."""
        if self.json:
            print(json.dumps(dict(value), default=str, allow_nan=False), file=self.stdout)
            self.stdout.flush()

    def console(self) -> Console:
        """A rich console on the stream for people."""
        from rich.console import Console  # slow to import, and most verbs draw nothing

        return Console(file=self.people, highlight=False)


def short(path: Path) -> str:
    """A path as short as it can be written from where the user stands."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def counted(runs: int) -> str:
    """``1 run``, ``2 runs``."""
    return f"{runs} run{'' if runs == 1 else 's'}"
