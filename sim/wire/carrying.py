"""What a carrier (the VISA library, the TCP server) needs to know of a simulated instrument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, runtime_checkable


class Instrument(Protocol):
    """A protocol front end: bytes in, bytes out, no I/O, no threads."""

    def answer(self, message: bytes) -> bytes | None:
        """Act on one message (without terminator); return the reply without terminator.

        None: this message has no reply. A reply may hold binary blocks.
        """
        ...


Ending = Literal["open", "close", "reset"]


class Outcome(NamedTuple):
    """What happens on the wire after one message.

    Attributes:
        reply: Reply without terminator; None where nothing is sent.
        delay_s: How long after the message the reply is sent, s.
        terminated: Whether the terminator follows the reply; False in a truncated one.
        ending: What then becomes of the connection: it stays open, is closed in order (FIN), or
            is reset (RST).
    """

    reply: bytes | None
    delay_s: float = 0.0
    terminated: bool = True
    ending: Ending = "open"


@runtime_checkable
class WireInstrument(Protocol):
    """An instrument that also decides what happens on its wire: one wrapped with faults."""

    def answer(self, message: bytes) -> bytes | None:
        """As `Instrument.answer`."""
        ...

    def exchange(self, message: bytes) -> Outcome:
        """Act on one message and say what happens on the wire."""
        ...

    def refuses(self) -> bool:
        """Whether a new connection is refused just now."""
        ...


class Client(Protocol):
    """One connection to something that keeps its clients apart."""

    def feed(self, data: bytes) -> list[bytes]:
        """Cut what arrives into messages."""
        ...

    def exchange(self, message: bytes) -> Outcome:
        """Act on one message and say what happens on the wire."""
        ...

    def left(self) -> None:
        """The connection is gone."""
        ...


@runtime_checkable
class Receptionist(Protocol):
    """Something served that keeps its clients apart: each connection gets a `Client`."""

    def client(self) -> Client:
        """For a new connection."""
        ...


def exchanger(instrument: Instrument) -> Callable[[bytes], Outcome]:
    """Function that hands one message to an instrument of either kind.

    It is looked up once per connection, since a structural `isinstance` costs as much as a query.
    """
    if isinstance(instrument, WireInstrument):
        return instrument.exchange
    answer = instrument.answer
    return lambda message: Outcome(answer(message))


def refuses(instrument: Instrument) -> bool:
    """Whether an instrument refuses a new connection just now."""
    return isinstance(instrument, WireInstrument) and instrument.refuses()
