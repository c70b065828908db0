"""The console's driver: over the in-process wire to the simulator, over TCP to the agent."""

import asyncio
import json
import math
import threading
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
from pymeasure.test import expected_protocol

from devices.bridge.agent import Agent
from devices.bridge.authentication import MIN_TOKEN_CHARACTERS
from devices.bridge.watched_folder import WatchedFolderConsole
from devices.drivers.console_bridge import BridgeMriConsole, ConsoleBridge
from devices.errors import (
    IdentityError,
    InstrumentFault,
    LimitError,
    LinkError,
    NotReachedError,
)
from devices.link import open_link
from devices.roles import ConsoleState
from sim.clock import EPOCH_S
from sim.images.mri import FlashImager, FlashSettings
from sim.instruments.mri_acquirers import pellet_acquirers
from sim.instruments.mri_console import SimulatedMriConsole
from sim.samples.llzo_cell import LlzoCell
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

TOKEN = "correct horse battery staple"
SHORT = {"averages": 4, "tr_s": 0.1}  # 0.1 x 52 x 4 = 20.8 s


class Wire:
    """An instrument whose answers may be spoilt, in the order in which they are given."""

    def __init__(self, instrument):
        self._instrument, self.spoil, self.heard = instrument, {}, []

    def answer(self, message):
        self.heard.append(message)
        reply = self._instrument.answer(message)
        for start, change in list(self.spoil.items()):
            if message.startswith(start.encode()):
                del self.spoil[start]
                return change(reply)
        return reply


class Bench:
    """The simulated console of a real sample, and its driver over an in-process link."""

    def __init__(self, **options):
        self.now_s = 0.0
        self.cell = LlzoCell.from_preset("small_4p8")
        self.world = World(self.cell, lambda: self.now_s)
        imagers = pellet_acquirers(self.cell.geometry, seed=0)
        self.wire = Wire(SimulatedMriConsole(self.world, imagers, **options))
        library = SimulatedVisaLibrary({"console": self.wire})
        self.link = open_link("sim://console", who="mri", visa_library=library, expect="SIM-")
        self.console = BridgeMriConsole(self.link)

    def take(self):
        self.console.arm()
        self.world.pulse("ttl", self.now_s)
        self.now_s += self.console.expected_duration_s() + 2.0


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.link.close()


def test_it_knows_that_the_console_is_simulated(bench):
    assert bench.console.identity().simulated
    assert bench.console.identity().model == "Simulated MRI console"


def test_configure_returns_what_was_read_back(bench):
    held = bench.console.configure({"averages": 2, "matrix": [41, 26]})
    assert (held["averages"], held["matrix"], held["tr_s"]) == (2, [41, 26], 0.3)
    assert bench.console.expected_duration_s() == pytest.approx(0.3 * 26 * 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"matrix": [0, 52]}, "mri: the bridge answers -222.*matrix: got 0, expected 2 to 256"),
        ({"averages": 0}, "averages: got 0, expected 1"),
        ({"method": "rare"}, "-224, Illegal parameter value;method: got 'rare'"),
        ({"colour": 1}, "colour: unknown"),
        ({"tr_s": "0.3"}, "-104.*tr_s: got '0.3', expected a number"),
        ({"tr_s": math.nan}, "mri: settings: .*use finite numbers"),
    ],
)
def test_settings_that_the_console_refuses_are_limit_errors(bench, settings, message):
    with pytest.raises(LimitError, match=message):
        bench.console.configure(settings)
    assert bench.link.counters.reconnects == 0


def test_a_field_of_view_that_folds_the_sample_is_refused(bench):
    with pytest.raises(LimitError, match=r"-222.*field of view"):
        bench.console.configure({"fov_mm": [3, 11]})


