"""Each fault of plain PyMeasure on PyVISA-py over real TCP, and then the link on the same wire.

Every test first shows the fault with upstream's own VISAAdapter: the day one of these stops
failing upstream, the test says so and the link can lose a line.
"""

from __future__ import annotations

import logging
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments import Instrument, SCPIMixin

from devices.errors import IdentityError, InstrumentFault, LinkError
from devices.link import StrictInstrumentMixin, open_link

IDENTITY = b"ACME,Source 1,SIM-7,1.0"
Script = Callable[[socket.socket, bytes], None]


def reply(stream: socket.socket, data: bytes) -> None:
    stream.sendall(data + b"\n")


class TinyServer:
    """Hands each line of each client to a script; knows nothing of the product."""

    def __init__(self, script: Script) -> None:
        self.script, self.lines, self.connections = script, [], 0
        self.wire_threads: list[threading.Thread] = []
        self.stopped = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.05)
        self.port = self.listener.getsockname()[1]
        self.resource = f"TCPIP0::127.0.0.1::{self.port}::SOCKET"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                stream, _ = self.listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(stream,), daemon=True)
            self.wire_threads.append(thread)
            thread.start()

    def _serve(self, stream: socket.socket) -> None:
        buffer = b""
        with stream:
            stream.settimeout(0.05)
            while not self.stopped.is_set():
                try:
                    data = stream.recv(4096)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not data:
                    return
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    self.lines.append(line)
                    try:
                        reply(stream, IDENTITY) if line == b"*IDN?" else self.script(stream, line)
                    except OSError:
                        return
                    if stream.fileno() < 0:
                        return

    def stop(self) -> None:
        self.stopped.set()
        for thread in [self.thread, *self.wire_threads]:
            thread.join(2.0)
        self.listener.close()


@contextmanager
def served(script: Script) -> Iterator[TinyServer]:
    server = TinyServer(script)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def plain(resource: str, timeout_s: float | None = 0.4) -> Iterator[VISAAdapter]:
    """Upstream's adapter as its documentation shows it."""
    adapter = VISAAdapter(
        resource,
        visa_library="@py",
        timeout=None if timeout_s is None else timeout_s * 1000,
        read_termination="\n",
        write_termination="\n",
    )
    try:
        yield adapter
    finally:
        adapter.close()


@contextmanager
def linked(resource: str, **options):
    link = open_link(resource, **{"who": "smu", "timeout_s": 0.4, **options})
    try:
        yield link
    finally:
        link.close()


