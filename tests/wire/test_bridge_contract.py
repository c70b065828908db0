"""One suite for both implementations of the bridge protocol: the agent and the simulator."""

import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.bridge.protocol import Session
from devices.bridge.watched_folder import WatchedFolderConsole
from sim.instruments.mri_console import SimulatedMriConsole
from sim.world import World

SMALL = b'ACQ:CONF {"averages":2,"matrix":[8,5],"tr_s":0.5,"trigger_mode":"off"}'  # 5 s


class Layers:
    def mean_layers_umol_per_cm2(self, t0_s, t1_s):
        return np.full(4, t1_s - t0_s)


def shape_of(settings):
    return settings["matrix"][::-1] if "matrix" in settings else [2, settings["points"]]


class Flat:
    def __init__(self, settings):
        self.shape = shape_of(settings)
        self.axes = [{"name": "any"} for _ in self.shape]

    def acquire(self, sample, t0_s, t1_s, index):
        return np.full(self.shape, 5.0, np.float32)


class Simulator:
    """The simulated console."""

    def __init__(self, folder):
        self.now_s = 0.0
        world = World(Layers(), lambda: self.now_s)
        self._console = SimulatedMriConsole(world, Flat, strict=False)
        self.answer = self._console.answer

    def finish(self):
        self.now_s += 1000.0


class Agent:
    """The agent's session in front of the watched-folder plug-in, with a scanner that is done."""

    def __init__(self, folder):
        self._folder, self._console = folder, WatchedFolderConsole(folder)
        session = Session(self._console.identity, self._console.commands())
        self.answer = session.answer

    def finish(self):
        request = max((self._folder / "requests").glob("*.json"))
        shape = shape_of(json.loads(request.read_text())["settings"])
        results = self._folder / "results"
        pixels = np.full(shape, 5.0, "<f4").tobytes()
        (results / request.name).with_suffix(".raw").write_bytes(pixels)
        result = {"shape": shape, "dtype": "<f4", "t_start_s": 1.0, "t_end_s": 6.0}
        (results / request.name).write_text(json.dumps(result))


