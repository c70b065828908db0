"""What a run that goes on asks, refuses, and takes over: policies, requests, conditions, plans."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager

import numpy as np
import pytest

import plans
from orchestrator.bench import open_bench
from orchestrator.campaign import run_campaign
from orchestrator.cli import main
from orchestrator.errors import ResumeError, ResumeHeldError
from orchestrator.experiment import load_campaign
from orchestrator.experiment.loading import load_experiment
from orchestrator.records.audit import verify
from orchestrator.records.chains import load_chain
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import find_run, load_run
from orchestrator.resuming.interrupted import find_interrupted
from orchestrator.running import run_experiment
from plans.control import Request
from tests.cut_off_run import begin, die_at, go_on, in_child
from tests.served_laboratory import served
from tests.unattended.test_resume import FILE, SAMPLE

STILL = FILE[: FILE.index("images:")] + "stop_when: [hard_short]\n"
LIMITS = {
    "min_voltage_v": -5.0, "max_voltage_v": 5.0, "min_current_ma": -1.0, "max_current_ma": 1.0
}  # fmt: skip


@pytest.fixture
def places(tmp_path):
    """Address file, data directory, experiment file, and who asks the laboratory."""
    with served(tmp_path / "lab.json", sample=SAMPLE) as there:
        yield tmp_path / "lab.json", tmp_path / "data", tmp_path / "experiment.yaml", there


def at_page(pages: int):
    """Die right after so many pages of records."""
    seen = [0]

    def kill(_number, name, _doc):
        seen[0] += name == "event_page"
        return seen[0] == pages

    return kill


def killed(places, text: str, kill) -> None:
    file, data, experiment, _ = places
    experiment.write_text(text)
    assert begin(file, data, experiment, kill) == 9


def last_start(data):
    return load_run(find_run(data, "-1")).start


def kinds(data) -> list[str]:
    return list(load_chain(find_run(data, "-1")).streams["events"]["event_kind"])


def held(policy: str) -> str:
    return STILL.replace("  method:", f"  on_interruption: {policy}\n  method:")


def test_a_step_that_is_held_switches_off_and_waits_for_an_answer(places):
    """Row 5: by policy only; asked again it is the same question."""
    file, data, _, there = places
    killed(places, held("hold"), 100.0)
    for _ in range(2):
        with pytest.raises(ResumeHeldError, match="on_interruption: hold; the cell is off"):
            go_on(file, data)
        assert there.cell()["on"] == []
        assert len(list(DataDirectory(data).runs())) == 1
    asked = []
    result = go_on(file, data, ask=lambda text: asked.append(text) or "continue")
    assert result.stop_reason == "completed"
    assert len(asked) == 1
    assert last_start(data)["resumption"]["decision"] == "continue"
    assert there.cell()["charge_mah"] == pytest.approx(2 * 0.0126 * 60 / 3600, abs=4e-5)


def test_a_step_may_be_left_out(places):
    file, data, _, there = places
    killed(places, held("hold"), 100.0)
    go_on(file, data, ask=lambda _text: "skip")
    assert "step_left_out" in kinds(data)
    assert there.cell()["throughput_mah"] < 2 * 0.0126 * 540 / 3600


def test_what_does_not_fit_is_off_and_a_person_decides(places):
    """Rows 3, 5: another program on the instrument; the charge of it nobody knows."""
    file, data, _, there = places
    killed(places, STILL, 100.0)
    there.switch_off()
    with open_bench("sim-mri", data=data.parent / "else", laboratory=file) as bench:
        plan = plans.cycle(bench.pstat, area_cm2=0.1257, limits=LIMITS, max_capacity_mah=1.0,
                           half_cycle_s=60.0, cycles=1)  # fmt: skip
        bench.RE.run(plan)
    with pytest.raises(ResumeHeldError, match="does not fit"):
        go_on(file, data)
    assert there.cell()["on"] == []
    go_on(file, data, ask=lambda _text: "continue")
    told = last_start(data)["resumption"]
    assert (told["found"], told["gap_mah_bound"]) == ("lost", None)
    assert told["gap_s"] > 0.0


def test_software_or_profile_that_changed_is_a_person_s_to_accept(places, monkeypatch, capsys):
    """Row 41: refused until it is accepted, and the cell is not touched before."""
    file, data, _, there = places
    killed(places, STILL, at_page(2))
    monkeypatch.setattr("orchestrator.resuming.resume.software_hash", lambda: "another")
    before = there.cell()
    command = ["resume", "-1", "--data", str(data), "--laboratory", str(file), "--no-report"]
    assert main([*command, "--no-progress"]) == 2
    assert "the software is another" in capsys.readouterr().err
    assert there.cell()["charge_mah"] == before["charge_mah"]
    assert len(list(DataDirectory(data).runs())) == 1
    assert main([*command, "--no-progress", "--accept-changes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stop_reason"] == "completed"


def test_a_bench_that_is_simulated_in_the_process_cannot_go_on(tmp_path, capsys):
    """Row 28: said plainly."""
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(STILL)

    def work() -> None:

        with open_bench("sim-mri", data=tmp_path, sample=SAMPLE) as bench:
            die_at(bench, at_page(2))
            run_experiment(load_experiment(experiment), bench, speak=io.StringIO())

    assert in_child(work) == 9
    assert not DataDirectory(tmp_path).checkpoints.exists()
    assert main(["resume", "-1", "--data", str(tmp_path)]) == 2
    assert "its laboratory was part of the program that ended" in capsys.readouterr().err


def test_what_people_asked_for_still_holds(places):
    """Row 28: a limit tightened, a period changed, a stop after this cycle."""
    file, data, experiment, there = places
    experiment.write_text(STILL)

    def work() -> None:

        with open_bench("sim-mri", data=data, laboratory=file) as bench:
            bench.RE.attended = False

            def ask() -> None:
                for verb, told in (
                    ("set", {"path": "record.time_s", "value": 20}),
                    ("set", {"path": "method[3].until_time_s", "value": 100}),
                    ("stop", {"after": "cycle"}),
                ):
                    bench.RE.control.ask(Request(verb, "somebody", told))

            bench.clock.call_later(100.0, ask, owner=bench.pstat)
            die_at(bench, lambda _n, _name, doc: doc.get("data", {}).get("event_kind") == "note")
            bench.clock.call_later(
                200.0,
                lambda: bench.RE.control.ask(Request("note", "somebody", {"text": "now"})),
                owner=bench.pstat,
            )
            run_experiment(load_experiment(experiment), bench, speak=io.StringIO())

    assert in_child(work) == 9
    result = go_on(file, data)
    assert result.stop_reason == "stopped"
    run = load_chain(find_run(data, "-1"))
    echem = run.streams["echem"]
    assert set(echem["pstat_cycle"]) == {1}
    assert np.diff(echem["time"])[-1] == pytest.approx(20.0)
    assert there.cell()["throughput_mah"] == pytest.approx(0.0126 * 400 / 3600, abs=1e-7)
    assert kinds(data).count("set") == 2


def test_a_condition_goes_on_with_what_it_had_seen(places):
    """Row 28: a duration counts the outage, a charge counts on."""
    file, data, _, there = places
    text = STILL.replace("stop_when: [hard_short]", "stop_when: [{throughput_mah_per_cm2: 0.012}]")
    killed(places, text, at_page(2))
    there.advance(there.now() + 7200.0)
    result = go_on(file, data)
    assert result.stop_reason == "throughput_mah_per_cm2"
    assert there.cell()["throughput_mah"] == pytest.approx(0.012 * 0.1257, abs=1.1 * 0.0126 / 120)
    assert kinds(data).count("condition") == 1


def test_a_named_plan_goes_on_at_the_prompt(places):
    """Row 28: made again from what its start document says."""
    file, data, _, there = places

    def work() -> None:
        with open_bench("sim-mri", data=data, laboratory=file) as bench:
            bench.RE.attended = False
            die_at(bench, at_page(3))
            bench.RE.run(plans.cycle(
                bench.pstat, area_cm2=0.1257, limits=LIMITS, max_capacity_mah=1.0,
                half_cycle_s=200.0, cycles=2, md={"operator": "A. Person"},
            ))  # fmt: skip

    assert in_child(work) == 9
    with open_bench("sim-mri", data=data, laboratory=file) as bench:
        bench.RE.attended = False
        result = bench.resume_run("-1")
    assert result.stop_reason == "completed"
    start = last_start(data)
    assert (start["plan_name"], start["operator"]) == ("cycle", "A. Person")
    assert there.cell()["charge_mah"] == pytest.approx(0.0, abs=1e-9)
    assert verify(DataDirectory(data).audit).ok


def test_a_plan_that_was_given_an_object_cannot_be_made_again(places):
    file, data, _, _ = places

    def work() -> None:
        with open_bench("sim-mri", data=data, laboratory=file) as bench:
            bench.RE.attended = False
            die_at(bench, at_page(2))
            stop = plans.condition("duration_s", bench.pstat, value=1e4)
            bench.RE.run(plans.cycle(
                bench.pstat, area_cm2=0.1257, limits=LIMITS, max_capacity_mah=1.0,
                half_cycle_s=200.0, cycles=2, stop_when=[stop],
            ))  # fmt: skip

    assert in_child(work) == 9
    assert load_run(find_run(data, "-1")).start["plan_args_lost"] == ["stop_when"]
    with pytest.raises(ResumeError, match="was given objects as stop_when"):
        go_on(file, data)


def test_a_campaign_goes_on_with_the_run_that_was_cut_off_then_with_the_rest(places, capsys):
    """Row 28: points that were done are not done again."""
    file, data, experiment, there = places
    sweep = STILL.replace("current_mA: 0.0126", "current_mA: $i").replace("cycle_count: 2",
        "cycle_count: 1")  # fmt: skip
    experiment.write_text(sweep + "sweep: {product: {i: [0.005, 0.006, 0.007]}}\n")
    starts = []

    def kill(_number, name, doc):
        starts.extend([doc["campaign"]["number"]] if name == "start" else [])
        return name == "event_page" and starts[-1] == 2

    def work() -> None:

        @contextmanager
        def opened(_point):
            with open_bench("sim-mri", data=data, laboratory=file) as bench:
                bench.RE.attended = False
                die_at(bench, kill)
                yield bench

        def carry(point, bench, told):
            return run_experiment(point.experiment, bench, speak=io.StringIO(), campaign=told)

        run_campaign(load_campaign(experiment), opened, carry)

    assert in_child(work) == 9
    command = ["resume", "-1", "--data", str(data), "--laboratory", str(file)]
    assert main([*command, "--no-report", "--no-progress"]) == 0, capsys.readouterr()
    runs = [load_run(DataDirectory(data).journal(uid)).start for uid in DataDirectory(data).runs()]
    assert [one["campaign"]["number"] for one in runs] == [1, 2, 2, 3]
    assert len({one["campaign"]["uid"] for one in runs}) == 1
    assert [bool(one.get("resumes")) for one in runs] == [False, False, True, False]
    moved = sum((i * 300 + 0.0126 * 240) / 3600 for i in (0.005, 0.006, 0.007))
    assert there.cell()["throughput_mah"] == pytest.approx(moved, abs=1e-7)


def test_nothing_that_had_begun_nothing_is_lost(places):
    """Row 28: killed with its start document."""
    file, data, _, there = places
    killed(places, STILL, lambda number, _name, _doc: number == 0)
    assert find_interrupted(data, "-1").checkpoint is None
    assert go_on(file, data).stop_reason == "completed"
    assert there.cell()["throughput_mah"] == pytest.approx(2 * 0.0126 * 540 / 3600, abs=1e-9)


def test_the_latest_run_is_the_latest_that_had_recorded_anything(places):
    """One that was killed before its first line was whole is not what a person wants to go on."""
    _, data, _, _ = places
    killed(places, STILL, at_page(1))
    directory = DataDirectory(data)
    (uid,) = directory.runs()
    torn = directory.journal("0" * 32)
    torn.write_bytes(b'{"seq":0,"name":"start","doc":{"uid":"0000')
    assert find_interrupted(data, "-1").uid == uid
    assert list(directory.runs()) == [uid]


@pytest.mark.parametrize(
    ("verb", "told", "reason"),
    [
        ("stop", {"after": "now"}, "stopped"),
        ("set", {"path": "record.time_s", "value": 20}, "completed"),
    ],
)
def test_a_request_that_was_cut_off_between_its_event_and_what_it_does(places, verb, told, reason):
    """Row 28: a stop is carried out; anything else is refused, and says so."""
    file, data, experiment, there = places
    experiment.write_text(STILL)

    def work() -> None:
        with open_bench("sim-mri", data=data, laboratory=file) as bench:
            bench.RE.attended = False
            die_at(bench, lambda _n, _name, doc: doc.get("data", {}).get("event_kind") == verb)
            bench.clock.call_later(
                100.0,
                lambda: bench.RE.control.ask(Request(verb, "somebody", told)),
                owner=bench.pstat,
            )
            run_experiment(load_experiment(experiment), bench, speak=io.StringIO())

    assert in_child(work) == 9
    assert go_on(file, data).stop_reason == reason
    assert there.cell()["on"] == []
    assert kinds(data).count(verb) == 1
    assert ("refused" in kinds(data)) == (verb == "set")
