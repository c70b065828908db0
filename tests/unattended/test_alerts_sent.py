"""Rows 4, 17, 18: messages over real sockets, to servers that take, refuse, misbehave and hang."""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time

import orjson
import pytest

from orchestrator.alerts import sending
from orchestrator.alerts.anchors import Anchor
from orchestrator.alerts.model import Mail, Webhook
from orchestrator.alerts.sending import NotSentError, send
from orchestrator.alerts.wording import composed
from orchestrator.telling import Severity, Telling
from tests.message_servers import Hook, MailServer, certificate, hook_server, mail_server

TOLD = Telling(
    "unsafe",
    Severity.UNSAFE,
    "the watchdog could not switch off:\nno answer\r\nBcc: everybody@example.org",
    bench="cryo-1",
    run="0123456789ab",
    cell="NOT KNOWN TO BE OFF: pstat: no answer",
    data="/data/week",
    time=1_800_000_000.0,
)
HEAD = Anchor("/data/week", "c" * 64, 41, "f" * 64)


def mail(server: MailServer, **more) -> Mail:
    document = {
        "name": "people",
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "sender": "operando@example.org",
        "to": ["one@example.org", "two@example.org"],
    }
    return Mail.model_validate(document | more)


def message(*tellings: Telling, **more):
    return composed(tellings or (TOLD,), [HEAD], zone="Europe/Zurich", **more)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A certificate and its key, and a server's side of TLS with them."""
    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


# --- what is said -------------------------------------------------------------------------------


def test_a_mail_says_what_happened_how_the_cell_is_and_what_to_do():
    """Row 18: the message of a bench that could not be switched off."""
    with mail_server(MailServer()) as server:
        assert send(message(lab="Lab 7"), mail(server)) == ""
    (got,) = server.mails
    assert got["Subject"] == (
        "[Lab 7] cryo-1 UNSAFE: the watchdog could not switch off: no answer Bcc: "
        "everybody@example.org"
    )
    assert server.recipients == [["one@example.org", "two@example.org"]]
    assert got["Bcc"] is None
    assert (got["Importance"], got["Auto-Submitted"]) == ("high", "auto-generated")
    body = got.get_content()
    for text in (
        "NOT KNOWN TO BE OFF: pstat",
        "operando off cryo-1 --acknowledge",
        "2027-01-15 09:00:00 CET (08:00:00 UTC)",
        "/data/week/journals/0123456789ab.jsonl",
        f"operando audit verify --data /data/week --head {'f' * 64}",
    ):
        assert text in body
    assert "SIMULATED" not in got.as_string()


def test_a_simulated_bench_says_so_first():
    simulated = Telling("run", Severity.FAILURE, "a run failed", bench="sim-mri", simulated=True)
    said = message(simulated, lab="Lab 7")
    assert said.subject.startswith("[SIMULATED] [Lab 7] sim-mri failed: ")
    assert "sim-mri (SIMULATED)" in said.text
    assert said.to_document()["simulated"] is True


def test_many_are_one_message_with_the_rest_in_short():
    told = [Telling("job", Severity.FAILURE, f"job {n} failed", bench="b") for n in range(60)]
    said = message(*told)
    assert said.subject.endswith("(and 59 more)")
    assert len(said.subject) <= 160
    assert "57 more of this kind" in said.text
    assert "job 42 failed" in said.text
    assert "and 17 that `operando alerts list` shows" in said.text


# --- mail servers -------------------------------------------------------------------------------


def test_mail_over_starttls_with_a_login(signed, tmp_path):
    cert, context = signed
    server = MailServer(starttls=True, user=("operando", "hunter2"), context=context)
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    secret.chmod(0o600)
    login = {
        "security": "starttls",
        "host": "localhost",
        "user": "operando",
        "password": {"file": str(secret)},
    }
    with mail_server(server):
        send(message(), mail(server, ca_file=str(cert), **login))
        assert len(server.mails) == 1
        with pytest.raises(NotSentError, match="no secure connection") as caught:
            send(message(), mail(server, **login))  # nobody vouches for that certificate
        assert caught.value.lasting
        secret.write_text("wrong\n")
        with pytest.raises(NotSentError, match=r"login refused \(535\)") as caught:
            send(message(), mail(server, ca_file=str(cert), **login))
        assert caught.value.lasting
        assert "wrong" not in str(caught.value)
        secret.chmod(0o644)
        with pytest.raises(NotSentError, match="expected 0600"):
            send(message(), mail(server, ca_file=str(cert), **login))
    assert len(server.mails) == 1


def test_mail_over_tls(signed):
    cert, context = signed
    with mail_server(MailServer(context=context), tls=True) as server:
        send(message(), mail(server, security="tls", host="localhost", ca_file=str(cert)))
    assert len(server.mails) == 1


def test_a_server_without_tls_is_given_nothing():
    with (
        mail_server(MailServer()) as server,
        pytest.raises(NotSentError, match="the server lacks what is asked for") as caught,
    ):
        send(message(), mail(server, security="starttls"))
    assert caught.value.lasting
    assert server.mails == []


