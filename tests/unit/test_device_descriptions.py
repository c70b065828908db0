"""Every device describes itself completely: units, shapes, types, sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ophyd.utils import ReadOnlyError

from devices.errors import InstrumentFault
from devices.mri_methods import SETTINGS, SETTINGS_OF
from devices.signals import ClockSignal, ReadbackSignal, clock_of
from orchestrator.bench import open_bench
from orchestrator.profile.loading import load_profile
from orchestrator.profile.tables import kinds

SUFFIXES = {
    "_v": "V",
    "_ma": "mA",
    "_mah": "mAh",
    "_s": "s",
    "_deg": "deg",
    "_mm": "mm",
    "_mhz": "MHz",
    "_celsius": "degC",
    "_mpa": "MPa",
    "_n": "N",
    "_cm2": "cm2",
    "_percent": "%",
    "_kn": "V/kN",
    "_per_min": "degC/min",
    "_khz": "kHz",
    "_ppm": "ppm",
    "_um": "um",
    "_kv": "kV",
    "_na": "nA",
    "_px": "px",
    "_v_per_a": "V/A",
    "_uc_per_cm2": "uC/cm2",
}


SHIPPED = sorted(path.stem for path in (Path(__file__).parents[2] / "sim" / "benches").glob("*"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with open_bench("sim-mri", data=tmp_path_factory.mktemp("data")) as opened:
        yield opened


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request, tmp_path_factory):
    """Each bench that ships, opened, its surroundings read once."""
    with open_bench(request.param, data=tmp_path_factory.mktemp("data")) as opened:
        for device in opened.devices.values():
            if not hasattr(device, "new_frame") and hasattr(device, "trigger"):
                device.trigger()
        yield opened


def conforms(device) -> None:
    """Names, units, types, shapes and sources of everything that one device says of itself."""
    described = {**device.describe(), **device.describe_configuration()}
    if hasattr(device, "describe_collect"):
        described |= device.describe_collect()
    assert described
    for key, doc in described.items():
        assert key.startswith(f"{device.name}_")
        suffix = next((s for s in sorted(SUFFIXES, key=len, reverse=True) if key.endswith(s)), None)
        assert doc.get("units", "") == (SUFFIXES[suffix] if suffix else doc.get("units", "")), key
        assert doc["dtype"] in ("number", "integer", "string", "array", "boolean"), key
        assert doc["source"].startswith("sim://"), key
        assert isinstance(doc["shape"], list), key
        if "external" in doc:
            assert len(doc["dims"]) == len(doc["shape"]), key
            assert doc["dtype_numpy"], key
        low_high = doc.get("limits", {}).get("control", {"low": 0.0, "high": 1.0})
        assert low_high["low"] < low_high["high"], key
    for key, doc in device.describe().items():
        if doc["dtype"] == "number":
            assert doc.get("precision") is not None or doc.get("units", "") == "", key


def test_every_device_of_every_shipped_bench_describes_itself(shipped):
    for device in shipped.devices.values():
        conforms(device)
        assert device.simulated is True
        assert repr(device).startswith(f"<{type(device).__name__} {device.name}: ")
    test_readings_match_their_descriptions(shipped)


def test_every_kind_of_device_stands_on_a_bench_that_ships():
    found = {entry.kind for name in SHIPPED for entry in load_profile(name).devices.values()}
    assert found == set(kinds())


METHODS = {
    "single_pulse": ([1, 2, 4096], ["frame", "nucleus", "shift_ppm"], 1024 * 10 + 256 * 2),
    "gradient_echo_3d": ([1, 32, 100, 100], ["frame", "z", "y", "x"], 0.25 * 3200 * 128),
    "flash2d": ([1, 52, 81], ["frame", "z", "x"], 0.3 * 52 * 1024),
}
"""Shape, axes and duration (s) of each method's published settings."""


@pytest.mark.parametrize("method", METHODS)
def test_a_scanner_describes_what_each_method_gives(bench, method):
    before, after = bench.mri.configure({"method": method})
    conforms(bench.mri)
    image = bench.mri.describe()["mri_image"]
    *expected, duration_s = METHODS[method]
    assert [image["shape"], image["dims"]] == expected
    assert bench.mri.expected_duration_s.get() == pytest.approx(duration_s)
    held = {key.removeprefix("mri_") for key in after} - {
        "expected_duration_s", "clock_offset_s", "clock_offset_error_s", "serial",
    }  # fmt: skip
    assert held == set(SETTINGS_OF[method])
    assert set(bench.mri.describe_configuration()) == set(after)
    assert before["mri_method"]["value"] != method
    foreign = next(name for name in SETTINGS if name not in SETTINGS_OF[method])
    with pytest.raises(InstrumentFault, match=f"unknown settings {foreign} of {method}"):
        bench.mri.configure({foreign: 1})
    assert bench.mri.read_configuration() == after, "what is refused changes nothing"


def test_readings_match_their_descriptions(bench):
    for device in bench.devices.values():
        described, reading = device.describe(), device.read()
        external = {key for key, doc in described.items() if "external" in doc}
        assert set(reading) == set(described) - external
        for key, value in reading.items():
            kind = {"number": float, "integer": int, "string": str}[described[key]["dtype"]]
            assert isinstance(value["value"], kind | np.floating | int), key
            assert value["timestamp"] <= bench.clock.time()


def test_a_readback_is_read_only(bench):
    with pytest.raises(ReadOnlyError, match="read-only"):
        bench.pstat.voltage_v.put(1.0)
    with pytest.raises(ReadOnlyError, match="read-only"):
        bench.pstat.voltage_v.set(1.0)


def test_a_setting_keeps_its_limits_and_the_experiments_time(bench):
    signal = ClockSignal(
        name="level_v", clock=bench.clock, units="V", limits=(-1.0, 1.0), value=0.0
    )
    assert signal.set(0.5).done
    assert signal.read()["level_v"] == {"value": 0.5, "timestamp": bench.clock.time()}
    assert signal.describe()["level_v"]["limits"] == {"control": {"low": -1.0, "high": 1.0}}
    assert signal.limits == (-1.0, 1.0)
    assert ClockSignal(name="free", clock=bench.clock, value=0.0).limits == (0.0, 0.0)


def test_a_subscriber_of_a_readback_sees_each_value(bench):
    signal = ReadbackSignal(name="seen", clock=bench.clock, value=0.0)
    signal.update(1.0)
    seen = []
    signal.subscribe(lambda value, **_: seen.append(value))
    signal.update(2.0)
    assert seen == [1.0, 2.0]


def test_a_signal_without_a_clock_is_refused():
    with pytest.raises(TypeError, match="no parent has a clock"):
        clock_of(object())
