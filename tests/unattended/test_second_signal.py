"""A second signal while the first is being carried out: the cell is off and the run is closed."""

from __future__ import annotations

import os
import signal

import pytest

from orchestrator.records.recorder import Recorder
from tests.promises import journal_kept
from tests.unattended.test_engine_exits import at, cycling


@pytest.fixture
def recorded(cell_bench, tmp_path):
    """The engine of `cell_bench` with a journal on the disk."""
    engine, _, _ = cell_bench
    recorder, former = Recorder(tmp_path), engine.documents

    def record(name, doc):
        recorder(name, doc)
        former(name, doc)

    engine.RE._record = record
    yield recorder
    recorder.close()


def check_ended(cell_bench, recorder, reason):
    engine, _, backend = cell_bench
    assert str(engine.RE.state) == "idle"
    assert not backend.on
    assert not engine.RE.unsafe
    content = journal_kept(recorder.directory.journal(recorder.uid))
    assert recorder.acknowledged == len(content.documents) - 1
    stop = content.documents[-1][1]
    assert stop["exit_status"] == "abort"
    assert stop["reason"] in reason
    recorded_mah = engine.documents.stream("echem")["pstat_charge_mah"][-1]
    assert recorded_mah == pytest.approx(backend.charge_mah)
    assert recorded_mah == pytest.approx(100 / 3600)


@pytest.mark.parametrize("moment", range(8))
def test_at_each_moment_of_the_finalizer(cell_bench, recorded, moment):
    """Row 39: at every turn of the loop, between the first abort and the end of the run."""
    engine, pstat, _ = cell_bench
    turns = []

    def again():
        if str(engine.RE.state) == "aborting":
            turns.append(1)
        if len(turns) > moment:
            engine.RE.interrupt(abort=True, reason="stopped by SIGINT")
        if str(engine.RE.state) != "idle":
            engine.loop.call_soon(again)

    def first():
        engine.RE.interrupt(abort=True, reason="stopped by SIGTERM")
        again()

    at(engine, 100, first)
    engine.RE.run(cycling(pstat))
    assert turns
    check_ended(cell_bench, recorded, ("stopped by SIGTERM", "stopped by SIGINT"))


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("attended", [True, False])
def test_while_the_output_is_being_switched_off(cell_bench, recorded, second, attended):
    """Row 39: real signals, each time that the instrument is told to switch off."""
    engine, pstat, backend = cell_bench
    engine.RE.attended = attended
    real, told = backend.stop, []

    def stop():
        if backend.on:
            told.append(second)
            os.kill(os.getpid(), second)
        return real()

    backend.stop = stop
    at(engine, 100, lambda: engine.RE.interrupt(abort=True, reason="stopped by SIGTERM"))
    engine.RE.run(cycling(pstat))
    assert told
    check_ended(cell_bench, recorded, ("stopped by SIGTERM", f"stopped by {second.name}"))
