"""What a link does after trouble: who may be repeated, what is verified, what is refused."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import IdentityError, InstrumentFault, LinkError
from devices.link import open_link
from devices.link_message import encode
from devices.link_numbers import parse_float, parse_int
from devices.transcript import ReplayInstrument, ReplayMismatchError, Transcript
from sim.wire.faults import Fault, FaultyInstrument
from sim.wire.tcp import serve
from sim.wire.visa import SimulatedVisaLibrary

OUTP_ON = b"OUTP ON"


class Source:
    """A source with an output, which a power cycle switches off."""

    def __init__(self, serial: str = "SIM-1") -> None:
        self.serial, self.on, self.received = serial, False, []

    def answer(self, message: bytes) -> bytes | None:
        self.received.append(message)
        if message.startswith(b"OUTP "):
            self.on = message == OUTP_ON
            return None
        replies = {
            b"*IDN?": f"ACME,Source 1,{self.serial},1.0".encode(),
            b"*OPC?": b"1",
            b"OUTP?": b"1" if self.on else b"0",
            b"SYST:ERR?": b'0,"No error"',
            b"VOLT?": b"1.5",
            b"DATA?": b"#18\x00\x00\x80\x3f\x0a\x0a\x0a\x0a",
        }
        return replies.get(message)


class Bench:
    """One faulty source in process, with the laboratory's time."""

    def __init__(self, source: Source | None = None) -> None:
        self.now_s = 0.0
        self.source = source or Source()
        self.wire = FaultyInstrument(self.source, lambda: self.now_s)
        self.library = SimulatedVisaLibrary({"smu": self.wire})

    def fault(self, kind, start_s=0.0, end_s=10.0, **options) -> None:
        self.wire.add(Fault(kind, start_s, end_s, **options))

    def open(self, **options):
        return open_link("sim://smu", who="smu", visa_library=self.library, **options)


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def link(bench):
    link = bench.open()
    yield link
    link.close()


def test_identity_says_that_the_instrument_is_simulated(link):
    assert (link.identity.model, link.identity.serial) == ("Source 1", "SIM-1")
    assert link.identity.simulated


@pytest.mark.parametrize(
    "kind", ["silence", "late", "garble", "truncate", "close", "reset", "busy"]
)
def test_no_fault_ever_gives_a_number_and_the_link_heals_after_it(bench, link, kind):
    """Rows 6, 7: every fault of a wire."""
    bench.fault(kind, match="VOLT")
    for _ in range(3):
        with pytest.raises(LinkError, match=r"^smu: "):
            link.ask_for("VOLT?", parse_float)
    bench.now_s = 10.0
    assert link.ask_for("VOLT?", parse_float) == 1.5
    assert link.counters.reconnects > 0


def test_refused_reconnect_is_a_link_error_until_the_fault_is_over(bench, link):
    bench.fault("refuse")
    for _ in range(3):
        with pytest.raises(LinkError, match=r"smu: (cannot open sim://smu|connection lost)"):
            link.ask("VOLT?")
    bench.now_s = 10.0
    assert link.ask("VOLT?") == "1.5"


def test_a_query_is_repeated_once_and_a_command_never(bench, link):
    """Row 8: what reads and what does not."""
    bench.fault("close", match="VOLT|OUTP")
    bench.source.received.clear()
    with pytest.raises(LinkError):
        link.ask("VOLT?")
    assert bench.source.received.count(b"VOLT?") == 2
    link.write("OUTP ON")
    assert bench.source.received.count(b"OUTP ON") == 1
    bench.now_s = 10.0
    assert link.ask("VOLT?") == "1.5"
    assert bench.source.received.count(b"OUTP ON") == 1


@pytest.mark.parametrize("command", ["SYST:ERR?", "*ESR?", "OUTP ON;*OPC?", ":STAT:OPER?"])
def test_what_changes_the_instrument_is_not_repeated_though_it_asks(bench, link, command):
    bench.fault("close")
    bench.source.received.clear()
    with pytest.raises(LinkError):
        link.ask(command)
    assert bench.source.received == [command.encode()]


