"""The bridge's line protocol as every driver on it speaks it: errors, token, queries, commands.

`BridgeInstrument` is the PyMeasure-style part (`docs/reference/bridge-protocol.md`, common
headers); `greet` proves the token after each connect, and `command_once` sends what must act at
most once. The drivers of one class of device add their own headers.

Verified on hardware: no.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pymeasure.instruments import Instrument

from devices.bridge.authentication import agent_mac, client_mac, new_nonce
from devices.errors import (
    DeviceError,
    IdentityError,
    InstrumentFault,
    LimitError,
    LinkError,
    NotReachedError,
)
from devices.link import Link, StrictInstrumentMixin
from devices.link_numbers import GarbledReplyError, parse_float, parse_int

T = TypeVar("T")

MAX_OBJECT_CHARACTERS = 1_000_000
"""Longest JSON object that is parsed; a state or a header has a few hundred characters."""

_MAX_QUEUE = 21
_REFUSED_SETTINGS = {-222, -224, -104}
_BUSY = {-213, -221}


@dataclass(frozen=True)
class _Refused:
    """A query's error in place of its reply."""

    code: int
    text: str


def parse_error(entry: str) -> tuple[int, str]:
    """Number and text of an error entry, ``-222,"Data out of range;..."``.

    Raises:
        GarbledReplyError: It is not an entry.
    """
    code, _, text = entry.partition(",")
    return parse_int(code), text.strip().strip('"')


def parse_object(reply: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        GarbledReplyError: It is not one, or too long for one.
    """
    if len(reply) > MAX_OBJECT_CHARACTERS:
        what = f"got {len(reply)} characters, expected at most {MAX_OBJECT_CHARACTERS} of JSON"
        raise GarbledReplyError(what)
    try:
        result = json.loads(reply, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise GarbledReplyError(f"got {reply[:60]!r}, expected JSON: {error}") from error
    if not isinstance(result, dict):
        raise GarbledReplyError(f"got {reply[:60]!r}, expected a JSON object")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def bridge_error(who: str, code: int, text: str) -> DeviceError:
    """The error that a refusal stands for.

    A refused setting is a `LimitError`, an instrument that is busy a `NotReachedError`, a token
    that was not accepted an `IdentityError`, anything else an `InstrumentFault`.
    """
    what = f"the bridge answers {code}, {text}"
    if code in _REFUSED_SETTINGS:
        return LimitError(who, what, remedy="change the settings of the experiment")
    if code in _BUSY:
        return NotReachedError(who, what, remedy="wait for what goes on, or end it")
    if code == -203:
        return IdentityError(who, what, remedy="give the agent's token in the environment")
    return InstrumentFault(who, what, remedy="look at the instrument")


class BridgeInstrument(StrictInstrumentMixin, Instrument):
    """An instrument that speaks the bridge protocol: its common headers.

    Args:
        adapter: A link's adapter.
        name: Name for messages.
        **kwargs: As for `pymeasure.instruments.Instrument`.
    """

    def __init__(self, adapter: Any, name: str, **kwargs: Any) -> None:
        super().__init__(adapter, name, includeSCPI=False, **kwargs)

    @property
    def clock_s(self) -> float:
        """Get the instrument's own clock in Unix s (float)."""
        return self.answer("SYST:TIME?", parse_float)

    @property
    def challenge(self) -> dict[str, Any]:
        """Get whether a token is required, and the nonce to prove it with (dict)."""
        return self.answer("AUTH:CHAL?", parse_object)

    @property
    def next_error(self) -> tuple[int, str]:
        """Get the oldest entry of the error queue and remove it (tuple of int and str)."""
        return self.answer("SYST:ERR?", parse_error)

    def clear(self) -> None:
        """Empty the error queue."""
        self.write("*CLS")

    def check_errors(self) -> list[tuple[int, str]]:
        """Read the whole error queue and raise what its first entry stands for.

        Raises:
            DeviceError: As `bridge_error` says; the message has every entry's text.
        """
        entries: list[tuple[int, str]] = []
        for _ in range(_MAX_QUEUE):
            code, text = self.next_error
            if code == 0:
                break
            entries.append((code, text))
        if entries:
            texts = "; ".join(text for _, text in entries)
            raise bridge_error(self.name, entries[0][0], texts)
        return entries

    def prove(self, client_nonce: str, mac: str) -> str:
        """Answer the challenge; returns the agent's own proof. Sent once: a nonce serves once.

        Raises:
            IdentityError: The agent does not accept the proof.
        """
        response = json.dumps({"client_nonce": client_nonce, "mac": mac})
        return str(self.answer(f"AUTH:RESP? {response}", parse_object, repeat=False).get("mac"))

    def answer(self, query: str, parse: Callable[[str], T], *, repeat: bool | None = None) -> T:
        """What a query answers; a refusal raises, but the connection stays trusted.

        Raises:
            DeviceError: The query was refused, as `bridge_error` says.
            LinkError: No usable reply came.
        """

        def classify(reply: str) -> T | _Refused:
            return _Refused(*parse_error(reply[1:])) if reply[:1] == "!" else parse(reply)

        link = getattr(self.adapter, "link", None)
        try:
            if link is None:
                answer = classify(self.ask(query))
            else:
                answer = link.ask_for(query, classify, repeat=repeat)
        except GarbledReplyError as error:
            raise LinkError(self.name, f"{query}: {error}", remedy="check the cable") from error
        if isinstance(answer, _Refused):
            raise bridge_error(self.name, answer.code, answer.text)
        return answer


def greet(link: Link, instrument: BridgeInstrument, token: str | None) -> None:
    """Prove the token where one is wanted, and forget errors of a conversation before this one.

    Raises:
        IdentityError: The agent wants a token, does not accept this one, or cannot prove it.
    """
    challenge = instrument.challenge
    if challenge.get("required"):
        _authenticate(link, instrument, token, str(challenge.get("nonce")))
    instrument.clear()


def command_once(link: Link, command: str) -> None:
    """Send a command that must act at most once; its place in the error queue confirms it.

    Raises:
        DeviceError: It was refused, as `bridge_error` says.
        LinkError: It was not sent, or (the message says so) may have been.
    """
    entry = link.write_once(command, confirm="SYST:ERR?")
    try:
        code, text = parse_error(entry)
    except GarbledReplyError as error:
        raise LinkError(
            link.who,
            f"{command!r} was sent and may have acted: {error}",
            remedy="look at the instrument's status",
        ) from error
    if code:
        raise bridge_error(link.who, code, text)


def _authenticate(link: Link, instrument: BridgeInstrument, token: str | None, nonce: str) -> None:
    if token is None:
        raise IdentityError(
            link.who,
            "the agent wants a token, got none",
            remedy="give the agent's token in the environment",
        )
    mine = new_nonce()
    proof = instrument.prove(mine, client_mac(token, nonce, mine))
    if not hmac.compare_digest(proof.encode(), agent_mac(token, nonce, mine).encode()):
        raise IdentityError(
            link.who,
            "the agent cannot prove that it knows the token",
            remedy="somebody else may listen at this address",
        )
