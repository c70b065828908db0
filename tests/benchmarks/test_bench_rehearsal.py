"""A fortnight of in situ MRI rehearsed on the twin of a real bench: experiment time over real time.

``make bench`` prints the table. The rehearsal is whole: plan, engine, drivers, simulated bytes,
every frame synthesised and fetched, journal; its text and its page are timed beside it. A fortnight
is to take a minute at most (issue 4).
"""

from __future__ import annotations

import time

import pytest

from orchestrator.profile.models import BenchProfile
from orchestrator.rehearsal import rehearse
from orchestrator.rehearsal.page import write_page
from orchestrator.rehearsal.text import lines
from tests.benchmarks.test_bench_week import experiment

DAYS = 14.0
LAB = {
    "bench": "lab-21t",
    "instrument_name": "21.1 T magnet",
    "devices": {
        "pstat": {
            "kind": "potentiostat",
            "driver": "keithley_2450",
            "resource": "TCPIP::192.0.2.6::5025::SOCKET",
            "limits": {"max_voltage_v": 5, "max_current_ma": 10},
        },
        "mri": {
            "kind": "mri",
            "console": {"driver": "console_bridge", "resource": "TCPIP::192.0.2.7::5025::SOCKET"},
            "trigger": {"driver": "agilent_33500", "resource": "USB0::0x957::0x2807::MY1::INSTR"},
        },
    },
}


def rehearsed(record_s: float, data):
    one = experiment(record_s, days=DAYS).bound_to(BenchProfile.model_validate(LAB))
    return rehearse(one, BenchProfile.model_validate(LAB), data=data)


@pytest.mark.parametrize("record_s", [10.0, 1.0])
def test_a_fortnight_is_rehearsed(record_s, tmp_path):
    began = time.process_time()
    found = rehearsed(record_s, tmp_path)
    run_s = time.process_time() - began
    text = lines(found)
    said_s = time.process_time() - began - run_s
    write_page(found, tmp_path)
    page_s = time.process_time() - began - run_s - said_s
    print(
        f"\n{found.stopped_at_s / 86_400:.3g} d, a record each {record_s:g} s, "
        f"{found.frames['mri']} frames, {found.records:,} records: {found.wall_s:.1f} s "
        f"({run_s:.1f} s of CPU), ratio {found.duration_s / found.wall_s:,.0f} "
        f"({found.duration_s / run_s:,.0f}); text {said_s:.2f} s, page {page_s:.1f} s of CPU"
    )
    assert found.stopped_at_s == pytest.approx(DAYS * 86_400, rel=1e-3)
    assert len(text) > 40