def test_write_once_is_sent_once_and_says_when_it_may_have_acted(bench, link):
    """Row 8: what energises."""
    bench.fault("close", match="OPC")
    with pytest.raises(LinkError, match=r"'OUTP ON' was sent at most once and may have acted"):
        link.write_once("OUTP ON")
    assert bench.source.received.count(b"OUTP ON") == 1
    bench.now_s = 10.0
    with pytest.raises(LinkError, match=r"'OUTP ON' was not sent, the connection was lost before"):
        link.write_once("OUTP ON")
    assert bench.source.received.count(b"OUTP ON") == 1
    assert link.write_once("OUTP ON", confirm="OUTP?") == "1"
    assert bench.source.received.count(b"OUTP ON") == 2


def test_half_a_transaction_is_never_continued_on_a_new_connection(bench, link):
    """Row 7: half a sequence is none."""
    bench.fault("reset", match="VOLT")
    sent = len(bench.source.received)
    with link.transaction():
        link.write("LIMIT 1")
        with pytest.raises(LinkError, match="connection lost"):
            link.ask("VOLT?")
        with pytest.raises(LinkError, match="nothing was sent"):
            link.write("OUTP ON")
    assert bench.source.received[sent:] == [b"LIMIT 1"]
    with link.transaction():
        assert link.ask("OUTP?") == "0"
    assert link.counters.reconnects == 1


def test_state_is_read_back_before_anything_else_after_a_reconnect(bench, link):
    """Row 5: the state of the instrument."""
    seen = []
    link.on_reconnect(lambda: seen.append((link.ask("OUTP?"), link.adapter.connection is not None)))
    bench.fault("reset", 0.0, 1.0, match="VOLT")
    with pytest.raises(LinkError):
        link.ask("VOLT?")
    seen.clear()
    bench.now_s, sent = 1.0, len(bench.source.received)
    link.distrust("a cable was touched")
    link.write("OUTP ON")
    assert bench.source.received[sent:] == [b"*IDN?", b"OUTP?", b"OUTP ON"]
    assert seen == [("0", True)]


def test_a_state_that_is_not_as_it_should_be_stops_the_command_and_lets_the_safe_state_pass(
    bench, link
):
    def verify() -> None:
        raise InstrumentFault("smu", "output is off, expected on", remedy="look")

    link.on_reconnect(verify)
    link.distrust("a cable was touched")
    with pytest.raises(InstrumentFault, match="output is off, expected on"):
        link.write("CURR 1")
    assert b"CURR 1" not in bench.source.received
    link.write("OUTP OFF")
    assert bench.source.received[-1] == b"OUTP OFF"


def test_a_callback_that_cannot_read_back_leaves_the_link_unverified(bench, link):
    link.on_reconnect(lambda: link.ask("OUTP?"))
    bench.fault("silence", match="OUTP")
    link.distrust("a cable was touched")
    for _ in range(2):
        with pytest.raises(LinkError):
            link.write("CURR 1")
    bench.now_s = 10.0
    link.write("CURR 1")
    assert bench.source.received.count(b"CURR 1") == 1


def test_another_instrument_after_a_reconnect_is_refused(bench, link):
    """Row 5: its identity."""
    bench.source.serial = "SIM-2"
    link.distrust("a cable was touched")
    with pytest.raises(IdentityError, match=r"smu: got identity .*SIM-2.* after a reconnect"):
        link.ask("VOLT?")
    bench.source.serial = "SIM-1"
    assert link.ask("VOLT?") == "1.5"


def test_a_garbled_identity_is_a_link_error_not_another_instrument(bench, link):
    bench.fault("garble", match="IDN")
    link.distrust("a cable was touched")
    with pytest.raises(LinkError, match="garbled identity, two replies differ"):
        link.ask("VOLT?")


def test_messages_kept_by_a_busy_instrument_act_late_and_are_seen_by_reading_back(bench, link):
    bench.fault("busy", match="OUTP|OPC")
    with pytest.raises(LinkError, match="may have acted"):
        link.write_once("OUTP ON")
    assert not bench.source.on
    bench.now_s = 10.0
    assert link.ask("OUTP?") == "1"


def test_commands_with_line_ends_are_refused_before_anything_is_sent(bench, link):
    sent = len(bench.source.received)
    for command in ("VOLT 1\nOUTP ON", "VOLT 1\rOUTP ON", "VOLT\0"):
        with pytest.raises(LinkError, match="holds CR, LF or NUL"):
            link.write(command)
    assert len(bench.source.received) == sent


