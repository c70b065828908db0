"""Sends one message by one channel, within a bounded time, or says why not."""

from __future__ import annotations

import hashlib
import hmac
import signal
import smtplib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

import orjson

from devices.clock import wall_time
from orchestrator.alerts.model import Channel, Mail, Webhook, checked_url, on_loopback, trusted
from orchestrator.alerts.secret import Secret
from orchestrator.alerts.wording import Message
from orchestrator.errors import AlertError
from orchestrator.telling import Severity

LONGEST_S = 30.0
"""Longest time that one message may take, s, whatever the server does."""

_STEP_S = 10.0
_LONGEST_WAIT_S = 3600.0
_RETRIED = frozenset({408, 425, 429})
"""Status codes below 500 that mean: try again (RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4)."""


class NotSentError(Exception):
    """A message was not sent.

    Attributes:
        why: In words, without secrets.
        lasting: Whether the same will happen again until a person changes something.
        after_s: How long the server asks to wait, s; 0 where it does not.
        environment: A secret is missing in the environment of this process.
    """

    def __init__(
        self, why: str, *, lasting: bool = False, after_s: float = 0.0, environment: bool = False
    ) -> None:
        super().__init__(why)
        self.why, self.lasting, self.after_s = why, lasting, after_s
        self.environment = environment


def send(message: Message, channel: Mail | Webhook, *, longest_s: float = LONGEST_S) -> str:
    """Send a message.

    Returns:
        What a person should know though it was sent; mostly nothing.

    Raises:
        NotSentError: It was not sent, or nobody knows whether it was.
    """
    try:
        with _within(longest_s):
            if isinstance(channel, Mail):
                return _mail(message, channel)
            return _post(message, channel)
    except AlertError as error:
        missing = channel.needs_environment and error.who.startswith("$")
        raise NotSentError(str(error), lasting=True, environment=missing) from None
    except TimeoutError:
        raise NotSentError(f"not answered within {longest_s:g} s") from None
    except ssl.SSLError as error:
        raise NotSentError(f"no secure connection: {error.reason or error}", lasting=True) from None
    except OSError as error:
        raise NotSentError(f"not reached: {error.strerror or error}") from None


# --- mail ---------------------------------------------------------------------------------------


def email(message: Message, channel: Mail) -> EmailMessage:
    """A message as it is mailed."""
    mail = EmailMessage()
    mail["From"], mail["To"] = channel.sender, ", ".join(channel.to)
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.tellings[0].time, UTC))
    mail["Message-ID"] = f"<{message.id}@operando.{channel.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
    if max(one.severity for one in message.tellings) is Severity.UNSAFE:
        mail["Importance"] = "high"
    mail.set_content(message.text)
    return mail


def _mail(message: Message, channel: Mail) -> str:
    context = _context(channel)
    password = None if channel.password is None else channel.password.read()
    try:
        with _connected(channel, context) as server:
            if channel.user is not None and password is not None:
                server.login(channel.user, password)
            refused = server.send_message(email(message, channel))
    except smtplib.SMTPNotSupportedError as error:
        raise NotSentError(f"the server lacks what is asked for: {error}", lasting=True) from None
    except smtplib.SMTPAuthenticationError as error:
        raise NotSentError(f"login refused ({error.smtp_code})", lasting=True) from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        lasting = min(codes) >= 500
        raise NotSentError(
            f"every address refused: {_refusals(error.recipients)}", lasting=lasting
        ) from None
    except smtplib.SMTPResponseException as error:
        text = f"refused: {error.smtp_code} {_words(error.smtp_error)}"
        raise NotSentError(text, lasting=error.smtp_code >= 500) from None
    except smtplib.SMTPException as error:
        raise NotSentError(f"not sent: {error}") from None
    return f"refused for {_refusals(refused)}" if refused else ""


@contextmanager
def _connected(channel: Mail, context: ssl.SSLContext) -> Iterator[smtplib.SMTP]:
    where = channel.host.strip("[]"), channel.port_used
    if channel.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(*where, timeout=_STEP_S, context=context)
    else:
        server = smtplib.SMTP(*where, timeout=_STEP_S)
    try:
        if channel.security == "starttls":
            server.starttls(context=context)  # raises where the server offers none
        yield server
        with suppress(OSError, smtplib.SMTPException):  # it has the message
            server.quit()
    finally:
        server.close()


def _refusals(refused: dict[str, tuple[int, bytes]]) -> str:
    return ", ".join(f"{to} ({code} {_words(text)})" for to, (code, text) in refused.items())


def _words(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return "".join(c if c.isprintable() else " " for c in text)[:200]


# --- webhook ------------------------------------------------------------------------------------


def signature(key: str, time_s: int, body: bytes) -> str:
    """What the header ``X-Operando-Signature`` says of a body.

    ``v1=`` and the HMAC-SHA256, in hexadecimal, of the seconds in ``X-Operando-Time``, a dot and
    the body. Who receives it refuses old times and ids that came before.
    """
    told = str(time_s).encode() + b"." + body
    return "v1=" + hmac.new(key.encode(), told, hashlib.sha256).hexdigest()


def _post(message: Message, channel: Webhook) -> str:
    import httpx  # slow to import, and not needed for mail

    address = _address(channel)
    body, time_s = orjson.dumps(message.to_document()), int(wall_time())
    headers = {"Content-Type": "application/json", "X-Operando-Id": message.id}
    if channel.secret is not None:
        headers["X-Operando-Time"] = str(time_s)
        headers["X-Operando-Signature"] = signature(channel.secret.read(), time_s, body)
    here = on_loopback(str(urlsplit(address).hostname))
    try:
        with (
            httpx.Client(timeout=_STEP_S, verify=_context(channel), trust_env=not here) as client,
            client.stream("POST", address, content=body, headers=headers) as answer,
        ):
            return _understood(answer.status_code, answer.headers.get("Retry-After", ""))
    except httpx.TimeoutException:
        raise TimeoutError from None
    except httpx.HTTPError as error:
        raise NotSentError(f"not reached: {type(error).__name__}") from None


def _address(channel: Webhook) -> str:
    """Where to; an address that is a secret is never part of a message."""
    if not isinstance(channel.url, Secret):
        return channel.url
    kept = channel.url.read()
    try:
        return checked_url(kept)
    except ValueError as error:
        raise AlertError(channel.name, f"{error}", remedy="correct what is kept there") from None


def _understood(status: int, retry_after: str) -> str:
    if 200 <= status < 300:
        return ""
    lasting = status < 500 and status not in _RETRIED
    after_s = min(float(retry_after), _LONGEST_WAIT_S) if retry_after.isdecimal() else 0.0
    raise NotSentError(f"answered {status}", lasting=lasting, after_s=after_s)


# --- both ---------------------------------------------------------------------------------------


def _context(channel: Channel) -> ssl.SSLContext:
    """TLS with certificates verified, always."""
    file = trusted(channel)
    try:
        return ssl.create_default_context(cafile=None if file is None else str(file))
    except OSError as error:
        raise AlertError(
            channel.name,
            f"ca_file cannot be used: {error.strerror or error}",
            remedy="give a file of certificates in PEM",
        ) from None


@contextmanager
def _within(longest_s: float) -> Iterator[None]:
    """Leave a block with TimeoutError after a time.

    A server that sends a byte now and then defeats the timeouts of sockets. (Looking a name up is
    bounded by the system's resolver alone.)
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's; the timeouts of the sockets are left
        return

    def ring(_number: int, _frame: FrameType | None) -> NoReturn:
        raise TimeoutError

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, longest_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, former)
