"""Trips that stay: marks in the state directory that outlive processes, data and reboots.

Beside them stands what the interlocks of a bench last saw, for those who look from another
process.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from devices.clock import wall_time
from orchestrator.errors import InterlockTripped, RecordError
from orchestrator.records.directory import replace_durably
from orchestrator.records.locks import FileLock
from orchestrator.state import state_directory
from plans.trip import Trip

UNREADABLE = "unreadable"
"""Name of the latch of a mark that cannot be read: it refuses as any other."""

_LOCK_S = 1.0


@dataclass(frozen=True)
class Tripped:
    """A trip that nobody has acknowledged yet.

    Attributes:
        name: The interlock.
        text: What was found and what was expected.
        since_s: When, Unix s of the real clock.
        value: The reading; None where it was no number.
        run: Uid of the run that it ended; empty where none was open.
        data: The data directory of that run.
    """

    name: str
    text: str
    since_s: float = 0.0
    value: float | None = None
    run: str = ""
    data: str = ""


@dataclass(frozen=True)
class Latches:
    """The latched interlocks of one bench.

    Args:
        bench: Its name.
        kept: Whether they are written down; a rehearsal neither sees nor leaves any.
    """

    bench: str
    kept: bool = True

    @property
    def path(self) -> Path:
        """The marks; the file exists while there are some."""
        return state_directory() / "interlocks" / f"{self.bench}.json"

    @property
    def seen_path(self) -> Path:
        """What the interlocks last saw, replaced about once a second."""
        return state_directory() / "interlocks" / f"{self.bench}.seen.json"

    def read(self) -> dict[str, Tripped]:
        """The latched interlocks by name; a file that cannot be read is one."""
        if not self.kept:
            return {}
        try:
            said = json.loads(self.path.read_text(encoding="utf-8"))
            return {name: Tripped(**one) for name, one in said.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError):
            text = f"{self.path} cannot be read"
            return {UNREADABLE: Tripped(UNREADABLE, text)}

    def mark(self, trip: Trip, *, run: str = "", data: str = "") -> None:
        """Latch a trip; the first one of an interlock stays."""
        if not self.kept:
            return
        value = trip.value if abs(trip.value) < float("inf") else None
        new = Tripped(trip.name, trip.text, wall_time(), value, run, data)
        with self._alone():
            marks = self.read()
            marks.setdefault(trip.name, new)
            self._write(marks)

    def clear(self, names: Collection[str]) -> None:
        """Some were acknowledged."""
        with self._alone():
            self._write({name: one for name, one in self.read().items() if name not in names})

    def check(self) -> None:
        """Refuse a bench with latched interlocks.

        Raises:
            InterlockTripped: There are some.
        """
        marks = self.read()
        if marks:
            told = "; ".join(f"{name}: {one.text}" for name, one in marks.items())
            raise InterlockTripped(
                self.bench,
                f"interlock latched: {told}",
                remedy="see to it, then `operando interlocks "
                f"{self.bench} --acknowledge {next(iter(marks))}`",
            )

    def seen(self) -> dict[str, Any]:
        """What the interlocks last saw, by name; empty where nobody knows."""
        with suppress(OSError, ValueError):
            said = json.loads(self.seen_path.read_text(encoding="utf-8"))
            if isinstance(said, dict):
                return said
        return {}

    def _write(self, marks: Mapping[str, Tripped]) -> None:
        if not marks:
            self.path.unlink(missing_ok=True)
            return
        temporary = self.path.with_suffix(".tmp")
        said = {name: asdict(one) for name, one in marks.items()}
        temporary.write_text(json.dumps(said, indent=1, allow_nan=False), encoding="utf-8")
        replace_durably(temporary, self.path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others out; somebody who hangs in there must not keep a trip from being latched."""
        lock = FileLock(self.path.with_suffix(".lock"))
        with suppress(RecordError):
            lock.acquire(_LOCK_S)
        try:
            yield
        finally:
            lock.release()
