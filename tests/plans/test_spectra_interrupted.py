"""Spectra that are cut short: by a pause, an abort, a limit, an instrument that refuses."""

from __future__ import annotations

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage

from devices.errors import LimitError, LinkError
from devices.roles import CellLimits
from plans.imaging import Capture
from plans.protocol import Cycling
from plans.runs import run_with_images
from tests.plans.test_spectra import (
    CURRENT_MA,
    GEIS,
    LIMITS,
    PEIS,
    SLOW,
    bench,
    last_run,
    plan,
    series,
    true_charge,
)

__all__ = ["bench"]

METHOD = [
    ConstantCurrent(current_mA=CURRENT_MA, until_time_s=40),
    OpenCircuitVoltage(until_time_s=10),
    ConstantCurrent(current_mA=-CURRENT_MA, until_time_s=20),
]
CHARGE_MAH = [CURRENT_MA * 20 / 3600, CURRENT_MA * 60 / 3600]


class Someone:
    """Owns callbacks of a test."""

    name = "test"

    def callback_failed(self, error):
        raise error


def at(bench, delay_s, act):
    bench.clock.call_later(delay_s, act, owner=Someone())


def soon(bench, coroutine):
    return lambda: bench.time.loop.create_task(coroutine())


# the first sweep takes 5.5 s at rest; then within the step from 15 s on, and so on
@pytest.mark.parametrize("pause_s", [0.1, 2.0, 5.5, 10.0, 15.0, 17.3, 20.4, 29.9, 46.0, 48.0, 63.0])
def test_a_pause_at_any_moment_of_a_sweep_repeats_nothing(bench, pause_s):
    before = true_charge(bench)
    at(bench, pause_s, soon(bench, bench.RE._request_pause_coro))
    result = bench.RE.run(plan(bench, Capture(series(bench, SLOW), every_s=15), method=METHOD))
    assert str(bench.RE.state) == "paused"
    assert not bench.pstat.energised
    assert not bench.pstat._backend.output_on()
    result = bench.resume()
    assert result.exit_status == "success"
    charge = np.subtract(true_charge(bench), before)
    assert charge == pytest.approx(CHARGE_MAH, abs=1e-9)
    eis = last_run(bench).streams["eis"]
    counts = np.bincount(eis["pstat_eis_spectrum"])
    assert set(counts) == {SLOW.points}
    assert len(counts) >= 4
    echem = last_run(bench).streams["echem"]
    assert echem["pstat_charge_mah"][-1] == pytest.approx(CHARGE_MAH[0], rel=2e-3)
    assert np.all(np.diff(echem["time"]) >= 0)


@pytest.mark.parametrize("abort_s", [2.0, 17.3, 30.0])
def test_an_abort_during_a_sweep_leaves_the_cell_off_and_the_records_whole(bench, abort_s):
    before = true_charge(bench)
    at(bench, abort_s, soon(bench, lambda: bench.RE._abort_coro("test")))
    bench.RE.run(plan(bench, Capture(series(bench, SLOW), every_s=15), method=METHOD))
    assert not bench.pstat._backend.output_on()
    assert not bench.RE.unsafe
    recorded = last_run(bench)
    assert recorded.stop["exit_status"] == "abort"
    charge = np.subtract(true_charge(bench), before)
    echem = recorded.streams["echem"]
    assert echem["pstat_charge_mah"][-1] == pytest.approx(charge[0], rel=2e-3, abs=1e-9)
    if "eis" in recorded.streams:
        assert set(np.bincount(recorded.streams["eis"]["pstat_eis_spectrum"])) <= {SLOW.points}


def test_spectra_that_are_asked_for_faster_than_they_are_taken(bench):
    before = true_charge(bench)
    bench.RE.run(plan(bench, Capture(series(bench, SLOW), every_s=3), method=METHOD))
    assert last_run(bench).stop["reason"] == "completed"
    charge = np.subtract(true_charge(bench), before)
    assert charge == pytest.approx(CHARGE_MAH, abs=1e-9)


def test_an_instrument_that_refuses_a_spectrum_fails_it_and_the_step_goes_on(bench):
    real = bench.pstat._backend.load

    def load(program, *linked):
        if program.sweep is not None:
            raise LimitError("pstat", "no sweep today", remedy="try tomorrow")
        real(program, *linked)

    bench.pstat._backend.load = load
    before = true_charge(bench)
    result = bench.RE.run(plan(bench, Capture(series(bench), every_s=10), method=METHOD))
    assert result.exit_status == "success"
    charge = np.subtract(true_charge(bench), before)
    assert charge == pytest.approx(CHARGE_MAH, abs=1e-9)
    events = last_run(bench).streams["events"]
    missing = events["event_text"][events["event_kind"] == "frame_missing"]
    assert len(missing) == 3
    assert "no sweep today" in missing[0]
    assert "imaging_ended" in events["event_kind"]


