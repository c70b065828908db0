"""One suite for both implementations of the bridge's potentiostat: agent and simulator."""

import json
import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.bridge.potentiostat import POINT_COLUMNS, ROW_COLUMNS, PotentiostatPlugin
from devices.bridge.protocol import Session
from devices.bridge.techniques import frequencies_hz
from sim.instruments.bridge_potentiostat import CAPABILITIES, SimulatedPotentiostat
from sim.instruments.potentiostat_run import POINT_COLUMNS as SIMULATED_POINTS
from sim.instruments.potentiostat_run import ROW_COLUMNS as SIMULATED_ROWS
from sim.samples.linear_cell import LinearCell
from sim.world import World

OHM = 1000.0
LIMITS = {
    "min_voltage_v": -1.0, "max_voltage_v": 1.0, "min_current_ma": -2.0, "max_current_ma": 2.0,
}  # fmt: skip
CC = {"technique": "cc", "current_ma": 0.5, "duration_s": 20.0, "record": {"dt_s": 5.0}}
OCV = {"technique": "ocv", "duration_s": 10.0, "record": {"dt_s": 5.0}}
GEIS = {
    "technique": "geis", "bias_ma": 0.5, "amplitude_ma": 0.01, "start_hz": 1e4, "end_hz": 1.0,
    "points": 9, "record": {"dt_s": 1.0},
}  # fmt: skip


class Resistor(PotentiostatPlugin):
    """A plug-in around a resistor, as small as one can be; knows no tests."""

    identity = "Test,Resistor,1,1"

    def __init__(self, now):
        self._now = now
        self._programs, self._began_s, self._ended = 0, None, ("", math.inf)
        self._techniques, self._limits = (), {}

    def capabilities(self):
        return {**CAPABILITIES, "counter": True}

    def load(self, program):
        self._techniques, self._limits = program["techniques"], program["limits"]
        self._began_s = None

    def start(self):
        self._programs += 1
        self._began_s = self._now()
        self._ended = ("complete", self._began_s + sum(t["duration_s"] for t in self._techniques))
        for at_s, _, volts, _, _ in self._all_rows():
            if not self._limits["min_voltage_v"] <= volts <= self._limits["max_voltage_v"]:
                self._ended = ("limit", self._began_s + at_s)
                return

    def stop(self):
        if self.active():
            self._ended = ("stopped", self._now())

    def status(self):
        if self._began_s is None:
            state, rows, points, now_s = "loaded" if self._techniques else "idle", 0, 0, None
        else:
            state = "running" if self._now() < self._ended[1] - 1e-9 else "finished"
            rows, points = len(self._all_rows()), len(self._all_points())
            now_s = min(self._now(), self._ended[1]) - self._began_s
        return {
            "state": state, "program": self._programs, "technique": self._at(now_s or 0.0)[0],
            "elapsed_s": now_s or 0.0, "t_start_s": self._began_s, "rows": rows, "points": points,
            "cell_on": state == "running" and self._at(now_s)[1]["technique"] != "ocv",
            "reason": self._ended[0] if state == "finished" else "", "current_ma": None,
            "voltage_v": None, "charge_mah": 0.0,
        }  # fmt: skip

    def rows(self, process, first, count):
        rows = self._all_rows() if process == "transient" else self._all_points()
        return rows[first : first + count]

    def _at(self, elapsed_s):
        for number, technique in enumerate(self._techniques):
            if elapsed_s < technique["duration_s"] or number + 1 == len(self._techniques):
                return number, technique
            elapsed_s -= technique["duration_s"]
        return 0, {}

    def _all_rows(self):
        rows, t0_s = [], 0.0
        until_s = min(self._now(), self._ended[1]) - self._began_s
        for number, one in enumerate(self._techniques):
            milliamps = one.get("current_ma", one.get("bias_ma", 0.0))
            steps = int(one["duration_s"] / one["record"]["dt_s"] - 1e-9)
            times = [t0_s + k * one["record"]["dt_s"] for k in range(steps + 1)]
            for t_s in [*times, t0_s + one["duration_s"]]:
                if t_s <= until_s + 1e-9:
                    rows.append((t_s, milliamps, milliamps * OHM / 1e3, 0.0, number))
            t0_s += one["duration_s"]
        if rows and self._ended[0] == "stopped" and rows[-1][0] < until_s:
            rows.append((until_s, *rows[-1][1:]))
        return rows

    def _all_points(self):
        points, t0_s = [], 0.0
        until_s = min(self._now(), self._ended[1]) - self._began_s
        for number, one in enumerate(self._techniques):
            end_s = t0_s
            for hertz in frequencies_hz(one) if "points" in one else []:
                end_s += one["cycles"] / hertz
                if end_s <= until_s + 1e-9:
                    bias, amplitude = one["bias_ma"], one["amplitude_ma"]
                    direct = (bias, bias * OHM / 1e3, amplitude, amplitude * OHM / 1e3)
                    points.append((end_s, hertz, OHM, 0.0, *direct, number))
            t0_s += one["duration_s"]
        return points


