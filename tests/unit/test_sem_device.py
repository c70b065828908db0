"""The microscope as a device on its bench: description, frames, pauses, failures."""

from __future__ import annotations

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky.utils import FailedStatus

from devices.errors import InstrumentFault, LimitError
from orchestrator.bench import open_bench
from orchestrator.records.frame_files import FrameReader

SMALL = {"resolution_px": [320, 120], "current_na": 0.2}
UNITS = {
    "_s": "s",
    "_mah": "mAh",
    "_um": "um",
    "_kv": "kV",
    "_na": "nA",
    "_mm": "mm",
    "_px": "px",
    "_v_per_a": "V/A",
    "_uc_per_cm2": "uC/cm2",
}


@pytest.fixture
def bench(tmp_path):
    with open_bench("sim-sem", data=tmp_path) as opened:
        opened.RE.attended = False
        yield opened


def series(device, settings, *, frames=1, before=None):
    """One run with some frames, one after the other."""
    yield from bps.configure(device, settings)
    yield from bps.stage(device)
    yield from bps.open_run()
    for index in range(frames):
        if before is not None:
            before(index)
        yield from bps.trigger(device, wait=True)
        yield from bps.create(name=device.name)
        yield from bps.read(device)
        yield from bps.save()
        yield from bps.sleep(900)
    yield from bps.close_run()
    yield from bps.unstage(device)


def recorded(bench):
    """Documents of everything that is run from now on."""
    documents = []
    bench.RE.subscribe(lambda name, doc: documents.append((name, doc)))
    return documents


def events(documents):
    return [doc["data"] for name, doc in documents if name == "event"]


def test_every_key_says_its_unit_and_the_readings_fit(bench):
    described = {**bench.sem.describe(), **bench.sem.describe_configuration()}
    for key, doc in described.items():
        suffix = next((s for s in sorted(UNITS, key=len, reverse=True) if key.endswith(s)), None)
        if suffix is not None:
            assert doc["units"] == UNITS[suffix], key
        assert doc["source"].startswith("sim://sem"), key
    external = {key for key, doc in described.items() if "external" in doc}
    assert external == {"sem_image"}
    assert set(bench.sem.read()) == set(bench.sem.describe()) - external
    assert bench.sem.simulated
    assert repr(bench.sem) == (
        "<Sem sem: idle, image 600 x 1600, duration not known, no frame yet>"
    )


@pytest.mark.parametrize(
    ("settings", "shape", "axes", "units"),
    [
        ({}, [120, 320], ["y", "x"], "grey value"),
        ({"channels": ["SE", "EBIC"]}, [2, 120, 320], ["channel", "y", "x"], "grey value, nA"),
        (
            {"method": "eds_line", "line_points": 40, "dwell_time_s": 1.0},
            [1, 40],
            ["element", "position"],
            "counts",
        ),
    ],
)
def test_frames_of_every_shape_come_through(bench, settings, shape, axes, units, tmp_path):
    documents = recorded(bench)
    (uid,) = bench.RE(series(bench.sem, {**SMALL, **settings}, frames=2)).run_start_uids
    (key,) = [d["data_keys"]["sem_image"] for n, d in documents if d.get("name") == "sem"]
    assert (key["shape"], key["dims"]) == ([1, *shape], ["frame", *axes])
    assert key["units"] == units
    first, second = events(documents)
    assert (first["sem_frame"], second["sem_frame"]) == (0, 1)
    assert first["sem_quality"] == "ok"
    assert first["sem_dose_uc_per_cm2"] > 0
    ratio = second["sem_accumulated_dose_uc_per_cm2"] / first["sem_dose_uc_per_cm2"]
    assert ratio == pytest.approx(2.0)
    lasted_s = first["sem_t_end_s"] - first["sem_t_start_s"]
    assert lasted_s == pytest.approx(bench.sem.expected_duration_s.get(), abs=1e-5)
    frames = FrameReader(tmp_path / "frames" / uid / "sem.h5")
    assert frames.shape == (2, *shape)
    assert np.isfinite(frames[1]).all()


def test_the_file_says_units_and_dose(bench, tmp_path):
    import h5py

    (uid,) = bench.RE(series(bench.sem, {**SMALL, "channels": ["SE", "EBIC"]})).run_start_uids
    with h5py.File(tmp_path / "frames" / uid / "sem.h5", "r") as file:
        group = file["entry/data"]
        assert group["data"].attrs["units"] == "grey value, nA"
        assert group["accumulated_dose"].attrs["units"] == "uC/cm^2"
        assert group["dose"].attrs["operando_name"] == "dose_uc_per_cm2"


def test_what_the_microscope_refuses_is_said_before_anything_begins(bench):
    with pytest.raises(InstrumentFault, match="unknown settings averages, colour"):
        bench.sem.configure({"averages": 1, "colour": "red"})
    with pytest.raises(LimitError, match="a field of 300 um"):
        bench.sem.configure({"hfw_um": 300.0})
    bench.laboratory.inject({"kind": "occupied", "device": "sem", "start_s": 0, "end_s": 100})
    with pytest.raises(InstrumentFault, match="sem: the instrument is scanning"):
        bench.sem.stage()


def test_a_black_frame_is_flagged(bench):
    """Row 19: by the microscope's device."""
    bench.laboratory.inject({"kind": "black", "device": "sem", "start_s": 0, "end_s": 500})
    documents = recorded(bench)
    bench.RE(series(bench.sem, SMALL, frames=2))
    assert [event["sem_quality"] for event in events(documents)] == ["black", "ok"]


def test_a_scan_that_fails_is_an_error_with_the_microscopes_words(bench):
    """Row 19: the vacuum is lost."""

    def vacuum_lost(_index):
        bench.clock.call_later(
            0.01, lambda: bench.laboratory.instruments["sem"].fail("the vacuum is lost"),
            owner=bench.sem,
        )  # fmt: skip

    settings = {**SMALL, "dwell_time_s": 1e-5}
    with pytest.raises(FailedStatus) as caught:
        bench.RE(series(bench.sem, settings, before=vacuum_lost))
    assert isinstance(caught.value.__cause__, InstrumentFault)
    assert "acquisition 1: the vacuum is lost" in str(caught.value.__cause__)
    bench.sem.stop()


@pytest.mark.parametrize(("on_pause", "quality"), [("drop", "dropped by a pause"), ("restart", "")])
def test_a_pause_drops_or_repeats_the_frame(bench, on_pause, quality):
    bench.sem.configure({**SMALL, "dwell_time_s": 1e-3})
    bench.sem.on_pause = on_pause
    status = bench.sem.trigger()
    assert bench.sem.trigger() is status
    with pytest.raises(InstrumentFault, match="asked to configure during a scan"):
        bench.sem.configure(SMALL)
    bench.wait(10.0)
    bench.sem.pause()
    bench.wait(100.0)
    bench.sem.resume()
    assert status.done == (on_pause == "drop")
    assert bench.sem.quality.get() == quality
    bench.sem.stop()
    assert status.done
    assert bench.sem.new_frame.get() == 0