def test_a_frame_from_arming_to_image(bench):
    bench.console.configure(SHORT)
    bench.cell.apply_current(0.0, 0.01257)
    bench.now_s = 3600.0
    bench.console.arm()
    assert bench.console.status().state is ConsoleState.WAITING_TRIGGER
    assert math.isnan(bench.console.status().t_start_s)
    bench.world.pulse("ttl", 3605.0)
    bench.now_s = 3610.2
    status = bench.console.status()
    assert (status.state, status.progress) == (ConsoleState.ACQUIRING, pytest.approx(0.25))
    bench.now_s = 3627.0
    assert bench.console.status().state is ConsoleState.RECONSTRUCTING
    bench.now_s = 4000.0
    status = bench.console.status()
    assert (status.state, status.experiment) == (ConsoleState.IDLE, 1)
    assert status.t_start_s == EPOCH_S + 3605.0
    assert status.t_end_s == pytest.approx(EPOCH_S + 3625.8)
    image, header = bench.console.read_image()
    settings = FlashSettings(averages=4, tr_s=0.1)
    imager = FlashImager(bench.cell.geometry, settings, 0)
    layers = bench.cell.mean_layers_umol_per_cm2(3605.0, 3625.8)
    np.testing.assert_array_equal(image, imager.frame(layers, 0))
    assert (image.dtype, image.shape, header["frame"]) == (np.float32, (52, 81), 0)
    assert layers[0] > 0


def test_frames_read_late_or_twice_are_the_same(bench):
    bench.console.configure(SHORT)
    bench.take()
    first, _ = bench.console.read_image()
    bench.now_s += 1e5
    again, _ = bench.console.read_image()
    np.testing.assert_array_equal(first, again)
    bench.take()
    second, header = bench.console.read_image()
    assert header["frame"] == 1
    assert np.abs(second - first).max() > 0


def test_busy_aborted_and_failed_are_told(bench):
    """Row 21: by the driver."""
    bench.console.configure(SHORT)
    bench.console.arm()
    with pytest.raises(NotReachedError, match="experiment 1 is waiting_trigger, expected idle"):
        bench.console.arm()
    with pytest.raises(NotReachedError, match="wait for what goes on, or end it"):
        bench.console.configure(SHORT)
    bench.console.abort()
    bench.console.abort()
    assert bench.console.status().state is ConsoleState.IDLE
    with pytest.raises(InstrumentFault, match="no image: experiment 1 is aborted"):
        bench.console.read_image()
    bench.console.arm()
    bench.wire._instrument.fail("gradient amplifier tripped")
    status = bench.console.status()
    assert (status.state, status.error) == (
        ConsoleState.ERROR,
        "experiment 2: gradient amplifier tripped",
    )
    assert bench.link.counters.reconnects == 0


def test_the_clock_is_the_consoles_own():
    bench = Bench(clock_offset_s=EPOCH_S + 12.5)
    bench.now_s = 100.0
    assert bench.console.time() == EPOCH_S + 112.5
    bench.link.close()


def test_a_console_without_a_trigger_cable_starts_when_armed(bench):
    console = BridgeMriConsole(bench.link, trigger_mode="off")
    console.configure(SHORT)
    console.arm()
    assert console.status().state is ConsoleState.ACQUIRING
    again = BridgeMriConsole(bench.link, trigger_mode="off")
    assert again.status().state is ConsoleState.ACQUIRING
    with pytest.raises(NotReachedError, match="experiment 1 is acquiring"):
        BridgeMriConsole(bench.link, trigger_mode="per_scan")


def test_a_status_is_one_query_and_one_line(bench):
    before = len(bench.wire.heard)
    bench.console.status()
    assert bench.wire.heard[before:] == [b"ACQ:STAT?"]


def changed_header(**changes):
    return lambda reply: json.dumps({**json.loads(reply), **changes}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [52, 80]},
        {"shape": [81, 52]},
        {"shape": "x"},
        {"dtype": ">f8"},
        {"nbytes": 2**40},
        {"nbytes": None},
        {"settings": {"matrix": [2**20, 2**20]}, "shape": [2**20, 2**20], "nbytes": 2**42},
        {"settings": {"matrix": [True, 52]}},
        {"settings": None},
    ],
)
def test_a_header_that_promises_anything_else_is_refused_before_the_image_is_read(bench, changes):
    """Row 22: by what the console promises."""
    bench.console.configure(SHORT)
    bench.take()
    bench.wire.spoil["ACQ:IMAG:HEAD?"] = changed_header(**changes)
    with pytest.raises(InstrumentFault, match="image of shape, type and size"):
        bench.console.read_image()
    assert b"ACQ:IMAG?" not in bench.wire.heard


