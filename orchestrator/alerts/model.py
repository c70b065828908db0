"""The file `alerts.yaml`: who is told what, how, and when not."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from typing_extensions import override

from orchestrator.alerts.quiet import QuietHours
from orchestrator.alerts.secret import Secret, SecretPlace
from orchestrator.inputs.fields import Choice, Count, Expected, Quantity, Text, at, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.telling import Severity

_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:]+\]?"
_SEVERITIES = tuple(one.name.lower() for one in Severity)
PORTS = {"starttls": 587, "tls": 465, "none": 25}
"""Port of a mail server by `security`, where none is named."""


def on_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


_MAILBOX = Text("a mail address", pattern=_ADDRESS, form="such as you@example.org", longest=254)
_LEAST = Choice("the least that is told", _SEVERITIES)


@dataclass(frozen=True)
class _Url(Expected):
    """Where a webhook is: `https`, or `http` on this machine; or where that address is kept."""

    @property
    @override
    def words(self) -> str:
        return "an address https://... (http:// on this machine only), or {env: NAME}, {file: PATH}"

    @override
    def check(self, value: Any) -> str | Secret:
        if isinstance(value, dict | Secret):
            return SecretPlace("the address").check(value)
        if not isinstance(value, str):
            raise self.refuse(value, "quote the address")
        try:
            return checked_url(value)
        except ValueError as error:
            raise problem(f"{error}, expected {self.words}", "correct the address") from None

    @override
    def schema(self) -> dict[str, Any]:
        text = {"type": "string", "pattern": "^https?://", "maxLength": 2000}
        kept = SecretPlace("the address").schema()
        return {"description": "Where the webhook is.", "anyOf": [text, kept]}


def checked_url(text: str) -> str:
    """An address that may be sent to.

    Raises:
        ValueError: Why not; without the address, which may be a secret.
    """
    if len(text) > 2000 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("got an address that is too long or has characters that none has")
    parts = urlsplit(text)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("got an address that does not begin with https://HOST")
    if parts.username is not None or parts.password is not None:
        raise ValueError("got an address with a name or a password in it")
    if parts.scheme == "http" and not on_loopback(parts.hostname):
        raise ValueError(f"got http:// to {parts.hostname[:80]}, which others can read and change")
    return text


class Channel(StrictModel):
    """One way to tell.

    Attributes:
        name: For messages about it; each is another.
        least: What is told at least: ``notice``, ``decision``, ``failure`` or ``unsafe``.
        ca_file: Certificates to trust, PEM, where the server's is not signed by a public one.
    """

    name: Annotated[str, Text("a name", pattern=r"[\w][\w .@-]*", longest=60)]
    least: Annotated[str, _LEAST] = "decision"
    ca_file: Annotated[str, Text("a file of certificates", longest=1000)] | None = None

    @property
    def threshold(self) -> Severity:
        """`least` as a severity."""
        return Severity[self.least.upper()]

    @property
    def needs_environment(self) -> bool:
        """Whether a secret of it is in the environment."""
        return any(
            isinstance(value, Secret) and value.in_environment for _, value in self.fields_of()
        )

    def fields_of(self) -> list[tuple[str, Any]]:
        """Names and values of its fields."""
        return [(key, getattr(self, key)) for key in type(self).model_fields]


class Mail(Channel):
    """Mail through a server (SMTP).

    Attributes:
        host: The server.
        port: Its port; by default that of `security`.
        security: ``starttls``, ``tls`` from the first byte, or ``none``, on this machine only.
        sender: Address that it comes from.
        to: Addresses that it goes to.
        user: Name to log in with; None where nobody has to.
        password: Where its password is.
    """

    host: Annotated[str, Text("a host", pattern=_HOST, longest=253)]
    port: Annotated[int, Count("a TCP port", ge=1, le=65_535)] | None = None
    security: Annotated[
        Literal["starttls", "tls", "none"],
        Choice("how the connection is secured", ("starttls", "tls", "none")),
    ] = "starttls"
    sender: Annotated[str, _MAILBOX]
    to: list[Annotated[str, _MAILBOX]] = Field(min_length=1, max_length=50)
    user: Annotated[str, Text("a name to log in with")] | None = None
    password: Annotated[Secret, SecretPlace("the password")] | None = None

    @model_validator(mode="after")
    def _secured(self) -> Self:
        if self.security == "none" and not on_loopback(self.host):
            what = f"got none for {self.host}, expected starttls or tls off this machine"
            raise at(("security",), problem(what, "write starttls"))
        if (self.user is None) != (self.password is None):
            what = "got one of user and password, expected both or neither"
            raise problem(what, "password: {env: NAME} or {file: PATH}")
        return self

    @property
    def port_used(self) -> int:
        """The port that is connected to."""
        return PORTS[self.security] if self.port is None else self.port


class Webhook(Channel):
    """A POST of JSON to an address.

    Attributes:
        url: Where to; where it is itself a secret, where it is kept.
        secret: Where the key is that the body is signed with (HMAC-SHA256); None signs nothing.
    """

    url: Annotated[str | Secret, _Url()]
    secret: Annotated[Secret, SecretPlace("the key")] | None = None


class Alerts(StrictModel):
    """Who is told what.

    Attributes:
        lab: Name of the laboratory, in the subject of every message.
        per_hour: Messages of one kind about one bench in an hour, at most, for each channel; what
            is more is joined in the next. It holds back nothing that is UNSAFE.
        give_up_after_h: How long what cannot be delivered is tried again, h; what is UNSAFE is
            tried for ever.
        quiet_hours: When nobody is told but of what is UNSAFE.
        mail: Mail.
        webhook: Webhooks.
    """

    lab: Annotated[str, Text("a name of the laboratory", longest=60)] | None = None
    per_hour: Annotated[int, Count("messages in an hour", ge=1, le=1000)] = 6
    give_up_after_h: Annotated[float, Quantity("a time", "h", ge=1, le=10_000)] = 72.0
    quiet_hours: QuietHours | None = None
    mail: list[Mail] = Field(default_factory=list, max_length=20)
    webhook: list[Webhook] = Field(default_factory=list, max_length=20)

    @model_validator(mode="after")
    def _somebody_under_one_name(self) -> Self:
        names = [one.name for one in self.channels]
        if not names:
            raise problem("names nobody, expected mail or webhook", "add `mail:` or `webhook:`")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise problem(f"got the name {twice!r} twice", "give each a name of its own")
        return self

    @property
    def channels(self) -> list[Mail | Webhook]:
        """Every way to tell."""
        return [*self.mail, *self.webhook]


def trusted(channel: Channel) -> Path | None:
    """The file of certificates that a channel trusts instead of the system's."""
    return Path(channel.ca_file).expanduser() if channel.ca_file else None
