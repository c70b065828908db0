"""The offset of an instrument's clock lies within its stated error, whatever the link's delays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.clock_offset import DRIFT, EXCHANGES, FRESH_S, ClockOffset
from devices.errors import LinkError
from orchestrator.bench import open_bench
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from plans.imaging import Capture
from plans.protocol import Cycling
from plans.runs import run_with_images

EPOCH_S = 1_735_689_600.0


class Exchange:
    """A host's clock and an instrument behind a link with delays of its own in each direction."""

    def __init__(self, offset_s, delays_s=(), drift=0.0):
        self.t_s, self.offset_s, self.drift = EPOCH_S, offset_s, drift
        self.delays_s = list(delays_s)
        self.asked, self.silent = 0, False

    def time(self):
        return self.t_s

    @property
    def true_s(self):
        return self.offset_s + self.drift * (self.t_s - EPOCH_S)

    def ask(self):
        self.asked += 1
        if self.silent:
            raise LinkError("console", "no reply", remedy="wait")
        there_s, back_s = self.delays_s.pop(0) if self.delays_s else (0.0, 0.0)
        self.t_s += there_s
        reading = self.t_s + self.true_s
        self.t_s += back_s
        return reading


delays = st.tuples(st.floats(0, 0.3), st.floats(0, 0.3))


@given(offset_s=st.floats(-1e4, 1e4), each=st.lists(delays, min_size=1, max_size=8))
def test_the_true_offset_lies_within_the_error(offset_s, each):
    exchange = Exchange(offset_s, each)
    found = ClockOffset(exchange, exchange.ask).measure()
    assert abs(found.seconds - offset_s) <= found.error_s + 1e-6
    used = each[: exchange.asked]
    narrowest_s = min((sum(one) for one in used), default=0.0) if exchange.asked <= len(each) else 0
    assert found.error_s <= 0.5 * narrowest_s + 2e-6


def test_delays_that_differ_by_direction_are_seen_through_by_several_exchanges():
    exchange = Exchange(7.0, [(0.04, 0.0), (0.0, 0.04), (0.02, 0.02)])
    found = ClockOffset(exchange, exchange.ask).measure()
    assert found.seconds == pytest.approx(7.0, abs=1e-6)
    assert found.error_s < 1e-6
    assert exchange.asked == EXCHANGES


def test_a_slow_link_is_asked_less_often():
    exchange = Exchange(7.0, [(0.1, 0.1)] * 9)
    assert ClockOffset(exchange, exchange.ask).measure().error_s == pytest.approx(0.1, abs=1e-5)
    assert exchange.asked == 2


def test_an_estimate_is_made_again_when_it_is_old_and_grows_uncertain_where_nobody_answers():
    exchange = Exchange(1.0, drift=5e-5)
    clocks = ClockOffset(exchange, exchange.ask)
    clocks.measure()
    exchange.t_s += 0.5 * FRESH_S
    young = clocks.now()
    assert exchange.asked == EXCHANGES
    assert abs(young.seconds - exchange.true_s) <= young.error_s
    exchange.t_s += 86_400.0
    fresh = clocks.now()
    assert exchange.asked == 2 * EXCHANGES
    assert fresh.seconds == pytest.approx(exchange.true_s, abs=1e-5)
    exchange.silent = True
    exchange.t_s += 3600.0
    old = clocks.now()
    assert old.seconds == fresh.seconds
    assert old.error_s == pytest.approx(3600.0 * DRIFT, rel=1e-3)
    assert abs(old.seconds - exchange.true_s) <= old.error_s


def test_a_silent_instrument_has_no_offset():
    exchange = Exchange(1.0)
    exchange.silent = True
    with pytest.raises(LinkError):
        ClockOffset(exchange, exchange.ask).now()


def test_times_of_frames_are_corrected_by_a_clock_that_drifts(tmp_path):
    """50 ppm are 4.3 s in a day, and 0.8 s in the 4.4 h of one frame."""
    from aurora_unicycler import OpenCircuitVoltage

    from devices.roles import CellLimits

    settings = {"tr_s": 0.3, "averages": 1024, "matrix": [81, 52], "fov_mm": [17, 11]}
    with open_bench("sim-mri", data=tmp_path) as bench:
        bench.laboratory.instruments["console"].clock_drift_ppm = 50.0
        hours = [OpenCircuitVoltage(until_time_s=30 * 3600.0)]
        cycling = Cycling(bench.pstat, hours, 60.0, CellLimits(-5, 5, -1, 1), 10.0)
        began_s = bench.clock.time()
        bench.RE.run(
            run_with_images(
                cycling, [Capture(bench.mri, back_to_back=True, settings=settings)], md={}
            )
        )
        run = load_run(DataDirectory(tmp_path).journal(bench.live.snapshot().run))
    mri = run.streams["mri"]
    offset_s = mri["mri_frame_clock_offset_s"]
    drifted_s = 50e-6 * (mri["mri_t_end_s"] - EPOCH_S)
    assert len(offset_s) >= 6
    assert offset_s == pytest.approx(drifted_s, abs=5e-3)
    assert mri["mri_frame_clock_offset_error_s"] == pytest.approx(0.0, abs=1e-6 + 60 * DRIFT)
    # ten points on the 4.44 h: what the console's own clock says of its length is 0.8 s too much
    duration_s = mri["mri_t_end_s"] - mri["mri_t_start_s"]
    assert duration_s == pytest.approx(0.3 * 52 * 1024, abs=6e-3)
    assert mri["mri_t_start_s"][0] == pytest.approx(began_s, abs=6e-3)
    (descriptor,) = (d for d in run.descriptors.values() if d["name"] == "mri")
    configured = descriptor["configuration"]["mri"]["data"]
    assert configured["mri_clock_offset_s"] == pytest.approx(0.0, abs=1e-5)
    assert configured["mri_clock_offset_error_s"] < 1e-5
