"""The control channel of a served laboratory: who may use it, and what it does."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from devices.errors import LinkError
from devices.link import open_link
from orchestrator.bench import open_bench
from orchestrator.errors import BusyError, ControlError, NoAnswerError, ProfileError
from orchestrator.laboratory import attach, laboratory_of, read_address
from orchestrator.laboratory.attached import AttachedLaboratory
from orchestrator.laboratory.serving import serve_laboratory
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile
from tests.command import wait_until

pytestmark = pytest.mark.wire


@pytest.fixture
def serving(tmp_path):
    with serve_laboratory(load_profile("sim-mri"), life_s=60.0, control="virtual") as one:
        one.address.write(tmp_path / "lab.json")
        yield one


@pytest.fixture
def there(serving):
    one = AttachedLaboratory(serving.address)
    yield one
    one.close()


def lines(address, *messages: bytes) -> list[dict]:
    """What a client that knows no token is answered until the connection ends."""
    with socket.create_connection(("127.0.0.1", address.channel), timeout=5.0) as stream:
        received = b""
        for message in messages:
            stream.sendall(message + b"\n")
        stream.shutdown(socket.SHUT_WR)
        while piece := stream.recv(4096):
            received += piece
    return [json.loads(line) for line in received.splitlines()]


# --- who may use it -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "messages",
    [
        [b'{"do":"stop"}'],
        [b'{"do":"hello"}', b'{"nonce":"' + b"0" * 64 + b'","mac":"' + b"0" * 64 + b'"}'],
        [b'{"do":"hello"}', b'{"do":"stop"}'],
        [b"stop"],
        [b"[]"],
        [b"\xff\xfe"],
    ],
)
def test_without_the_token_nothing_is_done_on_loopback_either(serving, there, messages):
    *_, last = lines(serving.address, *messages)
    assert "error" in last
    assert there.now() == 0.0
    assert not serving.wait(0.0)


def test_another_token_is_refused_and_a_stranger_is_noticed(serving):
    with pytest.raises(NoAnswerError, match="token"):
        AttachedLaboratory(replace(serving.address, token="0" * 64))
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        elsewhere = replace(serving.address, channel=nobody.getsockname()[1])
    with pytest.raises(NoAnswerError, match="ended"):
        AttachedLaboratory(elsewhere)


def test_a_line_without_end_is_not_kept(serving, there):
    with socket.create_connection(("127.0.0.1", serving.address.channel), timeout=5.0) as stream:
        stream.sendall(b"x" * 65_537)
        with suppress(ConnectionResetError):  # it had not read all of it
            assert stream.recv(1) == b""
    assert there.now() == 0.0


def test_it_listens_on_loopback_only(serving):
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    for port in (serving.address.channel, *serving.served.ports.values()):
        listening = [one[1] for one in table if one[3] == "0A" and one[1].endswith(f":{port:04X}")]
        assert listening == [f"0100007F:{port:04X}"]


def test_the_address_file_is_its_owners_alone(serving, tmp_path):
    file = tmp_path / "lab.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_address(file) == serving.address
    assert serving.address.token not in repr(serving.address)
    file.chmod(0o640)
    with pytest.raises(ProfileError, match="0640, expected 0600"):
        attach(file)
    file.chmod(0o600)
    for text in ("{}", "[1]", "", "{" * 100_000, '{"laboratory": 2}'):
        file.write_text(text)
        with pytest.raises(ProfileError, match="is no address file"):
            attach(file)


def test_a_real_device_has_no_control_channel():
    document = load_profile("sim-mri").to_document()
    document["devices"]["pstat"]["resource"] = "TCPIP0::192.0.2.7::5025::SOCKET"
    document.pop("journal_every_s", None)
    mixed = BenchProfile.model_validate(document)
    serving = serve_laboratory(mixed, life_s=5.0, control="real")
    with pytest.raises(ProfileError, match="neither time nor faults can be controlled"), serving:
        pytest.fail("served a control channel beside hardware")


# --- what it does -------------------------------------------------------------------------------


def test_time_is_handed_over_and_never_goes_back(there):
    assert there.advance(10.0)
    assert there.now() == 10.0
    for to_s in (9.9, -1.0):
        with pytest.raises(ControlError, match="or later"):
            there.advance(to_s)
    with pytest.raises(ControlError, match="a number"):
        there.advance("soon")
    there.hold()
    assert not there.advance(20.0)
    there.hold(held=False)
    assert there.advance(20.0)


def test_it_stands_still_without_an_engine_and_belongs_to_one_at_a_time(serving, there, tmp_path):
    there.advance(5.0)
    file = tmp_path / "lab.json"
    with open_bench("sim-mri", data=tmp_path, laboratory=file) as bench:
        assert bench.outlasts_process
        assert bench.elapsed_s == 5.0
        assert bench.clock.time() == serving.address.epoch_s + 5.0
        bench.wait(7.5)
        assert there.now() == bench.elapsed_s == 12.5
        with pytest.raises(ControlError, match=f"process {os.getpid()} moves its time"):
            there.advance(100.0)
        with (
            pytest.raises((BusyError, ControlError)),
            open_bench("sim-mri", data=tmp_path, laboratory=file),
        ):
            pytest.fail("two engines moved one time")
    time.sleep(0.05)
    assert there.now() == 12.5
    with open_bench("sim-mri", data=tmp_path, laboratory=file) as bench:
        bench.wait(1.0)
    assert there.now() == 13.5


def test_an_engine_waits_while_somebody_holds_time(there, tmp_path):
    with open_bench("sim-mri", data=tmp_path, laboratory=tmp_path / "lab.json") as bench:
        there.hold()
        with pytest.raises(TimeoutError):
            bench.RE(waiting(bench, 3.0))
        there.hold(held=False)
        bench.wait(3.0)
        assert there.now() >= 3.0


def waiting(bench, duration_s):
    """A wait of experiment time that gives up after real time in which none has passed."""
    import bluesky.plan_stubs as bps

    def still():
        began_s = time.monotonic()
        while bench.elapsed_s == 0.0:
            if time.monotonic() > began_s + 0.3:
                raise TimeoutError
            yield from bps.null()
            time.sleep(0.01)

    yield from still()
    yield from bps.sleep(duration_s)


def test_the_cells_own_charge_is_told(serving, there):
    link = open_link(serving.resources["pstat"], who="pstat")
    for command in (
        "*RST", ":SOUR:FUNC CURR", ":SOUR:CURR:VLIM 1", ":SENS:FUNC 'VOLT'", ":SOUR:CURR 1e-5",
        ":OUTP ON",
    ):  # fmt: skip
        link.write(command)
    assert link.ask(":OUTP?") == "1"
    there.advance(3600.0)
    cell = there.cell()
    assert cell["charge_mah"] == pytest.approx(0.01)
    assert cell["current_ma"] == pytest.approx(0.01)
    assert (
        there.truth()["charge_mah"] == pytest.approx(0.01) if "charge_mah" in there.truth() else 1
    )
    there.switch_off()
    assert link.ask(":OUTP?") == "0"
    there.advance(7200.0)
    assert there.cell()["charge_mah"] == cell["charge_mah"]
    link.close()


def test_what_goes_wrong_from_now_on(serving, there):
    there.advance(100.0)
    with pytest.raises(ControlError, match="the past cannot be changed"):
        there.inject("silence:pstat:50:150")
    with pytest.raises(ProfileError, match="kind"):
        there.inject("smoke:pstat:150:160")
    assert there.inject("silence:pstat:150:160") == "silence:pstat:150:160"
    assert there.faults == ["silence:pstat:150:160"]
    link = open_link(serving.resources["pstat"], who="pstat", timeout_s=0.2, budget_s=0.4)
    there.advance(155.0)
    with pytest.raises(LinkError):
        link.ask(":OUTP?")
    there.advance(160.0)
    assert link.ask(":OUTP?") == "0"
    there.dead_socket()
    assert link.ask(":OUTP?") == "0"
    assert link.counters.reconnects >= 2
    link.close()


def test_it_can_be_ended(serving, there):
    there.stop()
    assert serving.wait(5.0)
    assert serving.told_to_end
    with pytest.raises(NoAnswerError):
        there.now()


def test_an_engine_whose_laboratory_is_gone_fails(serving, there, tmp_path):
    import bluesky.plan_stubs as bps

    def plan():
        yield from bps.sleep(1.0)
        there.stop()
        wait_until(lambda: serving.wait(0.0), what="the end of the laboratory")
        yield from bps.sleep(1e6)

    with open_bench("sim-mri", data=tmp_path, laboratory=tmp_path / "lab.json") as bench:
        with pytest.raises(NoAnswerError, match="does not answer"):
            bench.RE(plan())
        assert bench.elapsed_s < 1e6


@pytest.mark.parametrize("control", ["virtual", "real"])
def test_an_engine_is_watched_in_real_time_only(tmp_path, control):
    """Time that stands still without an engine cannot be late for a watchdog."""
    file = tmp_path / "lab.json"
    with serve_laboratory(load_profile("sim-cycler"), life_s=60.0, control=control) as serving:
        serving.address.write(file)
        with open_bench("sim-cycler", data=tmp_path, laboratory=file) as bench:
            assert (bench.watchdog is not None) == (control == "real")
            assert bench.clock.simulated == (control == "virtual")


# --- what an engine is told ---------------------------------------------------------------------


def test_another_bench_another_sample_and_another_time_are_refused(serving, tmp_path):
    file = tmp_path / "lab.json"
    other = open_bench("sim-cycler", data=tmp_path, laboratory=file)
    with pytest.raises(ProfileError, match="is not the bench that process"), other:
        pytest.fail("opened a bench in another's laboratory")
    sample = open_bench("sim-mri", data=tmp_path, laboratory=file, sample={"seed": 3})
    with pytest.raises(ProfileError, match="seed 3, and on the laboratory lies"), sample:
        pytest.fail("opened a bench with another sample on it")
    real = open_bench("sim-mri", data=tmp_path, laboratory=file, real_time=True)
    with pytest.raises(ProfileError, match="in virtual time"), real:
        pytest.fail("opened a laboratory in virtual time in real time")


def test_the_environment_names_laboratories(serving, tmp_path):
    file = str(tmp_path / "lab.json")
    named = {"OPERANDO_LABORATORY": file}
    mri, cycler = load_profile("sim-mri"), load_profile("sim-cycler")
    assert laboratory_of(mri, environment=named) == serving.address
    assert laboratory_of(mri, environment={}) is None
    with pytest.raises(ProfileError, match="none of the laboratories"):
        laboratory_of(cycler, environment=named)
    reached = serving.address.reached(mri)
    assert not reached.links["pstat"].simulated
    hardware = reached.model_copy()
    assert laboratory_of(hardware, environment=named) is None
