"""Asks the process that runs a run; says so where there is none any more."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from orchestrator.errors import ControlError, NoAnswerError
from orchestrator.records.directory import DataDirectory
from orchestrator.records.locks import is_live
from orchestrator.remote.addresses import Pointer, peer_of, read_pointer
from orchestrator.remote.messages import (
    Answer,
    BadMessage,
    Message,
    decode_answer,
    encode,
    read_line,
)
from orchestrator.remote.status import RunStatus, recorded_status
from orchestrator.state import boot_id

_CONNECT_WITHIN_S = 2.0
_LONGER_S = 2.0
"""The answer is waited for so much longer than the other side waits, s."""


def under_way(data: Path) -> list[Path]:
    """Journals of the runs of a data directory whose processes live."""
    directory = DataDirectory(data)
    pointers = sorted((directory.root / "control").glob("*.json"))
    journals = [directory.journal(pointer.stem) for pointer in pointers]
    return [journal for journal in journals if journal.exists() and is_live(journal)]


def status_of(journal: Path, *, within_s: float = 3.0) -> RunStatus:
    """Where a run stands: from its process, or from what it has left where that says nothing.

    Args:
        journal: The run's journal.
        within_s: Longest wait for the process, real s.

    Raises:
        RecordError: The journal cannot be read.
    """
    try:
        answer = ask(journal, Message("status", wait_s=within_s))
    except (ControlError, NoAnswerError):
        return recorded_status(journal)
    told = RunStatus(**(answer.status or {}))
    return told if told.run == journal.stem else recorded_status(journal)


def ask(journal: Path, message: Message) -> Answer:
    """Ask the process of a run.

    Args:
        journal: The run's journal.
        message: What to ask.

    Raises:
        ControlError: The run has ended, or its process is gone.
        NoAnswerError: It does not answer in time.
    """
    directory = DataDirectory(journal.parents[1])
    who = f"run {journal.stem[:8]}"
    if not is_live(journal):
        raise ControlError(who, _gone(journal, directory), remedy=_REMEDY)
    pointer = read_pointer(directory.control(journal.stem))
    if pointer is None:
        raise NoAnswerError(
            who,
            "its process lives but listens nowhere",
            remedy="it has just begun or ended, or its data directory takes no sockets: try again",
        )
    try:
        return _exchange(pointer, message)
    except (OSError, BadMessage) as error:
        raise NoAnswerError(
            who,
            f"process {pointer.pid} has not answered: {_why(error)}",
            remedy="ask again; `operando off BENCH` switches off without it",
        ) from error


_REMEDY = (
    "`operando recover` closes a run that was cut off, `operando off BENCH` switches off, "
    "`operando runs` lists what there is"
)


def _gone(journal: Path, directory: DataDirectory) -> str:
    """What has become of a run that nobody writes."""
    from orchestrator.records.reading import last_document

    last = last_document(journal)
    if last is not None and last[0] == "stop":
        reason = last[1].get("reason") or last[1].get("exit_status")
        return f"has ended: {reason}"
    pointer = read_pointer(directory.control(journal.stem))
    if pointer is None:
        return "was cut off: the process that ran it is gone"
    rebooted = pointer.boot_id != boot_id()
    return f"was cut off: process {pointer.pid} is gone{', the machine was restarted' * rebooted}"


def _exchange(pointer: Pointer, message: Message) -> Answer:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_WITHIN_S)
        if Path(pointer.socket).stat().st_uid != os.getuid():
            raise PermissionError(f"{pointer.socket} belongs to somebody else")
        connection.connect(pointer.socket)
        peer_of(connection)
        connection.sendall(encode(message))
        return decode_answer(read_line(connection, message.wait_s + _LONGER_S))


def _why(error: Exception) -> str:
    return "too late" if isinstance(error, TimeoutError) else str(error)