def reset(stream: socket.socket) -> None:
    """Close with RST instead of FIN."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


def elapsed_s(action: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    action()
    return time.perf_counter() - start_s


def echo(stream: socket.socket, line: bytes) -> None:
    """Answers `NAME? x` with `x`, and any other query with 1.5."""
    if line.endswith(b"?"):
        reply(stream, b"1.5")
    elif b"?" in line:
        reply(stream, line.split()[-1])


class Source(SCPIMixin, Instrument):
    """An upstream-style driver that knows nothing of links."""

    def __init__(self, adapter):
        super().__init__(adapter, "source")

    voltage = Instrument.measurement("VOLT?", "Measure the voltage in V.")
    current = Instrument.measurement("CURR?", "Measure the current in A.")
    function = Instrument.control(
        "FUNC?", "FUNC %s", "Control the function.", values={"current": "CURR"}, map_values=True
    )
    trace = Instrument.measurement("TRAC?", "Get points.", get_process_list=np.array)
    range = Instrument.setting("RANG %g", "Set the range in V.", check_set_errors=True)


class StrictSource(StrictInstrumentMixin, Source):
    pass


# --- 1: write, write, query ----------------------------------------------------------------------


def test_row_1_write_write_query_is_slow_by_nagle_and_fast_over_the_link():
    def cycle(adapter) -> None:
        adapter.write("A 1")
        adapter.write("B 2")
        adapter.write("C?")
        assert adapter.read() == "1.5"

    with served(echo) as server, plain(server.resource) as adapter, linked(server.resource) as link:
        # Linux acknowledges the first segments of a connection at once, so the first cycles pass.
        plain_s = sorted(elapsed_s(lambda: cycle(adapter)) for _ in range(20))[10:]
        link_s = sorted(elapsed_s(lambda: cycle(link.adapter)) for _ in range(20))[10:]
    assert min(plain_s) > 0.02
    assert min(plain_s) / min(link_s) > 10


# --- 2: refused, and somebody else ---------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_row_2_refused_port_opens_in_plain_and_fails_at_once_in_the_link():
    """Row 3: nobody listens."""
    resource = f"TCPIP0::127.0.0.1::{free_port()}::SOCKET"
    with plain(resource) as adapter, pytest.raises(OSError, match=r"refused|Broken pipe"):
        Source(adapter).ask("A?")
    message = r"smu: connection lost: .*refused \(check address, port, power and cable\)"
    start_s = time.perf_counter()
    with pytest.raises(LinkError, match=message):
        open_link(resource, who="smu")
    assert time.perf_counter() - start_s < 0.5


def test_row_2_another_instrument_is_accepted_in_plain_and_refused_by_the_link():
    """Row 3: somebody else answers."""
    with served(echo) as server:
        with plain(server.resource) as adapter:
            adapter.write("A?")
            assert adapter.read() == "1.5"
        with pytest.raises(IdentityError, match=r"smu: got identity 'ACME,.*expected a match of"):
            open_link(server.resource, who="smu", expect=r"KEITHLEY INSTRUMENTS,MODEL 2450")
        assert server.lines.count(b"A?") == 1


# --- 3: the peer closes --------------------------------------------------------------------------


def close_on(trigger: bytes) -> Script:
    def script(stream: socket.socket, line: bytes) -> None:
        if line == trigger:
            stream.close()
        else:
            echo(stream, line)

    return script


def test_row_3_closed_peer_spins_in_plain_and_is_named_at_once_by_the_link():
    with served(close_on(b"CLOSE?")) as server:
        with plain(server.resource, timeout_s=0.5) as adapter:
            adapter.write("CLOSE?")
            busy_s, start_s = time.thread_time(), time.perf_counter()
            with pytest.raises(Exception, match="VI_ERROR_TMO"):
                adapter.read()
            assert time.perf_counter() - start_s > 0.4
            assert time.thread_time() - busy_s > 0.1
        with linked(server.resource, timeout_s=0.5, read_retries=0) as link:
            busy_s, start_s = time.thread_time(), time.perf_counter()
            with pytest.raises(LinkError, match="smu: peer closed the connection"):
                link.ask("CLOSE?")
            assert time.perf_counter() - start_s < 0.3
            assert time.thread_time() - busy_s < 0.1
            assert link.ask("VOLT?") == "1.5"


# --- 4: reset, and writing after the close -------------------------------------------------------


def test_row_4_reset_is_a_bare_oserror_in_plain_and_one_link_error():
    def script(stream: socket.socket, line: bytes) -> None:
        reset(stream) if line == b"RESET?" else echo(stream, line)

    with served(script) as server:
        with plain(server.resource) as adapter:
            adapter.write("RESET?")
            with pytest.raises(ConnectionResetError):
                adapter.read()
        with linked(server.resource, read_retries=0) as link:
            with pytest.raises(LinkError, match="smu: connection lost"):
                link.ask("RESET?")
            assert link.ask("VOLT?") == "1.5"
            assert link.counters.reconnects == 1


def test_row_4_write_after_close_vanishes_in_plain_and_arrives_over_the_link():
    with served(close_on(b"CLOSE")) as server:
        with plain(server.resource) as adapter:
            adapter.write("CLOSE")
            time.sleep(0.05)
            adapter.write("LOST 1")
            time.sleep(0.05)
            assert b"LOST 1" not in server.lines
        with linked(server.resource) as link:
            link.write("CLOSE")
            time.sleep(0.05)
            link.write("KEPT 1")
            link.barrier("VOLT?")
            assert server.lines.count(b"KEPT 1") == 1
            assert link.counters.reconnects == 1


# --- 5: late replies -----------------------------------------------------------------------------


def late(stream: socket.socket, line: bytes) -> None:
    if line.startswith(b"SLOW?"):
        time.sleep(0.5)
    echo(stream, line)


def test_row_5_late_reply_answers_the_next_question_in_plain_and_never_over_the_link():
    """Rows 7, 9: a late reply is nobody's."""
    with served(late) as server:
        with plain(server.resource, timeout_s=0.25) as adapter:
            source = Source(adapter)
            with pytest.raises(Exception, match="VI_ERROR_TMO"):
                source.values("SLOW? 1")
            time.sleep(0.5)
            assert source.values("QUICK? 2") == [1.0], "upstream has healed: see row 5"
        with linked(server.resource, timeout_s=0.25, read_retries=0) as link:
            source = StrictSource(link.adapter)
            with pytest.raises(LinkError, match="smu: no reply in time, got nothing"):
                source.values("SLOW? 1")
            time.sleep(0.5)
            assert source.values("QUICK? 2") == [2.0]
            assert [source.values(f"QUICK? {n}") for n in range(50)] == [[n] for n in range(50)]


def test_row_5_an_unmodified_driver_is_also_safe_from_late_replies():
    with served(late) as server, linked(server.resource, timeout_s=0.25) as link:
        source = Source(link.adapter)
        with pytest.raises(LinkError):
            source.values("SLOW? 1")
        time.sleep(0.5)
        assert source.values("QUICK? 2") == [2.0]


