"""Every way out of a run leaves the cell off; only the journal may stop a run."""

from __future__ import annotations

import logging
import os
import signal
import threading

import bluesky.plan_stubs as bps
import pytest
from aurora_unicycler import ConstantCurrent

from devices.roles import CellLimits
from plans.protocol import Cycling
from plans.runs import run_with_images

LIMITS = CellLimits(-5, 5, -10, 10)
METHOD = [ConstantCurrent(current_mA=1.0, until_time_s=3600)]


def cycling(pstat):
    return run_with_images(Cycling(pstat, METHOD, 10, LIMITS, 10), md={})


def at(engine, delay_s, action):
    """Do something after so much experiment time, on the engine's loop."""

    class Someone:
        name = "test"

        def callback_failed(self, error):
            raise error

    engine.clock.call_later(delay_s, action, owner=Someone())


def ask(engine, coroutine):
    return lambda: engine.loop.create_task(coroutine())


@pytest.mark.parametrize("way", ["_abort_coro", "_stop_coro", "_halt_coro"])
def test_abort_stop_and_halt_leave_the_cell_off(cell_bench, way):
    engine, pstat, backend = cell_bench
    coroutine = getattr(engine.RE, way)
    args = ("test",) if way == "_abort_coro" else ()
    at(engine, 100, ask(engine, lambda: coroutine(*args)))
    was_on = []
    at(engine, 99, lambda: was_on.append(backend.on))
    engine.RE.run(cycling(pstat))
    assert was_on == [True]
    assert not backend.on
    stop = engine.documents.of("stop")[0]
    assert stop["exit_status"] == ("success" if way == "_stop_coro" else "abort")
    # what flowed before the stop is in the documents, also after a halt that runs no finalizer
    recorded = engine.documents.stream("echem")["pstat_charge_mah"][-1]
    assert recorded == pytest.approx(backend.charge_mah)
    assert recorded == pytest.approx(100 / 3600)


def test_an_exception_in_the_plan_leaves_the_cell_off(cell_bench):
    engine, pstat, backend = cell_bench

    def plan():
        yield from bps.stage(pstat)
        yield from bps.open_run()
        yield from bps.prepare(pstat, technique())
        yield from bps.kickoff(pstat)
        yield from bps.sleep(50)
        assert backend.on
        raise RuntimeError("the plan is wrong")

    with pytest.raises(RuntimeError, match="the plan is wrong"):
        engine.RE.run(plan())
    assert not backend.on
    assert engine.documents.of("stop")[0]["exit_status"] == "fail"


def technique():
    from devices.technique import Technique

    return Technique(METHOD[0], LIMITS, 10.0, 10.0)


@pytest.mark.parametrize(
    ("number", "attended", "state"),
    [
        (signal.SIGINT, True, "paused"),
        (signal.SIGINT, False, "idle"),
        (signal.SIGTERM, True, "idle"),
        (signal.SIGHUP, True, "idle"),
    ],
)
def test_signals(cell_bench, number, attended, state):
    """Row 27: in virtual time."""
    engine, pstat, backend = cell_bench
    engine.RE.attended = attended
    at(engine, 100, lambda: wait_for_signal(engine, number))
    engine.RE.run(cycling(pstat))
    assert str(engine.RE.state) == state
    assert not backend.on
    assert engine.RE.signalled == number
    if state == "paused":
        engine.RE.resume()
        assert backend.charge_mah == pytest.approx(1.0)
    else:
        assert engine.documents.of("stop")[0]["exit_status"] == "abort"
        assert "SIG" in engine.documents.of("stop")[0]["reason"]


def wait_for_signal(engine, number):
    """Send a signal to ourselves and hold virtual time until the handler has run."""
    os.kill(os.getpid(), number)
    hold = engine.loop.hold()
    hold.__enter__()
    released = []

    def poll():
        if engine.RE.signalled and not released:
            released.append(True)
            hold.__exit__(None, None, None)
        elif not released:
            engine.loop.call_soon(poll)

    poll()


def test_sigint_twice_aborts(cell_bench):
    """Row 27: SIGINT twice."""
    engine, pstat, backend = cell_bench
    engine.RE.attended = True
    kicks = []

    def hook(msg):
        if msg.command == "wait_for" and not kicks:
            kicks.append(1)
            engine.RE.interrupt(abort=False, reason="first")
            engine.RE.interrupt(abort=True, reason="stopped by SIGINT")

    engine.RE.msg_hook = hook
    engine.RE.run(cycling(pstat))
    if engine.RE.state == "paused":  # the abort reached it while it was pausing
        engine.RE.abort()
    assert not backend.on
    assert engine.documents.of("stop")[0]["exit_status"] == "abort"


