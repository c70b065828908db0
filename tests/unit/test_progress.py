"""The progress line fits a terminal of 80 columns, whatever the numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.progress import line, span
from orchestrator.live import Present

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (600, "10 min"),
        (4.4 * 3600, "4.4 h"),
        (7.592 * DAY_S, "7.592 d"),
        (5000 * DAY_S, "5000 d"),
    ],
)
def test_a_duration_as_a_person_says_it(seconds, said):
    assert span(seconds) == said


def test_an_ordinary_line_says_everything():
    state = Present(
        elapsed_s=3 * DAY_S, step_index=1, cycle=62, voltage_v=0.0489, current_ma=0.01257,
        frames={"mri": 16},
    )  # fmt: skip
    assert line(state, 6, 40 * DAY_S).plain == (
        " 3.000 d  cycle 62  step 2/6   +48.9 mV  +0.0126 mA  frame 16  <= 37.000 d left"
    )


@pytest.mark.parametrize(
    ("frames", "spectra", "said"),
    [
        ({}, 7, "  spectrum 7"),
        ({"sem": 2, "mri": 1}, 7, "  frame 3  spectrum 7"),
        ({}, 0, "  frame 0"),
    ],
)
def test_frames_and_spectra_of_all_devices_are_counted(frames, spectra, said):
    plain = line(Present(frames=frames, spectra=spectra), 6, 20.0).plain
    assert said in plain


def test_before_the_first_record_nothing_is_invented():
    plain = line(Present(), 6, 20.0).plain
    assert "--" in plain
    assert "V" not in plain
    assert "step 0/6" in plain


def test_what_matters_most_stays_when_room_is_short():
    state = Present(
        elapsed_s=1234.567 * DAY_S, step_index=99, cycle=10_000_000, voltage_v=-4.99999,
        current_ma=-9999.9, frames={"mri": 100_000},
    )  # fmt: skip
    plain = line(state, 100, 1e12).plain
    assert len(plain) <= 80
    assert "left" not in plain
    for kept in ("1235 d", "-5.0000 V", "-9999.9 mA", "cycle 10000000", "frame 100000"):
        assert kept in plain


@given(
    elapsed_s=st.floats(0, 1e10),
    longest_s=st.floats(0, 1e12),
    steps=st.integers(1, 10_000),
    cycle=st.integers(0, 10**9),
    voltage_v=st.none() | st.floats(-1e3, 1e3),
    current_ma=st.none() | st.floats(-1e6, 1e6),
    frames=st.integers(0, 10**9),
)
def test_it_always_fits(elapsed_s, longest_s, steps, cycle, voltage_v, current_ma, frames):
    state = Present(
        elapsed_s=elapsed_s, step_index=steps - 1, cycle=cycle, voltage_v=voltage_v,
        current_ma=current_ma, frames={"mri": frames},
    )  # fmt: skip
    plain = line(state, steps, longest_s).plain
    assert len(plain) <= 80
    assert "\n" not in plain
    assert span(elapsed_s) in plain


def test_blocks_and_surroundings_have_their_place():
    state = Present(
        elapsed_s=5400, block="before 1/2", voltage_v=-1e-5, current_ma=0.0, spectra=1,
        temperature_celsius=34.26, heading_celsius=60.0, pressure_mpa=1.512,
    )  # fmt: skip
    plain = line(state, 6, 20_000.0).plain
    assert "before 1/2" in plain
    assert "34.3 to 60 C  1.51 MPa" in plain
    assert "cycle" not in plain
    assert len(plain) <= 80
