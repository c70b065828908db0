"""After a crash: closes what was left open, keeps everything that can be read, loses nothing.

Every step leaves the data directory readable and can be repeated: cut off anywhere, the next
recovery finds the same and ends in the same state. Runs that are being written are left alone.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import orjson

from orchestrator.errors import RecordError
from orchestrator.records.directory import DataDirectory, replace_durably, sync_directory
from orchestrator.records.encoding import encode_line
from orchestrator.records.frame_files import DATASET, frames_of, is_marked_open, opened
from orchestrator.records.frames import lay_out
from orchestrator.records.locks import FileLock
from orchestrator.records.reading import BadLine, Entry, scan

INTERRUPTED = "interrupted: the program ended without closing the run"
"""Reason of a stop document that recovery writes."""


@dataclass
class Recovery:
    """What a recovery found and did to one run.

    Attributes:
        uid: The run.
        closed: It had no stop document and got one.
        bad_lines: Damaged pieces that went to the quarantine now.
        missing: Documents missing by the journal's numbering.
        frames_rewritten: Streams whose torn file became an ordinary one.
        frames_lost: By stream, why its file could not be read; it was kept beside it.
        frames_unannounced: By stream, frames in its file that no event tells of, because the run
            was cut off in between; they stay in the file, behind the others.
        frames_missing: By stream, events whose frame is not in the file.
        removed: Nothing of it had been recorded; its empty journal was removed.
        live: It is being written and was left alone.
        error: Why the run could not be recovered, empty if it could.
    """

    uid: str
    closed: bool = False
    bad_lines: int = 0
    missing: int = 0
    frames_rewritten: list[str] = field(default_factory=list)
    frames_lost: dict[str, str] = field(default_factory=dict)
    frames_unannounced: dict[str, int] = field(default_factory=dict)
    frames_missing: dict[str, int] = field(default_factory=dict)
    removed: bool = False
    live: bool = False
    error: str = ""

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        journal = self.closed or self.removed or self.bad_lines
        return bool(journal or self.frames_rewritten or self.frames_lost)

    def as_dict(self) -> dict[str, Any]:
        """For a JSON result."""
        return asdict(self)


def recover(data: Path) -> list[Recovery]:
    """Close torn journals and frame files of a data directory.

    Args:
        data: The data directory.

    Returns:
        One entry per run, in the order of `DataDirectory.runs`. A run that fails does not keep
        the others from their recovery: see `Recovery.error`.
    """
    directory = DataDirectory(data.resolve())
    return [recover_run(directory, uid) for uid in directory.runs()]


def recover_run(directory: DataDirectory, uid: str) -> Recovery:
    """Close one run's journal and frame files; see `recover`."""
    done = Recovery(uid)
    lock = FileLock(directory.journal(uid))
    if not lock.try_acquire():
        done.live = True
        return done
    try:
        _recover_frames(directory, uid, done)
        found = _recover_journal(directory, uid, done)
        if done.closed or done.frames_rewritten:
            _compare_frames(directory, uid, found, done)
        _remove_leftovers(directory, uid)
    except (OSError, RecordError) as error:
        done.error = str(error)
    finally:
        lock.release()
    return done


# --- journal ---


@dataclass
class _Survey:
    """What a journal holds."""

    bad: list[BadLine] = field(default_factory=list)
    missing: int = 0
    last_seq: int = -1
    last_time_s: float = 0.0
    events: Counter[str] = field(default_factory=Counter)
    streams: dict[str, str] = field(default_factory=dict)
    with_frames: set[str] = field(default_factory=set)
    stopped: bool = False
    cut_newline: bool = False

    def take(self, entry: Entry) -> None:
        self.missing += entry.seq - self.last_seq - 1
        self.last_seq = entry.seq
        doc = entry.doc
        if entry.name == "descriptor":
            self.streams[doc["uid"]] = doc["name"]
            if any("external" in key for key in doc["data_keys"].values()):
                self.with_frames.add(doc["name"])
        elif entry.name in ("event", "event_page"):
            rows = len(doc["time"]) if entry.name == "event_page" else 1
            self.events[self.streams.get(doc["descriptor"], "unknown")] += rows
        self.stopped = self.stopped or entry.name == "stop"
        times = doc.get("time", [])
        latest = max(times, default=0.0) if isinstance(times, list) else float(times)
        self.last_time_s = max(self.last_time_s, latest)


def _survey(path: Path) -> _Survey:
    found = _Survey()
    size = 0
    for piece in scan(path):
        if isinstance(piece, BadLine):
            found.bad.append(piece)
        else:
            found.take(piece)
            size = piece.end
    found.cut_newline = size == path.stat().st_size > 0 and not _ends_in_newline(path)
    return found


def _ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _recover_journal(directory: DataDirectory, uid: str, done: Recovery) -> _Survey:
    path = directory.journal(uid)
    found = _survey(path)
    done.missing, done.bad_lines = found.missing, len(found.bad)
    if found.bad:
        _quarantine(directory.quarantine(uid), found.bad)
    if found.last_seq < 0:
        done.removed = True
        path.unlink()
        sync_directory(path.parent)
        return found
    done.closed = not found.stopped
    if found.bad or found.cut_newline or done.closed:
        _rewrite_journal(path, uid, found)
    return found


