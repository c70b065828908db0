"""A step that survives a failure: read first, the cell off, and only what is left is run."""

from __future__ import annotations

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent
from bluesky import Msg
from bluesky.utils import FailedStatus

from devices.errors import InstrumentFault, LinkError, OutputFault
from devices.roles import CellLimits, Page, ProgramState
from devices.step_end import StepEnd
from devices.technique import Technique
from tests.cut_link import Cut

LIMITS = CellLimits(-5, 5, -10, 10)
STEP = ConstantCurrent(current_mA=1.0, until_time_s=1000)
WHOLE_MAH = 1000 / 3600


def technique(*, survivable=True, continues=False):
    return Technique(
        STEP, LIMITS, 10.0, 10.0, survivable=survivable, continues=continues, step_index=3
    )


def in_run(pstat, plan):
    yield from bps.open_run()
    yield from bps.declare_stream(pstat, name="echem", collect=True)
    yield from plan
    yield from bps.close_run()


def run_once(engine, pstat, tech, wait_s=1e5):
    """Prepare, run and wait for a technique; returns how it ended."""

    def plan():
        yield Msg("prepare", pstat, tech, group="prepare")
        yield Msg("kickoff", pstat, group="kickoff")
        yield Msg("complete", pstat, group="complete")
        yield from bps.wait("complete", timeout=wait_s)

    engine.RE(in_run(pstat, plan()))
    return pstat.end_reason.get()


def test_a_link_that_fails_ends_the_step_and_the_rest_of_it_runs_when_it_is_back(cell_bench):
    engine, pstat, backend = cell_bench
    Cut(backend, engine.clock, 200, 400)

    def plan():
        yield Msg("prepare", pstat, technique(), group="p")
        yield Msg("kickoff", pstat, group="k")
        yield Msg("complete", pstat, group="c")
        yield from bps.wait("c", timeout=1e5)
        assert pstat.end_reason.get() == "failed"
        assert isinstance(pstat.failure, LinkError)
        assert pstat.energised  # its program goes on; nobody could stop it
        assert backend.on
        with pytest.raises(LinkError):
            pstat.stop()
        yield from bps.sleep(300)
        yield Msg("stop", pstat)  # reads it, and switches off
        assert not backend.on
        assert not pstat.energised
        passed_mah = pstat.charge_mah.get()
        assert passed_mah == pytest.approx(backend.charge_mah)
        assert 0.4 * WHOLE_MAH < passed_mah < 0.6 * WHOLE_MAH
        yield Msg("prepare", pstat, technique(continues=True), group="p2")
        yield Msg("kickoff", pstat, group="k2")
        yield Msg("complete", pstat, group="c2")
        yield from bps.wait("c2", timeout=1e5)

    engine.RE(in_run(pstat, plan()))
    assert pstat.end_reason.get() == "time"
    assert pstat.failure is None
    assert backend.charge_mah == pytest.approx(WHOLE_MAH)
    assert pstat.charge_mah.get() == pytest.approx(WHOLE_MAH)
    assert backend.starts == 2


def test_a_step_that_ended_by_itself_meanwhile_is_over(cell_bench):
    engine, pstat, backend = cell_bench
    Cut(backend, engine.clock, 200, 1500)

    def plan():
        yield Msg("prepare", pstat, technique(), group="p")
        yield Msg("kickoff", pstat, group="k")
        yield Msg("complete", pstat, group="c")
        yield from bps.wait("c", timeout=1e5)
        yield from bps.sleep(2000)
        backend._page()  # the instrument's own clock has ended the program
        yield Msg("stop", pstat)

    engine.RE(in_run(pstat, plan()))
    assert pstat.end_reason.get() == "time"
    assert backend.charge_mah == pytest.approx(WHOLE_MAH)
    with pytest.raises(InstrumentFault, match="pstat: nothing is left"):
        pstat.prepare(technique(continues=True))


@pytest.mark.parametrize("action", ["load", "start"])
def test_a_step_that_cannot_begin_fails_without_charge_or_with_what_flowed(cell_bench, action):
    engine, pstat, backend = cell_bench
    real, error = getattr(backend, action), LinkError("pstat", "closed", remedy="wait")

    def failing(*args):
        if action == "start":
            real(*args)  # it was sent, and the confirmation was lost
        raise error

    setattr(backend, action, failing)
    assert run_once(engine, pstat, technique()) == "failed"
    assert pstat.failure is error
    assert not backend.on  # reached again at once, and switched off
    assert not pstat.energised
    assert backend.charge_mah == pytest.approx(0.0, abs=1e-12)


def test_without_surviving_a_failure_ends_the_run_as_before(cell_bench):
    engine, pstat, backend = cell_bench
    Cut(backend, engine.clock, 200, 400)
    with pytest.raises(FailedStatus) as raised:
        run_once(engine, pstat, technique(survivable=False))
    assert "no reply" in str(raised.value.__cause__)


def test_an_output_that_stays_on_is_never_survived(cell_bench):
    """Row 17: whatever the policy."""
    engine, pstat, backend = cell_bench
    real = backend.poll

    def poll():
        page = real()
        return Page(
            page.index, page.elapsed_s, page.current_ma, page.voltage_v, page.state, page.reason,
            page.state is ProgramState.FINISHED or page.output_on,
        )  # fmt: skip

    backend.poll = poll
    with pytest.raises(FailedStatus) as raised:
        run_once(engine, pstat, technique())
    assert isinstance(raised.value.__cause__, OutputFault)


def test_a_fault_that_the_instrument_reports_is_an_answer_too(cell_bench):
    engine, pstat, backend = cell_bench
    real = backend.poll

    def poll():
        page = real()
        if not len(page.elapsed_s) or page.elapsed_s[-1] < 300:
            return page
        backend.on = False
        state, empty = ProgramState.FINISHED, np.array([])
        return Page(page.index, empty, empty, empty, state, "fault", False)

    backend.poll = poll
    assert run_once(engine, pstat, technique()) == "failed"
    assert "ended the step with a fault" in str(pstat.failure)


def test_a_step_can_be_ended_before_its_time(cell_bench):
    engine, pstat, backend = cell_bench

    def plan():
        yield Msg("prepare", pstat, technique(), group="p")
        yield Msg("kickoff", pstat, group="k")
        ended = yield Msg("complete", pstat, group="c")
        yield from bps.sleep(360)
        yield from bps.trigger(StepEnd(pstat), wait=True)
        assert ended.done
        yield from bps.trigger(StepEnd(pstat), wait=True)

    engine.RE(in_run(pstat, plan()))
    assert pstat.end_reason.get() == "ended"
    assert backend.charge_mah == pytest.approx(0.1)
    assert not backend.on
