"""The socket of a run: who may call, what is read, what is not, and who is gone."""

from __future__ import annotations

import socket
import stat
import threading
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import ControlError, NoAnswerError
from orchestrator.records.journal import Journal
from orchestrator.remote import Answer, ControlServer, Message, ask, recorded_status
from orchestrator.remote.addresses import read_pointer, write_pointer
from orchestrator.remote.messages import (
    MAX_BYTES,
    BadMessage,
    decode_answer,
    decode_message,
    encode,
    printable,
    read_line,
)

UID = "0f0e0d0c-1111-2222-3333-444455556666"


@pytest.fixture
def served(tmp_path):
    """A live journal, a server for it, and what it was asked."""
    asked = []

    def respond(message, peer):
        asked.append((message, peer))
        if message.verb == "pause":
            raise RuntimeError("it breaks")
        return Answer("done", f"did {message.verb}", UID, 42)

    with_journal = Journal.create(tmp_path / "journals", UID, ballast_bytes=0)
    with_journal.append("start", {"uid": UID, "time": 1.0, "plan_name": "p", "sample": "s"})
    server = ControlServer(tmp_path / "control", respond)
    server.run_begins(UID)
    yield tmp_path / "journals" / f"{UID}.jsonl", server, asked
    server.close()
    with_journal.close()


def test_a_message_is_answered_and_says_who_asked(served):
    journal, _, asked = served
    answer = ask(journal, Message("note", {"text": "hello"}, id="abc"))
    assert (answer.standing, answer.text, answer.pid) == ("done", "did note", 42)
    ((message, peer),) = asked
    assert (message.verb, message.arguments, message.id) == ("note", {"text": "hello"}, "abc")
    assert "process" in str(peer)


def test_pointer_and_socket_are_for_this_user_alone(served):
    journal, *_ = served
    pointer = read_pointer(journal.parents[1] / "control" / f"{UID}.json")
    where = [Path(pointer.socket), Path(pointer.socket).parent]
    where += [journal.parents[1] / "control", journal.parents[1] / "control" / f"{UID}.json"]
    assert [stat.S_IMODE(path.stat().st_mode) & 0o077 for path in where] == [0] * 4


def test_a_long_path_has_its_socket_elsewhere(tmp_path):
    folder = tmp_path / ("d" * 60) / ("e" * 60) / "control"
    server = ControlServer(folder, lambda message, peer: Answer("done", "far", UID))
    server.run_begins(UID)
    pointer = read_pointer(folder / f"{UID}.json")
    assert len(pointer.socket) < 100
    assert not pointer.socket.startswith(str(tmp_path))
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(pointer.socket)
        caller.sendall(encode(Message("status")))
        assert decode_answer(read_line(caller, 5.0)).text == "far"
    server.close()
    assert not Path(pointer.socket).parent.exists()


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"{\n",
        b'{"verb":"off","id":"a"}\n',
        b'{"verb":"note","id":"../a"}\n',
        b'{"verb":"note","id":"a","arguments":{"eval":"1"}}\n',
        b'{"verb":"note","id":"a","arguments":{"text":["a"]}}\n',
        b'{"verb":"note","id":"a","arguments":{"text":"' + b"x" * 3000 + b'"}}\n',
        b'{"verb":"note","id":"a","wait_s":"long"}\n',
        b"\xff\xfe\n",
    ],
)
def test_what_is_no_message_is_refused_and_does_nothing(served, line):
    """Row 35: in requests to a run."""
    journal, _, asked = served
    pointer = read_pointer(journal.parents[1] / "control" / f"{UID}.json")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(pointer.socket)
        caller.sendall(line)
        assert decode_answer(read_line(caller, 5.0)).standing == "refused"
    assert not asked
    assert ask(journal, Message("status")).standing == "done"  # it goes on listening


def flood(caller):
    for _ in range(100):
        caller.sendall(b"x" * MAX_BYTES)
    read_line(caller, 5.0)


