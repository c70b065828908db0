"""The same run in process and over TCP, looked at or not: identical documents."""

from __future__ import annotations

import io
import random
import time

import numpy as np
import pytest

from orchestrator.bench import open_bench
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.records.directory import DataDirectory
from orchestrator.records.reading import read_journal
from orchestrator.records.runs import load_run
from orchestrator.running import run_experiment
from tests.served_laboratory import served

HIDDEN = {"uid", "run_start", "descriptor", "stream_resource", "uri", "scan_id"}
FAULTS = ("short:cell:9000:9600:ohm=200", "black:mri:600:1200", "stuck_reading:pstat:5000:5600")


def experiment() -> Experiment:
    """Three cycles with frames of four minutes."""
    document = load_experiment(example_path("in_situ_mri")).to_document()
    document["protocol"]["method"][-1]["cycle_count"] = 3
    document["images"][0]["settings"]["averages"] = 16
    document["stop_when"] = []
    return Experiment.model_validate(document)


def recipe(one: Experiment):
    return one.sample.simulate_as.model_dump(exclude_none=True)


class Nosy:
    """Asks an instrument something harmless at random times of the experiment.

    Args:
        bench: Open.
        seed: Of times and questions.
    """

    name = "nosy"
    QUESTIONS = (
        ("pstat", ":TRAC:ACT?"), ("pstat", "*STB?"), ("pstat", ":OUTP?"), ("pstat", "*IDN?"),
        ("mri.console", "ACQ:STAT?"), ("mri.console", "ACQ:CONF?"), ("mri.trigger", "*IDN?"),
    )  # fmt: skip

    def __init__(self, bench, seed: int) -> None:
        self.bench, self.chance, self.asked = bench, random.Random(seed), 0
        self.again()

    def again(self) -> None:
        self.bench.clock.call_later(self.chance.expovariate(1 / 40), self.ask, owner=self)

    def ask(self) -> None:
        who, question = self.chance.choice(self.QUESTIONS)
        self.bench.links[who].ask(question)
        self.bench.laboratory.truth()
        self.asked += 1
        self.again()

    def callback_failed(self, error: BaseException) -> None:
        raise error


class Done:
    """A run that is over.

    Args:
        data: Where its records go.
        transport: As for `open_bench`.
        seed: Of additional questions; None asks none.
        told: For `open_bench`, otherwise.
    """

    def __init__(self, data, transport: str, seed: int | None = None, **told) -> None:
        one = experiment()
        told = {"sample": recipe(one), "faults": FAULTS, "transport": transport, **told}
        with open_bench("sim-mri", data=data, **told) as bench:
            nosy = None if seed is None else Nosy(bench, seed)
            self.addresses = [link.resource for link in bench.links.values()]
            self.result = run_experiment(one, bench, speak=io.StringIO())
            self.truth = bench.laboratory.truth()
            self.asked = 0 if nosy is None else nosy.asked
            if nosy is not None:
                bench.clock.cancel_all(nosy)
        journal = DataDirectory(data).journal(self.result.uid)
        self.documents = [(name, plain(doc)) for name, doc in read_journal(journal).documents]
        self.run = load_run(journal)


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in HIDDEN}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


@pytest.fixture(scope="module")
def in_process(tmp_path_factory):
    return Done(tmp_path_factory.mktemp("process"), "process")


def same(one: Done, other: Done) -> None:
    assert [name for name, _ in one.documents] == [name for name, _ in other.documents]
    different = [
        (name, a, b)
        for (name, a), (_, b) in zip(one.documents, other.documents, strict=True)
        if a != b
    ]
    assert not different
    frames = zip(one.run.frames("mri"), other.run.frames("mri"), strict=True)
    assert all(np.array_equal(a, b) for a, b in frames)
    assert one.truth == other.truth


def same_records(one: Done, other: Done) -> None:
    """As `same`, but for the pages: what outlives its engine is journaled at the end of a step.

    The instrument forgets its records when the next program is loaded.
    """
    assert one.run.streams.keys() == other.run.streams.keys()
    for stream, columns in one.run.streams.items():
        there = other.run.streams[stream]
        assert columns.keys() == there.keys()
        for key, values in columns.items():
            np.testing.assert_array_equal(values, there[key], err_msg=f"{stream} {key}")
    frames = zip(one.run.frames("mri"), other.run.frames("mri"), strict=True)
    assert all(np.array_equal(a, b) for a, b in frames)
    starts = [plain(done.run.start) for done in (one, other)]
    assert starts[0] == starts[1]


@pytest.mark.long
def test_over_tcp_the_documents_are_the_same(in_process, tmp_path):
    over_tcp = Done(tmp_path, "tcp")
    assert all(address.startswith("TCPIP0::127.0.0.1::") for address in over_tcp.addresses)
    assert all(address.startswith("sim://") for address in in_process.addresses)
    assert in_process.result.duration_s > 3 * 4200
    same(in_process, over_tcp)


@pytest.mark.parametrize("transport", ["process", "tcp"])
@pytest.mark.long
def test_whoever_asks_more_changes_nothing(in_process, tmp_path, transport):
    asked = Done(tmp_path, transport, seed=7)
    assert asked.asked > 100
    same(in_process, asked)


@pytest.fixture
def elsewhere(tmp_path):
    file = tmp_path / "laboratory.json"
    with served(file, sample=recipe(experiment()), faults=FAULTS) as there:
        yield there, {"laboratory": file, "faults": ()}


def test_a_laboratory_of_another_process_gives_the_same_records(in_process, tmp_path, elsewhere):
    there, told = elsewhere
    done = Done(tmp_path, "process", **told)
    assert all(address.startswith("TCPIP0::127.0.0.1::") for address in done.addresses)
    same_records(in_process, done)
    after = there.cell()
    assert after["charge_mah"] == in_process.truth["charge_mah"]
    time.sleep(0.05)
    assert there.cell() == after  # it stands still without an engine


def test_whoever_asks_more_in_another_process_changes_nothing(in_process, tmp_path, elsewhere):
    _, told = elsewhere
    done = Done(tmp_path, "process", seed=7, **told)
    assert done.asked > 100
    same_records(in_process, done)
