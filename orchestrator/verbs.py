"""The control verbs as methods of a bench: the same names as on the command line."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from orchestrator.desk import Desk, accepted
from orchestrator.engine import Engine
from orchestrator.errors import ControlError
from orchestrator.remote import RunStatus
from orchestrator.remote.addresses import this_user
from plans.control import After, Ticket, Verb


class Verbs:
    """What a person does with a run: look at it, pause it, end it, change it.

    Every request is written to the audit log and becomes an event of the run before it is done.
    One that is refused raises `ControlError` with the reason. While the prompt waits for a plan
    nobody can type there: then these are for another thread, or use the same verbs of the command
    line in another terminal. While a plan is paused, requests wait until it goes on.

    Attributes:
        RE: The engine.
        desk: Takes the requests.
    """

    RE: Engine
    desk: Desk

    def status(self) -> RunStatus:
        """Where the running or last run stands."""
        return self.desk.status()

    def pause(self) -> Ticket:
        """Pause the running plan from another thread; the cell rests."""
        return self._asked("pause")

    def resume(self) -> Any:
        """Go on with a paused plan."""
        return self.RE.resume()

    def resume_run(
        self, run: str = "-1", *, answer: str | None = None, accept: bool = False
    ) -> Any:
        """Go on with a run that was cut off, on this bench; see docs/how-to/after-a-crash.md.

        Args:
            run: The beginning of its uid, or ``-1`` for the latest.
            answer: What is done where its step does not go on by itself: ``continue`` with what is
                left, or ``skip`` the step. None: the cell is off, and `ResumeHeldError` says why.
            accept: Go on although software or profile are not what they were.

        Returns:
            The result of the new run.

        Raises:
            ResumeError: It cannot go on, or needs an answer.
        """
        at_prompt = import_module("orchestrator.resuming.at_prompt")  # it stands above the bench
        return at_prompt.resume(self, run, answer=answer, accept=accept)

    def abort(self, reason: str = "aborted at the prompt") -> Any:
        """End the paused plan; the run counts as aborted."""
        engine: Any = self.RE
        return engine.abort(reason)

    def stop(self, after: After = "now") -> Any:
        """End the run; it counts as a success.

        Args:
            after: ``now``; or after the ``frame`` that is being taken, the present ``step`` or
                the present ``cycle``.
        """
        engine: Any = self.RE
        if str(engine.state) != "paused" or after != "now":
            return self._asked("stop", after=after)
        if not any(one.request.verb == "stop" for one in engine.control.pending):
            self._asked("stop", after=after)
        return engine.stop()

    def skip_step(self) -> Ticket:
        """End the present step as if its time were over; what was left of it is recorded."""
        return self._asked("skip_step")

    def image_now(self, device: str | None = None) -> Ticket:
        """Take a frame as soon as the device is free.

        Args:
            device: Name of an image device, or of the potentiostat's spectra (``pstat_eis``);
                None: every image device of the run.
        """
        return self._asked("image_now", device=device)

    def note(self, text: str) -> Ticket:
        """Write something down among the events of the run."""
        return self._asked("note", text=text)

    def set(self, path: str, value: float) -> Ticket:
        """Change what may be changed while a run goes on.

        Args:
            path: ``step.until_time_s`` (or ``until_voltage_V``, ``until_current_mA``) of the
                present step, ``method[3].until_time_s`` of a later one (counted from 0),
                ``record.time_s``, ``safety.max_voltage_V`` and the like (only tightened),
                ``images[mri].every_s``.
            value: In the unit of the name.
        """
        return self._asked("set", path=path, value=value)

    def off(self) -> list[str]:
        """Switch everything off, verified; returns the names of devices not known to be off."""
        unsafe = self._off()
        self.desk.written_off(f"{this_user()} at the prompt", unsafe=unsafe)
        return unsafe

    def _off(self) -> list[str]:
        self.RE.switch_off()
        return sorted(self.RE.unsafe)

    def _asked(self, verb: Verb, **arguments: Any) -> Ticket:
        ticket = self.desk.ask(verb, **arguments)
        if not accepted(ticket):
            what = verb.replace("_", "-")
            raise ControlError(what, ticket.text, remedy="nothing was changed")
        return ticket