@pytest.mark.parametrize(
    "change",
    [
        lambda reply: reply[:-1] + bytes([reply[-1] ^ 1]),
        lambda reply: b"#516844" + reply[7:-4],
        lambda reply: b'!-230,"Data corrupt or stale"',
        lambda reply: b"#3abc",
        lambda reply: reply[: len(reply) // 2],
    ],
)
def test_a_spoilt_image_is_a_link_error_and_the_next_one_is_good(bench, change):
    """Row 21: a transfer that is truncated."""
    bench.console.configure(SHORT)
    bench.take()
    bench.wire.spoil["ACQ:IMAG?"] = change
    with pytest.raises(LinkError):
        bench.console.read_image()
    image, header = bench.console.read_image()
    assert zlib.crc32(image.tobytes()) == header["crc32"]
    assert bench.link.counters.reconnects == 1


@pytest.mark.parametrize("reply", [b"{", b"[]", b"?", b"NaN", b'{"state":"idle","state":1'])
def test_a_garbled_status_is_asked_for_again(bench, reply):
    """Row 6: of the console."""
    bench.wire.spoil["ACQ:STAT?"] = lambda good: reply
    assert bench.console.status().state is ConsoleState.IDLE
    assert bench.link.counters.garbled == 1


@pytest.mark.parametrize(
    "changes", [{"state": "asleep"}, {"progress": None}, {"t_end_s": "late"}, {"experiment": []}]
)
def test_a_status_with_other_content_is_a_link_error(bench, changes):
    bench.wire.spoil["ACQ:STAT?"] = changed_header(**changes)
    with pytest.raises(LinkError, match="garbled status"):
        bench.console.status()


def test_arming_is_never_repeated(bench):
    bench.console.configure(SHORT)
    bench.wire.spoil["SYST:ERR?"] = lambda reply: None
    before = bench.wire.heard.count(b"ACQ:ARM")
    with pytest.raises(LinkError, match="sent at most once and may have acted"):
        bench.console.arm()
    assert bench.wire.heard.count(b"ACQ:ARM") == before + 1
    assert bench.console.status().state is ConsoleState.WAITING_TRIGGER


def test_line_ends_cannot_be_smuggled_into_a_setting(bench):
    with pytest.raises(LimitError, match="-224"):
        bench.console.configure({"method": "flash2d\nACQ:ABOR"})
    with pytest.raises(LimitError, match="-224"):
        bench.console.configure({"line": "\r\0"})


def test_the_drivers_lines():
    exchanges = [
        (b"ACQ:CONF?", b'{"averages":2}'),
        (b'ACQ:CONF {"averages": 4}', None),
        (b"ACQ:STAT?", b'{"state":"idle"}'),
        (b"ACQ:DUR?", b"15974.4"),
        (b"ACQ:IMAG:HEAD?", b'{"shape":[52,81]}'),
        (b"SYST:TIME?", b"1735689600.5"),
        (b"AUTH:CHAL?", b'{"required":false}'),
        (b"SYST:ERR?", b'-222,"Data out of range;tr_s: got 0, expected more"'),
        (b"ACQ:ABOR", None),
        (b"*CLS", None),
        (b"ACQ:DUR?", b'!-113,"Undefined header;ACQ:DUR?"'),
        (b"ACQ:DUR?", b"soon"),
    ]
    with expected_protocol(ConsoleBridge, exchanges) as driver:
        assert driver.settings == {"averages": 2}
        driver.settings = {"averages": 4}
        assert driver.status == {"state": "idle"}
        assert driver.expected_duration_s == 15974.4
        assert driver.image_header == {"shape": [52, 81]}
        assert driver.clock_s == 1735689600.5
        assert driver.challenge == {"required": False}
        assert driver.next_error == (-222, "Data out of range;tr_s: got 0, expected more")
        driver.abort()
        driver.clear()
        with pytest.raises(InstrumentFault, match="-113, Undefined header"):
            driver.expected_duration_s  # noqa: B018 - the property is what is tested
        with pytest.raises(LinkError, match="soon"):
            driver.expected_duration_s  # noqa: B018


@contextmanager
def agent_on_tcp(folder, **options):
    """An agent with the watched folder, on a loop of its own; ends with the block."""
    loop = asyncio.new_event_loop()
    agent = Agent(WatchedFolderConsole(folder), **options)
    port = loop.run_until_complete(agent.start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"TCPIP0::127.0.0.1::{port}::SOCKET"
    finally:
        asyncio.run_coroutine_threadsafe(agent.stop(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


def deliver(folder, lines, columns):
    """The vendor's side: an image for the newest request."""
    pixels = np.arange(lines * columns, dtype="<f4").tobytes()
    request = max((folder / "requests").glob("*.json"))
    (folder / "results" / request.name).with_suffix(".raw").write_bytes(pixels)
    result = {"shape": [lines, columns], "dtype": "<f4", "t_start_s": 1.0, "t_end_s": 2.5}
    (folder / "results" / request.name).write_text(json.dumps(result))


def test_the_same_driver_serves_the_agent_over_tcp(tmp_path):
    with agent_on_tcp(tmp_path) as resource:
        link = open_link(resource, who="mri", expect="Watched folder")
        console = BridgeMriConsole(link)
        assert not console.identity().simulated
        held = console.configure({"matrix": [300, 200], "averages": 1, "tr_s": 0.01})
        assert held["matrix"] == [300, 200]
        assert console.expected_duration_s() == pytest.approx(2.0)
        console.arm()
        assert console.status().state is ConsoleState.ARMED
        with pytest.raises(NotReachedError, match="experiment 1 goes on"):
            console.arm()
        deliver(tmp_path, 200, 300)
        status = console.status()
        assert (status.state, status.t_end_s) == (ConsoleState.IDLE, 2.5)
        image, header = console.read_image()
        assert header["nbytes"] == 240_000
        np.testing.assert_array_equal(image.ravel(), np.arange(60_000))
        console.arm()
        console.abort()
        assert (tmp_path / "requests" / "000002.abort").exists()
        link.close()


def test_the_driver_proves_the_token_and_does_so_again_after_a_reconnect(tmp_path):
    assert len(TOKEN) >= MIN_TOKEN_CHARACTERS
    with agent_on_tcp(tmp_path, token=TOKEN) as resource:
        link = open_link(resource, who="mri")
        console = BridgeMriConsole(link, token=TOKEN)
        link.distrust("the test pulled the plug")
        assert console.status().state is ConsoleState.IDLE
        assert link.counters.reconnects == 1
        link.close()


@pytest.mark.parametrize(
    ("token", "message"),
    [(None, "the agent wants a token, got none"), ("not the right token", "-203")],
)
def test_without_the_right_token_there_is_no_console(tmp_path, token, message):
    with agent_on_tcp(tmp_path, token=TOKEN) as resource:
        link = open_link(resource, who="mri")
        with pytest.raises(IdentityError, match=message):
            BridgeMriConsole(link, token=token)
        link.close()


class Impostor:
    """Accepts any proof but cannot give its own."""

    def answer(self, message):
        replies = {
            b"*IDN?": b"Operando,Console,1,1",
            b"AUTH:CHAL?": b'{"required":true,"nonce":"00"}',
        }
        return replies.get(message, b'{"mac":"00"}')


def test_an_agent_that_cannot_prove_the_token_is_refused():
    library = SimulatedVisaLibrary({"console": Impostor()})
    link = open_link("sim://console", who="mri", visa_library=library)
    with pytest.raises(IdentityError, match="somebody else may listen at this address"):
        BridgeMriConsole(link, token=TOKEN)
    link.close()