def test_a_closed_link_stays_closed(link):
    link.close()
    link.close()
    with pytest.raises(LinkError, match="the link is closed"):
        link.ask("VOLT?")
    with pytest.raises(LinkError, match="has no connection"):
        _ = link.connection


def test_a_closed_link_is_closed_for_every_driver(bench):
    with bench.open().adapter.link.transaction() as link:
        pass
    link.adapter.close()
    with pytest.raises(LinkError, match="the link is closed"):
        link.adapter.write("VOLT?")


def test_reading_without_a_connection_is_an_error_not_an_old_reply(link):
    link.write("VOLT?")
    link.adapter.flush_read_buffer()
    with pytest.raises(LinkError, match="no reply can come: its driver discarded"):
        link.read()
    assert link.ask("OUTP?") == "0"


def test_an_unread_reply_never_answers_the_next_question(link):
    """Row 7: a reply that nobody read."""
    link.write("VOLT?")
    assert link.ask("OUTP?") == "0"
    assert link.counters.reconnects == 1


def test_a_block_may_be_read_in_pieces_by_a_driver(link):
    link.write("DATA?")
    assert link.read_bytes(3) == b"#18"
    assert link.read_bytes(8) == b"\x00\x00\x80\x3f\x0a\x0a\x0a\x0a"
    assert link.ask("VOLT?") == "1.5"
    assert link.counters.reconnects == 0


def test_a_line_may_be_read_as_bytes_by_a_driver(link):
    link.write("VOLT?")
    assert link.read_bytes(-1) == b"1.5\n"
    link.write("VOLT?")
    assert link.read_bytes(5, break_on_termchar=True) == b"1.5\n"
    link.write("DATA?")
    assert link.read_bytes(-1) == b"#18\x00\x00\x80\x3f\x0a\x0a\x0a\x0a\n"


@pytest.mark.parametrize(
    ("option", "value"),
    [("min_spacing_s", 1.0), ("min_spacing_s", -1.0), ("budget_s", 0.1), ("budget_s", np.inf)],
)
def test_times_out_of_range_are_refused(bench, option, value):
    with pytest.raises(LinkError, match=f"smu: {option}: got"):
        bench.open(**{option: value})


def test_replies_without_terminator_are_refused(bench):
    with pytest.raises(LinkError, match="read_termination is empty"):
        bench.open(read_termination="")


# --- over TCP: time ------------------------------------------------------------------------------


