"""Property: a chain of runs killed anywhere has the events and the charge of one that was not."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from orchestrator.records.chains import load_chain
from orchestrator.records.runs import find_run, load_run
from tests.cut_off_run import Kill, begin, go_on, in_child
from tests.served_laboratory import served

SAMPLE = {"model": "llzo_cell", "preset": "small_4p8", "seed": 3, "jitter": 0.0}
CURRENT_MA = 0.0126
HEAD = """
experiment: cut off anywhere
bench: sim-mri
sample:
  {name: Li-Li, area_cm2: 0.1257, simulate_as: {model: llzo_cell, preset: small_4p8, seed: 3}}
"""
SAFETY = """
  record: {time_s: 10}
  safety: {max_voltage_V: 5, min_voltage_V: -5, max_current_mA: 1, min_current_mA: -1,
           max_capacity_mAh: 1}
"""
SETTINGS = (
    "settings: {method: flash2d, tr_s: 0.05, te_s: 0.000918, flip_angle_deg: 30, averages: 20, "
    "matrix: [81, 52], fov_mm: [17, 11]}"
)
WHEN = (
    "{every_s: 130}",
    "{at: [start, step_start, cycle_end, end]}",
    "{every_mah_per_cm2: 0.003}",
    "{on: {throughput_mah_per_cm2: 0.006}}",
    "{back_to_back: true}",
)


def drawn(random: np.random.Generator) -> str:
    """An experiment file: a loop of currents and rests, and one series of frames."""
    steps = ["    - {step: tag, tag: c}"]
    for _ in range(random.integers(1, 4)):
        seconds = int(random.integers(2, 18)) * 10 + int(random.integers(0, 10))
        if random.random() < 0.3:
            steps.append(f"    - {{step: open_circuit_voltage, until_time_s: {seconds}}}")
        else:
            current = CURRENT_MA * random.choice((-1.0, 1.0))
            steps.append(
                f"    - {{step: constant_current, current_mA: {current}, until_time_s: {seconds}}}"
            )
    steps.append("    - {step: constant_current, current_mA: 0.0126, until_time_s: 45}")
    steps.append(f"    - {{step: loop, loop_to: c, cycle_count: {random.integers(1, 4)}}}")
    cell = random.choice(("keep", "keep", "rest", "open"))
    when = random.choice(WHEN[: 5 if cell == "keep" else 4])
    frames = f"images: [{{device: mri, when: {when}, cell: {cell}, {SETTINGS}}}]\n"
    return HEAD + "protocol:" + SAFETY + "  method:\n" + "\n".join(steps) + "\n" + frames


def run_of(data):
    return load_chain(find_run(data, "-1"))


def events(run) -> list[tuple[str, str]]:
    """What happened, but what a run that goes on says of itself."""
    if "events" not in run.streams:
        return []
    columns = run.streams["events"]
    told = zip(columns["event_kind"], columns["event_text"], strict=True)
    return [(kind, text) for kind, text in told if kind not in ("resumed", "triggered")]


def cut_off(file, data, experiment, deaths) -> None:
    """Run an experiment that dies so many times, and goes on each time."""

    def dies(at: int) -> Kill:
        return lambda number, _name, _doc: number == at

    begin(file, data, experiment, dies(deaths[0]))
    for kill in (dies(deaths[1] // 2), dies(deaths[2] // 2), None):
        last = load_run(find_run(data, "-1")).stop
        if last is None or last["exit_status"] != "success":  # it may have died after its end
            in_child(partial(go_on, file, data, kill=kill))


RESTING = (
    HEAD + "protocol:" + SAFETY + "  method:\n"
    "    - {step: constant_current, current_mA: 0.0126, until_time_s: 80}\n"
    "    - {step: constant_current, current_mA: -0.0126, until_time_s: 80}\n"
    "images: [{device: mri, when: WHEN, cell: rest, " + SETTINGS + "}]\n"
)  # fmt: skip


@pytest.mark.parametrize("when", ["{every_s: 90}", "{at: [step_start]}"])
def test_killed_as_the_cell_is_held_or_let_go(tmp_path, when):
    """Rows 28, 38: it rests once for each exposure, and no longer than that."""
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(RESTING.replace("WHEN", when))
    found = {}
    for kind in ("", "cell_rest", "cell_goes_on"):
        seen = [0]

        def kill(_number, name, doc, seen=seen, kind=kind):
            here = name == "event" and doc["data"].get("event_kind") == kind
            seen[0] += here
            return here and seen[0] == 2

        file, data = tmp_path / f"{kind}.json", tmp_path / f"{kind}_data"
        with served(file, sample=SAMPLE) as there:
            assert begin(file, data, experiment, kill) == (9 if kind else 0)
            if kind:
                in_child(partial(go_on, file, data))
            run, echem = run_of(data), run_of(data).streams["echem"]
            rows = zip(echem["time"], echem["pstat_step_index"], strict=True)
            found[kind] = there.cell()["throughput_mah"], list(rows), events(run)
    assert [kind for kind, _ in found[""][2]].count("cell_goes_on") >= 2
    for kind in ("cell_rest", "cell_goes_on"):
        assert found[kind][0] == pytest.approx(found[""][0], abs=1e-9)
        assert found[kind][1:] == found[""][1:]


def test_what_a_frame_was_taken_for_is_said_once(tmp_path):
    """Row 28: killed between the frame and the event that says so, and right after that."""
    experiment = tmp_path / "experiment.yaml"
    on = "{on: {throughput_mah_per_cm2: 0.001}}"
    experiment.write_text(RESTING.replace("WHEN", on).replace("cell: rest", "cell: keep"))
    told = {}
    for stream in ("", "mri", "events"):
        streams = {}

        def kill(_number, name, doc, streams=streams, stream=stream):
            if name == "descriptor":
                streams[doc["uid"]] = doc["name"]
            return name == "event" and streams[doc["descriptor"]] == stream

        file, data = tmp_path / f"{stream}.json", tmp_path / f"{stream}_data"
        with served(file, sample=SAMPLE):
            assert begin(file, data, experiment, kill) == (9 if stream else 0)
            if stream:
                in_child(partial(go_on, file, data))
        columns = run_of(data).streams["events"]
        rows = zip(columns["event_kind"], columns["event_text"], strict=True)
        told[stream] = [text for kind, text in rows if kind == "triggered"]
    assert len(told[""]) == 1
    assert told["mri"] == told["events"] == told[""]


@pytest.mark.parametrize("seed", range(4))
def test_killed_anywhere_it_is_the_uninterrupted_run(tmp_path, seed):
    """Rows 28, 38: events once, charge equal, records equal; no outage but the restart itself."""
    random = np.random.default_rng([seed, 7])
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(drawn(random))
    places = []
    for name in ("whole", "cut"):
        file, data = tmp_path / f"{name}.json", tmp_path / name
        with served(file, sample=SAMPLE) as there:
            if name == "whole":
                assert begin(file, data, experiment) == 0
                documents = find_run(data, "-1").read_bytes().count(b"\n")
            else:
                cut_off(file, data, experiment, random.integers(0, documents, size=3))
            places.append((run_of(data), there.cell()))
    (whole, cell), (cut, again) = places
    assert again["charge_mah"] == pytest.approx(cell["charge_mah"], abs=1e-9)
    assert again["throughput_mah"] == pytest.approx(cell["throughput_mah"], abs=1e-9)
    for key in ("time", "pstat_charge_mah", "pstat_step_index", "pstat_cycle", "pstat_current_ma"):
        assert list(cut.streams["echem"][key]) == pytest.approx(list(whole.streams["echem"][key]))
    assert events(cut) == events(whole)
    frames = [one.streams.get("mri", {"time": []})["time"] for one in (cut, whole)]
    assert len(frames[0]) == len(frames[1])
