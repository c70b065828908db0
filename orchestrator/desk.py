"""Where requests to the runs of a bench come in, from the prompt and from other processes.

Each is written to the audit log, handed to the plan (or, where no plan takes it, to the engine),
waited for with a bound, and its outcome written down too. Called from any thread but never from a
signal handler.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

from orchestrator.engine import Engine
from orchestrator.errors import RecordError
from orchestrator.live import Live
from orchestrator.records.audit import AuditLog
from orchestrator.records.directory import DataDirectory
from orchestrator.remote import Answer, ControlServer, Message, RunStatus, recorded_status
from orchestrator.remote.addresses import Peer, this_user
from plans.control import VERBS, Request, Standing, Ticket, Verb

log = logging.getLogger(__name__)

Word = Literal["resume", "stop"]
"""What is to happen to a paused run."""

_PLAN_WITHIN_S = 5.0
"""A plan that has not taken a pause after so many real seconds is paused by the engine, s."""

_PROMPT_WAITS_S = 30.0
"""Longest wait for an answer within this process, real s."""

_NEEDED = ("pause", "stop")
"""Requests that are carried out even where they cannot be written down."""


class Desk:
    """Takes requests to a bench's runs.

    Args:
        engine: Runs them.
        live: What is going on.
        directory: Where the audit log and the pointers to the socket are.

    Attributes:
        audit: Who asked for what.
        decide: Tells whoever holds a paused run what to do with it, and says whether they take
            it; None where nobody can be told.
        heard: Is told of each request from elsewhere, for the screen.
    """

    def __init__(self, engine: Engine, live: Live, directory: DataDirectory) -> None:
        self._engine, self._live, self._directory = engine, live, directory
        self._control = engine.control
        self.audit = AuditLog(directory.audit)
        self.decide: Callable[[Word], bool] | None = None
        self.heard: Callable[[str], None] = log.warning
        self._server = ControlServer(directory.root / "control", self._respond)

    def document(self, name: str, doc: dict[str, Any]) -> None:
        """A run that begins can be reached from elsewhere until it ends."""
        if name == "start":
            self._server.run_begins(doc["uid"])
        elif name == "stop":
            self._server.run_ends(doc["run_start"])

    def close(self) -> None:
        """Take nothing more; idempotent."""
        self._server.close()

    def status(self) -> RunStatus:
        """Where the running or last run stands."""
        present = self._live.snapshot()
        journal = self._directory.journal(present.run) if present.run else None
        if journal is None or not journal.exists():
            return RunStatus(energised=tuple(self._engine.energised), source="process")
        known = recorded_status(journal, asdict(present)).as_dict()
        paused_by = self._control.resting_for if known["state"] == "paused" else ""
        known |= {
            "reason": f"by {paused_by}" if paused_by else known["reason"],
            "energised": tuple(self._engine.energised),
            "pending": tuple(repr(ticket)[1:-1] for ticket in self._control.pending),
            "source": "process",
        }
        return RunStatus(**known)

    def ask(self, verb: Verb, **arguments: Any) -> Ticket:
        """Ask for something from within this process; who asks ends a paused run by itself."""
        request = Request(verb, f"{this_user()} at the prompt", arguments)
        return self.carry_out(request, wait_s=_PROMPT_WAITS_S, here=True)

    def carry_out(self, request: Request, *, wait_s: float, here: bool = False) -> Ticket:
        """Have a request done, or refused with the reason; sent again it is not done again.

        Args:
            request: What is wanted.
            wait_s: Longest wait for the answer, real s; on the engine's own loop nothing is
                waited for.
            here: Whoever holds a paused run asks: nobody else is told.

        Returns:
            The request with its answer, which may still be to come.
        """
        ticket, new = self._control.register(request)
        wait_s = 0.0 if self._on_loop() else wait_s
        if not new:
            ticket.wait(wait_s)
            return ticket
        if self._written(ticket, "request", request.arguments):
            self._do(ticket, wait_s, here=here)
            self._written(ticket, "answer", {"standing": ticket.standing, "text": ticket.text})
        return ticket

    def written_off(self, who: str, *, unsafe: list[str]) -> None:
        """Write down that somebody switched the bench off."""
        try:
            self.audit.append("off", who, unsafe=unsafe)
        except RecordError as error:
            log.warning("%s", error)

    # --- inside ---------------------------------------------------------------------------------

    def _respond(self, message: Message, peer: Peer) -> Answer:
        """Answer what another process asks; runs in a thread of the server."""
        run = self._live.snapshot().run
        if message.verb == "status":
            status = self.status()
            return Answer("done", "", run, status.pid, status.as_dict())
        verb = next(one for one in VERBS if one == message.verb)
        who = f"{message.on_behalf} ({peer})" if message.on_behalf else str(peer)
        request = Request(verb, who, dict(message.arguments), message.id)
        if self._control.known(message.id) is None:
            self.heard(f"{verb.replace('_', '-')}, asked for by {who}")
        ticket = self.carry_out(request, wait_s=message.wait_s)
        return Answer(str(ticket.standing), ticket.text, run, self._live.snapshot().pid)

    def _on_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._engine.loop
        except RuntimeError:
            return False

    def _written(self, ticket: Ticket, kind: str, what: Any) -> bool:
        """Write a line of the audit log; without it only what is needed most is done."""
        request = ticket.request
        try:
            self.audit.append(
                kind,
                request.who,
                verb=request.verb,
                id=request.id,
                run=self._live.snapshot().run,
                experiment_time_s=self._engine.clock.time(),
                **{"arguments": dict(what)} if kind == "request" else what,
            )
        except RecordError as error:
            log.warning("%s", error)
            if kind == "request" and request.verb not in _NEEDED:
                ticket.refuse(str(error))
                return False
        return True

    def _do(self, ticket: Ticket, wait_s: float, *, here: bool) -> None:
        state = str(self._engine.state)
        if state in ("idle", "panicked"):
            ticket.refuse("no run is under way")
        elif state == "paused":
            self._while_paused(ticket, wait_s, here=here)
        elif ticket.request.verb == "resume":
            ticket.done("the run is not paused")
        elif not self._control.served:
            self._by_engine(ticket, wait_s)
        else:
            self._control.put(ticket)
            pauses = ticket.request.verb == "pause"
            answered = ticket.wait(min(wait_s, _PLAN_WITHIN_S) if pauses else wait_s)
            if pauses and not answered and wait_s > 0.0 and self._control.withdraw(ticket):
                self._by_engine(ticket, wait_s)  # the plan is busy with something else
            ticket.wait(wait_s if pauses else 0.0, settled=True)

    def _while_paused(self, ticket: Ticket, wait_s: float, *, here: bool) -> None:
        """The plan rests: what is not about that waits until it goes on."""
        verb = ticket.request.verb
        if verb == "pause":
            ticket.done("the run is paused already")
            return
        word = self._word(ticket)
        if self._control.served:
            self._control.put(ticket)
        elif word is None:
            ticket.refuse("the plan takes no requests (plans made with run_protocol do)")
        if word is None or here:
            return
        if self.decide is None or not self.decide(word):
            self._control.withdraw(ticket)
            ticket.refuse(f"the run is paused at a prompt that is busy: type bench.{word}() there")
        elif not self._control.served:
            ticket.done(f"the prompt carries out bench.{word}()")
        ticket.wait(wait_s, settled=True)

    def _word(self, ticket: Ticket) -> Word | None:
        verb, after = ticket.request.verb, ticket.request.arguments.get("after", "now")
        if verb == "resume":
            return "resume"
        return "stop" if verb == "stop" and after == "now" else None

    def _by_engine(self, ticket: Ticket, wait_s: float) -> None:
        """What the engine can do with any plan: pause it or end it."""
        verb, after = ticket.request.verb, ticket.request.arguments.get("after", "now")
        if verb == "pause":
            self._control.resting(ticket)
            self._engine.interrupt(abort=False, reason=f"paused by {ticket.request.who}")
            ticket.wait(wait_s, settled=True)
        elif verb == "stop" and after == "now":
            self._engine.end()
            ticket.done("the run ends")
        else:
            ticket.refuse("the plan takes no such requests (plans made with run_protocol do)")


def accepted(ticket: Ticket) -> bool:
    """Whether a request was not refused."""
    return ticket.standing is not Standing.REFUSED
