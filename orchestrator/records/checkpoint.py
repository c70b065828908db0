"""The checkpoint of a run: one small file, replaced as a whole, that a later process goes on from.

It is written only after the journal was fsynced, and says how many documents of it it knows: what
the journal has beyond that counts. The form is that of a journal's line, with its checksum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import RecordError
from orchestrator.records.directory import replace_durably
from orchestrator.records.encoding import UnreadableLine, decode_line, encode_line

FORMAT = 1
"""Of the file; one with another is not gone on from."""

_NAME = "checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """What an interrupted run goes on from.

    Attributes:
        run: Uid of the run.
        seq: Number of the last document of its journal that this knows of.
        time_s: Experiment time, Unix s.
        pid: Process that wrote it.
        boot_id: Boot of the machine.
        bench: Name of the bench.
        profile: Its profile, the whole of it.
        profile_hash: Hash of that.
        software: Hash of this software.
        potentiostat: Name of the device that drives the cell.
        chain: Uids of the runs that it goes on with, the first first.
        plan: What the plan knows; see `plans.progress.Progress.state`.
        campaign: ``uid``, ``file``, ``number`` of the run, numbers of the runs ``left`` (this one
            first) and their ``hashes``; empty where the run belongs to none.
    """

    run: str
    seq: int
    time_s: float
    pid: int
    boot_id: str
    bench: str
    profile: Mapping[str, Any]
    profile_hash: str
    software: str
    potentiostat: str
    plan: Mapping[str, Any]
    chain: tuple[str, ...] = ()
    campaign: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> int:
        """Replace the file, durably; returns its size in bytes.

        Raises:
            OSError: The disk refuses.
            RecordError: Something in it cannot be written.
        """
        line = encode_line(self.seq, _NAME, {"format": FORMAT, **_shallow(self)})
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(line)
        replace_durably(temporary, path)
        return len(line)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint in a file; None where there is no file.

    Raises:
        RecordError: It is damaged, or was written by another version of this software.
    """
    try:
        seq, name, doc = decode_line(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, UnreadableLine) as error:
        raise _unusable(path, str(error)) from error
    if name != _NAME or doc.pop("format", None) != FORMAT:
        raise _unusable(path, f"is of another format, expected {FORMAT}")
    try:
        return Checkpoint(**{**doc, "seq": seq, "chain": tuple(doc["chain"])})
    except (KeyError, TypeError) as error:
        raise _unusable(path, f"is incomplete: {error}") from error


def _shallow(checkpoint: Checkpoint) -> dict[str, Any]:
    values = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    return {**values, "chain": list(checkpoint.chain)}


def _unusable(path: Path, why: str) -> RecordError:
    return RecordError(
        f"checkpoint {path.name}",
        why,
        remedy="the run cannot be resumed: `operando recover` closes it; begin another",
    )