def test_a_failing_callback_fails_its_owner_and_switches_off(cell_bench):
    engine, pstat, backend = cell_bench
    real, polls = backend.poll, []

    def poll():
        polls.append(1)
        if len(polls) == 3:
            raise ZeroDivisionError("a bug in the driver")
        return real()

    backend.poll = poll
    with pytest.raises(ZeroDivisionError, match="a bug in the driver"):
        engine.RE.run(cycling(pstat))
    assert not backend.on
    stop = engine.documents.of("stop")[0]
    assert (stop["exit_status"], stop["reason"]) == ("fail", "a bug in the driver")
    assert engine.clock.pending(pstat) == 0


def test_a_subscriber_that_raises_is_detached_and_harms_nobody(cell_bench, caplog):
    """Row 26: logged once."""
    engine, pstat, backend = cell_bench
    calls, others = [], []

    def bad(name, doc):
        calls.append(name)
        raise ValueError("a bug in the live plot")

    engine.RE.subscribe(bad)
    engine.RE.subscribe(lambda name, doc: others.append(name))
    with caplog.at_level(logging.ERROR):
        engine.RE.run(cycling(pstat))
    assert calls == ["start"]
    assert others[-1] == "stop"
    assert [r.message for r in caplog.records].count(caplog.records[0].message) == 1
    assert "detached" in caplog.records[0].message
    assert backend.charge_mah == pytest.approx(1.0)


def test_a_journal_that_fails_ends_the_run_with_the_cell_off(cell_bench):
    """Rows 23, 26: the journal may stop a run."""
    engine, pstat, backend = cell_bench

    def full(name, doc):
        if name == "event_page":
            raise OSError(28, "No space left on device")
        engine.documents(name, doc)

    engine.RE._record = full
    with pytest.raises(OSError, match="No space left"):
        engine.RE.run(cycling(pstat))
    assert not backend.on
    assert engine.documents.of("stop")[0]["exit_status"] == "fail"


def test_an_output_that_does_not_go_off_is_tried_again_and_reported(cell_bench, caplog):
    """Rows 17, 18: tried three times, and never called off."""
    engine, pstat, backend = cell_bench
    from devices.errors import InstrumentFault

    tries = []

    def stuck():
        tries.append(1)
        raise InstrumentFault("pstat", "output reads back on after OFF", remedy="pull the plug")

    real = backend.stop
    at(engine, 100, lambda: setattr(backend, "stop", stuck))
    at(engine, 101, ask(engine, lambda: engine.RE._abort_coro("test")))
    with pytest.raises(InstrumentFault, match="reads back on"):
        engine.RE.run(cycling(pstat))
    assert len(tries) >= 3
    assert "output reads back on" in engine.RE.unsafe["pstat"]
    backend.stop = real
    engine.RE.switch_off()
    assert not engine.RE.unsafe
    assert not backend.on


def test_virtual_time_stands_still_at_the_prompt_and_while_paused(cell_bench):
    engine, pstat, _backend = cell_bench
    before = engine.clock.time()
    threading.Event().wait(0.3)
    assert engine.clock.time() == before
    at(engine, 100, ask(engine, engine.RE._request_pause_coro))
    engine.RE.run(cycling(pstat))
    assert str(engine.RE.state) == "paused"
    paused_at = engine.clock.time()
    threading.Event().wait(0.3)
    assert engine.clock.time() == paused_at == pytest.approx(before + 100, abs=1e-6)
    engine.RE.resume()
    assert engine.clock.time() == pytest.approx(before + 3600, abs=1.0)


@pytest.mark.parametrize("way", ["stop", "abort", "halt"])
def test_no_time_passes_before_a_paused_plan_is_ended(cell_bench, way):
    engine, pstat, backend = cell_bench
    at(engine, 100, ask(engine, engine.RE._request_pause_coro))
    engine.RE.run(cycling(pstat))
    paused_at = engine.clock.time()
    at(engine, 5000, lambda: None)  # something far away that time could jump to
    getattr(engine.RE, way)()
    assert engine.clock.time() == paused_at
    assert engine.documents.of("stop")[0]["time"] == paused_at
    assert not backend.on


def test_documents_carry_the_experiments_time_only(cell_bench):
    engine, pstat, _backend = cell_bench
    start = engine.clock.time()
    at(engine, 100, ask(engine, engine.RE._request_pause_coro))
    engine.RE.run(cycling(pstat))
    engine.RE.resume()
    end = engine.clock.time()

    def walk(value, path):
        if isinstance(value, dict):
            for key, item in value.items():
                walk(item, f"{path}.{key}")
        elif isinstance(value, list):
            for item in value:
                walk(item, path)
        elif isinstance(value, float) and value > 1e9:
            assert start <= value <= end, f"{path}: {value} is not the experiment's time"

    for name, doc in engine.documents.all:
        walk(doc, name)
    kinds = {doc["name"] for doc in engine.documents.of("descriptor")}
    assert kinds == {"echem", "events", "interruptions"}