class Server:
    """Either implementation with its clock."""

    def __init__(self, kind):
        self.now_s = 100.0
        if kind == "agent":
            plugin = Resistor(lambda: self.now_s)
            self.answer = Session(plugin.identity, plugin.commands()).answer
        else:
            world = World(LinearCell(resistance_ohm=OHM), lambda: self.now_s)
            instrument = SimulatedPotentiostat(world, noise_factor=0.0, strict=False)
            self.answer = instrument.answer

    def tell(self, header, argument=None):
        """Send a command; returns the error entry, empty if it was taken."""
        text = header if argument is None else f"{header} {json.dumps(argument)}"
        assert self.answer(text.encode()) is None
        entry = self.answer(b"SYST:ERR?").decode()
        return "" if entry.startswith("0,") else entry

    def ask(self, query):
        return json.loads(self.answer(query.encode()))

    def load(self, *techniques, **more):
        return self.tell("TECH:LOAD", {"limits": LIMITS, "techniques": techniques, **more})

    def data(self, process, first=0, count=1000):
        wanted = json.dumps({"process": process, "first": first, "count": count})
        reply = self.answer(f"TECH:DATA? {wanted}".encode())
        if reply.startswith(b"!"):
            return reply.decode()
        assert reply.startswith(b"#")
        payload = reply[2 + int(reply[1:2]) :]
        assert zlib.crc32(payload[:-4]) == int.from_bytes(payload[-4:], "little")
        columns = ROW_COLUMNS if process == "transient" else POINT_COLUMNS
        return np.frombuffer(payload[:-4], "<f8").reshape(-1, len(columns))


@pytest.fixture(params=["agent", "simulator"])
def server(request):
    return Server(request.param)


def test_both_send_the_same_columns():
    assert (ROW_COLUMNS, POINT_COLUMNS) == (SIMULATED_ROWS, SIMULATED_POINTS)


def test_it_says_what_it_can_do(server):
    told = server.ask("TECH:CAP?")
    assert {"techniques", "limits", "frequency_hz", "min_period_s", "max_rows", "counter"} <= set(
        told
    )
    assert server.ask("TECHNIQUE:LOAD?") is None
    status = server.ask("TECH:STAT?")
    assert (status["state"], status["cell_on"], status["rows"]) == ("idle", False, 0)


def test_a_program_reads_back_with_every_default(server):
    assert server.load({**GEIS, "cycles": 2}, CC, bandwidth=5) == ""
    held = server.ask("TECH:LOAD?")
    assert held["limits"] == LIMITS
    assert (held["bandwidth"], held["i_range_ma"]) == (5, "auto")
    sweep, cc = held["techniques"]
    assert {key: sweep[key] for key in ("technique", "bias_ma", "points", "cycles")} == {
        "technique": "geis", "bias_ma": 0.5, "points": 9, "cycles": 2,
    }  # fmt: skip
    assert sweep["duration_s"] == pytest.approx(2 * sum(10**-e for e in np.arange(0, 4.1, 0.5)))
    assert (cc["duration_s"], cc["tests"], cc["combine"], cc["then"]) == (20.0, [], "or", "next")
    assert cc["record"] == {"dt_s": 5.0, "de_v": None}
    assert server.ask("TECH:STAT?")["state"] == "loaded"