@contextmanager
def black_hole():
    """A port whose backlog is full: connecting neither succeeds nor fails."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield f"TCPIP0::127.0.0.1::{port}::SOCKET"


def test_opening_towards_nobody_ends_within_the_budget():
    with black_hole() as resource:
        start_s = time.perf_counter()
        with pytest.raises(LinkError, match="smu: cannot open"):
            open_link(resource, who="smu", timeout_s=0.2)
        assert time.perf_counter() - start_s < 1.0


def test_one_question_takes_the_budget_at_most_reconnect_and_repetition_included():
    bench = Bench()
    with serve({"smu": bench.wire}) as served:
        link = open_link(served.resource("smu"), who="smu", timeout_s=0.8)
        bench.fault("silence")
        for _ in range(2):
            start_s = time.perf_counter()
            with pytest.raises(LinkError):
                link.ask("VOLT?")
            assert 0.7 < time.perf_counter() - start_s < 1.2 + 0.8
        bench.now_s = 10.0
        assert link.ask("VOLT?") == "1.5"
        link.close()


def test_a_thread_waits_for_the_link_a_bounded_time(bench):
    link = bench.open(timeout_s=0.1, budget_s=0.15)
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with link.transaction():
            inside.set()
            done.wait(5.0)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(5.0)
    with pytest.raises(LinkError, match=r"smu: busy for more than 0.15 s with another thread"):
        link.ask("VOLT?")
    done.set()
    thread.join(5.0)
    assert link.ask("VOLT?") == "1.5"
    link.close()


def test_closing_while_another_thread_holds_the_link_ends_its_transaction(bench):
    link = bench.open(timeout_s=0.1)
    inside, closed, errors = threading.Event(), threading.Event(), []

    def hold() -> None:
        with link.transaction(budget_s=5.0):
            inside.set()
            closed.wait(5.0)
            try:
                link.write("OUTP ON")
            except LinkError as error:
                errors.append(error.what)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(5.0)
    link.close()
    closed.set()
    thread.join(5.0)
    assert errors == ["nothing was sent: the link is closed"]
    assert b"OUTP ON" not in bench.source.received


def test_a_thread_that_forgets_its_reply_does_not_stop_the_others(bench):
    link = bench.open(timeout_s=0.1)
    thread = threading.Thread(target=link.write, args=("VOLT?",))
    thread.start()
    thread.join(5.0)
    assert link.ask("OUTP?") == "0"
    assert link.counters.reconnects == 1
    link.close()


def test_commands_keep_their_spacing_on_a_real_wire_only():
    bench = Bench()
    with serve({"smu": bench.wire}) as served:
        link = open_link(served.resource("smu"), who="smu", min_spacing_s=0.05)
        start_s = time.perf_counter()
        for _ in range(3):
            link.ask("VOLT?")
        assert time.perf_counter() - start_s > 0.14
        link.close()
    link = bench.open(min_spacing_s=0.2)
    start_s = time.perf_counter()
    for _ in range(20):
        link.ask("VOLT?")
    assert time.perf_counter() - start_s < 1.0
    link.close()


# --- any sequence of faults ----------------------------------------------------------------------

KINDS = ("silence", "late", "garble", "truncate", "close", "reset", "refuse", "busy")
FAULTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 30), st.integers(1, 6)), max_size=5
)


class Echo(Source):
    """Answers ``ECHO? n`` with n."""

    def answer(self, message: bytes) -> bytes | None:
        if message.startswith(b"ECHO? "):
            self.received.append(message)
            return message[6:]
        return super().answer(message)


def replies_under(faults, address, bench, grace=0) -> None:
    """Ask 40 numbered questions, one a second of laboratory time; each answer is its own.

    Questions may fail during a fault and `grace` seconds after it.
    """
    link = open_link(who="smu", **address)
    for kind, start_s, length_s in faults:
        bench.fault(kind, start_s, start_s + length_s, delay_s=60.0)
    for number in range(40):
        bench.now_s = float(number)
        try:
            assert link.ask_for(f"ECHO? {number}", parse_int) == number
        except LinkError:
            assert any(start <= number < start + length + grace for _, start, length in faults)
        if number % 3 == 0:
            with suppress(LinkError):
                link.write(f"SET {number}")
    for number in range(30):
        assert bench.source.received.count(f"SET {number}".encode()) <= 1
    link.close()


@given(FAULTS)
def test_no_sequence_of_faults_gives_a_wrong_number_or_a_command_twice(faults):
    """Rows 7, 8: any sequence of faults, in process."""
    bench = Bench(Echo())
    replies_under(faults, {"resource": "sim://smu", "visa_library": bench.library}, bench)


@pytest.mark.soak
@settings(max_examples=10, deadline=None)
@given(FAULTS)
def test_no_sequence_of_faults_gives_a_wrong_number_over_tcp(faults):
    """Row 7: any sequence of faults, over TCP."""
    bench = Bench(Echo())
    with serve({"smu": bench.wire}) as served:
        address = {"resource": served.resource("smu"), "timeout_s": 0.3}
        replies_under(faults, address, bench, grace=1)


# --- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "asks", "repeatable"),
    [
        ("VOLT?", True, True),
        (':TRAC:DATA? 1,10,"defbuffer1",READ', True, True),
        ("VOLT?;CURR?", True, True),
        ("OUTP ON", False, False),
        ("OUTP ON;*OPC?", True, False),
        ('DISP:TEXT "what?"', False, False),
        ("SYSTEM:ERROR:NEXT?", True, False),
        (":SYST:EVEN:COUN?", True, False),
        ("*ESR?", True, False),
        ("STAT:OPER:EVEN?", True, False),
        ("STAT:OPER:COND?", True, True),
        ("", False, False),
    ],
)
def test_only_pure_queries_that_pop_nothing_are_repeatable(command, asks, repeatable):
    message = encode(command, "\n")
    assert (message.asks, message.repeatable) == (asks, repeatable)
    assert message.data == command.encode() + b"\n"


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_no_command_smuggles_a_second_line(command):
    """Row 35: line ends and NUL in commands."""
    try:
        data = encode(command, "\n").data
    except ValueError:
        return
    assert data.count(b"\n") == 1
    assert data.endswith(b"\n")
    assert b"\r" not in data
    assert b"\0" not in data


# --- transcript ----------------------------------------------------------------------------------


def conversation(link) -> list[object]:
    """A few exchanges with a failure among them; what the caller saw."""
    seen: list[object] = [link.ask("VOLT?"), link.query_binary("DATA?", "u1").tolist()]
    link.write("OUTP ON")
    for command in ("NOTHING?", "OUTP?"):
        try:
            seen.append(link.ask(command))
        except LinkError as error:
            seen.append(str(error))
    seen.append(link.write_once("OUTP OFF", confirm="OUTP?"))
    return seen


def test_a_transcript_replays_as_the_instrument(bench, tmp_path):
    path = tmp_path / "smu.jsonl"
    link = bench.open(transcript=path, bench_time=lambda: 1_735_689_600.0 + bench.now_s)
    seen = conversation(link)
    link.close()
    replay = ReplayInstrument(path)
    again = open_link("sim://smu", who="smu", visa_library=SimulatedVisaLibrary({"smu": replay}))
    assert conversation(again) == seen
    assert again.counters == link.counters
    assert replay.remaining == 0
    with pytest.raises(ReplayMismatchError, match="after its end"):
        again.ask("VOLT?")
    again.close()


def test_a_transcript_taken_over_tcp_replays_in_process(tmp_path):
    path = tmp_path / "smu.jsonl"
    with serve({"smu": Source()}) as served:
        link = open_link(served.resource("smu"), who="smu", timeout_s=0.2, transcript=path)
        seen = conversation(link)
        link.close()
    replay = ReplayInstrument(path)
    again = open_link("sim://smu", who="smu", visa_library=SimulatedVisaLibrary({"smu": replay}))
    assert conversation(again) == seen
    again.close()


def test_another_conversation_does_not_replay(bench, tmp_path):
    path = tmp_path / "smu.jsonl"
    link = bench.open(transcript=path)
    link.ask("VOLT?")
    link.close()
    replay = ReplayInstrument(path)
    again = open_link("sim://smu", who="smu", visa_library=SimulatedVisaLibrary({"smu": replay}))
    with pytest.raises(ReplayMismatchError, match=r"exchange 2: got b'OUTP\?', expected b'VOLT\?'"):
        again.ask("OUTP?")
    again.close()


def test_a_transcript_is_private_bounded_and_says_where_it_stops(tmp_path):
    path = tmp_path / "smu.jsonl"
    transcript = Transcript(path, lambda: 5.0, max_bytes=1000)
    for _ in range(100):
        transcript.record("write", b"VOLT?\xff")
    transcript.close()
    lines = path.read_text().splitlines()
    assert path.stat().st_mode & 0o077 == 0
    assert path.stat().st_size < 1200
    assert '"what": "full"' in lines[-1]
    assert '"bench_s": 5.0' in lines[0]
    assert '"data": "VOLT?\\u00ff"' in lines[0]


def test_in_process_a_slow_machine_makes_no_reply_late():
    """Simulated in this process, a reply is there at once or never: load decides nothing."""
    slow = threading.Event()

    class Slow:
        def answer(self, message: bytes) -> bytes | None:
            slow.wait(0.25)  # what a loaded machine would take, beyond timeout and budget
            return {b"*IDN?": b"ACME,Meter,SIM-1,1.0", b"VOLT?": b"1.5"}.get(message)

    library = SimulatedVisaLibrary({"dmm": Slow()})
    link = open_link("sim://dmm", who="dmm", visa_library=library, timeout_s=0.1)
    assert link.ask("VOLT?") == "1.5"
    assert (link.counters.reconnects, link.counters.garbled) == (0, 0)
    with pytest.raises(LinkError, match="dmm: no reply in time"):
        link.ask("NOTHING?")
    link.close()
