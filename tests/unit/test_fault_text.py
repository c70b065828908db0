"""Faults as they are written on a command line."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.wire.fault_text import read_fault
from sim.wire.faults import Fault, FaultKind

pytestmark = pytest.mark.unit


@given(
    kind=st.sampled_from(get_args(FaultKind)),
    device=st.sampled_from(["pstat", "mri.console", "smu"]),
    start_s=st.floats(0, 1e6),
    length_s=st.floats(0.1, 1e6) | st.just(math.inf),
)
def test_what_is_written_is_what_is_read(kind, device, start_s, length_s):
    end_s = start_s + length_s
    assert read_fault(f"{kind}:{device}:{start_s!r}:{end_s!r}") == (
        device,
        Fault(kind, start_s, end_s),
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("late:smu:1:2:delay_s=3.5", Fault("late", 1, 2, delay_s=3.5)),
        ("garble:smu:1:2:seed=7", Fault("garble", 1, 2, seed=7)),
        ("stuck:smu:0:inf:match=:READ|:FETC", Fault("stuck", 0, math.inf, match=":READ|:FETC")),
        (
            "late:smu:1:2:delay_s=3:match=a:seed=b",
            Fault("late", 1, 2, delay_s=3, match="a:seed=b"),
        ),
    ],
)
def test_options(text, fault):
    assert read_fault(text) == ("smu", fault)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "got 1 parts"),
        ("late:smu:1", "got 3 parts, expected KIND:DEVICE:START:END"),
        ("slow:smu:1:2", "got the kind 'slow', expected one of silence"),
        ("late:smu:soon:2", "got 'soon' as a start"),
        ("late:smu:-1:2", "got '-1' as a start"),
        ("late:smu:nan:2", "got 'nan' as a start"),
        ("late:smu:inf:inf", "got 'inf' as a start"),
        ("late:smu:3:2", "expected the end after the start"),
        ("late:smu:1:2:3", r"got the option '3', expected of late: delay_s=\.\.\. or match="),
        ("late:smu:1:2:seed=3", "got the option 'seed=3'"),
        ("late:smu:1:2:delay_s=1e9", "from 0 to 3600"),
        ("garble:smu:1:2:seed=x", "got 'x' as seed"),
        ("refuse:smu:1:2:match=x", "refuse acts on connections"),
        ("refuse:smu:1:2:seed=1", "expected of refuse: none"),
        ("stuck:smu:1:2:match=(", "expected a regular expression"),
    ],
)
def test_what_cannot_be_read_is_said(text, says):
    with pytest.raises(ValueError, match=says):
        read_fault(text)
