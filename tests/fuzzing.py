"""Messages that nobody would send, and what they must not do to an instrument."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sys
import types
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from devices.bridge.protocol import Session
from devices.bridge.watched_folder import WatchedFolderConsole
from orchestrator.laboratory.instruments import INSTRUMENTS, Place, make_instrument
from orchestrator.laboratory.samples import (
    DEFAULT_SAMPLE,
    MICROSCOPE_SAMPLE,
    Surroundings,
    make_sample,
)
from orchestrator.profile.loading import read_profile, shipped_folder
from sim.clock import EPOCH_S
from sim.faults.faulty_sample import FaultySample
from sim.instruments.bridge_protocol import CommandSet
from sim.instruments.smu_buffer import ReadingBuffer
from sim.wire.framing import Framing, MessageTooLong
from sim.world import World

BRIDGE_AGENT = "bridge agent"
"""The agent of `devices.bridge` with its plug-in; the only one that is not simulated."""

ARGUMENTS = (
    "", "0", "1", "-1", "2", "5", "50", "1e3", "1e-9", "1e400", "-1e400", "nan", "inf", "ON", "OFF",
    "MAX", "DEF", "CURR", "VOLT", '"VOLT"', '"defbuffer1"', '"defbuffer2"', '"x"', "'", '"', "#",
    "#15abc", "#0", "#9", "1,2", "1;2", ":", "*", "?", "é", "\x00", "\t", "\r", "READ", "REL",
    '"SimpleLoop"', '"SimpleLoop", 5, 1', '"Empty"', "{}", "[]", "null", "true", "{", '{"a":1}',
    '{"a":1,"a":2}', "[[[[[[", "1" * 400, "A" * 70, "-0", "+1", "0x1F", "1 2", "#H1F", "1e", ".",
)  # fmt: skip
"""Arguments right and wrong, in any instrument's eyes."""

JSON_VALUES = (
    None, True, False, 0, 1, -1, 2, 1e-9, 1e9, 1e300, 2**70, "", "x", "7Li", [], [1], [1, 2],
    [0, 0], [1e9, 1e9], [[1]], {}, {"a": None}, [None, None], "flash2d", [32, 16], 0.5,
)  # fmt: skip
"""Values of a setting, right and wrong."""

LONGEST_S = 30.0
"""An answer that takes longer hangs, s."""


class Target:
    """An instrument with a clock that is set by hand.

    Args:
        name: The driver that speaks to it, or `BRIDGE_AGENT`.
        folder: Where the bridge agent's plug-in keeps its files.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.now_s, self._framing = 0.0, Framing()
        if name == BRIDGE_AGENT:
            folder.mkdir(exist_ok=True)
            plugin = WatchedFolderConsole(folder)
            self.instrument: Any = Session(plugin.identity, plugin.commands())
            self.headers = list(plugin.commands())
        else:
            self.instrument = self._simulated(name)
            self.headers = headers_of(self.instrument)
        self.settings = self._settings()

    def _simulated(self, driver: str) -> Any:
        recipe = MICROSCOPE_SAMPLE if BENCHES[driver].of_kind("sem") else DEFAULT_SAMPLE
        sample = FaultySample(make_sample(recipe, Surroundings()))
        place = Place(
            world=World(sample, now=lambda: self.now_s),
            serial="SIM-0001",
            epoch_s=EPOCH_S,
            strict=False,
            options=next(
                device.model_dump(mode="json")
                for device in BENCHES[driver].devices.values()
                if driver in {link.driver for link in device.links().values()}
            ),
        )
        return make_instrument(driver, place)

    def _settings(self) -> Mapping[str, Any]:
        """Settings that it takes as JSON, if it does."""
        if "ACQ:CONF?" not in self.headers and "ACQuire:CONFigure?" not in self.headers:
            return {}
        found: dict[str, Any] = json.loads(self.instrument.answer(b"ACQ:CONF?"))
        return found

    def send(self, data: bytes) -> list[bytes]:
        """Bytes as a carrier hands them over; returns the replies."""
        replies = []
        try:
            for message in self._framing.feed(data):
                reply = self.instrument.answer(message)
                assert reply is None or isinstance(reply, bytes)
                replies += [] if reply is None else [reply]
        except MessageTooLong:
            self._framing = Framing()
        return replies

    def resynchronised(self) -> None:
        """Forget an unfinished message, as a new connection does."""
        self._framing = Framing()


def _benches() -> dict[str, Any]:
    """A shipped bench for every simulated instrument."""
    found: dict[str, Any] = {}
    for path in sorted(shipped_folder().glob("*.yaml")):
        profile = read_profile(path)
        for link in profile.links.values():
            if link.simulated and link.driver in INSTRUMENTS:
                found.setdefault(link.driver, profile)
    return found


BENCHES = _benches()
TARGETS = [*sorted(BENCHES), BRIDGE_AGENT]


def headers_of(instrument: Any) -> list[str]:
    """Headers of an instrument's own command table."""
    if hasattr(instrument, "headers"):
        found: list[str] = instrument.headers()
        return found
    tables = [one for one in vars(instrument).values() if isinstance(one, CommandSet)]
    return [header for table in tables for header in table.headers()]


