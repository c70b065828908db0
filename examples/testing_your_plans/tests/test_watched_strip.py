"""What our plan does on a good day and on a bad one, without hardware and without waiting."""

import time

import pytest
from watched_strip import watched_strip

from devices.errors import LimitError

CURRENT_MA = 0.01


def test_it_runs_to_its_end(RE, bench, documents):
    began_s, wall_s = bench.clock.time(), time.monotonic()
    result = RE(watched_strip(bench.pstat, bench.mri, current_ma=CURRENT_MA))
    assert result.plan_result == "completed"
    assert bench.clock.time() - began_s >= 4200  # more than an hour of the experiment ...
    assert time.monotonic() - wall_s < 60  # ... in seconds of ours
    assert bench.pstat.charge_mah.get() == pytest.approx(CURRENT_MA, rel=1e-3)  # 1 h
    assert documents.stop["exit_status"] == "success"
    volts = documents.stream("echem")["pstat_voltage_v"]
    assert max(volts) < 0.1


def test_a_short_ends_it_within_a_minute(RE, bench, documents, inject):
    inject("short", "cell", at_s=1200, ohm=5)
    result = RE(watched_strip(bench.pstat, bench.mri, current_ma=CURRENT_MA))
    assert result.plan_result == "hard_short"
    echem = documents.stream("echem")
    assert 1200 <= echem["time"][-1] - documents.start["time"] <= 1260
    assert documents.start["simulation"]["faults"] == ["short:cell:1200:inf:ohm=5"]


def test_a_black_frame_is_marked_and_the_cell_goes_on(RE, bench, documents, inject):
    inject("black", "mri", at_s=600, for_s=300)
    result = RE(watched_strip(bench.pstat, bench.mri, current_ma=CURRENT_MA))
    assert result.plan_result == "completed"
    quality = documents.stream("mri")["mri_quality"]
    assert quality.count("black") == 1
    black = documents.frames("mri")[quality.index("black")]
    assert not black.any()


def test_one_aborted_scan_costs_one_frame(RE, bench, documents, inject):
    inject("abort", "mri", at_s=1000, for_s=1)
    RE(watched_strip(bench.pstat, bench.mri, current_ma=CURRENT_MA))
    events = documents.stream("events")
    assert events["event_kind"].count("frame_missing") == 1


@pytest.mark.operando(sample={"seed": 3, "jitter": 0.1}, faults=["open:cell:600:inf"])
def test_a_lost_contact_runs_into_the_limit(RE, bench):
    assert RE(watched_strip(bench.pstat, bench.mri, current_ma=CURRENT_MA)).plan_result == "limit"
    assert bench.laboratory.truth()["charge_mah"] == pytest.approx(CURRENT_MA / 6, rel=1e-3)


def test_the_cell_is_off_whatever_happens(RE, bench):
    with pytest.raises(LimitError, match="outside the limits"):
        RE(watched_strip(bench.pstat, bench.mri, current_ma=1.0))
    assert not bench.pstat.energised