def test_a_link_that_fails_while_the_step_is_interrupted_ends_the_run_with_the_cell_off(bench):
    backend = bench.pstat._backend
    real, begun = backend.start, []

    def start():
        begun.append(True)
        if len(begun) == 3:  # the spectrum at rest, the step, the spectrum within it
            raise LinkError("pstat", "was sent and may have acted", remedy="read back")
        real()

    backend.start = start
    with pytest.raises(LinkError, match="may have acted"):
        bench.RE.run(plan(bench, Capture(series(bench), every_s=10), method=METHOD))
    assert not backend.output_on()
    assert not bench.pstat.energised
    assert last_run(bench).stop["exit_status"] == "fail"


@pytest.mark.parametrize("method", ["poll", "stop", "load"])
@pytest.mark.parametrize("failures", [1, 2])
def test_a_link_that_fails_for_a_moment_costs_no_charge(bench, method, failures):
    """One failure each time the step is interrupted for a spectrum."""
    backend = bench.pstat._backend
    real, left = getattr(backend, method), {"after_s": 12.0, "failures": failures}
    began_s = bench.clock.time()

    def failing(*programs):
        if bench.clock.time() - began_s > left["after_s"] and left["failures"]:
            left["failures"] -= 1
            raise LinkError("pstat", "no reply", remedy="wait")
        return real(*programs)

    setattr(backend, method, failing)
    before = true_charge(bench)
    result = bench.RE.run(plan(bench, Capture(series(bench), every_s=15), method=METHOD))
    assert result.exit_status == "success"
    assert left["failures"] == 0
    charge = np.subtract(true_charge(bench), before)
    # while the link fails the step's time stands still with the cell open, or the program ran on
    allowed = CURRENT_MA * (failures + 0.1) / 3600 if method == "stop" else 1e-9
    assert charge == pytest.approx(CHARGE_MAH, abs=allowed)
    recorded = last_run(bench).streams["echem"]
    assert recorded["pstat_charge_mah"][-1] == pytest.approx(charge[0], rel=2e-3)


def test_a_pause_while_the_link_fails_stays_a_pause(bench):
    backend = bench.pstat._backend
    real, failing = backend.load, []

    def load(*programs):
        if len(programs) == 2 and not failing:
            failing.append(True)
            raise LinkError("pstat", "no reply", remedy="wait")
        real(*programs)

    backend.load = load
    before = true_charge(bench)
    at(bench, 15.7, soon(bench, bench.RE._request_pause_coro))
    bench.RE.run(plan(bench, Capture(series(bench), every_s=15), method=METHOD))
    assert str(bench.RE.state) == "paused"
    bench.wait(30.0)
    assert not backend.output_on()
    assert bench.resume().exit_status == "success"
    charge = np.subtract(true_charge(bench), before)
    assert charge == pytest.approx(CHARGE_MAH, abs=1e-9)


def test_a_limit_during_a_sweep_ends_the_step_and_drops_the_spectrum(bench):
    narrow = CellLimits(-0.4, 0.4, -1, 1)  # 0.01 mA on 67 kohm are 0.67 V
    cycling = Cycling(bench.pstat, METHOD, 10.0, narrow, 10.0)
    run = run_with_images(cycling, [Capture(series(bench, PEIS), every_s=1.0)], [], md={})
    bench.RE.run(run)
    recorded = last_run(bench)
    assert recorded.stop["reason"] == "limit"
    assert not bench.pstat._backend.output_on()


def test_a_series_that_is_stopped_does_not_drive_the_open_cell_for_nothing(bench):
    bench.pstat.stage()
    asked = series(bench, SLOW)
    status = asked.trigger()
    assert asked.trigger() is status
    bench.wait(1.0)
    assert bench.pstat.energised
    asked.stop()
    assert status.done
    assert asked.quality.get() == "aborted"
    assert not bench.pstat.energised
    assert not bench.pstat._backend.output_on()
    bench.pstat.unstage()


def test_spectra_wait_for_one_another(bench):
    bench.pstat.stage()
    first, second = series(bench, GEIS, 0), series(bench, PEIS, 1)
    statuses = [first.trigger(), second.trigger()]
    bench.wait(10.0)
    assert all(status.done for status in statuses)
    (page,) = bench.pstat.eis.collect_pages()
    assert set(page["data"]) == set(bench.pstat.eis.describe_collect())
    taken = page["data"]["pstat_eis_series"]
    assert taken == [0] * GEIS.points + [1] * PEIS.points
    assert list(bench.pstat.eis.collect_pages()) == []
    assert "2 taken, 0 asked for" in repr(bench.pstat.eis)
    bench.pstat.unstage()


def test_the_bench_has_limits_for_spectra_too(bench):
    wider = CellLimits(-50, 50, -1, 1)
    with pytest.raises(LimitError, match="exceed the bench's"):
        bench.pstat.check_spectrum(GEIS, wider)
    assert bench.pstat.check_spectrum(GEIS, LIMITS) is None
