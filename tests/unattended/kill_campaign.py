"""Twelve hours of an experiment whose engine is killed again and again, and what became of it.

The laboratory lives in a process of its own (virtual time, as `operando bench --virtual-time`
serves it). Engines are `operando run` and `operando resume` in processes forked from this warm
one. Each is killed at a point that was drawn (`tests.kill_points`, or a real delay). Then somebody
is missing for a drawn time: a watchdog has switched off, there was none, or a stranger has used
the instrument meanwhile and its records are gone. Then the next engine resumes. `Campaign.run`
raises `AssertionError` where a promise is broken.
"""

from __future__ import annotations

import json
import math
import os
import random
import select
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from devices.link import open_link
from orchestrator.cli.main import main
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.laboratory import AttachedLaboratory
from orchestrator.profile.models import BenchProfile
from orchestrator.records.directory import DataDirectory
from orchestrator.safe_off import switch_off
from tests.kill_points import KINDS, Point, Way, arm
from tests.served_laboratory import served
from tests.unattended.kill_checks import (
    LARGEST_MA,
    Recorded,
    frames_readable,
    nothing_lost,
    recorded,
)

RECORD_S = 10.0
ONE_RECORD_MAH = LARGEST_MA * RECORD_S / 3600.0
LONGEST_STEP_S = 4000.0
WATCHDOG_S = 2.0
"""Time after the engine's death within which the watchdog has switched off."""

_OTHER = json.dumps({
    "limits": {
        "min_voltage_v": -5.0, "max_voltage_v": 5.0, "min_current_ma": -1.0, "max_current_ma": 1.0
    },
    "techniques": [{"technique": "ocv", "duration_s": 1.0, "record": {"dt_s": 1.0}}],
})  # fmt: skip
_STRANGERS = {
    "keithley_2450": ("*RST", ":TRAC:CLE 'defbuffer1'"),
    "potentiostat_bridge": ("TECH:STOP", f"TECH:LOAD {_OTHER}", "TECH:STAR"),
}
"""What somebody sends who does not know that a run was under way, by driver."""

_EARLY = 0.3
"""Share of engines that die soon after they have begun: while they resume."""

LONGEST_OUTAGE_S = 6 * 3600.0
_LIFE_S = 600.0
_LOG_TAIL = 3000

METHOD = [
    {"step": "tag", "tag": "cycle"},
    {"step": "constant_current", "current_mA_per_cm2": 0.1, "until_time_s": LONGEST_STEP_S},
    {"step": "open_circuit_voltage", "until_time_s": 600},
    {"step": "constant_current", "current_mA_per_cm2": -0.1, "until_time_s": LONGEST_STEP_S},
    {"step": "constant_voltage", "voltage_V": 0.03, "until_time_s": 1800},
    {"step": "open_circuit_voltage", "until_time_s": 400},
    {"step": "loop", "loop_to": "cycle", "cycle_count": 4},
]
VOLTAGE_STEPS = frozenset({4})
"""Steps of `METHOD` at a voltage, by index."""

FRAME = {
    "method": "flash2d", "tr_s": 0.3, "te_s": 0.000918, "flip_angle_deg": 30, "averages": 4,
    "matrix": [40, 26], "fov_mm": [17, 11],
}  # fmt: skip
SPECTRUM = {
    "amplitude_mA_per_cm2": 0.05, "start_frequency_Hz": 1e6, "end_frequency_Hz": 1.0,
    "points_per_decade": 5,
}  # fmt: skip


def bench(driver: str) -> BenchProfile:
    """A magnet with a potentiostat: ``keithley_2450``, or ``potentiostat_bridge`` with spectra."""
    limits = {"max_voltage_v": 5, "max_current_ma": 10}
    return BenchProfile.model_validate({
        "bench": f"kill-{driver.replace('_', '-')}",
        "instrument_name": "simulated magnet",
        "devices": {
            "pstat": {
                "kind": "potentiostat",
                "driver": driver,
                "resource": "sim://pstat",
                "limits": limits,
            },
            "mri": {
                "kind": "mri",
                "console": {"driver": "console_bridge", "resource": "sim://console"},
                "trigger": {"driver": "agilent_33500", "resource": "sim://ttl"},
            },
        },
        "safe_state": [
            {"device": "pstat", "action": "off"}, {"device": "mri", "action": "abort"}
        ],
    })  # fmt: skip


