"""Where a run stands: from its process, or from what it has left where that is dead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from orchestrator.records.directory import DataDirectory
from orchestrator.records.live import read_live
from orchestrator.records.summary import summarise


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands.

    Attributes:
        run: Its uid; empty where there was none.
        state: ``idle``, ``running``, ``paused``, ``success``, ``abort``, ``fail`` (how it ended)
            or ``interrupted`` (its process is gone).
        reason: Why it ended, who has paused it; else empty.
        plan_name: Name of its plan.
        sample: Name of its sample.
        simulated: Whether a device was simulated; None if the run does not say.
        began: Start in experiment time, ISO 8601 in UTC.
        elapsed_s: Experiment time since then, s; None where nobody knows.
        step_index: Index of the step in the method, from 0; -1 before the first.
        cycle: Number of the cycle.
        voltage_v: Last voltage, V.
        current_ma: Last current, mA.
        charge_mah: Net charge, mAh.
        throughput_mah: Charge in both directions, mAh.
        frames: Frames by stream.
        spectra: Whole impedance spectra.
        energised: Devices that drive a cell now; None where nobody could be asked.
        pending: Requests that wait, and a stop that was asked for.
        pid: The process; 0 where there is none any more.
        source: ``process``, ``live.json`` or ``journal``.
    """

    run: str = ""
    state: str = "idle"
    reason: str = ""
    plan_name: str = ""
    sample: str = ""
    simulated: bool | None = None
    began: str = ""
    elapsed_s: float | None = None
    step_index: int = -1
    cycle: int = 0
    voltage_v: float | None = None
    current_ma: float | None = None
    charge_mah: float | None = None
    throughput_mah: float | None = None
    frames: Mapping[str, int] = field(default_factory=dict)
    spectra: int = 0
    energised: tuple[str, ...] | None = None
    pending: tuple[str, ...] = ()
    pid: int = 0
    source: str = "journal"

    def as_dict(self) -> dict[str, Any]:
        """For a JSON result."""
        return asdict(self)

    def __str__(self) -> str:
        """For a person, at most 80 columns where names are not long."""
        return "\n".join(self._lines())

    __repr__ = __str__

    def _lines(self) -> list[str]:
        if not self.run:
            return ["no run yet"]
        why = f": {self.reason}" if self.reason else ""
        kind = "  SIMULATED" if self.simulated else ""
        lines = [
            f"run {self.run[:8]}: {self.state}{why}{kind}",
            f"  {self.plan_name} on {self.sample}, began {self.began}",
        ]
        if self.elapsed_s is not None:
            step = f", step {self.step_index + 1}" if self.step_index >= 0 else ""
            lines.append(f"  {self.elapsed_s:.0f} s of experiment, cycle {self.cycle}{step}")
        if self.voltage_v is not None and self.current_ma is not None:
            lines.append(
                f"  {self.voltage_v:+.4f} V, {self.current_ma:+.4f} mA, net "
                f"{self.charge_mah or 0.0:+.4g} mAh of {self.throughput_mah or 0.0:.4g} mAh"
            )
        taken = [f"{n} {stream}" for stream, n in self.frames.items()]
        taken += [f"{self.spectra} spectra"] if self.spectra else []
        lines += [f"  frames: {', '.join(taken)}"] if taken else []
        if self.energised is not None:
            lines.append(f"  energised: {', '.join(self.energised) or 'nothing'}")
        lines += [f"  waits: {one}" for one in self.pending]
        if self.source != "process" and self.state == "interrupted":
            lines.append("  its process is gone; `operando recover` closes it,")
            lines.append("  `operando off BENCH` switches off")
        return lines


def recorded_status(journal: Path, present: Mapping[str, Any] | None = None) -> RunStatus:
    """Where a run stands by its journal and ``live.json``, without asking its process.

    Args:
        journal: Of the run.
        present: Newer numbers than those of ``live.json``.

    Raises:
        RecordError: The journal cannot be read.
    """
    summary = summarise(journal)
    given = read_live(DataDirectory(journal.parents[1]).live) if present is None else present
    known = given if given.get("run") == summary.uid else {}
    names = {one.name for one in fields(RunStatus)}
    numbers = {name: value for name, value in known.items() if name in names}
    alive = summary.state == "running"
    state = str(known.get("state", "running")) if alive else summary.state
    numbers |= {
        "run": summary.uid,
        "state": "running" if state == "idle" else state,
        "reason": summary.reason,
        "elapsed_s": summary.duration_s
        if summary.duration_s is not None
        else known.get("elapsed_s"),
        "pid": int(known.get("pid", 0)) if alive else 0,
        "frames": known.get("frames") or {},
        "source": "live.json" if known else "journal",
    }
    return RunStatus(
        plan_name=summary.plan_name,
        sample=summary.sample,
        simulated=summary.simulated,
        began=summary.began,
        **numbers,
    )
