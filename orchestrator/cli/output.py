"""What a verb prints: one JSON object for programs, lines for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console


@dataclass
class Output:
    """Where a verb speaks.

    With ``--json`` exactly one JSON object goes to standard output and everything else to
    standard error, so that a program can read the one and a person the other.

    Attributes:
        json: Whether the result is wanted as JSON.
        verbosity: -1 quiet, 0 normal, 1 verbose, 2 with tracebacks.
        progress: Whether a live progress line is welcome.
    """

    json: bool = False
    verbosity: int = 0
    progress: bool = True

    @property
    def people(self) -> TextIO:
        """Stream for people."""
        return sys.stderr if self.json else sys.stdout

    def line(self, text: str = "") -> None:
        """Print a line for people."""
        if self.verbosity >= 0:
            print(text, file=self.people, flush=True)

    def error(self, text: str) -> None:
        """Print an error; never silenced."""
        print(text, file=sys.stderr, flush=True)

    def result(self, value: Mapping[str, Any]) -> None:
        """Print the result object on standard output if JSON was asked for."""
        if self.json:
            print(json.dumps(dict(value), default=str, allow_nan=False), flush=True)

    def console(self) -> Console:
        """A rich console on the stream for people."""
        return Console(file=self.people, highlight=False)