def document(profile: BenchProfile, seed: int) -> dict[str, Any]:
    """Twelve hours: both directions, a voltage, rests, a loop, conditions, frames, spectra."""
    has_spectra = profile.links["pstat"].driver == "potentiostat_bridge"
    return {
        "experiment": "kill-campaign",
        "sample": {
            "name": "LLZO-K",
            "area_cm2": 0.1257,
            "simulate_as": {"model": "llzo_cell", "preset": "small_4p8", "seed": seed},
        },
        "protocol": {
            "record": {"time_s": RECORD_S},
            "safety": {
                "max_voltage_V": 5, "min_voltage_V": -5, "max_current_mA": 1,
                "min_current_mA": -1, "max_capacity_mAh": 10,
            },
            "method": METHOD,
        },
        "images": [{"device": "mri", "when": {"every_s": 3600}, "settings": FRAME}],
        "spectra": [{"when": {"every_s": 10_000}, "settings": SPECTRUM}] if has_spectra else [],
        "environment": {"temperature_celsius": 25, "stack_pressure_mpa": 5},
        "stop_when": ["hard_short", {"charge_mah_per_cm2": 5}],
    }  # fmt: skip


@dataclass
class Kill:
    """One kill and what was found afterwards.

    Attributes:
        point: Where it was.
        at_s: Laboratory time of the death.
        on: Whether the cell was driven then.
        outage_s: How long nobody came.
        meanwhile: ``watchdog``: one has switched off; ``nobody``: the instrument ran to its
            programmed end; ``stranger``: somebody has used the instrument for something else.
    """

    point: str
    at_s: float
    on: bool
    outage_s: float
    meanwhile: str


@dataclass
class Outcome:
    """What a campaign came to.

    Attributes:
        kills: In order.
        cell_mah: The cell's own charge at the end: net, throughput.
        recorded: What the records say.
        end_s: Laboratory time at the end.
        counts: What passed in the last engine.
        journal_bytes: How much of the journals was fsynced before a kill, and is there.
        frames: Frames that can be read.
        refused: How often a run could not go on because it had done nothing yet.
    """

    kills: list[Kill] = field(default_factory=list)
    cell_mah: tuple[float, float] = (0.0, 0.0)
    recorded: Recorded | None = None
    end_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    journal_bytes: int = 0
    frames: int = 0
    refused: int = 0


