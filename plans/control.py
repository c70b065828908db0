"""What people ask of a running plan: a mailbox that the plan empties, and what it answers.

Any thread may `ask`; the plan waits for `Control.arrival` beside whatever else it waits for, takes
what has come (`plans.serving` deals with it), and answers through the `Ticket`.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, get_args

from bluesky import Msg
from bluesky.utils import MsgGenerator
from ophyd.status import Status

from plans.stubs import wait_any
from plans.trip import Trip

Verb = Literal["pause", "resume", "stop", "skip_step", "image_now", "note", "set"]
"""What can be asked of a plan."""

VERBS: tuple[Verb, ...] = get_args(Verb)

After = Literal["now", "frame", "step", "cycle"]
"""When a stop takes effect."""

AFTER: tuple[After, ...] = get_args(After)

LONGEST_TEXT = 2000
"""Longest text that a request may carry, characters."""

CLOCK_JUMP = "clock_jump"
"""Kind of the event that says that the machine's clock was set; its value is by how much, s."""

_REMEMBERED = 1000
"""How many requests are known by their id, so that one that is sent again is not done again."""


def _new_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Request:
    """One thing that somebody asks for.

    Attributes:
        verb: What.
        who: Who asks, and from where; for the records.
        arguments: ``after`` of a stop, ``device`` of an image, ``text`` of a note, ``path`` and
            ``value`` of a change.
        id: Sent again with the same id it is the same request, and is done once.
    """

    verb: Verb
    who: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=_new_id)


@dataclass(frozen=True)
class ClockJump(Request):
    """A note of the machine itself: its clock was set, which changes no duration.

    Attributes:
        seconds: By how much, s; positive where it was set forward.
    """

    seconds: float = 0.0


class Standing(StrEnum):
    """How far a request has come."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    DONE = "done"
    REFUSED = "refused"


class Ticket:
    """A request and its answer; safe between threads.

    Args:
        request: What was asked for.

    Attributes:
        standing: How far it has come.
        text: The answer, a sentence.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.standing, self.text = Standing.WAITING, "waits until the plan can deal with it"
        self._answered, self._settled = threading.Event(), threading.Event()

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        return f"<{self.request.verb.replace('_', '-')}: {self.standing}: {self.text}>"

    def accept(self, text: str) -> None:
        """It is going to be done."""
        self._say(Standing.ACCEPTED, text)

    def done(self, text: str) -> None:
        """It has been done."""
        self._say(Standing.DONE, text)

    def refuse(self, reason: str) -> None:
        """It is not going to be done; nothing was changed."""
        self._say(Standing.REFUSED, reason)

    @property
    def settled(self) -> bool:
        """Whether nothing more will come of it."""
        return self._settled.is_set()

    def wait(self, timeout_s: float, *, settled: bool = False) -> bool:
        """Wait at most so many real seconds for an answer; returns whether there is one.

        Args:
            timeout_s: Longest wait, real s.
            settled: Wait until it is done or refused; otherwise being accepted is an answer.
        """
        return (self._settled if settled else self._answered).wait(timeout_s)

    def _say(self, standing: Standing, text: str) -> None:
        if self.settled:
            return
        self.standing, self.text = standing, text
        if standing is not Standing.ACCEPTED:
            self._settled.set()
        self._answered.set()


