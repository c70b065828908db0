"""Decides what is sent now: who, together with what, and when again after a failure."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.alerts import anchors
from orchestrator.alerts.anchors import Anchor
from orchestrator.alerts.loading import load_alerts
from orchestrator.alerts.model import Alerts, Mail, Webhook
from orchestrator.alerts.outbox import Group, Outbox
from orchestrator.alerts.sending import NotSentError, send
from orchestrator.alerts.wording import Message, composed
from orchestrator.errors import AlertError
from orchestrator.telling import Severity, Telling

log = logging.getLogger(__name__)

FIRST_RETRY_S = 30.0
_LONGEST_RETRY_S = 3600.0
_LONGEST_RETRY_UNSAFE_S = 300.0
_LASTING_RETRY_S = 900.0
_HOUR_S = 3600.0

Send = Callable[[Message, Mail | Webhook], str]


class Deliverer:
    """Delivers what is in an outbox; call `step` again and again.

    Args:
        outbox: What was told.
        send: Sends one message; raises NotSentError.
        load: Who is told about a data directory.

    Attributes:
        missing: Names of channels whose secret is not in the environment of this process.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        send: Send = send,
        load: Callable[[Path | None], Alerts | None] = load_alerts,
    ) -> None:
        self._outbox, self._send, self._load = outbox, send, load
        self.missing: set[str] = set()

    def step(self) -> float | None:
        """Take up what was told and send what is due.

        Returns:
            When there is something to do again, Unix s; None where nothing waits.
        """
        self._outbox.take_up()
        unusable = False
        for telling in self._outbox.unrouted():
            unusable = not self._route(telling) or unusable
        for group in self._outbox.due():
            self._deliver(group)
        again_s = self._outbox.next_due_s()
        if again_s is not None and unusable:
            again_s = max(again_s, self._outbox.now() + FIRST_RETRY_S)
        return again_s

    # --- inside ---------------------------------------------------------------------------------

    def _route(self, telling: Telling) -> bool:
        """Whom a telling goes to; False where the file of alerts cannot be used for now."""
        try:
            alerts = self._alerts(telling)
        except AlertError as error:
            log.critical("nobody is told for now: %s", error)
            return False
        if alerts is not None and self._too_old([telling], alerts):
            alerts = None  # from before anybody was to be told
        chosen = [
            one.name
            for one in (alerts.channels if alerts is not None else ())
            if telling.severity >= one.threshold
        ]
        self._outbox.route(telling, chosen)
        return True

    def _deliver(self, group: Group) -> None:
        first = group.tellings[0]
        try:
            alerts = self._alerts(first)
        except AlertError as error:
            self._again(group, NotSentError(str(error)))
            return
        channel = next(
            (one for one in (alerts.channels if alerts else ()) if one.name == group.channel), None
        )
        if alerts is None or channel is None:
            self._outbox.given_up(group, "is no longer in the file of alerts")
            return
        until_s, why = self._held_back(group, alerts)
        if until_s is not None:
            self._outbox.put_off(group, until_s, why)
            return
        heads = _heads(group.tellings)
        zone = alerts.quiet_hours.zone if alerts.quiet_hours else None
        message = composed(group.tellings, heads, lab=alerts.lab, zone=zone)
        # noted first: what cannot be noted would be sent again and again
        self._outbox.begin(group, self._outbox.now() + _wait_s(group))
        try:
            note = self._send(message, channel)
        except NotSentError as error:
            self._failed(group, error, alerts)
            return
        self._outbox.sent(group, note)
        self.missing.discard(group.channel)
        log.info("%s: sent by %s", message.subject, group.channel)
        for head in heads:
            with contextlib.suppress(OSError):  # the message has it
                anchors.keep(replace(head, time=self._outbox.now(), channel=group.channel))

    def _alerts(self, telling: Telling) -> Alerts | None:
        return self._load(Path(telling.data) if telling.data else None)

    def _held_back(self, group: Group, alerts: Alerts) -> tuple[float | None, str]:
        """Until when, Unix s, and why; what is UNSAFE never is."""
        if group.severity is Severity.UNSAFE:
            return None, ""
        if alerts.quiet_hours is not None:
            ends_s = alerts.quiet_hours.until(self._outbox.now())
            if ends_s is not None:
                return ends_s, "quiet hours"
        recent = self._outbox.sent_within_hour(group)
        if len(recent) >= alerts.per_hour:
            return recent[-alerts.per_hour] + _HOUR_S + 1.0, f"{alerts.per_hour} in an hour"
        return None, ""

    def _failed(self, group: Group, error: NotSentError, alerts: Alerts) -> None:
        log.warning("%s: %s (attempt %d)", group.channel, error, group.attempts + 1)
        if error.environment:
            self.missing.add(group.channel)
        if self._too_old(group.tellings, alerts):
            self._outbox.given_up(group, f"given up: {error}")
            return
        self._again(group, error)

    def _too_old(self, tellings: Sequence[Telling], alerts: Alerts) -> bool:
        """Whether what is not UNSAFE has waited for longer than it matters."""
        newest_s = max(one.time for one in tellings)
        unsafe = any(one.severity is Severity.UNSAFE for one in tellings)
        return not unsafe and self._outbox.now() - newest_s > alerts.give_up_after_h * _HOUR_S

    def _again(self, group: Group, error: NotSentError) -> None:
        until_s = self._outbox.now() + _wait_s(group, error)
        self._outbox.put_off(group, until_s, str(error)[:500])

    @property
    def only_missing(self) -> bool:
        """Whether all that waits lacks a secret that another process may know."""
        return bool(self.missing) and self._outbox.waiting_channels() <= self.missing


def _wait_s(group: Group, error: NotSentError | None = None) -> float:
    """How long after an attempt the next one is made, s."""
    wait_s = FIRST_RETRY_S * 2.0 ** min(group.attempts, 20)
    if error is not None and error.lasting and not error.environment:
        wait_s = max(wait_s, _LASTING_RETRY_S)
    unsafe = group.severity is Severity.UNSAFE
    wait_s = min(wait_s, _LONGEST_RETRY_UNSAFE_S if unsafe else _LONGEST_RETRY_S)
    return max(wait_s, 0.0 if error is None else error.after_s)


def _heads(tellings: Sequence[Telling]) -> list[Anchor]:
    """Heads of the audit logs of their data directories."""
    found = []
    for data in dict.fromkeys(one.data for one in tellings if one.data):
        head = anchors.present_head(data)
        if head is not None:
            found.append(head)
    return found