class Campaign:
    """One experiment from its beginning to its end, through every kill.

    Args:
        folder: Empty; for the data directory and everything else.
        driver: Of the potentiostat.
        seed: Of everything that is drawn.
        kills: How often the engine is killed at most.
        reference: The uninterrupted run, from which points are drawn.
    """

    def __init__(
        self,
        folder: Path,
        driver: str,
        seed: int,
        kills: int = 0,
        reference: Outcome | None = None,
    ) -> None:
        self.folder, self.profile, self.seed = folder, bench(driver), seed
        self.left, self.reference = kills, reference or Outcome()
        self.chance = random.Random(f"{driver} {seed}")
        self.data = DataDirectory(folder / "data")
        self.outcome = Outcome()
        self.acknowledged: dict[str, bytes] = {}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bench.yaml").write_text(yaml.safe_dump(self.profile.to_document()))
        (folder / "experiment.yaml").write_text(yaml.safe_dump(document(self.profile, 0)))
        self._again = False
        self._file, self._log = folder / "laboratory.json", folder / "log.txt"

    def run(self) -> Outcome:
        """Go through with it; raises `AssertionError` where a promise is broken."""
        experiment = load_experiment(self.folder / "experiment.yaml", profile=self.profile)
        with served(self._file, self.profile, _recipe(experiment), life_s=_LIFE_S) as there:
            self.there = there
            while not self._engine():
                pass
            self._keep_acknowledged()
            cell = there.cell()
        assert not cell["on"], "the cell is on after the end"
        out = self.outcome
        out.end_s, out.cell_mah = cell["t_s"], (cell["charge_mah"], cell["throughput_mah"])
        counts = self.folder / "counts.json"
        out.counts = Counter(json.loads(counts.read_text()) if counts.exists() else {})
        self._check()
        return out

    def _check(self) -> None:
        """Records against acknowledgements, kills against what `resume` says it found."""
        out = self.outcome
        try:
            out.journal_bytes = nothing_lost(self.acknowledged)
            out.recorded = there = recorded(self.data)
            out.frames = frames_readable(there)
        except AssertionError as error:
            raise AssertionError(self._told(str(error))) from error

    # --- engines --------------------------------------------------------------------------------

    def _engine(self) -> bool:
        """One engine to its end or death; whether the experiment is over."""
        point = self._draw() if self.left else None
        arguments = self._arguments()
        status = self._run(arguments, point)
        self._keep_acknowledged()
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status) == 0:
                return True
            return self._refused(arguments, f"exit {os.WEXITSTATUS(status)}")
        assert os.WTERMSIG(status) == signal.SIGKILL, self._told(f"status {status}")
        assert point is not None
        self.left -= 1
        self._after(point)
        return False

    def _refused(self, arguments: list[str], what: str) -> bool:
        """Whether a run cannot go on because it was over; do what it says where none had begun."""
        said = self._log.read_text(errors="replace").rpartition("\n--- ")[2]
        if "it ended in order (success, completed)" in said:
            return True
        nothing_done = self.there.cell()["throughput_mah"] == 0.0
        self._again = "run the experiment again" in said and nothing_done
        assert arguments[0] == "resume", self._told(what)
        assert self._again or "had recorded nothing and was removed" in said, self._told(what)
        self.outcome.refused += 1
        assert self.outcome.refused < 20, self._told("it is refused again and again")
        return False

    def _draw(self) -> Point:
        """Where the next engine dies: anywhere in what is left to do, some at once."""
        kind = self.chance.choice((*KINDS, "delay"))
        after = self.chance.random() < 0.5
        if self.chance.random() < _EARLY and kind != "delay":
            return Point(kind, self.chance.randint(1, 25), after)
        done = self.there.cell()["throughput_mah"] / self.reference.cell_mah[1]
        first_of_many = 1.0 - self.chance.random() ** (1.0 / (self.left + 1))
        share = (1.0 - min(done, 1.0)) * first_of_many
        if kind == "delay":
            return Point(kind, 0.05 + 2.0 * share)
        most = self.reference.counts[kind]
        return Point(kind, max(1, math.ceil(most * share)), after)

    def _arguments(self) -> list[str]:
        common = [
            "-vv",
            "--data",
            str(self.data.root),
            "--no-progress",
            "--laboratory",
            str(self._file),
        ]
        bench_file = str(self.folder / "bench.yaml")
        again, self._again = self._again, False
        if any(self.data.runs()) and not again:
            return ["resume", "-1", "--yes", "--no-report", "--bench", bench_file, *common]
        file = str(self.folder / "experiment.yaml")
        return ["run", file, "--bench", bench_file, "--no-report", *common]

    def _run(self, arguments: list[str], point: Point | None) -> int:
        """Fork an engine and wait for its end; kill it where that is a matter of time."""
        pid = os.fork()
        if pid == 0:
            self._be_engine(arguments, point)
        handle = os.pidfd_open(pid)
        try:
            waits_s = point.number if point is not None and point.kind == "delay" else 0.0
            if waits_s and not select.select([handle], [], [], waits_s)[0]:
                os.kill(pid, signal.SIGKILL)
            ended = bool(select.select([handle], [], [], 60.0)[0])
            if not ended:
                os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
            assert ended, self._told("the engine hung for 60 s")
            return status
        finally:
            os.close(handle)

    def _be_engine(self, arguments: list[str], point: Point | None) -> None:
        code = 70
        try:
            log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(log, f"\n--- {' '.join(arguments[:2])}, until {point}\n".encode())
            nothing = os.open(os.devnull, os.O_RDONLY)
            for number, descriptor in ((0, nothing), (1, log), (2, log)):
                os.dup2(descriptor, number)
            sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
            sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
            sys.stdin = os.fdopen(0, closefd=False)
            for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(one, signal.SIG_DFL)
            way = Way(point, self.folder / "acknowledged")
            arm(way)
            code = main(arguments)
            (self.folder / "counts.json").write_text(json.dumps(way.counts))
        finally:
            os._exit(code)

    def _told(self, what: str) -> str:
        """What went wrong, and how to see it again."""
        tail = self._log.read_text(errors="replace")[-_LOG_TAIL:]
        kills = "\n".join(str(kill) for kill in self.outcome.kills)
        return f"{what}; driver {self.profile.bench}, seed {self.seed}\n{kills}\n{tail}"

    def _keep_acknowledged(self) -> None:
        """Keep every line that was fsynced, as it is on the disk now."""
        file = self.folder / "acknowledged"
        text = file.read_text() if file.exists() else ""
        for path, size in map(json.loads, text.splitlines()):
            if size > len(self.acknowledged.get(path, b"")):
                with Path(path).open("rb") as journal:
                    self.acknowledged[path] = journal.read(size)

    # --- outages --------------------------------------------------------------------------------

    def _after(self, point: Point) -> None:
        """Somebody is missing; look at the cell, with or without a watchdog."""
        there, chance = self.there, self.chance
        cell = there.cell()
        outage_s = 0.0
        if chance.random() > 0.1:
            outage_s = math.exp(chance.uniform(math.log(0.1), math.log(LONGEST_OUTAGE_S)))
        (meanwhile,) = chance.choices(("watchdog", "nobody", "stranger"), (9, 9, 2))
        self.outcome.kills.append(
            Kill(str(point), cell["t_s"], bool(cell["on"]), outage_s, meanwhile)
        )
        if meanwhile == "watchdog":
            self._watchdog_acts(there)
        elif meanwhile == "stranger":
            self._stranger_acts(there)
        self._advance(there, cell["t_s"] + outage_s)
        if meanwhile != "nobody" or outage_s > LONGEST_STEP_S + 60.0:
            assert not there.cell()["on"], self._told("the cell is on after an outage")

    def _watchdog_acts(self, there: AttachedLaboratory) -> None:
        """What the guardian does: `switch_off`, with links of its own."""
        self._advance(there, there.now() + WATCHDOG_S)
        report = switch_off(there.address.reached(self.profile))
        assert report.ok, self._told(f"not switched off: {dict(report.unsafe)}")
        off = there.cell()
        assert not off["on"], self._told("the cell is on after the watchdog")

    def _stranger_acts(self, there: AttachedLaboratory) -> None:
        """Somebody uses the instrument for something else, and switches it off."""
        self._advance(there, there.now() + self.chance.uniform(0.0, 600.0))
        entry = there.address.reached(self.profile).links["pstat"]
        link = open_link(entry.resource, who="stranger")
        for command in _STRANGERS[entry.driver]:
            link.write(command)
        link.barrier("*IDN?")
        link.close()
        self._advance(there, there.now() + 2.0)
        assert not there.cell()["on"], self._told("the cell is on after a stranger")

    @staticmethod
    def _advance(there: AttachedLaboratory, to_s: float) -> None:
        if to_s > there.now():
            assert there.advance(to_s)


def _recipe(experiment: Experiment) -> dict[str, Any]:
    recipe = experiment.sample.simulate_as
    assert recipe is not None
    return recipe.model_dump(exclude_none=True)