@pytest.fixture(params=[Simulator, Agent])
def server(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture(scope="module", params=[Simulator, Agent])
def lasting(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("folder"))


def error(server):
    return server.answer(b"SYST:ERR?").decode()


def status(server):
    return json.loads(server.answer(b"ACQ:STAT?"))


def test_identity_has_four_fields(server):
    assert len(server.answer(b"*IDN?").decode().split(",")) == 4


def test_barrier_clock_and_challenge_answer(server):
    assert server.answer(b"*OPC?") == b"1"
    assert float(server.answer(b"SYST:TIME?")) > 1.7e9
    assert json.loads(server.answer(b"AUTH:CHAL?")) == {"required": False}


@pytest.mark.parametrize(
    "spelling", [b"ACQ:DUR?", b"acquire:dur?", b"Acq:DURation?", b" ACQ:DUR? "]
)
def test_long_and_short_forms_in_any_case(server, spelling):
    server.answer(SMALL)
    assert float(server.answer(spelling)) == pytest.approx(5.0)


@pytest.mark.parametrize("message", [b"ACQU:DUR?", b"ACQ:DU?", b"ACQ:DUR", b"FOO?", b"ACQ:ARM?"])
def test_other_spellings_are_undefined_headers(server, message):
    reply = server.answer(message)
    if message.endswith(b"?"):
        assert reply.startswith(b'!-113,"Undefined header')
    else:
        assert reply is None
        assert error(server).startswith('-113,"Undefined header')


def test_the_error_of_a_query_is_its_answer_and_is_not_queued(server):
    assert server.answer(b"ACQ:IMAG?").startswith(b"!-230,")
    assert server.answer(b"FOO?").startswith(b"!-113,")
    assert server.answer(b"ACQ:DUR? 3").startswith(b"!-108,")
    assert error(server) == '0,"No error"'


def test_settings_read_back_as_set(server):
    server.answer(SMALL)
    held = json.loads(server.answer(b"ACQ:CONF?"))
    assert (held["averages"], held["matrix"], held["tr_s"]) == (2, [8, 5], 0.5)
    assert held["method"] == "flash2d"
    assert error(server) == '0,"No error"'


REFUSED = [
    ('{"matrix":[0,52]}', -222),
    ('{"matrix":[81]}', -104),
    ('{"matrix":[81.0,52]}', -104),
    ('{"matrix":[8,5,6],"fov_mm":[1,1,1]}', -104),
    ('{"points":64}', -224),
    ('{"method":"single_pulse","averages":2}', -224),
    ('{"method":"single_pulse","scans":[1]}', -104),
    ('{"method":"single_pulse","scans":[1,0]}', -222),
    ('{"method":"single_pulse","scans":7}', -104),
    ('{"method":"gradient_echo_3d","matrix":[8,5]}', -104),
    ('{"method":"gradient_echo_3d","fov_mm":[8,5]}', -104),
    ('{"averages":0}', -222),
    ('{"averages":true}', -104),
    ('{"averages":"4"}', -104),
    ('{"averages":1' + "0" * 400 + "}", -222),
    ('{"tr_s":-1}', -222),
    ('{"tr_s":1e999}', -222),
    ('{"tr_s":NaN}', -102),
    ('{"te_s":0.9}', -222),
    ('{"method":"no such method"}', -224),
    ('{"method":7}', -224),
    ('{"trigger_mode":"maybe"}', -224),
    ('{"colour":"red"}', -224),
    ('{"averages":1,"averages":2}', -102),
    ('{"averages":1', -102),
    ("[1]", -104),
    ('"averages"', -104),
    ("[" * 30_000, -102),
    ("", -109),
    ('{"method":"a\rb"}', -101),
    ('{"method":"a\0b"}', -101),
    ('{"method":"µ"}', -101),
]


@pytest.mark.parametrize(("argument", "code"), REFUSED)
def test_bad_settings_are_refused_with_text_and_change_nothing(server, argument, code):
    server.answer(SMALL)
    before = server.answer(b"ACQ:CONF?")
    assert server.answer(f"ACQ:CONF {argument}".encode()) is None
    entry = error(server)
    assert entry.startswith(f'{code},"'), entry
    assert entry.endswith('"')
    assert server.answer(b"ACQ:CONF?") == before


def test_the_texts_name_the_field_and_both_values(server):
    server.answer(b'ACQ:CONF {"averages":0}')
    assert error(server) == '-222,"Data out of range;averages: got 0, expected 1 to 1000000"'


def test_one_bad_value_spoils_all(server):
    server.answer(SMALL)
    server.answer(b'ACQ:CONF {"averages":7,"tr_s":-1}')
    assert json.loads(server.answer(b"ACQ:CONF?"))["averages"] == 2


def test_a_header_without_argument_takes_none(server):
    server.answer(b"ACQ:ARM {}")
    assert error(server).startswith("-108,")
    assert status(server)["experiment"] == 0


def test_an_overlong_line_is_refused_before_it_is_parsed(server):
    server.answer(b'ACQ:CONF {"method":"' + b"a" * 70_000 + b'"}')
    assert error(server).startswith('-223,"Too much data')


def test_the_error_queue_is_bounded_and_says_that_it_overflowed(server):
    for _ in range(50):
        server.answer(b"FOO")
    entries = []
    while not entries or not entries[-1].startswith("0,"):
        entries.append(error(server))
    assert len(entries) == 21
    assert entries[-2] == '-350,"Queue overflow"'
    server.answer(b"FOO")
    server.answer(b"*CLS")
    assert error(server) == '0,"No error"'


METHODS = [
    (
        '{"method":"gradient_echo_3d","averages":2,"matrix":[8,5,6],"fov_mm":[10,10,3.2]}',
        15.0,
        [6, 5, 8],
    ),
    ('{"method":"single_pulse","scans":[3,4],"points":64}', 38.0, [2, 64]),
]


@pytest.mark.parametrize(("settings", "duration_s", "shape"), METHODS)
def test_every_method_has_its_duration_and_the_shape_of_its_settings(
    server, settings, duration_s, shape
):
    server.answer(b'ACQ:CONF {"trigger_mode":"off"}')
    server.answer(f"ACQ:CONF {settings}".encode())
    assert error(server) == '0,"No error"'
    assert float(server.answer(b"ACQ:DUR?")) == pytest.approx(duration_s)
    server.answer(b"ACQ:ARM")
    server.finish()
    header = json.loads(server.answer(b"ACQ:IMAG:HEAD?"))
    assert header["shape"] == shape
    assert header["nbytes"] == 4 * np.prod(shape)
    assert header["settings"]["trigger_mode"] == "off"


def test_another_method_begins_with_its_own_settings(server):
    server.answer(b'ACQ:CONF {"averages":7,"trigger_mode":"off"}')
    server.answer(b'ACQ:CONF {"method":"single_pulse"}')
    held = json.loads(server.answer(b"ACQ:CONF?"))
    assert (held["nuclei"], held["mas_khz"]) == (["6Li", "7Li"], [14.0, 13.0])
    assert (held["trigger_mode"], "averages" in held) == ("off", False)
    server.answer(b'ACQ:CONF {"method":"gradient_echo_3d"}')
    held = json.loads(server.answer(b"ACQ:CONF?"))
    assert (held["matrix"], held["fov_mm"]) == ([100, 100, 32], [10.0, 10.0, 3.2])
    assert held["averages"] != 7
    server.answer(b'ACQ:CONF {"averages":7}')
    server.answer(b'ACQ:CONF {"method":"gradient_echo_3d","tr_s":0.5}')
    assert json.loads(server.answer(b"ACQ:CONF?"))["averages"] == 7, "the method is the same"


STATUS_KEYS = {"state", "progress", "experiment", "t_start_s", "t_end_s", "error", "outcome"}


def test_an_acquisition_from_arming_to_image(server):
    server.answer(SMALL)
    assert status(server)["outcome"] == "none"
    assert set(status(server)) >= STATUS_KEYS
    assert server.answer(b"ACQ:IMAG:HEAD?").startswith(b"!-230,")
    server.answer(b"ACQ:ARM")
    assert status(server)["state"] in {"armed", "waiting_trigger", "acquiring"}
    assert status(server)["outcome"] == "pending"
    server.finish()
    done = status(server)
    assert (done["state"], done["outcome"], done["progress"]) == ("idle", "complete", 1.0)
    assert done["t_end_s"] - done["t_start_s"] == pytest.approx(5.0)
    header = json.loads(server.answer(b"ACQ:IMAG:HEAD?"))
    reply = server.answer(b"ACQ:IMAG?")
    assert reply.startswith(b"#3160")
    assert (header["shape"], header["dtype"], header["nbytes"]) == ([5, 8], "<f4", 160)
    assert header["crc32"] == zlib.crc32(reply[5:])
    assert header["settings"]["matrix"] == [8, 5]
    assert (np.frombuffer(reply[5:], "<f4") == 5.0).all()


def test_a_second_acquisition_hides_the_first_image(server):
    server.answer(SMALL)
    server.answer(b"ACQ:ARM")
    server.finish()
    server.answer(b"ACQ:ARM")
    assert server.answer(b"ACQ:IMAG?").startswith(b"!-230,")
    assert status(server)["experiment"] == 2


def test_a_busy_console_refuses_to_arm_and_to_be_configured(server):
    server.answer(SMALL)
    server.answer(b"ACQ:ARM")
    server.answer(b"ACQ:ARM")
    assert error(server).startswith('-213,"Init ignored;experiment 1')
    server.answer(SMALL)
    assert error(server).startswith('-221,"Settings conflict;experiment 1')


def test_abort_is_idempotent_and_leaves_the_console_idle(server):
    server.answer(SMALL)
    server.answer(b"ACQ:ABOR")
    server.answer(b"ACQ:ARM")
    server.answer(b"ACQ:ABOR")
    server.answer(b"ACQ:ABOR")
    after = status(server)
    assert (after["state"], after["outcome"], after["t_end_s"]) == ("idle", "aborted", None)
    assert server.answer(b"ACQ:IMAG?").startswith(b"!-230,")
    assert error(server) == '0,"No error"'


def test_no_reply_contains_a_line_end(server):
    server.answer(b'ACQ:CONF {"\\n":1}')
    for query in (b"*IDN?", b"ACQ:CONF?", b"ACQ:STAT?", b"SYST:ERR?", b"FOO?"):
        reply = server.answer(query)
        assert b"\n" not in reply
        assert reply.isascii()


HEADERS = st.sampled_from(
    [b"ACQ:CONF ", b"ACQ:ABOR", b"ACQ:STAT?", b"ACQ:IMAG?", b"AUTH:RESP? ", b"SYST:ERR? ", b""]
)


@settings(max_examples=1000, deadline=None)
@given(HEADERS, st.one_of(st.binary(max_size=100), st.text(max_size=60).map(str.encode)))
def test_no_bytes_crash_it(lasting, header, rest):
    reply = lasting.answer(header + rest)
    assert reply is None or isinstance(reply, bytes)
    assert json.loads(lasting.answer(b"ACQ:STAT?"))["state"] == "idle"
