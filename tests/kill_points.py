"""Where a process is killed: counted on the way, before and after what it does to the world.

`arm` is called in a child that is about to run an engine. It puts itself in the way of everything
that an engine does to a journal, a checkpoint, a disk, a wire and the laboratory's time, counts
it, and ends the process by SIGKILL in front of, behind or half-way through the one that was drawn.
It also writes down what was acknowledged: how long each journal was when it had been fsynced.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from devices.link_channel import SocketChannel
from orchestrator.engine import Engine
from orchestrator.laboratory.attached import AttachedLaboratory
from orchestrator.records.journal import Journal
from orchestrator.records.recorder import Recorder

KINDS = ("document", "message", "wire", "line", "fsync", "rename", "jump")
"""What is counted: documents, messages of the plan, bytes sent to instruments, bytes of journal
lines, fsyncs (of pages, checkpoints, frames, directories), renames (of checkpoints, frames, live
states), jumps of time."""


@dataclass(frozen=True)
class Point:
    """Where to die.

    Attributes:
        kind: One of `KINDS`, or ``delay`` for a time that the parent waits.
        number: Which of its kind, from 1: bytes for ``wire`` and ``line``; s for ``delay``.
        after: Behind it instead of in front of it.
    """

    kind: str
    number: float
    after: bool = False

    def __str__(self) -> str:
        """In a few words."""
        return f"{self.kind} {self.number:g}{' (after)' if self.after else ''}"


def die() -> NoReturn:
    """As the system's out-of-memory killer does it."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("survived SIGKILL")


class Way:
    """What passes on the way to the point.

    Args:
        point: Where to die; None: nowhere.
        acknowledged: File to which the lengths of fsynced journals are appended.
    """

    def __init__(self, point: Point | None, acknowledged: Path) -> None:
        self.point, self.counts = point, Counter[str]()
        self.journals: dict[int, str] = {}
        self._file = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def share(self, kind: str, size: int) -> int | None:
        """How much of something may still be done before the end; None: all of it."""
        before = self.counts[kind]
        self.counts[kind] += size
        point = self.point
        if point is None or point.kind != kind or not before < point.number <= before + size:
            return None
        return int(point.number) - before

    def pass_by(self, kind: str, act: Callable[[], Any]) -> Any:
        """Do something that is one of its kind."""
        last = self.share(kind, 1) is not None
        if last and self.point is not None and not self.point.after:
            die()
        result = act()
        if last:
            die()
        return result

    def acknowledge(self, descriptor: int) -> None:
        """Write down that a journal is safe as far as it goes now."""
        path = self.journals.get(descriptor)
        if path is not None:
            size = os.fstat(descriptor).st_size
            os.write(self._file, f"{json.dumps([path, size])}\n".encode())


def arm(way: Way) -> None:
    """Put a way in front of everything an engine does in this process; it is never taken off."""
    _arm_documents(way)
    _arm_disk(way)
    _arm_wires(way)


def _arm_documents(way: Way) -> None:
    record, begin, write = Recorder.__call__, Engine.__init__, Journal._write_all
    create, give_up = Journal.__init__, Journal._give_up

    def recorded(self: Recorder, name: str, doc: dict[str, Any]) -> None:
        way.pass_by("document", lambda: record(self, name, doc))

    def began(self: Engine, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.msg_hook = lambda _msg: way.pass_by("message", lambda: None)

    def written(self: Journal, line: bytes) -> None:
        share = way.share("line", len(line))
        write(self, line if share is None else line[:share])
        if share is not None:
            die()

    def created(self: Journal, path: Path, **options: Any) -> None:
        create(self, path, **options)
        way.journals[self._fd] = str(path)

    def given_up(self: Journal) -> None:
        way.journals.pop(self._fd, None)
        give_up(self)

    Recorder.__call__, Engine.__init__, Journal._write_all = recorded, began, written
    Journal.__init__, Journal._give_up = created, given_up


def _arm_disk(way: Way) -> None:
    fsync, replace, link = os.fsync, os.replace, os.link

    def synced(descriptor: Any) -> None:
        def act() -> None:
            fsync(descriptor)
            if isinstance(descriptor, int):
                way.acknowledge(descriptor)

        way.pass_by("fsync", act)

    os.fsync = synced
    os.replace = lambda *args, **kw: way.pass_by("rename", lambda: replace(*args, **kw))
    os.link = lambda *args, **kw: way.pass_by("rename", lambda: link(*args, **kw))


def _arm_wires(way: Way) -> None:
    send, lead = SocketChannel.send, AttachedLaboratory._lead

    def sent(self: SocketChannel, data: bytes, deadline_s: float) -> None:
        share = way.share("wire", len(data))
        send(self, data if share is None else data[:share], deadline_s)
        if share is not None:
            die()

    def led(self: AttachedLaboratory, to_s: float) -> bool:
        jumped: bool = way.pass_by("jump", lambda: lead(self, to_s))
        return jumped

    SocketChannel.send, AttachedLaboratory._lead = sent, led
