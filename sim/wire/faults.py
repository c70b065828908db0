"""Faults of a wire and of the instrument behind it, as values with a start and an end.

`FaultyInstrument` wraps any instrument; times are the laboratory's, so that a fault in virtual
time lasts as long as it says. What each kind does:

=============  =====================================================================
``silence``    The message does not reach the instrument; nothing is sent.
``late``       The instrument acts at once; its reply comes `delay_s` later.
``garble``     About a third of the reply's bytes are damaged, the first always.
``truncate``   The second half of the reply and its terminator are missing.
``close``      The instrument acts, then closes the connection instead of replying.
``reset``      The message does not reach the instrument; the connection is reset.
``refuse``     New connections are refused; one that is open is closed at its next message.
``busy``       Messages wait inside the instrument, also those of clients that have given up;
               it acts on them, in order, at the first message after the fault.
``stuck``      A query is answered as it was the first time since the fault began.
``ignored_off``  A command to switch the output off is swallowed; what else is in the same
               message acts. `*RST` and a program's own end still switch it off.
=============  =====================================================================

How a carrier shows them. Over TCP the delay of a late reply is real seconds, since real seconds
are what a client's timeout counts, and a reset is a real RST. In process nothing may wait: no
reply is VI_ERROR_TMO at once, a reply later than the session's timeout is VI_ERROR_TMO at once
and then comes with the next read of the same session, a refused connection is
VI_ERROR_RSRC_NFOUND, and a closed or reset one is VI_ERROR_CONN_LOST.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sim.faults.timed import Timed
from sim.wire.carrying import Instrument, Outcome

FaultKind = Literal[
    "silence",
    "late",
    "garble",
    "truncate",
    "close",
    "reset",
    "refuse",
    "busy",
    "stuck",
    "ignored_off",
]

OFF_COMMAND = re.compile(rb":?OUTP(?:UT)?[12]?(?::STAT(?:E)?)?\s+(?:0|OFF)\s*", re.IGNORECASE)
"""Commands that switch a source's output off (SCPI 1999 volume 2, 15.12)."""

_NOT_IN_NUMBERS = np.frombuffer(b"?~@GHJKMQWXYZ_!$%&", dtype=np.uint8)
"""Damage is drawn from these, so that a garbled number never reads as another number."""


@dataclass(frozen=True)
class Fault(Timed):
    """One fault of a wire, present from `start_s` until just before `end_s`.

    Attributes:
        match: Regular expression that a message must contain for the fault to act on it; by
            default every message. It has no meaning for ``refuse``.
        delay_s: Delay of a ``late`` reply, s.
        seed: Seed of the damage in a ``garble``.
    """

    kind: FaultKind
    match: str = ""
    delay_s: float = 2.0
    seed: int = 0

    def acts_on(self, message: bytes, t_s: float) -> bool:
        """Whether this fault acts on a message at laboratory time `t_s`."""
        if not self.holds_at(t_s):
            return False
        return not self.match or re.search(self.match, message.decode("latin-1")) is not None


class FaultyInstrument:
    """An instrument on whose wire faults come and go.

    Args:
        instrument: What is wrapped.
        now: Laboratory time, s.
        faults: Faults known from the start; `add` brings more.
    """

    def __init__(
        self, instrument: Instrument, now: Callable[[], float], faults: Iterable[Fault] = ()
    ) -> None:
        self._instrument, self._now = instrument, now
        self._faults = list(faults)
        self._waiting: list[bytes] = []
        self._stuck: dict[tuple[Fault, bytes], bytes | None] = {}
        self._damaged = 0

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault, past and future."""
        return tuple(self._faults)

    def add(self, fault: Fault) -> None:
        """Let one more fault happen."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Forget every fault, past and future; messages that wait are acted on later."""
        self._faults.clear()
        self._stuck.clear()

    def refuses(self) -> bool:
        """Whether a new connection is refused just now."""
        t_s = self._now()
        return any(f.kind == "refuse" and f.holds_at(t_s) for f in self._faults)

    def answer(self, message: bytes) -> bytes | None:
        """Reply as far as bytes can show the fault; a carrier uses `exchange`."""
        return self.exchange(message).reply

    def exchange(self, message: bytes) -> Outcome:
        """Act on one message under the faults present and say what happens on the wire.

        Of several faults on one message the first that prevents delivery wins; damage to a
        reply accumulates in the order in which the faults were added.
        """
        if not self._faults and not self._waiting:
            return Outcome(self._instrument.answer(message))
        t_s = self._now()
        acting = [fault for fault in self._faults if fault.acts_on(message, t_s)]
        if not acting:
            return Outcome(self._deliver(message))
        prevented = self._prevented(message, acting)
        if prevented is not None:
            return prevented
        return self._replied(message, acting)

    def _prevented(self, message: bytes, acting: list[Fault]) -> Outcome | None:
        """What happens where a fault keeps the message from the instrument; None: it arrives."""
        kinds = {fault.kind for fault in acting}
        if "reset" in kinds:
            return Outcome(None, ending="reset")
        if "refuse" in kinds:
            return Outcome(None, ending="close")
        if "silence" in kinds:
            return Outcome(None)
        if "busy" in kinds:
            self._waiting.append(message)
            return Outcome(None)
        return None

    def _replied(self, message: bytes, acting: list[Fault]) -> Outcome:
        """Outcome where the instrument acts but its reply suffers."""
        if any(fault.kind == "ignored_off" for fault in acting):
            message = self._without_off(message)
        outcome = Outcome(self._deliver(message) if message else None)
        for fault in acting:
            outcome = self._damage(fault, message, outcome)
        return outcome

    def _damage(self, fault: Fault, message: bytes, outcome: Outcome) -> Outcome:
        """Apply one fault to an outcome."""
        reply = outcome.reply
        if fault.kind == "close":
            return outcome._replace(reply=None, ending="close")
        if reply is None:
            return outcome
        if fault.kind == "late":
            return outcome._replace(delay_s=fault.delay_s)
        if fault.kind == "garble":
            return outcome._replace(reply=self._garbled(reply, fault.seed))
        if fault.kind == "truncate":
            return outcome._replace(reply=reply[: len(reply) // 2], terminated=False)
        if fault.kind == "stuck":
            return outcome._replace(reply=self._stuck.setdefault((fault, message), reply))
        return outcome

    def _deliver(self, message: bytes) -> bytes | None:
        """Let the instrument act, first on messages that waited; their replies are lost."""
        waiting, self._waiting = self._waiting, []
        for earlier in waiting:
            self._instrument.answer(earlier)
        return self._instrument.answer(message)

    def _garbled(self, reply: bytes, seed: int) -> bytes:
        """Reply with about a third of its bytes replaced; differs from one reply to the next."""
        random = np.random.default_rng([seed, self._damaged])
        self._damaged += 1
        damaged = np.frombuffer(reply, dtype=np.uint8).copy()
        hit = random.random(damaged.size) < 1.0 / 3.0
        hit[:1] = True
        damaged[hit] = random.choice(_NOT_IN_NUMBERS, size=int(hit.sum()))
        return damaged.tobytes()

    @staticmethod
    def _without_off(message: bytes) -> bytes:
        """Message without its commands that switch the output off."""
        parts = message.split(b";")
        return b";".join(p for p in parts if OFF_COMMAND.fullmatch(p.strip()) is None)
