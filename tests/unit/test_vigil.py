"""When the watchdog acts, and that it does not otherwise: a million polls with everything late."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.watchdog.guardian import TICK_S
from orchestrator.watchdog.vigil import Vigil

TRANSACTION_S, STALL_S, BEAT_S = 1.5, 5.0, 0.5
"""Longest transaction on a wire with faults 6 to 9; a disk that stalls; time between heartbeats."""


@pytest.mark.long
def test_no_false_trip_in_a_million_polls():
    """Rows 6, 7, 8, 9: the watchdog does not act.

    Each poll holds the loop for up to a transaction, now and then behind a stalled disk.
    """
    random = np.random.default_rng(0)
    polls = 1_000_000
    held_s = random.uniform(0.0, TRANSACTION_S, polls)
    held_s[random.random(polls) < 1e-3] += STALL_S
    looks_s = random.uniform(0.2, 2.0, polls) * TICK_S  # the watchdog's own loop is not exact
    vigil, now_s, worst_s = Vigil(10.0, TICK_S, 0.0), 0.0, 0.0
    for held, look in zip((held_s + BEAT_S).tolist(), looks_s.tolist(), strict=True):
        now_s += look
        assert not vigil.expired(now_s)
        now_s += held
        assert not vigil.expired(now_s)
        worst_s = max(worst_s, held)
        vigil.heard(now_s)
    assert worst_s > STALL_S + TRANSACTION_S  # it was put to the test


@given(
    timeout_s=st.floats(1.0, 60.0),
    looks_s=st.lists(st.floats(0.001, 2 * TICK_S), min_size=1, max_size=50),
)
def test_silence_is_noticed_within_a_tick_or_two(timeout_s, looks_s):
    """Rows 10, 29: when the watchdog acts."""
    vigil, now_s, k = Vigil(timeout_s, TICK_S, 0.0), 0.0, 0
    while not vigil.expired(now_s):
        now_s += looks_s[k % len(looks_s)]
        k += 1
    assert timeout_s <= now_s + 1e-9 <= timeout_s + 2 * TICK_S + 1e-6


@given(st.floats(20.0, 1e6))
def test_a_machine_that_stood_still_is_not_silence(stood_s):
    """Row 32: suspended.

    Suspended, or starved: the watchdog was asleep as well, and hears the beats afterwards.
    """
    vigil = Vigil(10.0, TICK_S, 0.0)
    assert not vigil.expired(stood_s)
    vigil.heard(stood_s)
    assert not vigil.expired(stood_s + 9.9)
