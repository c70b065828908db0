"""A mail server and a web server on loopback that take messages, refuse them, or misbehave."""

from __future__ import annotations

import base64
import datetime
import email
import http.server
import ipaddress
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert, private


@dataclass
class MailServer:
    """What a mail server does, and what it was given.

    Attributes:
        port: Where it listens.
        replies: Reply to a command, by its name, instead of the usual one; ``hang`` never
            answers, ``drip`` answers a byte at a time for ever, ``drop`` closes the connection.
        refused: Addresses that it does not take.
        starttls: Whether it offers STARTTLS.
        user: Whom it lets in, as (name, password); None asks nobody.
        mails: What it has taken.
    """

    port: int = 0
    replies: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    starttls: bool = False
    user: tuple[str, str] | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    context: ssl.SSLContext | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class _Mail(socketserver.StreamRequestHandler):
    secured = False

    @property
    def told(self) -> MailServer:
        return self.server.told

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        self.to, self.authenticated = [], self.told.user is None
        if self.answered("CONNECT", "220 localhost"):
            return
        while line := self.rfile.readline():
            words = line.decode().strip()
            verb = words.split(" ")[0].upper()
            if self.obeyed(verb, words):
                return

    def finish(self) -> None:
        super().finish()
        self.request.close()  # it may have become another one, with TLS

    def answered(self, verb: str, usual: str) -> bool:
        """Reply; whether the connection is over."""
        reply = self.told.replies.get(verb, usual)
        if reply == "hang":
            self.told.ended.wait(30)
            return True
        while reply == "drip":
            try:
                self.wfile.write(b"2")
            except OSError:
                return True
            if self.told.ended.wait(0.05):
                return True
        if reply == "drop":
            return True
        self.say(reply)
        return False

    def obeyed(self, verb: str, words: str) -> bool:
        if verb == "EHLO":
            offers = ["STARTTLS"] if self.told.starttls and not self.secured else []
            offers += ["AUTH PLAIN LOGIN"] if self.told.user else []
            for offer in ["localhost", *offers]:
                self.say(f"250-{offer}")
            return self.answered(verb, "250 8BITMIME")
        if verb == "STARTTLS":
            self.say("220 go ahead")
            self.request = self.told.context.wrap_socket(self.request, server_side=True)
            self.secured = True
            self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
            return False
        if verb == "AUTH":
            said = base64.b64decode(words.split(" ")[2]).decode().split("\0")[1:]
            self.authenticated = tuple(said) == self.told.user and self.secured
            return self.answered(verb, "235 yes" if self.authenticated else "535 no")
        if verb == "RCPT":
            to = words.partition("<")[2].rstrip(">")
            if to not in self.told.refused:
                self.to.append(to)
            return self.answered(verb, "550 nobody" if to in self.told.refused else "250 ok")
        if verb == "MAIL":
            return self.answered(verb, "250 ok" if self.authenticated else "530 who are you")
        if verb == "DATA":
            return self.data(verb)
        if verb == "QUIT":
            self.answered(verb, "221 bye")
            return True
        return self.answered(verb, "250 ok")

    def data(self, verb: str) -> bool:
        if self.answered(verb, "354 go on"):
            return True
        if verb in self.told.replies:
            return False
        body = b""
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            body += line
        self.told.mails.append(email.message_from_bytes(body, policy=default))
        self.told.recipients.append(list(self.to))
        return self.answered("BODY", "250 taken")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, block_on_close = True, False, True

    def handle_error(self, request: Any, address: Any) -> None:
        """Clients that leave are not this test's business."""


@contextmanager
def mail_server(told: MailServer, *, tls: bool = False) -> Iterator[MailServer]:
    """A mail server for a ``with`` block."""

    class Server(_Server):
        def get_request(self) -> Any:
            connection, address = super().get_request()
            if tls:
                connection = told.context.wrap_socket(connection, server_side=True)
            return connection, address

    with Server(("127.0.0.1", told.port), _Mail) as server:
        server.told = told
        told.port = server.server_address[1]
        yield from _served(server, told.ended)


@dataclass
class Hook:
    """What a web server does, and what it was given.

    Attributes:
        statuses: Status codes of its next answers; then 200.
        hang: Whether it never answers.
        posts: (headers, body) of what came.
    """

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@contextmanager
def hook_server(told: Hook) -> Iterator[Hook]:
    """A web server for a ``with`` block."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.posts.append((dict(self.headers), body))
            if told.hang:
                told.ended.wait(30)
                return
            status = told.statuses.pop(0) if told.statuses else 200
            self.send_response(status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with _Server(("127.0.0.1", told.port), Handler) as server:
        told.port = server.server_address[1]
        yield from _served(server, told.ended, told)


def _served(server: _Server, ended: threading.Event, told: Any = None) -> Iterator[Any]:
    thread = threading.Thread(target=lambda: server.serve_forever(0.02))
    thread.start()
    try:
        yield told if told is not None else server.told
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        time.sleep(0)