def test_a_password_that_is_not_in_the_environment(monkeypatch):
    monkeypatch.delenv("NOT_THERE", raising=False)
    with (
        mail_server(MailServer()) as server,
        pytest.raises(NotSentError, match=r"\$NOT_THERE: holds no secret") as caught,
    ):
        send(message(), mail(server, user="me", password={"env": "NOT_THERE"}))
    assert caught.value.environment


@pytest.mark.parametrize(
    ("verb", "reply", "said", "lasting"),
    [
        ("CONNECT", "554 go away", "refused: 554 go away", True),
        ("CONNECT", "drop", "not sent|not reached", False),
        ("MAIL", "451 later", "refused: 451 later", False),
        ("DATA", "452 full", "refused: 452 full", False),
        ("BODY", "552 too long", "refused: 552 too long", True),
        ("BODY", "drop", "not sent|not reached", False),
    ],
)
def test_what_a_mail_server_refuses(verb, reply, said, lasting):
    with (
        mail_server(MailServer(replies={verb: reply})) as server,
        pytest.raises(NotSentError, match=said) as caught,
    ):
        send(message(), mail(server))
    assert caught.value.lasting is lasting


def test_addresses_that_are_refused():
    with mail_server(MailServer(refused={"one@example.org"})) as server:
        assert send(message(), mail(server)) == "refused for one@example.org (550 nobody)"
        assert server.recipients == [["two@example.org"]]
        server.refused.add("two@example.org")
        with pytest.raises(NotSentError, match="every address refused") as caught:
            send(message(), mail(server))
        assert caught.value.lasting


@pytest.mark.parametrize(
    ("verb", "reply"), [("CONNECT", "hang"), ("EHLO", "drip"), ("BODY", "hang")]
)
def test_a_mail_server_that_hangs_or_drips_costs_a_bounded_time(verb, reply):
    with mail_server(MailServer(replies={verb: reply})) as server:
        began_s = time.monotonic()
        with pytest.raises(NotSentError):
            send(message(), mail(server), longest_s=0.3)
        assert time.monotonic() - began_s < 2.0


def test_a_server_that_hangs_after_it_has_taken_the_mail_has_taken_it():
    with mail_server(MailServer(replies={"QUIT": "hang"})) as server:
        send(message(), mail(server), longest_s=0.3)
        assert len(server.mails) == 1


def test_nobody_there():
    with mail_server(MailServer()) as server:
        pass
    with pytest.raises(NotSentError, match="not reached: Connection refused") as caught:
        send(message(), mail(server))
    assert not caught.value.lasting


# --- webhooks -----------------------------------------------------------------------------------


def hook(server: Hook, **more) -> Webhook:
    return Webhook.model_validate({"name": "chat", "url": server.url} | more)


def test_a_webhook_gets_json_that_is_signed(tmp_path):
    key = tmp_path / "key"
    key.write_text("s3cret")
    key.chmod(0o600)
    with hook_server(Hook()) as server:
        send(message(), hook(server, secret={"file": str(key)}))
    ((headers, body),) = server.posts
    told = headers["X-Operando-Time"].encode() + b"." + body
    right = "v1=" + hmac.new(b"s3cret", told, hashlib.sha256).hexdigest()
    assert headers["X-Operando-Signature"] == right
    document = orjson.loads(body)
    assert (document["id"], document["severity"]) == (headers["X-Operando-Id"], "unsafe")
    assert document["tellings"][0]["bench"] == "cryo-1"
    assert document["audit"] == [
        {"data": "/data/week", "chain": "c" * 64, "seq": 41, "hash": "f" * 64}
    ]
    assert document["text"].startswith(document["subject"])


@pytest.mark.parametrize(
    ("status", "lasting"),
    [(500, False), (503, False), (429, False), (408, False), (404, True), (302, True)],
)
def test_what_a_webhook_answers(status, lasting):
    with (
        hook_server(Hook(statuses=[status], headers={"Retry-After": "120"})) as server,
        pytest.raises(NotSentError, match=f"answered {status}") as caught,
    ):
        send(message(), hook(server))
    assert (caught.value.lasting, caught.value.after_s) == (lasting, 120.0)
    assert len(server.posts) == 1  # nothing is followed elsewhere


def test_a_webhook_that_hangs(monkeypatch):
    with hook_server(Hook(hang=True)) as server:
        began_s = time.monotonic()
        with pytest.raises(NotSentError, match=r"not answered within 0\.3 s"):
            send(message(), hook(server), longest_s=0.3)
        assert time.monotonic() - began_s < 2.0
        monkeypatch.setattr(sending, "_STEP_S", 0.2)
        with pytest.raises(NotSentError, match="not answered"):
            send(message(), hook(server))


def test_an_address_that_is_a_secret_is_never_said(tmp_path):
    kept = tmp_path / "url"
    kept.write_text("http://hunter2.example.org/x")
    kept.chmod(0o600)
    channel = Webhook.model_validate({"name": "chat", "url": {"file": str(kept)}})
    with pytest.raises(NotSentError, match="others can read") as caught:
        send(message(), channel)
    kept.write_text("https://127.0.0.1:1/hunter2")
    with pytest.raises(NotSentError, match="not reached") as unreached:
        send(message(), channel)
    assert "/hunter2" not in f"{caught.value}{unreached.value}"