def _rewrite_journal(path: Path, uid: str, found: _Survey) -> None:
    """Replace a journal by its readable lines, closed."""
    written = path.stat()
    temporary = path.with_suffix(".recovering")
    with path.open("rb") as old, temporary.open("wb") as new:
        for start, end in _good_ranges(path):
            old.seek(start)
            new.write(old.read(end - start).rstrip(b"\n") + b"\n")
        if not found.stopped:
            new.write(encode_line(found.last_seq + 1, "stop", _stop(uid, found)))
    # the order of runs is that of their journals' times: see DataDirectory.runs
    os.utime(temporary, ns=(written.st_atime_ns, written.st_mtime_ns))
    replace_durably(temporary, path)


def _good_ranges(path: Path) -> Iterator[tuple[int, int]]:
    for piece in scan(path):
        if isinstance(piece, Entry):
            yield piece.offset, piece.end


def _stop(uid: str, found: _Survey) -> dict[str, Any]:
    reason = INTERRUPTED
    if found.bad or found.missing:
        reason += f"; {len(found.bad)} damaged lines, {found.missing} documents missing"
    return {
        "uid": str(uuid.uuid4()),
        "run_start": uid,
        "time": found.last_time_s,
        "exit_status": "abort",
        "reason": reason,
        "num_events": dict(found.events),
    }


def _quarantine(path: Path, bad: list[BadLine]) -> None:
    """Add damaged pieces to a run's quarantine, each once."""
    known = path.read_bytes().splitlines() if path.exists() else []
    lines = dict.fromkeys([*known, *(orjson.dumps(piece.as_json()) for piece in bad)])
    temporary = path.with_suffix(".recovering")
    temporary.write_bytes(b"".join(line + b"\n" for line in lines))
    replace_durably(temporary, path)


# --- frames ---


def _recover_frames(directory: DataDirectory, uid: str, done: Recovery) -> None:
    for path in sorted((directory.root / "frames" / uid).glob("*.h5")):
        if not is_marked_open(path):
            continue
        try:
            rewrite(path)
            done.frames_rewritten.append(path.stem)
        except (RecordError, OSError, RuntimeError, KeyError) as error:
            done.frames_lost[path.stem] = str(error).splitlines()[0]
            path.replace(path.with_suffix(".h5.bad"))
            sync_directory(path.parent)


def _compare_frames(directory: DataDirectory, uid: str, found: _Survey, done: Recovery) -> None:
    """Say which frames and events have lost one another."""
    for stream in sorted(found.with_frames - done.frames_lost.keys()):
        path, announced = directory.frames(uid, stream), found.events[stream]
        written = 0
        if path.is_file():
            with opened(path) as file:
                written = _whole_frames(frames_of(file, path))
        if written > announced:
            done.frames_unannounced[stream] = written - announced
        elif written < announced:
            done.frames_missing[stream] = announced - written


def rewrite(path: Path) -> int:
    """Make an ordinary file of a torn one, frame by frame; returns the number of frames.

    Args:
        path: A file whose writer is gone.

    Raises:
        RecordError: The file cannot be opened at all.
    """
    temporary = path.with_suffix(".recovering")
    with opened(path) as old, h5py.File(temporary, "w", libver="latest", locking=False) as new:
        frames = frames_of(old, path)
        group = frames.parent
        names = {
            str(dataset.attrs["operando_name"]): dataset
            for key, dataset in group.items()
            if key != "data"
        }
        scalars = lay_out(new, frames.shape[1:], frames.dtype, list(names))
        for source in ("/", "entry", "entry/data", DATASET):
            new[source].attrs.update(dict(old[source].attrs))
        count = _whole_frames(frames)
        new[DATASET].resize(count, axis=0)
        for index in range(count):
            new[DATASET][index] = frames[index]
        for name, dataset in scalars.items():
            dataset.resize(count, axis=0)
            kept = min(count, int(names[name].shape[0]))
            dataset[:kept] = names[name][:kept]
        new.flush()
    replace_durably(temporary, path)
    return count


def _whole_frames(frames: h5py.Dataset) -> int:
    """How many frames were written: one that has its place but no chunk was cut off."""
    present = {
        frames.id.get_chunk_info(k).chunk_offset[0] for k in range(frames.id.get_num_chunks())
    }
    count = int(frames.shape[0])
    while count and count - 1 not in present:
        count -= 1
    return count


def _remove_leftovers(directory: DataDirectory, uid: str) -> None:
    """Remove what an interrupted run or recovery left beside the files."""
    journal = directory.journal(uid)
    for path in (journal.with_suffix(".ballast"), journal.with_suffix(".new")):
        path.unlink(missing_ok=True)
    for path in (directory.root / "frames" / uid).glob("*"):
        if path.suffix in (".recovering", ".new"):
            path.unlink(missing_ok=True)


def rebuild_store(
    data: Path, *, timeout_s: float = 600.0, say: Callable[[str], None] | None = None
) -> int:
    """Delete the catalogue and fill it again from the journals; returns the number of runs.

    Args:
        data: The data directory.
        timeout_s: Longest wait for the upload, real seconds.
        say: Told when something takes long enough to wonder.

    Raises:
        RecordError: Somebody uses the store, or a run cannot be uploaded in time.
    """
    from orchestrator.records.store import discard_store, open_store

    directory = DataDirectory(data.resolve())
    discard_store(directory)
    with open_store(data, say=say) as store:
        store.wait_uploaded(timeout_s=timeout_s)
        return len(store.cat)
