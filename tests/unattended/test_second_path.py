"""Rows 17 and 18: a potentiostat that does not switch off, with a relay in the cell's lead."""

from __future__ import annotations

import time

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent
from bluesky.utils import FailedStatus

from devices.errors import DeviceError, InstrumentFault, LinkError
from devices.roles import CellLimits
from devices.technique import Technique
from orchestrator.bench import open_bench
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile
from orchestrator.safe_off import energisers, switch_off
from sim.faults.faulty_sample import FaultySample
from sim.instruments.keithley_2750 import SimulatedKeithley2750
from sim.samples.linear_cell import LinearCell
from sim.wire.tcp import serve
from sim.world import World
from tests.promises import Witness

LIMITS = CellLimits(-5, 5, -1, 1)
STEP = ConstantCurrent(current_mA=0.01, until_time_s=600)


def profile():
    """The shipped bench with a switch system in the cell's lead."""
    return load_profile("sim-relay")


def plan(pstat):
    yield from bps.stage(pstat)
    yield from bps.open_run()
    yield from bps.declare_stream(pstat, name="echem", collect=True)
    yield from bps.prepare(pstat, Technique(STEP, LIMITS, 1.0, 10.0), wait=True)
    yield from bps.kickoff(pstat, wait=True)
    yield from bps.complete(pstat, group="step")
    yield from bps.wait("step", timeout=1000)
    yield from bps.close_run()


@pytest.fixture
def bench(tmp_path):
    with open_bench(profile(), data=tmp_path) as opened:
        opened.RE.attended = False
        yield opened


def opened_at_s(bench):
    """When the cell's lead was opened, s since the bench was opened."""
    switch, opened = bench.laboratory.instruments["relay"], []
    answer = switch.answer

    def watching(message):
        reply = answer(message)
        if not opened and answer(b":ROUT:MULT:CLOS:STAT? (@101)") == b"0" and b"OPEN" in message:
            opened.append(bench.elapsed_s)
        return reply

    switch.answer = watching
    return opened


def true_current_ma(bench):
    return bench.laboratory.truth()["current_ma"]


def connected(bench):
    switch = bench.laboratory.instruments["relay"]
    return switch.answer(b":ROUT:MULT:CLOS:STAT? (@101)") == b"1"


def test_the_cell_is_connected_when_it_is_energised_and_stays_so(bench):
    assert not connected(bench)
    bench.RE(plan(bench.pstat))
    assert connected(bench)  # the potentiostat has switched off: the relay is spared
    assert bench.pstat.throughput_mah.get() == pytest.approx(0.01 / 6, rel=1e-3)


def test_an_output_that_stays_on_is_cut_off_and_the_run_fails(bench):
    """Row 17: the instrument ignores OFF; the engine needs no other process to help."""
    seen = Witness(bench)
    bench.inject("ignored_off:pstat:0:1e9")
    with pytest.raises(DeviceError):
        bench.RE(interrupted(bench))
    seen.promises_kept()
    assert not connected(bench)
    assert true_current_ma(bench) == 0.0
    assert not bench.RE.unsafe
    assert not bench.RE.energised
    with pytest.raises(InstrumentFault, match="disconnected by the second path"):
        bench.RE(plan(bench.pstat))


def test_unplugged_within_a_step_the_cell_is_cut_off_within_one_poll(bench, latency):
    """Row 4: nothing is heard of the potentiostat any more; the relay opens, the run fails."""
    seen, opened = Witness(bench), opened_at_s(bench)
    bench.inject("refuse:pstat:95:1e9")
    with pytest.raises(FailedStatus) as raised:
        bench.RE(plan(bench.pstat))
    assert isinstance(raised.value.__cause__, LinkError)
    poll_s, repetitions_s = bench.profile.poll_period_s, 2.0
    latency(
        4,
        f"unplugged to relay open, of virtual time, polled every {poll_s:g} s",
        opened[0] - 95.0,
        promised_s=poll_s + repetitions_s,
    )
    assert not bench.RE.unsafe
    content = seen.promises_kept()
    stop = content.documents[-1][1]
    assert stop["exit_status"] == "fail"
    assert "pstat" in stop["reason"]
    with pytest.raises(InstrumentFault, match="disconnected by the second path"):
        bench.RE(plan(bench.pstat))  # plugged in again, somebody must look first


def test_a_potentiostat_that_is_off_and_cannot_be_read_is_not_unsafe(bench):
    """Rows 6, 17: the transfer of records is garbled for good; the relay is spared."""
    seen = Witness(bench)
    bench.inject("garble:pstat:95:1e9:match=TRAC:DATA")
    with pytest.raises(FailedStatus):
        bench.RE(plan(bench.pstat))
    assert not bench.RE.unsafe
    assert connected(bench)
    assert seen.promises_kept().documents[-1][1]["exit_status"] == "fail"


def test_neither_way_works_and_it_is_said(bench):
    """Row 18: the relay is stuck as well."""
    bench.inject("ignored_off:pstat:0:1e9")
    with pytest.raises(DeviceError):
        bench.RE(interrupted(bench, stuck=True))
    assert "pstat" in bench.RE.unsafe
    bench.laboratory.instruments["relay"].stuck = False
    assert bench.off() == []


def test_switching_off_without_an_engine_uses_the_relay_where_the_potentiostat_is_gone(tmp_path):
    """Rows 4, 18: without an engine.

    What the watchdog and `operando off` do; the addresses are as on hardware.
    """
    world = World(FaultySample(LinearCell()), now=time.monotonic)
    world.sample.apply_current(time.monotonic(), 1.0)
    with serve({"relay": SimulatedKeithley2750(world, 101)}, life_s=60.0) as served:
        document = profile().to_document()
        pstat = document["devices"]["pstat"]
        pstat["resource"] = "TCPIP0::127.0.0.1::9::SOCKET"  # nobody listens there
        pstat["disconnect"]["resource"] = served.resource("relay")
        bench = BenchProfile.model_validate(document | {"journal_every_s": 10})
        assert energisers(bench) == ["pstat"]
        report = switch_off(bench)
        assert report.ok
        assert report.off == ("pstat",)
        now_s = time.monotonic()
        assert world.sample.terminals(np.array([now_s])).current_ma[0] == 0.0
    report = switch_off(bench)  # now the relay is gone as well
    assert list(report.unsafe) == ["pstat"]
    assert "refused" in report.unsafe["pstat"]


def interrupted(bench, *, stuck=False):
    """A plan that fails while the cell is energised."""
    pstat = bench.pstat
    yield from bps.stage(pstat)
    yield from bps.open_run()
    yield from bps.declare_stream(pstat, name="echem", collect=True)
    yield from bps.prepare(pstat, Technique(STEP, LIMITS, 1.0, 10.0), wait=True)
    yield from bps.kickoff(pstat, wait=True)
    yield from bps.sleep(60)
    bench.laboratory.instruments["relay"].stuck = stuck
    raise InstrumentFault("plan", "something else failed", remedy="none")