def test_a_token_is_held_with_its_program(server):
    assert server.ask("TECH:CAP?")["token"] is True
    assert server.load(CC, token="3f9a c0") == ""
    assert server.ask("TECH:LOAD?")["token"] == "3f9a c0"
    assert server.load(CC) == ""
    assert server.ask("TECH:LOAD?")["token"] == ""
    assert server.load(CC, token="x" * 65).startswith("-222")
    assert server.load(CC, token=7).startswith("-104")
    assert server.ask("TECH:LOAD?")["token"] == ""


def without(key):
    return {name: value for name, value in CC.items() if name != key}


@pytest.mark.parametrize(
    ("technique", "code"),
    [
        ({**CC, "current_ma": 3.0}, -222),  # outside the program's own limits
        ({**GEIS, "bias_ma": 1.995}, -222),  # with its amplitude
        ({**CC, "duration_s": -1.0}, -222),
        ({**CC, "duration_s": "20"}, -104),
        ({**CC, "duration_s": True}, -104),
        (without("duration_s"), -109),
        (without("record"), -109),
        (without("technique"), -109),
        ({**CC, "technique": "cp"}, -224),
        ({**CC, "voltage_v": 1.0}, -224),
        ({**CC, "record": {"dt_s": 0.0}}, -222),
        ({**CC, "record": 5}, -104),
        ({**CC, "tests": [{}]}, -109),
        ({**CC, "tests": [{"variable": "x", "comparison": ">", "value": 1}]}, -224),
        ({**CC, "tests": [{"variable": "time_s", "comparison": "=", "value": 1}]}, -224),
        ({**CC, "tests": 4 * [{"variable": "time_s", "comparison": ">", "value": 1}]}, -222),
        ({**GEIS, "points": 2.5}, -104),
        ({**GEIS, "start_hz": 1e9}, -222),
        (7, -109),
    ],
)
def test_what_is_refused_and_with_which_number(server, technique, code):
    if technique == 7:
        code = server.load(technique).partition(",")[0]
        assert code in {"-104", "-109"}
        return
    assert server.load(CC) == ""
    assert server.load(technique).startswith(f"{code},")
    assert server.ask("TECH:LOAD?")["techniques"][0]["current_ma"] == 0.5  # the one before


def test_limits_are_required_and_ordered(server):
    """Row 2: on the wire of the bridge."""
    assert server.tell("TECH:LOAD", {"techniques": [CC]}).startswith("-109,")
    less = {key: value for key, value in LIMITS.items() if key != "max_voltage_v"}
    assert server.tell("TECH:LOAD", {"limits": less, "techniques": [CC]}).startswith("-109,")
    swapped = {**LIMITS, "min_voltage_v": 2.0}
    assert server.tell("TECH:LOAD", {"limits": swapped, "techniques": [CC]}).startswith("-222,")
    assert server.load().startswith("-222,")
    assert server.load(*(21 * [CC])).startswith("-222,")


def test_a_program_runs_by_itself_and_ends_with_the_cell_open(server):
    server.load(CC, OCV)
    assert server.tell("TECH:STAR") == ""
    status = server.ask("TECH:STAT?")
    assert (status["state"], status["cell_on"], status["program"]) == ("running", True, 1)
    server.now_s += 12.0
    assert len(server.data("transient")) == 3
    server.now_s += 12.0  # at open circuit
    status = server.ask("TECH:STAT?")
    assert (status["state"], status["cell_on"], status["technique"]) == ("running", False, 1)
    server.now_s += 500.0
    status = server.ask("TECH:STAT?")
    assert (status["state"], status["reason"]) == ("finished", "complete")
    assert status["cell_on"] is False
    assert status["elapsed_s"] == pytest.approx(30.0)
    rows = server.data("transient")
    assert rows[:, 0].tolist() == pytest.approx([0, 5, 10, 15, 20, 20, 25, 30])
    assert rows[:, 1].tolist() == pytest.approx([0.5] * 5 + [0.0] * 3)
    assert rows[:, 2].tolist() == pytest.approx([0.5] * 5 + [0.0] * 3)
    assert rows[:, 4].tolist() == [0.0] * 5 + [1.0] * 3