# --- what is sent -------------------------------------------------------------------------------


def random_message(target: Target, chance: random.Random) -> bytes:
    """Random bytes, or a command out of the instrument's table with damage of any kind."""
    if chance.random() < 0.25:
        return chance.randbytes(chance.randrange(40))
    header = chance.choice(target.headers)
    if chance.random() < 0.2:
        header = header.replace(":", f"{chance.randrange(10**6)}:", 1)
    if target.settings and chance.random() < 0.5:
        key = chance.choice([*target.settings, "no_such"])
        argument = json.dumps({key: chance.choice(JSON_VALUES)})
    else:
        argument = ",".join(chance.choices(ARGUMENTS, k=chance.randrange(4)))
    message = f"{header} {argument}".strip(" ").encode("utf-8")
    if chance.random() < 0.3 and message:
        place = chance.randrange(len(message))
        message = message[:place] + chance.randbytes(chance.randrange(3)) + message[place + 1 :]
    return message


def messages(
    target_headers: Sequence[str], settings: Mapping[str, Any]
) -> st.SearchStrategy[bytes]:
    """The same as a strategy, which hypothesis can shrink."""
    header = st.sampled_from(list(target_headers))
    plain = st.builds(
        lambda head, values: f"{head} {','.join(values)}".strip(" ").encode("utf-8"),
        header,
        st.lists(st.sampled_from(ARGUMENTS), max_size=4),
    )
    commands = plain
    if settings:
        configured = st.builds(
            lambda head, values: f"{head} {json.dumps(values)}".encode(),
            header,
            st.dictionaries(
                st.sampled_from([*settings, "no_such"]), st.sampled_from(JSON_VALUES), max_size=3
            ),
        )
        commands = plain | configured
    damaged = st.builds(
        lambda message, place, bytes_: message[:place] + bytes_ + message[place + 1 :],
        commands,
        st.integers(0, 40),
        st.binary(max_size=3),
    )
    return st.binary(max_size=40) | commands | damaged


PAUSES_S = st.sampled_from([0.0, 0.0, 0.0, 0.01, 1.0, 30.0, 3600.0, 1e5])


# --- what must not happen -----------------------------------------------------------------------


class HangError(AssertionError):
    """An instrument took too long over one thing."""


@contextlib.contextmanager
def no_hang(longest_s: float = LONGEST_S) -> Iterator[None]:
    """End with an error what goes on for ever."""

    def ring(number: int, frame: Any) -> None:
        raise HangError(f"no answer within {longest_s:g} s")

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, longest_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, former)


_LEAVES = (
    type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, World, FaultySample,
)  # fmt: skip


def size_bytes(instrument: Any) -> int:
    """What an instrument holds, bytes, without world, sample and the rows of its reading buffers.

    Those buffers have a capacity that a client sets; they are asserted not to exceed it.
    """
    seen: set[int] = set()
    waiting: deque[Any] = deque([instrument])
    total = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _LEAVES):
            continue
        seen.add(id(one))
        if isinstance(one, ReadingBuffer):
            assert one.actual <= one.capacity
            continue
        total += one.nbytes if isinstance(one, np.ndarray) else sys.getsizeof(one)
        waiting.extend(_inside(one))
    return total


def _inside(one: Any) -> list[Any]:
    if isinstance(one, dict):
        return [*one.keys(), *one.values()]
    if isinstance(one, list | tuple | set | frozenset | deque):
        return list(one)
    if isinstance(one, types.MethodType):
        return [one.__self__]
    slots = [getattr(one, name, None) for name in getattr(type(one), "__slots__", ())]
    return [*slots, *vars(one).values()] if hasattr(one, "__dict__") else slots
