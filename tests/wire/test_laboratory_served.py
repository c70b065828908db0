"""A served laboratory survives its clients, and says when it is itself at fault."""

from __future__ import annotations

import io
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cli.bench import _wait
from orchestrator.cli.output import Output
from orchestrator.errors import ProfileError
from orchestrator.laboratory import Laboratory, TimeBase, serve_laboratory
from orchestrator.profile.loading import load_profile

pytestmark = pytest.mark.wire

HEADERS = (
    "*IDN", "*RST", "*OPC", "*ESE", ":OUTP", ":OUTP:SMOD", ":SOUR:FUNC", ":SOUR:CURR",
    ":SOUR:CURR:VLIM", ":SENS:FUNC", ":SENS:VOLT:RANG", ":READ", ":TRAC:ACT", ":TRAC:DATA",
    ":TRAC:POIN", ":TRIG:LOAD", ":TRIG:BLOC:MEAS", ":TRIG:BLOC:BRAN:ALW", ":TRIG:BLOC:BRAN:COUN",
    ":TRIG:STAT", ":INIT", ":ABOR", ":SYST:ERR", ":FORM:DATA", ":SOUR1:VOLT", ":SOUR1:BURS:STAT",
    ":TRIG1:SOUR", "*TRG", "ACQ:CONF", "ACQ:ARM", "ACQ:STAT", "ACQ:IMAG", "ACQ:DUR", ":NO:SUCH",
)  # fmt: skip
ARGUMENTS = (
    "", "1", "0", "-1", "1e400", "nan", "ON", '"x"', '"defbuffer1"', "#", "#15abc", "1,2", "CURR",
    '"SimpleLoop", 5', '5, "', "{}", '{"tr_s":null}', '{"matrix":[0,0]}', "[]", "1;2", ":", "é",
)  # fmt: skip
MESSAGES = st.binary(max_size=40).filter(lambda data: b"\n" not in data) | st.builds(
    lambda header, mark, values: f"{header}{mark} {','.join(values)}".encode("latin-1"),
    st.sampled_from(HEADERS),
    st.sampled_from(["", "?"]),
    st.lists(st.sampled_from(ARGUMENTS), max_size=4),
)


@pytest.fixture(scope="module")
def laboratory():
    base = TimeBase.real()
    yield Laboratory(load_profile("sim-mri"), None, base, strict=False)
    base.loop.close()


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(["smu", "console", "ttl"]), messages=st.lists(MESSAGES, max_size=6))
def test_no_message_of_a_client_breaks_an_instrument(laboratory, name, messages):
    instrument = laboratory.instruments[name]
    for message in messages:
        reply = instrument.answer(message)
        assert reply is None or isinstance(reply, bytes)
    assert b"SIM-" in instrument.answer(b"*IDN?")


def test_a_bench_in_process_stays_strict():
    base = TimeBase.real()
    laboratory = Laboratory(load_profile("sim-mri"), None, base)
    base.loop.close()
    for instrument in laboratory.instruments.values():
        with pytest.raises(Exception, match="NO"):
            instrument.answer(b":NO:SUCH")


def asked(resource: str, message: bytes, timeout_s: float) -> bytes:
    """One question over a socket of its own."""
    _, host, port, _ = resource.split("::")
    with socket.create_connection((host, int(port)), timeout=timeout_s) as stream:
        stream.sendall(message)
        return stream.recv(200)


def test_a_fault_ends_when_it_says():
    profile, began_s = load_profile("sim-mri"), time.monotonic()
    with serve_laboratory(profile, faults=["silence:smu:0:1"], life_s=20.0) as serving:
        with pytest.raises(TimeoutError):
            asked(serving.resources["pstat"], b"*IDN?\n", 0.2)
        assert asked(serving.resources["mri.trigger"], b"*IDN?\n", 5.0)
        time.sleep(max(0.0, began_s + 1.2 - time.monotonic()))
        reply = asked(serving.resources["pstat"], b"*IDN?\n", 5.0)
        assert reply.decode().strip() == serving.identities["pstat"]
        assert not serving.wait(0.0)


def test_ports_are_free_again_after_a_refusal():
    """Where one port is in use, none of the others stays open."""
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
        other.close()
        ports = {"smu": free, "ttl": taken.getsockname()[1]}
        serving = serve_laboratory(load_profile("sim-mri"), ports=ports, life_s=5.0)
        with pytest.raises(ProfileError, match="cannot listen"), serving:
            pytest.fail("served on a port in use")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", free), timeout=1.0)


class Broken:
    """A laboratory whose instruments fail one after the other; it ends at the third look."""

    def __init__(self):
        self.looks = 0

    def wait(self, timeout_s):
        assert 0.0 < timeout_s <= 1.0
        self.looks += 1
        return self.looks == 3

    def failures(self):
        return [ValueError("first"), KeyError("second")][: self.looks]


def test_an_error_of_the_simulation_is_said_once_and_at_once():
    out = Output(stdout=io.StringIO(), stderr=io.StringIO())
    broken = Broken()
    _wait(broken, 100.0, out)
    assert broken.looks == 3
    assert out.stderr.getvalue().splitlines() == [
        "operando: an instrument failed: ValueError: first",
        "operando: an instrument failed: KeyError: 'second'",
    ]


def test_a_server_that_hangs_is_not_waited_for_without_end():
    class Hanging(Broken):
        def wait(self, timeout_s):
            self.looks += 1
            return False

        def failures(self):
            return []

    hanging = Hanging()
    _wait(hanging, 10.0, Output(stdout=io.StringIO(), stderr=io.StringIO()))
    assert 20 <= hanging.looks <= 100
