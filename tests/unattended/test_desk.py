"""Requests at the desk of a bench: with any plan, paused or not, written down or not."""

from __future__ import annotations

import threading

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import pytest
from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage
from bluesky.utils import RunEngineInterrupted

from devices.roles import CellLimits
from orchestrator.bench import open_bench
from orchestrator.errors import ControlError, RecordError
from orchestrator.records.audit import read_audit, verify
from orchestrator.records.runs import find_run, load_run
from plans.control import Request, Standing
from plans.cycling import Cycling
from plans.runs import run_with_images

METHOD = [
    ConstantCurrent(current_mA=0.01, until_time_s=600),
    OpenCircuitVoltage(until_time_s=600),
]


@pytest.fixture
def bench(tmp_path):
    """Real time: what asks from another thread finds a run that lasts."""
    with open_bench("sim-mri", data=tmp_path, real_time=True) as opened:
        opened.RE.attended = False
        opened.desk.heard = lambda _text: None
        yield opened


class Other:
    """Another thread that asks once the engine works, and what it was answered."""

    def __init__(self, bench, *questions, served=True):
        self.answers, self.error, self._served = [], None, served
        self._bench, self._questions = bench, questions
        self._thread = threading.Thread(target=self._ask)

    def _ask(self):
        try:
            engine = self._bench.RE
            while not (engine.control.served if self._served else engine.moves_time):
                threading.Event().wait(0.02)
            for question in self._questions:
                self.answers.append(question(self._bench))
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error


def protocol(bench):
    cycling = Cycling(bench.pstat, METHOD, 1.0, CellLimits(-5, 5, -1, 1), 10.0)
    return run_with_images(cycling, md={})


def refused(ask, *arguments):
    """The reason for which something is refused."""
    with pytest.raises(ControlError) as caught:
        ask(*arguments)
    return str(caught.value)


def elsewhere(bench, verb, **arguments):
    """As another process would ask."""
    return bench.desk.carry_out(Request(verb, "elsewhere", arguments), wait_s=10.0)


def test_a_plan_of_blueskys_own_can_be_paused_and_ended_but_not_changed(bench):
    slow = bp.count([bench.pstat.voltage_v], num=100, delay=None)

    def plan():
        yield from bps.sleep(0.05)
        for _ in range(200):
            yield from bps.sleep(0.05)
        yield from slow

    asked = (
        lambda b: refused(b.skip_step),
        lambda b: refused(b.note, "hello"),
        lambda b: b.pause(),
    )
    with Other(bench, *asked, served=False) as other:
        bench.RE.run(plan())
    assert bench.RE.state == "paused"
    assert "run_protocol" in other.answers[0]
    assert other.answers[2].standing is Standing.DONE
    with (
        Other(bench, lambda b: b.stop(), served=False) as other,
        pytest.raises(RunEngineInterrupted),
    ):
        bench.resume()
    assert bench.RE.state == "idle"
    assert other.answers[0].standing is Standing.DONE


def test_a_plan_that_is_busy_is_paused_by_the_engine(bench, monkeypatch):
    monkeypatch.setattr("orchestrator.desk._PLAN_WITHIN_S", 0.2)

    def busy():
        with bench.RE.control.serving():  # says that it serves, and then never looks
            yield from bps.checkpoint()
            for _ in range(200):
                yield from bps.sleep(0.05)

    with Other(bench, lambda b: b.pause()) as other:
        bench.RE.run(busy())
    assert bench.RE.state == "paused"
    assert other.answers[0].standing is Standing.DONE
    assert not bench.RE.control.pending  # it is not paused once more when it goes on
    bench.abort()


def test_without_a_run_and_at_the_end_of_one_everything_is_refused(bench):
    for ask in (bench.pause, bench.skip_step, bench.image_now, lambda: bench.note("x")):
        with pytest.raises(ControlError, match="no run is under way"):
            ask()
    with pytest.raises(ControlError, match="no run is under way"):
        bench.stop()
    assert bench.status().state == "idle"
    assert str(bench.status()) == "no run yet"


def test_a_paused_run_is_told_by_whoever_holds_it(bench):
    with Other(bench, lambda b: elsewhere(b, "pause")) as other:
        bench.RE.run(protocol(bench))
    assert other.answers[0].text == "paused, the cell is off"
    assert bench.status().state == "paused"
    assert bench.status().reason == "by elsewhere"
    assert elsewhere(bench, "pause").standing is Standing.DONE
    alone = elsewhere(bench, "resume")
    assert alone.standing is Standing.REFUSED
    assert "bench.resume()" in alone.text
    noted = elsewhere(bench, "note", text="while paused")
    assert noted.standing is Standing.WAITING
    assert "note" in bench.status().pending[0]

    said = []
    bench.desk.decide = lambda word: said.append(word) or True
    with Other(bench, lambda b: elsewhere(b, "stop")) as other:
        assert bench.resume().exit_status == "success"
    assert other.answers[0].standing is Standing.DONE
    recorded = load_run(find_run(bench.data, "-1"))
    events = recorded.streams["events"]
    kinds = [k for k, who in zip(events["event_kind"], events["event_origin"], strict=True) if who]
    assert kinds == ["pause", "note", "stop"]
    assert recorded.stop["reason"] == "stopped"
    assert bench.status().state == "success"


def test_a_stop_at_the_prompt_is_an_event_too(bench):
    with Other(bench, lambda b: b.pause()):
        bench.RE.run(protocol(bench))
    assert bench.stop().exit_status == "success"
    recorded = load_run(find_run(bench.data, "-1"))
    assert list(recorded.streams["events"]["event_kind"]) == ["pause", "stop"]
    lines = read_audit(bench.data / "audit.jsonl")
    asked = [line["what"]["verb"] for line in lines if line["kind"] == "request"]
    assert asked == ["pause", "stop"]
    assert verify(bench.data / "audit.jsonl").ok


def test_without_an_audit_log_only_what_is_needed_most_is_done(bench, monkeypatch):
    def full(*_args, **_kwargs):
        raise RecordError("audit", "the disk is full", remedy="make room")

    monkeypatch.setattr(bench.desk.audit, "append", full)
    with Other(
        bench,
        lambda b: refused(b.note, "x"),
        lambda b: b.stop(),
    ) as other:
        bench.RE.run(protocol(bench))
    assert "the disk is full" in other.answers[0]
    assert load_run(find_run(bench.data, "-1")).stop["reason"] == "stopped"
    assert bench.off() == []


def test_on_the_engines_own_loop_nothing_waits(bench):
    tickets = []

    class Someone:
        name = "test"

        def callback_failed(self, error):
            raise error

    bench.clock.call_later(0.3, lambda: tickets.append(bench.pause()), owner=Someone())
    bench.RE.run(protocol(bench))
    assert bench.RE.state == "paused"
    assert tickets[0].standing is Standing.DONE
    bench.abort()
