"""Memory: what a run keeps for each record of it, however long it goes on."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import psutil
import pytest
import yaml

from orchestrator.bench import open_bench
from orchestrator.experiment import load_campaign
from orchestrator.planning import experiment_plan
from tests.command import EXAMPLES
from tests.soak_record import kept

pytestmark = pytest.mark.unattended

MOST_KB_PER_EVENT = 1.0
DAY_S = 86_400.0


def month(path: Path, *, days: float, events: int) -> Path:
    """An experiment that reverses a current every half hour and records so many events."""
    document = yaml.safe_load((EXAMPLES / "quick_look.yaml").read_text(encoding="utf-8"))
    half_s = 1800.0
    step = {"step": "constant_current", "until_time_s": half_s}
    document["protocol"] |= {
        "record": {"time_s": days * DAY_S / events},
        "method": [
            {"step": "tag", "tag": "cycle"},
            # a tenth of the examples' current: the cell does not short within the month
            {**step, "current_mA_per_cm2": 0.01},
            {**step, "current_mA_per_cm2": -0.01},
            {"step": "loop", "loop_to": "cycle", "cycle_count": round(days * DAY_S / half_s / 2)},
        ],
    }
    del document["images"]
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def kept_by_a_run(file: Path, data: Path, *, after: float) -> tuple[int, float]:
    """Run a file; number of events, and the growth of memory for each beyond the first, kB.

    Args:
        file: The experiment.
        data: The data directory.
        after: Part of the events after which memory is looked at first: what libraries load and
            caches hold is there by then.
    """
    ((experiment,), process) = (
        [one.experiment for one in load_campaign(file, environ={}).points],
        psutil.Process(os.getpid()),
    )
    record_s = experiment.protocol.record.time_s
    expected = experiment.protocol.method[-1].cycle_count * 3600.0 / record_s
    seen, used = 0, []

    def heard(name: str, document: dict) -> None:
        nonlocal seen
        seen += len(document["seq_num"]) if name == "event_page" else name == "event"
        if not used and seen >= after * expected:
            gc.collect()
            used.append((seen, process.memory_full_info().uss))

    with open_bench("sim-mri", data=data, sample=experiment.sample.simulate_as.model_dump()) as it:
        it.RE.subscribe(heard)
        it.RE(experiment_plan(experiment, it, md={}))
        gc.collect()
        used.append((seen, process.memory_full_info().uss))
    (first, before), (last, now) = used
    return last, (now - before) / 1024 / (last - first)


@pytest.mark.long
def test_a_record_that_is_written_is_not_kept(tmp_path):
    """Row 43: memory does not grow with the records of a run, seen over a day of 80,000."""
    file = month(tmp_path / "day.yaml", days=1.0, events=80_000)
    events, kb_per_event = kept_by_a_run(file, tmp_path / "data", after=0.25)
    assert events > 79_000
    # stricter than what is promised: the text alone of a record's document is longer
    assert kb_per_event < MOST_KB_PER_EVENT / 5


@pytest.mark.soak
def test_a_month_of_a_million_records(tmp_path):
    """Row 43: a million records over thirty virtual days; less than 1 kB is kept for each."""
    file = month(tmp_path / "month.yaml", days=30.0, events=1_000_000)
    events, kb_per_event = kept_by_a_run(file, tmp_path / "data", after=0.1)
    kept("memory over 30 virtual days", {"events": events, "kb_per_event": round(kb_per_event, 4)})
    assert events > 990_000
    assert kb_per_event < MOST_KB_PER_EVENT
