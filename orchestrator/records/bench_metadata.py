"""Metadata that every run on a bench carries: one file that a person can read, and nothing else.

bluesky's own ways of keeping `RE.md` lose what is changed inside a value (bluesky#355), and break
when two sessions share them (bluesky#1854). Here the file is the only state: it is read each time
it is asked for and replaced as a whole each time something is set, and what is read cannot be
changed in place.
"""

from __future__ import annotations

import copy
import io
import logging
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from orchestrator.errors import RecordError
from orchestrator.records.directory import replace_durably
from orchestrator.records.locks import FileLock
from orchestrator.records.metadata import normalised

log = logging.getLogger(__name__)

RESERVED = frozenset({
    "uid", "time", "scan_id", "plan_name", "plan_type", "bench", "instrument_name", "profile_hash",
    "simulated", "simulation", "experiment", "experiment_hash", "versions", "resumes",
    "resumes_first", "resumption", "plan_args_lost",
})  # fmt: skip
"""What a start document says of itself; a person does not set it."""

_HEADER = """\
# Metadata of every run on this bench that records into this data directory.
# `metadata` is yours: edit it here while no run begins, or set bench.md["operator"] = "..." at the
# prompt. What a plan or an experiment file says itself goes before it.
"""
_LOCK_S = 5.0


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError(
        "metadata: got a change inside a value, which would be lost "
        '(set the whole value: bench.md["sample"] = {**bench.md["sample"], "type": "..."})'
    )


class FrozenMapping(dict[str, Any]):
    """A mapping that was read and cannot be changed in place; a copy of it is a plain dict."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        return {key: copy.deepcopy(value, memo) for key, value in self.items()}


class FrozenList(list[Any]):
    """A list that was read and cannot be changed in place; a copy of it is a plain list."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = pop = remove = clear = sort = reverse = _refuse

    def __deepcopy__(self, memo: Any) -> list[Any]:
        return [copy.deepcopy(value, memo) for value in self]


class BenchMetadata(MutableMapping[str, Any]):
    """The standing metadata of a bench, as a mapping; the file is the only state.

    ``md["operator"] = "A. Person"`` sets, ``del md["operator"]`` removes, both at once on disk.

    Args:
        path: The file; it need not exist.
        bench: Name of the bench, for messages.
    """

    def __init__(self, path: Path, bench: str) -> None:
        self.path, self._bench = path, bench
        self._lock = threading.Lock()
        self._last_scan_id = 0
        self._seen: tuple[int, ...] | None = None
        self._parsed: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        return _frozen(self._metadata()[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._metadata())

    def __len__(self) -> int:
        return len(self._metadata())

    def __setitem__(self, key: str, value: Any) -> None:
        """Keep a value for every following run.

        Raises:
            RecordError: The key is one of `RESERVED`, some store would lose the value, or the
                file cannot be written.
        """
        if key in RESERVED:
            raise RecordError(
                f"metadata of {self._bench}",
                f"got the key {key!r}, expected one that the run does not say itself",
                remedy="use another key",
            )
        plain = normalised({key: value})
        with self._changed() as document:
            document["metadata"][key] = plain[key]

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        with self._changed() as document:
            del document["metadata"][key]

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        kept = self._metadata()
        width = max([len(str(key)) for key in kept], default=0)
        lines = [f"  {key:<{width}}  {value!r}" for key, value in kept.items()]
        return "\n".join([
            f"<metadata of every run on {self._bench}, last scan id {self.last_scan_id}",
            *(lines or ["  none: set some with bench.md[\"operator\"] = \"your name\""]),
            f"  kept in {self.path}>",
        ])  # fmt: skip

    @property
    def last_scan_id(self) -> int:
        """Number of the last run; runs of a bench are counted on from session to session."""
        return max(int(self._read().get("last_scan_id") or 0), self._last_scan_id)

    def next_scan_id(self) -> int:
        """Count a run; where the file cannot be written the count goes on in memory."""
        try:
            with self._changed() as document:
                number = max(int(document["last_scan_id"] or 0), self._last_scan_id) + 1
                document["last_scan_id"] = number
        except (RecordError, ValueError, TypeError) as error:
            log.warning("scan id is not kept: %s", error)
            number = self._last_scan_id + 1
        self._last_scan_id = number
        return number

    # --- inside ---

    def _metadata(self) -> dict[str, Any]:
        """The mapping as it stands in the file; parsed again only where the file is another."""
        stamp = self._stamp()
        if stamp is None or stamp != self._seen:
            metadata = self._read("safe").get("metadata") or {}
            if not isinstance(metadata, Mapping):
                raise self._unreadable("`metadata` is not a mapping")
            self._parsed, self._seen = normalised(metadata), stamp
        return self._parsed

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def _read(self, kind: str = "rt") -> dict[str, Any]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeError) as error:
            raise self._unreadable(str(error)) from error
        try:
            document = YAML(typ=kind).load(text)
        except YAMLError as error:
            raise self._unreadable(" ".join(str(error).split())) from error
        if not isinstance(document, MutableMapping):
            raise self._unreadable("it is not a mapping")
        return document  # type: ignore[return-value]

    def _unreadable(self, why: str) -> RecordError:
        return RecordError(
            f"metadata of {self._bench}",
            f"{self.path}: {why}",
            remedy="correct the file, or move it away to begin anew",
        )

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        """Change the file as a whole; two sessions take turns, and comments stay."""
        lock = FileLock(self.path.with_suffix(".lock"))
        try:
            with self._lock:
                lock.acquire(_LOCK_S)
                document: dict[str, Any] = self._read() or YAML().load(_HEADER + "metadata: {}\n")
                document["metadata"] = document.get("metadata") or {}
                if not isinstance(document["metadata"], MutableMapping):
                    raise self._unreadable("`metadata` is not a mapping")
                document.setdefault("last_scan_id", 0)
                yield document
                text = io.StringIO()
                YAML().dump(document, text)
                temporary = self.path.with_suffix(".tmp")
                temporary.write_text(text.getvalue(), encoding="utf-8")
                replace_durably(temporary, self.path)
        except OSError as error:
            raise RecordError(
                f"metadata of {self._bench}", str(error), remedy="make the directory writable"
            ) from error
        finally:
            lock.release()


class RunMetadata(MutableMapping[str, Any]):
    """`RE.md`: what the bench says of itself, and a person's standing metadata.

    Setting a key keeps it in the bench's file, as ``bench.md`` does; those of `RESERVED` belong to
    the session.

    Args:
        standing: The bench's file.
    """

    def __init__(self, standing: BenchMetadata) -> None:
        self.standing = standing
        self._facts: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        return self._facts[key] if key in self._facts else self.standing[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if key in RESERVED:
            self._facts[key] = value
        else:
            self.standing[key] = value

    def __delitem__(self, key: str) -> None:
        if key in self._facts:
            del self._facts[key]
        else:
            del self.standing[key]

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._facts), **dict.fromkeys(self.standing)})

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return repr(dict(self))

    def next_scan_id(self) -> int:
        """Count a run."""
        return self.standing.next_scan_id()

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        return {key: copy.deepcopy(value, memo) for key, value in self.items()}


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return FrozenMapping({key: _frozen(inner) for key, inner in value.items()})
    return FrozenList(_frozen(inner) for inner in value) if isinstance(value, list) else value
