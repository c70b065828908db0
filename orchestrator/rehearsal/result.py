"""What a rehearsal came to, as programs read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.inputs.problems import Problem, dotted
from orchestrator.interlocks import Account
from orchestrator.rehearsal.findings import DeadTime, Margin, StepSummary
from orchestrator.rehearsal.timeline import Row
from orchestrator.rehearsal.watch import Course


@dataclass(frozen=True)
class Remark:
    """A violation or a warning.

    Attributes:
        kind: Short name.
        path: Keys from the top of the experiment file; empty for the run as a whole.
        place: ``file:line:column``; empty where there is no file.
        what: What it is, with its number and unit.
        remedy: What to do.
        value: The number; None where there is none.
        expected: What it is compared with.
        unit: Of both.
        minor: Worth a word, not a change.
    """

    kind: str
    path: str
    place: str
    what: str
    remedy: str
    value: float | None = None
    expected: float | None = None
    unit: str = ""
    minor: bool = False

    def __str__(self) -> str:
        """``file:line:column: path: what (remedy)``."""
        where = "".join(f"{one}: " for one in (self.place, self.path) if one)
        return f"{where}{self.what} ({self.remedy})"

    @classmethod
    def of(cls, advice: Any, problem: Problem | None) -> Remark:
        """An advice at its place."""
        place = "" if problem is None else f"{problem.file}:{problem.line}:{problem.column}"
        fields = ("kind", "what", "remedy", "value", "expected", "unit", "minor")
        return cls(
            path=dotted(advice.path),
            place=place,
            **{one: getattr(advice, one) for one in fields},
        )


@dataclass(frozen=True)
class Disk:
    """What the real run will need.

    Attributes:
        needed_bytes: One and a half times the larger of the rehearsed size and the estimate of the
            longest run, which `run` insists on, and a reserve.
        free_bytes: Free where the data directory is.
    """

    needed_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class LossWindow:
    """What a crash loses at most, and how late a condition is seen.

    Attributes:
        journal_every_s: Longest time that records wait before they are safe, s.
        records: Records in that time.
        charge_mah: Charge that the largest current passes in that time, mAh.
        poll_period_s: Longest time until a record is seen, s.
        unseen_mah: Charge that the largest current passes in that time, mAh.
    """

    journal_every_s: float
    records: int
    charge_mah: float
    poll_period_s: float
    unseen_mah: float


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal came to; `to_document` is the object that ``rehearse --json`` prints.

    Attributes:
        name: Name of the experiment or of the plan.
        bench: The real bench's name.
        stand_in: The simulated sample's recipe.
        stand_in_stated: Whether the file says it.
        addresses: Addresses of the real bench that were not opened, by link.
        replaced: Drivers without a simulated instrument and what stood for them, by link.
        stop_reason: Why the rehearsed run ended; ``horizon`` if it was cut off, ``failed`` if a
            device failed.
        duration_s: Experiment time of the whole run, s.
        stopped_at_s: Experiment time at which the protocol ended, s.
        wall_s: Real time that the rehearsal took, s.
        frames: Frames by device.
        spectra: Impedance spectra.
        records: Records of the potentiostat.
        record_bytes: Bytes of documents.
        frame_bytes: Bytes of frames, by device.
        charge_mah: Net charge A -> B, mAh.
        throughput_mah: Charge in both directions, mAh.
        area_cm2: Electrode area, cm2; 0 where it is not known.
        disk: What the real run needs.
        loss: What a crash loses.
        margins: How near the run came to each limit.
        dead_times: Where the cell did nothing.
        exposing: Part of the time that each imaging device exposes.
        steps: What became of each step.
        step_names: What each step is, by index.
        violations: Limits and interlocks that ended the run, full disks, devices that failed.
        warnings: What a colleague would say.
        timeline: The run in rows of equal length.
        course: Everything that happened, for figures.
        resting: Steps in which the cell rests.
        exit_code: What `run` would end with.
        kept: Where the records of the rehearsal are; None where they were not kept.
        interlocks: What the interlocks of the bench have seen.
    """

    name: str
    bench: str
    stand_in: Mapping[str, Any]
    stand_in_stated: bool
    addresses: Mapping[str, str]
    replaced: Mapping[str, tuple[str, str]]
    stop_reason: str
    duration_s: float
    stopped_at_s: float
    wall_s: float
    frames: Mapping[str, int]
    spectra: int
    records: int
    record_bytes: int
    frame_bytes: Mapping[str, int]
    charge_mah: float
    throughput_mah: float
    area_cm2: float
    disk: Disk
    loss: LossWindow
    margins: Sequence[Margin]
    dead_times: Sequence[DeadTime]
    exposing: Mapping[str, float]
    steps: Sequence[StepSummary]
    step_names: Mapping[int, str]
    violations: Sequence[Remark]
    warnings: Sequence[Remark]
    timeline: Sequence[Row]
    course: Course = field(repr=False)
    resting: frozenset[int] = frozenset()
    exit_code: int = 0
    kept: Path | None = None
    interlocks: Sequence[Account] = ()

    @property
    def bytes(self) -> int:
        """Bytes of documents and frames together."""
        return self.record_bytes + sum(self.frame_bytes.values())

    @property
    def row_s(self) -> float:
        """Length of a row of the timeline, s."""
        return self.timeline[0].to_s - self.timeline[0].from_s if self.timeline else 0.0

    def __str__(self) -> str:
        """What a person reads first, in 80 columns."""
        from orchestrator.rehearsal.text import lines

        return "\n".join(lines(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 - IPython's protocol
        """The same at the prompt of IPython."""
        printer.text("..." if cycle else str(self))

    def to_document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "experiment": self.name,
            "bench": self.bench,
            "simulated": True,
            "simulate_as": dict(self.stand_in),
            "simulate_as_stated": self.stand_in_stated,
            "not_opened": dict(self.addresses),
            "replaced": {who: list(pair) for who, pair in self.replaced.items()},
            "stop_reason": self.stop_reason,
            "duration_s": self.duration_s,
            "stopped_at_s": self.stopped_at_s,
            "wall_s": self.wall_s,
            "frames": dict(self.frames),
            "spectra": self.spectra,
            "records": self.records,
            "bytes": self.bytes,
            "record_bytes": self.record_bytes,
            "frame_bytes": dict(self.frame_bytes),
            "charge_mah": self.charge_mah,
            "throughput_mah": self.throughput_mah,
            "disk": asdict(self.disk),
            "loss_window": asdict(self.loss),
            "limits": [{**asdict(one), "used": one.used} for one in self.margins],
            "interlocks": [asdict(one) for one in self.interlocks],
            "dead_times": [asdict(one) for one in self.dead_times],
            "exposing": dict(self.exposing),
            "steps": [
                {**asdict(one), "step": self.step_names.get(one.index, "")} for one in self.steps
            ],
            "violations": [asdict(one) for one in self.violations],
            "warnings": [asdict(one) for one in self.warnings],
            "timeline": [one.to_document() for one in self.timeline],
            "records_kept": None if self.kept is None else str(self.kept),
        }