def test_a_program_is_started_once(server):
    assert server.tell("TECH:STAR").startswith("-221,")
    server.load(CC)
    assert server.tell("TECH:STAR") == ""
    assert server.tell("TECH:STAR").startswith("-213,")
    assert server.load(CC).startswith("-221,")
    server.tell("TECH:STOP")
    assert server.tell("TECH:STAR").startswith("-213,")


def test_stopping_opens_the_cell_keeps_a_last_record_and_may_be_repeated(server):
    assert server.tell("TECH:STOP") == ""
    server.load(CC)
    server.tell("TECH:STAR")
    server.now_s += 7.0
    assert [server.tell("TECH:STOP") for _ in range(3)] == ["", "", ""]
    status = server.ask("TECH:STAT?")
    assert (status["state"], status["reason"], status["cell_on"]) == ("finished", "stopped", False)
    rows = server.data("transient")
    assert rows[:, 0].tolist() == pytest.approx([0, 5, 7])
    server.now_s += 100.0
    assert len(server.data("transient")) == 3


def test_a_limit_ends_the_program(server):
    server.load({**CC, "current_ma": 1.5})  # 1.5 V
    server.tell("TECH:STAR")
    server.now_s += 1.0
    status = server.ask("TECH:STAT?")
    assert (status["state"], status["reason"], status["cell_on"]) == ("finished", "limit", False)
    assert status["rows"] == 1


def test_a_spectrum_beside_the_direct_records(server):
    server.load(GEIS, CC)
    server.tell("TECH:STAR")
    server.now_s += 0.2  # the points down to 10 Hz are complete
    part = server.data("spectrum")
    assert 0 < len(part) < 9
    server.now_s += 10.0
    points = server.data("spectrum")
    assert np.array_equal(points[: len(part)], part)
    assert points[:, 1].tolist() == pytest.approx(np.geomspace(1e4, 1.0, 9).tolist())
    assert np.all(np.diff(points[:, 0]) > 0)
    assert points[:, 2].tolist() == pytest.approx([OHM] * 9, rel=0.02)
    assert points[:, 4].tolist() == pytest.approx([0.5] * 9)
    assert points[:, 6].tolist() == pytest.approx([0.01] * 9)
    assert points[:, 7].tolist() == pytest.approx([0.01] * 9, rel=0.02)
    assert server.data("transient")[:, 4].tolist()[:3] == [0.0, 0.0, 0.0]


def test_rows_are_read_by_index_and_never_lost(server):
    server.load(CC)
    server.tell("TECH:STAR")
    server.now_s += 100.0
    everything = server.data("transient")
    assert np.array_equal(server.data("transient", 2, 2), everything[2:4])
    assert np.array_equal(server.data("transient"), everything)
    assert len(server.data("transient", 5, 10)) == 0
    assert server.data("transient", 6).startswith("!-222,")
    assert server.data("transient", -1).startswith("!-222,")
    assert server.data("transient", 0, 10**6).startswith("!-222,")
    assert server.answer(b'TECH:DATA? {"process":"x","first":0,"count":1}').startswith(b"!-224,")
    assert server.answer(b'TECH:DATA? {"process":[],"first":0,"count":1}').startswith(b"!-224,")
    wrong = b'TECH:DATA? {"process":"transient","first":0.5,"count":1}'
    assert server.answer(wrong).startswith(b"!-104,")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*CC, *GEIS, "limits", "techniques"]), inner, max_size=6)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("kind", ["agent", "simulator"])
@given(value=st.dictionaries(st.sampled_from(["limits", "techniques", "x"]), json_values))
def test_whatever_is_loaded_is_taken_whole_or_refused_whole(kind, value):
    server = Server(kind)
    entry = server.tell("TECH:LOAD", value)
    assert entry.split(",")[0] in {"-102", "-104", "-109", "-222", "-223", "-224"}
    assert server.ask("TECH:LOAD?") is None
    assert server.ask("TECH:STAT?")["cell_on"] is False
