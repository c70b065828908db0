"""What must be true of a campaign that was killed and resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.records.chains import chain_of, load_chain
from orchestrator.records.directory import DataDirectory
from orchestrator.records.reading import read_journal
from orchestrator.records.runs import Run, load_run

LARGEST_MA = 0.1 * 0.1257
"""Largest current of a campaign's steps, mA."""


@dataclass(frozen=True)
class Recorded:
    """What the records of a campaign say.

    Attributes:
        run: The chain of runs as one.
        net_mah: Charge of the last record.
        throughput_mah: The same in both directions.
        gap_s: Of every gap stated.
        gap_mah: Bound on the charge of every gap stated; where the run says that nobody knows
            (somebody has used the instrument), what the steps here can pass in that time.
        found: What each resumption found at the instrument.
        steps: Net charge by cycle and step, mAh.
        gap_steps: Bounds of gaps by the cycle and step that they interrupt, mAh.
    """

    run: Run
    net_mah: float
    throughput_mah: float
    gap_s: tuple[float, ...]
    gap_mah: tuple[float, ...]
    found: tuple[str, ...]
    steps: Mapping[tuple[int, int], float]
    gap_steps: Mapping[tuple[int, int], float]


def recorded(directory: DataDirectory) -> Recorded:
    """Read the one experiment of a data directory, and see that nothing in it is there twice."""
    chain = chain_of(directory, list(directory.runs())[-1])
    for uid in directory.runs():
        _whole(directory.journal(uid))
        unborn = uid not in chain and not load_run(directory.journal(uid)).streams.get("echem")
        assert uid in chain or unborn, f"{uid} is not of the chain {chain}"
    run = load_chain(directory.journal(chain[0]))
    assert run.stop is not None, "the last run has no end"
    assert run.stop["exit_status"] == "success", run.stop
    echem = run.streams["echem"]
    _nothing_twice(run)
    told = [part.start["resumption"] for part in run.parts[1:]]
    return Recorded(
        run,
        float(echem["pstat_charge_mah"][-1]),
        float(echem["pstat_throughput_mah"][-1]),
        tuple(float(one["gap_s"]) for one in told),
        tuple(map(_bound_mah, told)),
        tuple(one["found"] for one in told),
        _steps(echem),
        _gap_steps(echem, told),
    )


def _bound_mah(told: Mapping[str, Any]) -> float:
    bound = told["gap_mah_bound"]
    return float(bound) if bound is not None else told["gap_s"] * LARGEST_MA / 3600.0


def _whole(journal: Path) -> None:
    """A journal without damage, whose every event is there once."""
    content = read_journal(journal)
    assert not content.bad, f"{journal.name}: {content.bad[0]}"
    assert not content.missing, f"{journal.name}: {content.missing} documents missing"
    stops = [doc for name, doc in content.documents if name == "stop"]
    assert len(stops) == 1, f"{journal.name}: {stops}"
    seen: dict[str, list[int]] = {}
    for name, doc in content.documents:
        if name in ("event", "event_page"):
            numbers = doc["seq_num"] if name == "event_page" else [doc["seq_num"]]
            seen.setdefault(doc["descriptor"], []).extend(numbers)
    for numbers in seen.values():
        assert numbers == list(range(1, len(numbers) + 1)), f"{journal.name}: {numbers[:5]}..."


def _nothing_twice(run: Run) -> None:
    """Over the whole chain: no record of the cell, frame, spectrum or mark is there twice."""
    echem = run.streams["echem"]
    times = echem["time"]
    back = np.flatnonzero(np.diff(times) < 0.0)
    assert not back.size, f"records go back at {[(times[k], times[k + 1]) for k in back[:3]]}"
    rows = list(
        zip(*(echem[key].tolist() for key in sorted(echem) if key != "seq_num"), strict=True)
    )
    assert len(set(rows)) == len(rows), "a record is there twice"
    for stream, told in run.streams.items():
        for key in (k for k in told if k.endswith("_t_start_s")):
            starts = told[key]
            assert (np.diff(starts) > 0.0).all(), f"{stream}: {starts}"
    if "eis" in run.streams:
        _spectra_once(run.streams["eis"])
    kinds = list(run.streams["events"]["event_kind"])
    assert kinds.count("completed") == 1, kinds


def _spectra_once(columns: Mapping[str, Any]) -> None:
    """Each spectrum's frequencies go down once."""
    number = next(key for key in columns if key.endswith("_spectrum"))
    hertz = next(key for key in columns if key.endswith("_frequency_hz"))
    for one in np.unique(columns[number]):
        assert (np.diff(columns[hertz][columns[number] == one]) < 0.0).all(), f"spectrum {one}"