class Control:
    """The mailbox of an engine: requests wait in it until the running plan takes them.

    Nothing is polled: what arrives finishes the status that the plan waits for.

    Attributes:
        served: Whether a plan serves requests now.
        trips: Interlocks that have tripped in the run, in their order.
        on_trip: Told of every trip at once, before the plan can go on.
        taking_evidence: The plan takes a spectrum that a trip asks for, of the cell at rest.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Ticket] = OrderedDict()
        self._waiting: list[Ticket] = []
        self._arrived: Status | None = None
        self._resting: list[Ticket] = []
        self.served = self.taking_evidence = False
        self.trips: list[Trip] = []
        self.on_trip: Callable[[Trip], None] | None = None
        self._unnoted: list[Trip] = []

    def known(self, request_id: str) -> Ticket | None:
        """The request that was made with this id before, if one was."""
        with self._lock:
            return self._known.get(request_id)

    def register(self, request: Request) -> tuple[Ticket, bool]:
        """The ticket of a request, and whether it is new; the plan does not see it yet."""
        with self._lock:
            known = self._known.get(request.id)
            if known is not None:
                return known, False
            ticket = self._known[request.id] = Ticket(request)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
            return ticket, True

    def put(self, ticket: Ticket) -> None:
        """Hand a request to the plan; where none serves it is refused."""
        with self._lock:
            if ticket.settled:
                return
            if not self.served:
                ticket.refuse("no run that could do it is under way")
                return
            self._waiting.append(ticket)
            arrived, self._arrived = self._arrived, None
        if arrived is not None:
            arrived.set_finished()

    def withdraw(self, ticket: Ticket) -> bool:
        """Take a request back that waits; whether it still did."""
        with self._lock:
            waits = ticket in self._waiting
            if waits:
                self._waiting.remove(ticket)
            return waits

    def ask(self, request: Request) -> Ticket:
        """Hand a request to the plan; asked again with the same id, returns the same ticket."""
        ticket, new = self.register(request)
        if new:
            self.put(ticket)
        return ticket

    def arrival(self) -> Status:
        """A status that is done as soon as a request waits.

        Each call gives a new one and forgets the one before, which then never is done: a week of
        waits must not leave a week of callbacks behind.
        """
        status = Status(obj=self, timeout=None)
        with self._lock:
            waiting = bool(self._waiting or self._unnoted)
            self._arrived = None if waiting else status
        if waiting:
            status.set_finished()
        return status

    @property
    def tripped(self) -> Trip | None:
        """The first interlock that has tripped in the run; None while none has."""
        return self.trips[0] if self.trips else None

    def trip(self, trip: Trip) -> None:
        """An interlock has tripped and the cell is off: the plan that serves ends."""
        with self._lock:
            self.taking_evidence = False
            self.trips.append(trip)
            self._unnoted.append(trip)
            arrived, self._arrived = self._arrived, None
        if self.on_trip is not None:
            self.on_trip(trip)
        if arrived is not None:
            arrived.set_finished()

    def take_trip(self) -> Trip | None:
        """A trip that is not yet in the records, if there is one."""
        with self._lock:
            return self._unnoted.pop(0) if self._unnoted else None

    def take(self) -> Ticket | None:
        """What waits longest, if anything does; it is the taker's to answer."""
        with self._lock:
            return self._waiting.pop(0) if self._waiting else None

    @property
    def pending(self) -> list[Ticket]:
        """What waits for the plan."""
        with self._lock:
            return list(self._waiting)

    def resting(self, ticket: Ticket) -> None:
        """A pause was asked for and comes; it is done when the engine says so."""
        ticket.accept("the cell is switched off and the plan pauses")
        self._resting.append(ticket)

    @property
    def resting_for(self) -> str:
        """Who asked for the pause that comes, or in which the plan is; empty for nobody."""
        return self._resting[-1].request.who if self._resting else ""

    def rested(self) -> None:
        """The plan is paused and the cell is off."""
        for ticket in self._resting:
            ticket.done("paused, the cell is off")

    def goes_on(self) -> None:
        """The plan is paused no more."""
        self._resting.clear()

    def run_over(self) -> None:
        """The engine is idle: what was not done is not done any more."""
        self._resting.clear()
        with self._lock:
            left = [ticket for ticket in self._known.values() if not ticket.settled]
        for ticket in left:
            ticket.refuse("the run has ended")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """While a plan serves requests; what it leaves behind is refused."""
        self.served, self.trips, self._unnoted = True, [], []
        try:
            yield
        finally:
            with self._lock:
                self.served, self.on_trip, self.taking_evidence = False, None, False
                left, self._waiting, self._arrived = self._waiting, [], None
            for ticket in left:
                ticket.refuse("the run has ended")


class Meanwhile(Protocol):
    """Deals with requests while something else is waited for."""

    @property
    def leaves_step(self) -> bool:
        """Whether what is waited for is to be left."""
        ...

    def arrival(self) -> Status:
        """A status that is done as soon as a request waits; a new one each time."""
        ...

    def serve(self) -> MsgGenerator[None]:
        """Deal with what waits."""
        ...


def waiting_for(
    status: Status | None, timeout_s: float, meanwhile: Meanwhile | None
) -> MsgGenerator[None]:
    """Wait for a status, a request or a deadline, and deal with the request.

    Args:
        status: What is waited for.
        timeout_s: Longest wait in experiment time, s.
        meanwhile: Deals with requests; None leaves them waiting.
    """
    if meanwhile is None:
        yield from wait_any([status], timeout_s)
        return
    yield from wait_any([status, meanwhile.arrival()], timeout_s)
    yield from meanwhile.serve()


def engine_control() -> MsgGenerator[Control]:
    """The mailbox of the engine that runs the plan; one of its own under any other engine."""
    engine: Any = yield Msg("RE_class")
    if not getattr(engine, "HAS_CONTROL", False):
        return Control()
    control: Control = yield Msg("control")
    return control
