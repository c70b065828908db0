"""No bytes crash, hang or fill an instrument: every simulated one, and the bridge agent.

The table of simulated instruments says what there is: a new one is covered when it stands on a
shipped bench. What they may do is answer, stay silent, or queue an error.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.laboratory.instruments import INSTRUMENTS
from sim.errors import UnknownCommand
from tests.fuzzing import (
    BENCHES,
    BRIDGE_AGENT,
    PAUSES_S,
    TARGETS,
    Target,
    messages,
    no_hang,
    random_message,
    size_bytes,
)

pytestmark = pytest.mark.wire

AT_ONCE = 25
IN_CI, IN_SOAK = 1_000, 20_000
"""Byte strings per instrument."""

MOST_GROWTH_BYTES = 2_048
MOST_BYTES, MOST_LATE_BYTES = 16_000_000, 500_000
"""What an instrument may hold after any number of messages (settings, queues, an image and what it
is drawn from), and by how much that may differ in the second half of them."""


def test_every_simulated_instrument_is_fuzzed():
    assert set(BENCHES) == set(INSTRUMENTS), "put the new instrument on a bench of sim/benches"


def hit(target: Target, sent: list[tuple[bytes, float]]) -> None:
    for message, pause_s in sent:
        target.now_s += pause_s
        target.send(message + b"\n")
    target.resynchronised()


def check(name: str, folder, sent: list[tuple[bytes, float]]) -> None:
    """The same again and again does not fill it, and it still says who it is."""
    with no_hang():
        target = Target(name, folder)
        hit(target, sent)
        hit(target, sent)
        before = size_bytes(target.instrument)
        hit(target, sent)
        assert size_bytes(target.instrument) - before < MOST_GROWTH_BYTES
        (identity,) = target.send(b"*IDN?\n")
    assert identity.count(b",") == 3


def fuzz(name: str, folder, count: int) -> None:
    sample = Target(name, folder)
    one = st.tuples(messages(sample.headers, sample.settings), PAUSES_S)

    @settings(
        max_examples=count // AT_ONCE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(sent=st.lists(one, min_size=AT_ONCE, max_size=AT_ONCE))
    def run(sent):
        check(name, folder, sent)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_break_an_instrument(name, tmp_path):
    fuzz(name, tmp_path, IN_CI)


@pytest.mark.soak
@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_break_an_instrument_many(name, tmp_path):
    fuzz(name, tmp_path, IN_SOAK)


def last(name: str, folder, count: int) -> None:
    """One instrument that is never restarted, and messages that never repeat."""
    target, chance = Target(name, folder), random.Random(20_250_101)
    early = 0
    for number in range(count):
        target.now_s += chance.choice((0.0, 0.0, 0.01, 1.0, 30.0, 600.0))
        with no_hang():
            target.send(random_message(target, chance) + b"\n")
        target.resynchronised()
        if number == count // 2:
            early = size_bytes(target.instrument)
    late = size_bytes(target.instrument)
    assert late < MOST_BYTES, f"{early} bytes half-way, {late} at the end"
    assert late - early < MOST_LATE_BYTES, f"{early} bytes half-way, {late} at the end"


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_fills_an_instrument(name, tmp_path):
    last(name, tmp_path, IN_CI)


@pytest.mark.soak
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_fills_an_instrument_ever(name, tmp_path):
    last(name, tmp_path, IN_SOAK)


@pytest.mark.parametrize("name", [one for one in TARGETS if one != BRIDGE_AGENT])
def test_a_strict_instrument_raises_what_it_declares(name, tmp_path):
    target, chance = Target(name, tmp_path), random.Random(1)
    instrument = target.instrument
    if hasattr(instrument, "strict"):
        instrument.strict = True
    else:
        instrument._commands.strict = True
    raised = 0
    for _ in range(200):
        try:
            target.send(random_message(target, chance) + b"\n")
        except UnknownCommand:
            raised += 1
    assert raised