def _steps(echem: Mapping[str, Any]) -> dict[tuple[int, int], float]:
    """Net charge of each step: of its last record less that of the step before.

    A spectrum before the first step is none of them: it may fall to a kill, which is recorded.
    """
    keys = list(zip(echem["pstat_cycle"].tolist(), echem["pstat_step_index"].tolist(), strict=True))
    changes = [k for k, (a, b) in enumerate(pairwise(keys)) if a != b]
    ends = [*changes, len(keys) - 1]
    assert len({keys[end] for end in ends}) == len(ends), "a step comes twice"
    charges = np.diff(echem["pstat_charge_mah"][ends], prepend=0.0).tolist()
    by_step = dict(zip([keys[end] for end in ends], charges, strict=True))
    return {key: charge for key, charge in by_step.items() if key[1] >= 0}


def nothing_lost(acknowledged: Mapping[str, bytes]) -> int:
    """Every line that was fsynced is where it was; returns how many bytes were compared."""
    for path, prefix in acknowledged.items():
        with Path(path).open("rb") as file:
            assert file.read(len(prefix)) == prefix, f"{path}: acknowledged lines are lost"
    return sum(map(len, acknowledged.values()))


def frames_readable(recorded_: Recorded) -> int:
    """Every frame that the journals announce can be read; returns how many there are."""
    frames = recorded_.run.frames("mri")
    announced = len(recorded_.run.streams["mri"]["time"])
    assert len(frames) == announced, f"{len(frames)} frames, {announced} events"
    for number in range(len(frames)):
        image = frames[number]
        assert np.isfinite(image).all(), f"frame {number} has no numbers"
        assert image.std() > 0.0, f"frame {number} is empty"
    return len(frames)


def _gap_steps(
    echem: Mapping[str, Any], told: Sequence[Mapping[str, Any]]
) -> dict[tuple[int, int], float]:
    bounds: dict[tuple[int, int], float] = {}
    for one in told:
        if one["gap_s"]:
            last = int(np.searchsorted(echem["time"], one["last_record_s"] or 0.0, "right")) - 1
            row = max(last, 0)
            key = int(echem["pstat_cycle"][row]), int(echem["pstat_step_index"][row])
            bounds[key] = bounds.get(key, 0.0) + _bound_mah(one)
    return bounds


@dataclass(frozen=True)
class Deviations:
    """How far a campaign is from what it should be; 1 is what is allowed.

    Attributes:
        recorded: Records against the cell's own charge, in records, beyond the gaps stated.
        steps: Charge of each step under a current, or at rest, against the uninterrupted run's,
            in records, beyond the gaps stated.
        voltage_steps: The same of steps at a voltage, whose current depends on the cell's
            history, in what the uninterrupted cycles differ among themselves.
    """

    recorded: float
    steps: float
    voltage_steps: float


def deviations(
    there: Recorded,
    cell_mah: tuple[float, float],
    reference: Recorded,
    one_record_mah: float,
    voltage_steps: frozenset[int],
) -> Deviations:
    """Compare a campaign's records with the cell, and with a run that nobody has killed.

    Args:
        there: The campaign's records.
        cell_mah: The cell's own charge, net and throughput.
        reference: Records of the uninterrupted run.
        one_record_mah: Charge of one record.
        voltage_steps: Steps at a voltage, by index.
    """
    gaps_mah = sum(there.gap_mah)
    pairs = zip((there.net_mah, there.throughput_mah), cell_mah, strict=True)
    recorded_ = max(abs(a - b) - gaps_mah for a, b in pairs) / one_record_mah
    assert set(there.steps) == set(reference.steps), "other steps than in the uninterrupted run"
    apart = {
        key: abs(there.steps[key] - reference.steps[key]) - there.gap_steps.get(key, 0.0)
        for key in reference.steps
    }
    plain = max(value for (_, step), value in apart.items() if step not in voltage_steps)
    at_voltage = 0.0
    for index in voltage_steps:
        usual = [mah for (_, step), mah in reference.steps.items() if step == index]
        spread_mah = max(usual) - min(usual)
        worst = max(value for (_, step), value in apart.items() if step == index)
        at_voltage = max(at_voltage, worst / spread_mah)
    return Deviations(max(0.0, recorded_), max(0.0, plain / one_record_mah), max(0.0, at_voltage))
