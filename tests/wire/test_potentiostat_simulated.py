"""The simulated potentiostat: records, tests, spectra, charge; whatever is asked, and when."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import UnknownCommand
from sim.instruments.bridge_potentiostat import SimulatedPotentiostat
from sim.instruments.potentiostat_run import COUNTER_GAIN
from sim.samples.impedance import impedance_ohm
from sim.samples.linear_cell import LinearCell
from sim.samples.llzto_pellet import LlztoPellet
from sim.wire.tcp import serve
from sim.world import World

LIMITS = {
    "min_voltage_v": -5.0, "max_voltage_v": 5.0, "min_current_ma": -10.0, "max_current_ma": 10.0,
}  # fmt: skip
EVERY_S = {"record": {"dt_s": 1.0}}


def cc(current_ma=0.01, duration_s=20.0, **more):
    return {
        "technique": "cc",
        "current_ma": current_ma,
        "duration_s": duration_s,
        **EVERY_S,
        **more,
    }


def sweep(technique="geis", **more):
    own = {"bias_ma": 0.01, "amplitude_ma": 1e-3}
    if technique == "peis":
        own = {"bias_v": "ocv", "amplitude_v": 0.01}
    frequencies = {"start_hz": 1e5, "end_hz": 0.5, "points": 20}
    return {"technique": technique, **own, **frequencies, **EVERY_S, **more}


class Bench:
    """A simulated potentiostat around a cell, with a clock."""

    def __init__(self, sample=None, **options):
        self.now_s = 0.0
        self.cell = sample or LinearCell(resistance_ohm=1000.0)
        self.world = World(self.cell, lambda: self.now_s)
        self.instrument = SimulatedPotentiostat(self.world, **options)

    def tell(self, header, argument=None):
        text = header if argument is None else f"{header} {json.dumps(argument)}"
        assert self.instrument.answer(text.encode()) is None
        entry = self.instrument.answer(b"SYST:ERR?").decode()
        assert entry.startswith("0,"), entry

    def run(self, *techniques, limits=LIMITS, until_s=None, **more):
        """Load, start, and let time pass to the end or until a time."""
        self.tell("TECH:LOAD", {"limits": limits, "techniques": techniques, **more})
        self.tell("TECH:STAR")
        self.now_s += 1e5 if until_s is None else until_s
        return self

    @property
    def status(self):
        return json.loads(self.instrument.answer(b"TECH:STAT?"))

    def data(self, process="transient", first=0, count=20_000):
        wanted = json.dumps({"process": process, "first": first, "count": count})
        reply = self.instrument.answer(f"TECH:DATA? {wanted}".encode())
        payload = reply[2 + int(reply[1:2]) : -4]
        return np.frombuffer(payload, "<f8").reshape(-1, 5 if process == "transient" else 9)


def test_linked_techniques_follow_each_other_without_a_gap_or_a_lost_charge():
    bench = Bench(noise_factor=0.0).run(cc(0.1, 10.0), cc(-0.05, 20.0), cc(0.1, 3.3))
    rows = bench.data()
    assert bench.status["reason"] == "complete"
    assert rows[-1, 0] == pytest.approx(33.3)
    moved = (0.1 * 10 - 0.05 * 20 + 0.1 * 3.3) / 3600
    assert bench.cell.charge_mah(bench.now_s)[0] == pytest.approx(moved)
    for number in (0, 1):  # one record of either technique at the moment between them
        last = rows[rows[:, 4] == number][-1]
        first = rows[rows[:, 4] == number + 1][0]
        assert last[0] == first[0]


def test_records_follow_a_change_of_voltage():
    def battery():
        return LinearCell(1.0, 100.0, stiffness_v_per_mah=10.0)

    record = {"record": {"dt_s": 60.0, "de_v": 0.01}}
    rows = Bench(battery(), noise_factor=0.0).run(cc(3.6, 100.0, **record)).data()
    steps = np.diff(rows[:, 2])
    assert len(rows) > 90  # 1 V in 100 s
    assert np.all(steps[:-1] >= 0.01)
    slow = {"record": {"dt_s": 20.0, "de_v": 0.5}}
    rows = Bench(battery(), noise_factor=0.0).run(cc(0.0036, 100.0, **slow)).data()
    assert rows[:, 0].tolist() == pytest.approx([0, 20, 40, 60, 80, 100])


def test_up_to_three_tests_combined_go_on_or_stop():
    def late(seconds):
        return {"variable": "time_s", "comparison": ">", "value": seconds}

    high = {"variable": "voltage_v", "comparison": ">", "value": 0.05}
    charged = {"variable": "charge_mah", "comparison": ">", "value": 0.1 * 7.5 / 3600}
    either = Bench(noise_factor=0.0).run(cc(0.01, tests=[late(5.5), high]), cc(0.02))
    assert either.data()[either.data()[:, 4] == 0][-1, 0] == 6.0
    assert either.status["reason"] == "complete"
    both = Bench(noise_factor=0.0).run(
        cc(0.1, tests=[late(5.5), high, charged], combine="and", then="stop"), cc(0.02)
    )
    assert (both.status["reason"], both.status["technique"]) == ("test", 0)
    assert both.data()[-1, 0] == 8.0
    assert not both.status["cell_on"]
    last = Bench(noise_factor=0.0).run(cc(0.1, tests=[late(3.0)]))
    assert last.status["reason"] == "test"


def test_every_program_has_its_limits_and_ends_open():
    battery = LinearCell(1.0, 100.0, stiffness_v_per_mah=10.0)
    bench = Bench(battery, noise_factor=0.0)
    bench.run(cc(3.6, 1000.0), limits={**LIMITS, "max_voltage_v": 2.0})
    assert bench.status["reason"] == "limit"
    assert bench.data()[-1, 2] == pytest.approx(2.0, abs=0.012)
    before = battery.charge_mah(bench.now_s)
    bench.now_s += 1e4
    assert battery.charge_mah(bench.now_s) == before


def test_an_overload_is_no_number_and_ends_the_program():
    """Row 15: by the instrument alone."""
    bench = Bench(noise_factor=0.0).run(cc(0.5), i_range_ma=0.1)
    assert bench.status["reason"] == "limit"
    assert bench.status["current_ma"] is None
    assert np.isnan(bench.data()[0, 1])


def test_open_circuit_is_open_and_a_spectrum_about_it_holds_it():
    battery = LinearCell(1.25, 100.0)
    bench = Bench(battery, noise_factor=0.0)
    ocv = {"technique": "ocv", "duration_s": 10.0, **EVERY_S}
    bench.run(ocv, sweep("peis"))
    rows = bench.data()
    assert np.all(rows[:, 1] == 0.0)
    assert rows[:, 2] == pytest.approx(1.25)
    points = bench.data("spectrum")
    assert points[:, 5] == pytest.approx(1.25)
    assert points[:, 7] == pytest.approx(0.01)
    assert points[:, 6] == pytest.approx(0.1, rel=0.02)  # 10 mV on 100 ohm


def test_a_scan_is_linear_and_ends_where_it_should():
    up = {"technique": "scan", "start_v": -0.1, "end_v": 0.2, "rate_mv_per_s": 10.0}
    bench = Bench(noise_factor=0.0).run({**up, "record": {"dt_s": 1.0}})
    rows = bench.data()
    assert rows[-1, 0] == pytest.approx(30.0)
    assert rows[0, 2] == -0.1
    assert rows[-1, 2] == 0.2
    assert rows[:, 2] == pytest.approx(-0.1 + 0.01 * rows[:, 0], abs=1.01e-3)
    assert rows[:, 1] == pytest.approx(rows[:, 2], abs=1e-9)  # mA on 1 kohm


def test_each_point_is_the_cell_at_its_own_time_about_the_current_that_flows():
    area_cm2 = 0.0314159
    bench = Bench(LlztoPellet.from_preset("lithiophobic"))
    bench.run(sweep(bias_ma=0.5 * area_cm2), until_s=5.0)
    points = bench.data("spectrum")
    for t_s, hertz, real, imag, milliamps in points[:, :5]:
        true = impedance_ohm(np.array([hertz]), bench.cell.resistances(t_s))[0]
        assert abs(complex(real, imag) - true) < 5 * 0.003 * abs(true)
        assert milliamps == pytest.approx(0.5 * area_cm2, rel=1e-3)
    assert np.all(np.diff(points[:, 0]) > 0)
    bulk = points[:, 2]
    assert bulk[-1] < 0.99 * (2120 / area_cm2)  # it has conditioned meanwhile


def test_its_counter_is_independent_of_its_records():
    bench = Bench().run(cc(0.2, 3600.0, record={"dt_s": 100.0}))
    rows = bench.data()
    assert rows[-1, 3] == pytest.approx(0.2 * COUNTER_GAIN, rel=1e-9)
    integrated = np.trapezoid(rows[:, 1], rows[:, 0]) / 3600
    assert integrated == pytest.approx(0.2, rel=1e-4)
    assert integrated != 0.2


def test_unknown_headers_raise_in_a_strict_laboratory():
    with pytest.raises(UnknownCommand):
        Bench().instrument.answer(b"TECH:PAUS")


PROGRAM = {
    "limits": {**LIMITS, "max_voltage_v": 0.95},
    "techniques": [
        cc(0.005, 30.0, record={"dt_s": 7.0}),
        sweep(),
        {"technique": "ocv", "duration_s": 5.0, **EVERY_S},
        sweep("peis"),
        {"technique": "scan", "start_v": 0.0, "end_v": 0.05, "rate_mv_per_s": 5.0, **EVERY_S},
        cc(0.015, 60.0, record={"dt_s": 3.0, "de_v": 0.02}),
    ],
}


def everything(times_s):
    """All that the program above measured, looked at at some times before its end."""
    bench = Bench(LlztoPellet.from_preset("lithiophobic", seed=3))
    bench.tell("TECH:LOAD", PROGRAM)
    bench.tell("TECH:STAR")
    for t_s in times_s:
        bench.now_s = t_s
        bench.instrument.answer(b"TECH:STAT?")
    bench.now_s = 500.0
    return bench.data().tobytes(), bench.data("spectrum").tobytes(), bench.status["charge_mah"]


UNPOLLED = everything([])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(0.0, 200.0), max_size=12).map(sorted))
def test_neither_polling_nor_lateness_changes_a_single_bit(times_s):
    assert everything(times_s) == UNPOLLED


def test_the_program_that_polling_must_not_change_uses_every_part():
    rows = np.frombuffer(UNPOLLED[0], "<f8").reshape(-1, 5)
    assert set(rows[:, 4]) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}
    assert len(UNPOLLED[1]) == 2 * 20 * 9 * 8


def test_the_same_bytes_over_tcp():
    import socket

    def conversation(ask):
        ask("TECH:LOAD " + json.dumps(PROGRAM))
        ask("SYST:ERR?")
        ask("TECH:STAR")
        rows = 'TECH:DATA? {"process":"transient","first":0,"count":9}'
        queries = ("*IDN?", "TECH:LOAD?", rows, "TECH:STOP", "SYST:ERR?", "TECH:START?")
        return [ask(query) for query in queries]

    def fresh():
        return Bench(LlztoPellet.from_preset("lithiophobic", seed=3), strict=False)

    inside = fresh()
    expected = conversation(lambda text: inside.instrument.answer(text.encode()))
    with serve({"pstat": fresh().instrument}, ports={}, life_s=30.0) as served:
        port = int(served.resource("pstat").split("::")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            file = line.makefile("rb")

            def ask(text):
                line.sendall(text.encode() + b"\n")
                if not text.partition(" ")[0].endswith("?"):
                    return None
                first = file.read(1)
                if first != b"#":
                    return first + file.readline()[:-1]
                digits = file.read(1)
                size = file.read(int(digits))
                return first + digits + size + file.read(int(size) + 1)[:-1]

            assert conversation(ask) == expected
