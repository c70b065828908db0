"""The simulated laboratory in process and over TCP: same bytes, same faults."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import pyvisa
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import LinkError
from devices.link import open_link
from sim.errors import UnknownCommand
from sim.wire import framing
from sim.wire.faults import Fault, FaultyInstrument
from sim.wire.framing import Framing, MessageTooLong
from sim.wire.tcp import serve
from sim.wire.visa import SimulatedVisaLibrary


class Source:
    """A source whose measured voltage counts up, so that a repeated value shows."""

    def __init__(self) -> None:
        self.on, self.count, self.received = True, 0, []

    def answer(self, message: bytes) -> bytes | None:
        self.received.append(message)
        if message == b"*IDN?":
            return b"ACME,Source 1,SIM-1,1.0"
        if message == b"VOLT?":
            self.count += 1
            return b"%d.500" % self.count
        if message == b"BLOCK?":
            return b"#16\n\n#1\x00\xff"
        if message in (b"OUTP ON", b":OUTPUT1:STATE OFF", b"OUTP 0"):
            self.on = message == b"OUTP ON"
        elif message == b"OUTP?":
            return b"%d" % self.on
        elif message.startswith(b"ECHO "):
            return message[5:]
        elif message == b"BROKEN":
            raise UnknownCommand("source: no such header BROKEN")
        return None


@contextmanager
def in_process(instrument):
    yield {"resource": "sim://smu", "visa_library": SimulatedVisaLibrary({"smu": instrument})}


@contextmanager
def over_tcp(instrument):
    with serve({"smu": instrument}, life_s=30.0) as served:
        yield {"resource": served.resource("smu")}


CARRIERS = pytest.mark.parametrize("carrier", [in_process, over_tcp])


@contextmanager
def linked(carrier, instrument, **options):
    with carrier(instrument) as address:
        link = open_link(who="smu", **{"timeout_s": 0.4, "read_retries": 0, **address, **options})
        try:
            yield link
        finally:
            link.close()


# --- the same bytes -------------------------------------------------------------------------------


def bytes_of(carrier) -> list[object]:
    source = Source()
    with linked(carrier, source) as link:
        seen: list[object] = [link.ask(q) for q in ("*IDN?", "VOLT?", "ECHO a;b \xb5", "OUTP?")]
        seen.append(link.query_binary("BLOCK?", "u1").tolist())
        link.write("OUTP 0")
        seen.append(link.ask("OUTP?"))
        link.write(b"ECHO #15a\nb\nc\n")
        seen.append(link.read_bytes(8))
    return [*seen, source.received]


def test_in_process_and_tcp_give_the_same_bytes():
    seen = bytes_of(in_process)
    assert seen == bytes_of(over_tcp)
    assert seen[:4] == ["ACME,Source 1,SIM-1,1.0", "1.500", "a;b \xb5", "1"]
    assert seen[4:7] == [[10, 10, 35, 49, 0, 255], "0", b"#15a\nb\nc\n"[:8]]


def test_pyvisa_itself_opens_the_laboratory():
    library = SimulatedVisaLibrary({"smu": Source(), "other": Source()})
    manager = pyvisa.ResourceManager(library)
    assert manager.list_resources() == ("sim://smu", "sim://other")
    smu = manager.open_resource("sim://smu", read_termination="\n", write_termination="\n")
    assert smu.query("*IDN?").startswith("ACME")
    assert smu.query_binary_values("BLOCK?", datatype="B") == [10, 10, 35, 49, 0, 255]
    smu.write("VOLT?")
    smu.clear()
    with pytest.raises(pyvisa.VisaIOError, match="VI_ERROR_TMO"):
        smu.read()
    with pytest.raises(pyvisa.VisaIOError, match="VI_ERROR_RSRC_NFOUND"):
        manager.open_resource("sim://nobody")
    smu.close()
    manager.close()


def test_libraries_do_not_share_their_instruments():
    first, second = SimulatedVisaLibrary({"a": Source()}), SimulatedVisaLibrary({"b": Source()})
    assert first is not second
    with pytest.raises(LinkError, match="smu: cannot open sim://b"):
        open_link("sim://b", who="smu", visa_library=first)
    open_link("sim://b", who="smu", visa_library=second).close()


def test_an_unknown_command_fails_the_test_in_process():
    with linked(in_process, Source()) as link, pytest.raises(UnknownCommand, match="BROKEN"):
        link.write("BROKEN")


def test_an_unknown_command_fails_the_test_over_tcp():
    def run() -> None:
        with serve({"smu": Source()}) as served:
            link = open_link(served.resource("smu"), who="smu", timeout_s=0.4)
            link.write("BROKEN")
            with suppress(LinkError):
                link.ask("VOLT?")
            link.close()

    with pytest.raises(UnknownCommand, match="BROKEN"):
        run()


# --- framing --------------------------------------------------------------------------------------

MESSAGES = st.one_of(
    st.binary(max_size=20).filter(lambda m: not {10, 13, 34, 35, 39} & set(m)),
    st.binary(max_size=30).map(lambda d: b"DATA #2%02d" % len(d) + d + b",1"),
    st.just(b'TEXT "#19 is no block"'),
    st.just(b"#H1F"),
)


@given(st.lists(MESSAGES, max_size=6), st.lists(st.integers(1, 40), max_size=30))
def test_messages_do_not_depend_on_how_they_are_cut(messages, sizes):
    stream = b"".join(message + b"\n" for message in messages)
    cutter, got, position = Framing(), [], 0
    for size in [*sizes, len(stream)]:
        if piece := stream[position : position + size]:
            got += cutter.feed(piece)
        position += size
    assert got == messages


@given(st.binary(max_size=200))
def test_any_bytes_end_in_messages_without_a_crash(data):
    cutter = Framing()
    try:
        for byte in data:
            cutter.feed(bytes([byte]))
    except MessageTooLong:
        return
    assert cutter.feed(b"\n" * 3) is not None


def test_carriage_returns_before_the_end_are_taken_off():
    assert Framing().feed(b"A 1\r\nB\n") == [b"A 1", b"B"]


def test_messages_too_long_are_refused_before_they_fill_memory():
    with pytest.raises(MessageTooLong, match="block of 999999999 bytes"):
        Framing().feed(b"DATA #9999999999")
    cutter = Framing()
    half = b"A" * (framing.MAX_MESSAGE_BYTES // 2 + 1)
    cutter.feed(half)
    with pytest.raises(MessageTooLong, match="more than 16777216 bytes"):
        cutter.feed(half)


def test_a_client_that_sends_too_much_is_closed():
    with serve({"smu": Source()}) as served:
        with socket.create_connection(("127.0.0.1", served.ports["smu"]), 2.0) as client:
            client.sendall(b"DATA #9999999999")
            assert client.recv(10) == b""
        open_link(served.resource("smu"), who="smu").close()


# --- faults ---------------------------------------------------------------------------------------


class Lab:
    def __init__(self, *faults: Fault) -> None:
        self.now_s, self.source = 0.0, Source()
        self.wire = FaultyInstrument(self.source, lambda: self.now_s, faults)


@CARRIERS
@pytest.mark.parametrize(
    ("kind", "acted", "message"),
    [
        ("silence", 0, "no reply in time, got nothing"),
        ("late", 1, "no reply in time, got nothing"),
        ("truncate", 1, "no reply in time"),
        ("close", 1, "peer closed the connection|connection lost"),
        ("reset", 0, "connection lost"),
        ("busy", 0, "no reply in time, got nothing"),
        ("refuse", 0, "peer closed the connection|connection lost"),
    ],
)
def test_a_fault_begins_and_ends_with_the_laboratorys_time(carrier, kind, acted, message):
    lab = Lab(Fault(kind, 5.0, 10.0, match="VOLT", delay_s=0.6))
    with linked(carrier, lab.wire) as link:
        assert link.ask("VOLT?") == "1.500"
        lab.now_s = 5.0
        with pytest.raises(LinkError, match=rf"smu: .*({message})"):
            link.ask("VOLT?")
        assert lab.source.count == 1 + acted
        lab.now_s = 10.0
        expected = {"busy": 3}.get(kind, 2 + acted)
        wait_for_listener(link)
        assert link.ask("VOLT?") == f"{expected}.500"


def wait_for_listener(link) -> None:
    """A listening socket comes back a moment after its refusal ends."""
    for _ in range(100):
        try:
            link.ask("OUTP?")
        except LinkError:
            time.sleep(0.02)
        else:
            return


@CARRIERS
def test_nobody_new_is_let_in_while_refused(carrier):
    lab = Lab(Fault("refuse", 5.0, 10.0))
    with carrier(lab.wire) as address:
        lab.now_s = 5.0
        time.sleep(0.1)
        with pytest.raises(
            LinkError, match=r"smu: (cannot open|connection lost: connection refused)"
        ):
            open_link(who="smu", timeout_s=0.4, **address)


@CARRIERS
def test_a_reply_within_the_timeout_is_not_lost(carrier):
    lab = Lab(Fault("late", 0.0, 10.0, match="VOLT", delay_s=0.02))
    with linked(carrier, lab.wire, timeout_s=0.5) as link:
        assert link.ask("VOLT?") == "1.500"


def test_a_late_reply_answers_the_next_read_of_plain_pyvisa_in_process():
    lab = Lab(Fault("late", 0.0, 10.0, match="VOLT", delay_s=5.0))
    manager = pyvisa.ResourceManager(SimulatedVisaLibrary({"smu": lab.wire}))
    smu = manager.open_resource("sim://smu", read_termination="\n", write_termination="\n")
    with pytest.raises(pyvisa.VisaIOError, match="VI_ERROR_TMO"):
        smu.query("VOLT?")
    assert smu.query("OUTP?") == "1.500"
    assert smu.read() == "1"
    smu.close()
    manager.close()


@CARRIERS
def test_garble_is_never_the_right_reply_and_never_another_number(carrier):
    lab = Lab(Fault("garble", 0.0, 1.0, match="VOLT", seed=3))
    with linked(carrier, lab.wire) as link:
        replies = [link.ask("VOLT?") for _ in range(50)]
    assert not any(reply.replace(".", "").isdigit() for reply in replies)
    assert all(not reply[0].isdigit() for reply in replies)


def test_garble_repeats_with_its_seed():
    def replies(seed: int) -> list[bytes | None]:
        lab = Lab(Fault("garble", 0.0, 1.0, seed=seed))
        return [lab.wire.answer(b"VOLT?") for _ in range(5)]

    assert replies(1) == replies(1)
    assert replies(1) != replies(2)


@CARRIERS
def test_a_stuck_value_repeats_per_question_until_the_end(carrier):
    lab = Lab(Fault("stuck", 5.0, 10.0, match="VOLT"))
    with linked(carrier, lab.wire) as link:
        assert link.ask("VOLT?") == "1.500"
        lab.now_s = 5.0
        assert [link.ask("VOLT?") for _ in range(3)] == ["2.500"] * 3
        assert link.ask("OUTP?") == "1"
        lab.now_s = 10.0
        assert link.ask("VOLT?") == "5.500"


@CARRIERS
@pytest.mark.parametrize("command", ["OUTP 0", ":OUTPUT1:STATE OFF"])
def test_ignored_off_shows_in_the_read_back_only(carrier, command):
    lab = Lab(Fault("ignored_off", 0.0, 10.0))
    with linked(carrier, lab.wire) as link:
        link.write(command)
        assert link.ask("OUTP?") == "1"
        lab.now_s = 10.0
        link.write(command)
        assert link.ask("OUTP?") == "0"


def test_ignored_off_leaves_the_rest_of_its_message():
    lab = Lab(Fault("ignored_off", 0.0, 10.0))
    lab.wire.answer(b"CURR 0;OUTP OFF;:SENS 1")
    lab.wire.answer(b"ECHO OUTPUT OFFICE")
    assert lab.source.received == [b"CURR 0;:SENS 1", b"ECHO OUTPUT OFFICE"]


def test_busy_instruments_act_in_order_afterwards():
    lab = Lab(Fault("busy", 0.0, 10.0))
    for command in (b"OUTP 0", b"VOLT?", b"OUTP ON"):
        assert lab.wire.answer(command) is None
    assert lab.source.received == []
    lab.now_s = 10.0
    assert lab.wire.answer(b"OUTP?") == b"1"
    assert lab.source.received == [b"OUTP 0", b"VOLT?", b"OUTP ON", b"OUTP?"]


def test_faults_may_be_added_and_cleared_and_must_end_after_they_start():
    lab = Lab()
    lab.wire.add(Fault("silence", 0.0, 10.0))
    assert lab.wire.answer(b"VOLT?") is None
    lab.wire.clear()
    assert lab.wire.answer(b"VOLT?") == b"1.500"
    with pytest.raises(
        ValueError, match=r"late: got start 1 s and end 1 s, expected the end after"
    ):
        Fault("late", 1.0, 1.0)


# --- the server -----------------------------------------------------------------------------------


def test_several_clients_share_an_instrument():
    source = Source()
    with serve({"smu": source}) as served:
        links = [open_link(served.resource("smu"), who=f"smu {n}") for n in range(3)]
        assert [link.ask("VOLT?") for link in links] == ["1.500", "2.500", "3.500"]
        for link in links:
            link.close()


def test_an_exclusive_instrument_takes_one_client_at_a_time():
    with serve({"smu": Source()}, exclusive=True) as served:
        first = open_link(served.resource("smu"), who="first")
        with pytest.raises(LinkError, match="second: "):
            open_link(served.resource("smu"), who="second", timeout_s=0.4)
        assert first.ask("VOLT?") == "1.500"
        first.close()
        for _ in range(100):
            try:
                second = open_link(served.resource("smu"), who="second", timeout_s=0.4)
            except LinkError:
                time.sleep(0.01)
            else:
                break
        assert second.ask("VOLT?") == "2.500"
        second.close()


def test_a_server_nobody_stops_ends_by_itself():
    before = threading.active_count()
    with serve({"smu": Source()}, life_s=0.2) as served:
        link = open_link(served.resource("smu"), who="smu", timeout_s=0.5)
        assert link.ask("VOLT?") == "1.500"
        time.sleep(0.4)
        assert threading.active_count() == before
        with pytest.raises(LinkError, match="smu: "):
            link.ask("VOLT?")
        link.close()


def test_a_port_in_use_is_reported_where_the_server_is_started():
    with pytest.raises(OSError, match="address"), serve({"smu": Source()}, host="192.0.2.1"):
        pass


def test_many_large_blocks_arrive_whole_over_tcp():
    data = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()

    class Camera(Source):
        def answer(self, message: bytes) -> bytes | None:
            if message == b"IMAG?":
                return b"#6%06d" % len(data) + data
            return super().answer(message)

    with linked(over_tcp, Camera(), timeout_s=2.0) as link:
        for _ in range(5):
            assert link.query_binary("IMAG?", "u1").tobytes() == data
    with linked(in_process, Camera()) as link:
        assert link.query_binary("IMAG?", "u1").tobytes() == data
