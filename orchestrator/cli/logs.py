"""What the libraries log, as a person at the command may see it: no traceback unless ``-vv``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.cli.output import Output

_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.INFO}
_ECHOES = ("bluesky", "Dispatcher", "RE")
"""Loggers of the engine's base: what they say of a run that ended, the verb says better."""


class _OneLine(logging.Formatter):
    """The message alone; what it was caused by is for ``-vv``."""

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        del ei
        return ""

    def format(self, record: logging.LogRecord) -> str:
        cached, record.exc_text = record.exc_text, None
        try:
            return super().format(record).rstrip()
        finally:
            record.exc_text = cached


@contextmanager
def logged(out: Output) -> Iterator[None]:
    """Send warnings to standard error while a verb works; with ``-v`` more."""
    handler = logging.StreamHandler(out.stderr)
    everything = out.verbosity >= 2
    if not everything:
        handler.setFormatter(_OneLine("%(name)s: %(message)s"))
        handler.addFilter(lambda record: record.name.split(".")[0] not in _ECHOES)
    root = logging.getLogger()
    former = root.level
    root.setLevel(_LEVELS.get(out.verbosity, logging.DEBUG))
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(former)