# --- 6: garbled replies --------------------------------------------------------------------------


def test_row_6_garbled_number_is_a_str_in_plain_and_an_error_over_the_link():
    """Row 6: never a value."""
    answers = {b"VOLT?": b"1.2?4E-3", b"CURR?": b"1.0,2.0", b"FUNC?": b"VOXT"}

    def script(stream: socket.socket, line: bytes) -> None:
        reply(stream, answers[line])

    with served(script) as server:
        with plain(server.resource) as adapter:
            assert Source(adapter).voltage == "1.2?4E-3"
            assert Source(adapter).current == [1.0, 2.0]
        with linked(server.resource, read_retries=0) as link:
            source = StrictSource(link.adapter)
            with pytest.raises(LinkError, match=r"smu: garbled reply, got '1.2\?4E-3', expected a"):
                _ = source.voltage
            with pytest.raises(LinkError, match=r"got 2 fields in '1.0,2.0', expected 1"):
                _ = source.current
            with pytest.raises(LinkError, match=r"got 'VOXT', expected a number"):
                _ = source.function
            assert link.counters.garbled == 3


def test_row_6_one_garbled_reply_is_discarded_and_asked_again():
    """Row 6: discarded, counted, asked again."""
    replies = iter([b"\xff.2E-3", b"1.25E-3"])
    with (
        served(lambda stream, line: reply(stream, next(replies))) as server,
        linked(server.resource) as link,
    ):
        assert StrictSource(link.adapter).voltage == 1.25e-3
        assert (link.counters.garbled, link.counters.retries) == (1, 1)


def test_row_6_markers_for_no_number_are_numbers_in_plain_and_nan_over_the_link():
    """Row 15: recorded as NaN."""
    values = b"9.910000E+37,+9.9E37,-9.9e37,1"
    with served(lambda stream, line: reply(stream, values)) as server:
        with plain(server.resource) as adapter:
            assert Source(adapter).trace[0] == 9.91e37
        with linked(server.resource) as link:
            trace = StrictSource(link.adapter).trace
    np.testing.assert_array_equal(trace, [np.nan, np.inf, -np.inf, 1.0])


# --- 7: two threads ------------------------------------------------------------------------------


class Hesitating(Source):
    """A driver that another thread overtakes between its writing and its reading."""

    def __init__(self, adapter):
        super().__init__(adapter)
        self.written, self.overtaken = threading.Event(), threading.Event()

    def wait_for(self, query_delay=None):
        if threading.current_thread().name == "slow":
            self.written.set()
            self.overtaken.wait(0.2)


class StrictHesitating(StrictInstrumentMixin, Hesitating):
    pass


def overtaken_replies(source: Hesitating) -> dict[str, str]:
    """Reply that each of two threads got to its own question."""
    replies: dict[str, str] = {}

    def slow() -> None:
        replies["slow"] = source.ask("ECHO? slow")

    thread = threading.Thread(target=slow, name="slow")
    thread.start()
    assert source.written.wait(2.0)
    replies["fast"] = source.ask("ECHO? fast")
    source.overtaken.set()
    thread.join(5.0)
    return replies


def test_row_7_two_threads_swap_replies_in_plain_and_not_over_the_link():
    with served(echo) as server:
        with plain(server.resource) as adapter:
            assert overtaken_replies(Hesitating(adapter)) == {"slow": "fast", "fast": "slow"}
        with linked(server.resource) as link:
            for driver in (Hesitating, StrictHesitating):
                replies = overtaken_replies(driver(link.adapter))
                assert replies == {"slow": "slow", "fast": "fast"}
            assert link.counters.reconnects == 0


@pytest.mark.parametrize("driver", [Source, StrictSource])
def test_row_7_many_questions_from_two_threads_get_their_own_replies(driver):
    wrong: list[str] = []

    def work(which: int) -> None:
        for number in range(which, 600, 2):
            reply = source.ask(f"ECHO? {number}")
            if reply != str(number):
                wrong.append(reply)

    with served(echo) as server, linked(server.resource, timeout_s=5.0) as link:
        source = driver(link.adapter)
        threads = [threading.Thread(target=work, args=(which,)) for which in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30.0)
        assert not wrong
        assert link.ask("ECHO? end") == "end"
        assert link.counters.reconnects == 0


# --- 8: write-only command, then time moves ------------------------------------------------------