def test_a_flood_is_cut_off(served):
    journal, _, asked = served
    pointer = read_pointer(journal.parents[1] / "control" / f"{UID}.json")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(5.0)
        caller.connect(pointer.socket)
        with pytest.raises((BrokenPipeError, ConnectionResetError, BadMessage)):
            flood(caller)
    assert not asked
    assert ask(journal, Message("status")).standing == "done"


def test_an_error_while_answering_is_an_answer(served):
    journal, *_ = served
    answer = ask(journal, Message("pause"))
    assert (answer.standing, answer.text) == ("refused", "RuntimeError: it breaks")


def test_many_may_ask_at_once(served):
    journal, *_ = served
    answers = []

    def call():
        for _ in range(5):
            try:
                answers.append(ask(journal, Message("status")).standing)
            except NoAnswerError:  # too many at once: asked again
                continue
            return

    callers = [threading.Thread(target=call) for _ in range(12)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=20)
    assert answers == ["done"] * 12


def test_a_run_that_has_ended_says_how(served):
    journal, server, _ = served
    server.run_ends(UID)
    with pytest.raises(NoAnswerError, match="listens nowhere"):
        ask(journal, Message("status"))


def test_a_process_that_is_gone_is_recognised(tmp_path):
    with_journal = Journal.create(tmp_path / "journals", UID, ballast_bytes=0)
    with_journal.append("start", {"uid": UID, "time": 1.0, "plan_name": "p", "sample": "s"})
    journal = tmp_path / "journals" / f"{UID}.jsonl"
    (tmp_path / "control").mkdir()
    pointer = tmp_path / "control" / f"{UID}.json"
    write_pointer(pointer, tmp_path / "control" / "nobody.sock")
    with pytest.raises(NoAnswerError, match="has not answered"):
        ask(journal, Message("status"))
    with_journal.close()  # as the system does when a process dies
    with pytest.raises(ControlError, match=r"cut off: process \d+ is gone \("):
        ask(journal, Message("status"))
    value = orjson.loads(pointer.read_bytes())
    pointer.write_bytes(orjson.dumps({**value, "boot_id": "another"}))
    with pytest.raises(ControlError, match="the machine was restarted"):
        ask(journal, Message("status"))
    pointer.unlink()
    with pytest.raises(ControlError, match="the process that ran it is gone"):
        ask(journal, Message("status"))
    status = recorded_status(journal)
    assert (status.state, status.pid, status.source) == ("interrupted", 0, "journal")
    assert "recover" in str(status)


def test_status_of_a_run_that_ended_is_that_of_its_stop_document(tmp_path):
    with_journal = Journal.create(tmp_path / "journals", UID, ballast_bytes=0)
    with_journal.append("start", {"uid": UID, "time": 1.0, "plan_name": "p", "sample": "s"})
    stop = {"uid": "s", "run_start": UID, "time": 11.0, "exit_status": "success"}
    with_journal.append("stop", {**stop, "reason": "hard_short", "num_events": {}})
    with_journal.close()
    live = {"run": UID, "state": "running", "pid": 1, "charge_mah": 0.5, "elapsed_s": 9.0}
    (tmp_path / "live.json").write_bytes(orjson.dumps(live))  # not replaced in time
    status = recorded_status(tmp_path / "journals" / f"{UID}.jsonl")
    assert (status.state, status.reason, status.elapsed_s) == ("success", "hard_short", 10.0)
    assert (status.pid, status.charge_mah) == (0, 0.5)
    with pytest.raises(ControlError, match="has ended: hard_short"):
        ask(tmp_path / "journals" / f"{UID}.jsonl", Message("stop"))


@settings(max_examples=60, deadline=None)
@given(raw=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_break_the_reader(raw):
    for decode in (decode_message, decode_answer):
        try:
            decode(raw)
        except BadMessage:
            continue


@given(text=st.text(max_size=200))
def test_nothing_that_a_terminal_acts_on_passes(text):
    """Row 35: on terminals."""
    message = decode_message(encode(Message("note", {"text": text})))
    assert message.arguments["text"] == printable(text)
    assert message.arguments["text"].isprintable()