def test_row_8_a_barrier_makes_a_command_act_before_time_moves():
    now_s, acted_s = [0.0], [0.0]

    def script(stream: socket.socket, line: bytes) -> None:
        if line == b"START":
            time.sleep(0.005)
            acted_s.append(now_s[0])
        else:
            reply(stream, b"1")

    def wrong_states(write: Callable[[], None]) -> int:
        wrong = 0
        for _ in range(10):
            now_s[0], expected = 1.0, len(acted_s) + 1
            write()
            now_s[0] = 2.0
            while len(acted_s) < expected:
                time.sleep(0.001)
            wrong += acted_s[-1] != 1.0
        return wrong

    with served(script) as server:
        with plain(server.resource) as adapter:
            assert wrong_states(lambda: adapter.write("START")) > 0
        with linked(server.resource) as link:
            assert wrong_states(lambda: (link.write("START"), link.barrier())) == 0
            assert wrong_states(lambda: link.write_once("START")) == 0


# --- 9: bad commands -----------------------------------------------------------------------------


class ErrorQueue:
    """Puts one entry into its queue for each command it does not know."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []

    def __call__(self, stream: socket.socket, line: bytes) -> None:
        if line == b"SYST:ERR?":
            reply(stream, self.entries.pop(0) if self.entries else b'0,"No error"')
        else:
            self.entries.append(b'-113,"Undefined header; ' + line + b'"')


def test_row_9_bad_command_is_only_logged_in_plain_and_raises_over_the_link(caplog):
    with served(ErrorQueue()) as server:
        with plain(server.resource) as adapter, caplog.at_level(logging.ERROR):
            Source(adapter).range = 2.0
        assert "Undefined header" in caplog.text
        caplog.clear()
        with linked(server.resource) as link:
            fault = r'smu: reports -113 "Undefined header; RANG 2" \(see the error list'
            with pytest.raises(InstrumentFault, match=fault):
                StrictSource(link.adapter).range = 2.0
            assert StrictSource(link.adapter).check_errors() == []


# --- 10: binary blocks ---------------------------------------------------------------------------


def block(count: int) -> bytes:
    data = np.arange(count, dtype="<f4").tobytes()
    return b"#6%06d" % len(data) + data


def test_row_10_blocks_come_byte_by_byte_in_plain_and_whole_over_the_link():
    with served(lambda stream, line: reply(stream, block(int(line.split()[-1])))) as server:
        with plain(server.resource, timeout_s=0.02) as adapter:
            start_s = time.perf_counter()
            values = Source(adapter).binary_values(
                "DATA? 256", header_bytes=8, termination_bytes=-1
            )
            plain_bytes_per_s = values.nbytes / (time.perf_counter() - start_s)
        with linked(server.resource) as link:
            start_s = time.perf_counter()
            data = link.query_binary("DATA? 32768")
            link_bytes_per_s = data.nbytes / (time.perf_counter() - start_s)
            unmodified = Source(link.adapter).binary_values(
                "DATA? 1000", header_bytes=8, termination_bytes=-1
            )
            assert link.ask("*IDN?") == IDENTITY.decode()
            assert link.counters.reconnects == 0
    np.testing.assert_array_equal(data, np.arange(32768, dtype="<f4"))
    np.testing.assert_array_equal(unmodified, np.arange(1000))
    assert link_bytes_per_s / plain_bytes_per_s > 20


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"1.5", "garbled block, got b'1.', expected # and a length"),
        (b"#3008abcdefghij", "got b'ij' after a block, expected its end"),
        (b"#16abcdef", "got a block of 6 bytes, expected a multiple of 4"),
        (b"#9999999999", "reply of 999999999 bytes, expected at most"),
    ],
)
def test_row_10_a_damaged_block_is_an_error(raw, message):
    with (
        served(lambda stream, line: reply(stream, raw)) as server,
        linked(server.resource, read_retries=0) as link,
    ):
        with pytest.raises(LinkError, match=re.escape(message)):
            link.query_binary("DATA?")
        assert link.ask("*IDN?") == IDENTITY.decode()


# --- 11: no timeout ------------------------------------------------------------------------------


def test_row_11_no_timeout_waits_for_ever_in_plain_and_is_refused_by_the_link():
    release = threading.Event()

    def script(stream: socket.socket, line: bytes) -> None:
        release.wait(5.0)
        reply(stream, b"1.5")

    with served(script) as server, ExitStack() as stack:
        adapter = stack.enter_context(plain(server.resource, timeout_s=None))
        waiting = threading.Thread(target=lambda: Source(adapter).ask("SILENT?"), daemon=True)
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        release.set()
        waiting.join(3.0)
        assert not waiting.is_alive()
        for timeout_s in (None, float("inf"), float("nan"), 0, -1.0, True, "1"):
            with pytest.raises(LinkError, match=r"smu: timeout_s: got .*, expected 0.001 to 600 s"):
                open_link(server.resource, who="smu", timeout_s=timeout_s)
