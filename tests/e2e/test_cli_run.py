"""The main job through the installed command, and every verb that reads what it left."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orchestrator.records.runs import find_run, load_run
from tests.command import EXAMPLES, ROOT, only_object, operando

VERBS = (
    "demo", "run", "new", "runs", "show", "report", "recover", "upload", "off", "shell",
    "doctor", "schema",
)  # fmt: skip
CURRENT_MA = 0.1 * 0.1257


class MainJob:
    """One run of the in situ MRI example, shared by this module."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.done = operando(
            "run", EXAMPLES / "in_situ_mri.yaml", "--json", "--data", "data",
            cwd=folder, timeout_s=240, cold=True,
        )  # fmt: skip
        assert self.done.returncode == 0, self.done.stderr
        self.result = only_object(self.done.stdout)

    def ask(self, *arguments: str) -> dict:
        done = operando(*arguments, "--json", "--data", "data", cwd=self.folder, timeout_s=120)
        assert done.returncode == 0, done.stderr
        return only_object(done.stdout)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return MainJob(tmp_path_factory.mktemp("main_job"))


@pytest.mark.long  # with the week of the fixture
def test_the_result_is_one_object_with_everything_promised(job):
    result = job.result
    assert set(result) >= {
        "uid", "exit_status", "stop_reason", "duration_s", "wall_s", "events", "frames",
        "charge_mah", "throughput_mah", "closure_error", "simulated", "data", "stopped_at_s",
    }  # fmt: skip
    assert (result["exit_status"], result["stop_reason"]) == ("success", "hard_short")
    assert result["stopped_at_s"] / 86_400 == pytest.approx(7.592, abs=0.01)
    assert result["duration_s"] >= result["stopped_at_s"]
    assert 0 < result["wall_s"] < 240
    assert result["frames"] == {"mri": 42}
    assert result["simulated"] == {"pstat": True, "mri": True}
    assert result["closure_error"] is None
    assert result["closure_reason"]
    assert Path(result["data"]) == job.data.resolve()


def test_charge_is_current_times_time(job):
    """A cycle of 4200 s moves 0.1257 x 0.1 mA for 3600 s of it, half of that either way."""
    whole, rest_s = divmod(job.result["stopped_at_s"], 4200.0)
    moved_s = 3600 * whole + min(rest_s, 1800) + min(max(rest_s - 2100, 0), 1800)
    assert job.result["throughput_mah"] == pytest.approx(CURRENT_MA * moved_s / 3600, rel=1e-3)
    net_s = min(rest_s, 1800) - min(max(rest_s - 2100, 0), 1800)
    assert job.result["charge_mah"] == pytest.approx(CURRENT_MA * net_s / 3600, abs=1e-4)


def test_the_result_agrees_with_the_journal_and_the_report_is_there(job):
    run = load_run(find_run(job.data, job.result["uid"]))
    assert len(run.streams["echem"]["time"]) == job.result["events"]["echem"]
    assert len(run.frames("mri")) == job.result["frames"]["mri"]
    assert run.stop["reason"] == job.result["stop_reason"]
    assert run.streams["echem"]["pstat_charge_mah"][-1] == job.result["charge_mah"]
    page = Path(job.result["report"])
    assert page == job.data.resolve() / "reports" / job.result["uid"] / "index.html"
    assert "LLZO-7" in page.read_text(encoding="utf-8")


def test_people_are_told_on_stderr(job):
    assert "hard_short at 7.592 d" in job.done.stderr
    assert "report: data/reports/" in job.done.stderr
    assert "Traceback" not in job.done.stderr
    assert "\x1b" not in job.done.stderr


def test_runs_lists_it(job):
    listed = job.ask("runs")["runs"]
    assert [one["uid"] for one in listed] == [job.result["uid"]]
    assert listed[0]["reason"] == "hard_short"
    assert listed[0]["events"]["mri"] == 42


def test_show_describes_it(job):
    shown = job.ask("show", "-1")
    assert shown["uid"] == job.result["uid"]
    assert shown["frames"]["mri"]["count"] == 42
    columns = shown["streams"]["echem"]["columns"]
    assert columns["pstat_current_ma"]["units"] == "mA"
    assert columns["pstat_current_ma"]["max"] == pytest.approx(CURRENT_MA, rel=0.02)
    assert not shown["damaged_lines"]
    plain = operando("show", job.result["uid"][:6], "--data", job.data, cwd=job.folder)
    assert plain.returncode == 0
    assert "stream echem" in plain.stdout


def test_report_writes_it_again_elsewhere(job):
    written = job.ask("report", "-1", "--to", "elsewhere")
    assert (job.folder / written["report"]).is_file()
    assert written["figures"]
    assert all((job.folder / figure).stat().st_size > 1000 for figure in written["figures"])


def test_recover_finds_nothing_to_do(job):
    found = job.ask("recover", "--no-store")
    assert [one["uid"] for one in found["runs"]] == [job.result["uid"]]
    assert not any(one["closed"] or one["bad_lines"] for one in found["runs"])


def test_doctor_names_every_instrument(job):
    found = job.ask("doctor", "--bench", "sim-mri")
    assert found["ok"] is True
    told = {one["check"]: one["text"] for one in found["findings"]}
    for who in ("pstat", "mri.console", "mri.trigger"):
        assert "SIM-" in told[who]
        assert "SIMULATED" in told[who]


def test_off_says_what_is_off(job):
    assert job.ask("off", "sim-mri") == {"bench": "sim-mri", "off": ["mri", "pstat"]}


def test_new_writes_a_file_that_runs_in_the_same_data_directory(job):
    made = job.ask("new", "short.yaml", "--like", "quick_look")
    assert (job.folder / made["schema"]).is_file()
    second = job.ask("run", made["file"], "--no-report")
    assert (second["stop_reason"], second["frames"]["mri"] > 0) == ("completed", True)
    assert second["throughput_mah"] == pytest.approx(CURRENT_MA * 16 / 3600, rel=1e-3)
    assert "report" not in second
    uids = [one["uid"] for one in job.ask("runs")["runs"]]
    assert uids == [job.result["uid"], second["uid"]]
    assert job.ask("show", "-1")["uid"] == second["uid"]
    again = operando("new", "short.yaml", cwd=job.folder)
    assert again.returncode == 2
    assert "--force" in again.stderr


def test_data_comes_from_the_environment_where_no_option_names_it(job):
    there = operando("runs", "--json", cwd=job.folder, OPERANDO_DATA="data")
    assert only_object(there.stdout)["runs"]
    other = operando("--data", "other", "runs", "--json", cwd=job.folder, OPERANDO_DATA="data")
    assert only_object(other.stdout) == {"data": "other", "runs": []}
    nowhere = operando("runs", cwd=job.folder)
    assert "operando demo" in nowhere.stdout
    assert not (job.folder / "operando-data").exists()
    assert not (job.folder / "other").exists()


@pytest.mark.parametrize("name", ["experiment", "bench-profile"])
def test_schema_is_the_one_in_the_reference(tmp_path, name):
    printed = operando("schema", name, cwd=tmp_path).stdout
    assert json.loads(printed) == json.loads(
        (ROOT / f"docs/reference/{name}.schema.json").read_text(encoding="utf-8")
    )


@pytest.mark.long  # an interpreter for each verb
def test_help_is_instant_and_complete(tmp_path):
    """No verb's help may load what only its work needs: seconds of imports."""
    heavy = re.compile(
        r"\| +(bluesky|ophyd|pymeasure|tiled|matplotlib|IPython|pandas|numpy)$", re.MULTILINE
    )
    page = operando("--help", cwd=tmp_path, timeout_s=20, cold=True)
    assert page.returncode == 0
    assert all(re.search(rf"^    {verb} ", page.stdout, re.MULTILINE) for verb in VERBS)
    for verb in VERBS:
        asked = operando(
            verb, "--help", cwd=tmp_path, timeout_s=20, cold=True, PYTHONPROFILEIMPORTTIME="1"
        )
        assert asked.returncode == 0
        assert f"usage: operando {verb}" in asked.stdout
        assert "--json" in asked.stdout
        assert max(map(len, asked.stdout.splitlines())) <= 80
        assert not heavy.search(asked.stderr), verb


def test_without_a_verb_the_help_is_shown(tmp_path):
    done = operando(cwd=tmp_path)
    assert done.returncode == 2
    assert "usage: operando" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu"], "invalid choice: 'rnu'"),
        (["run"], "experiment"),
        (["runs", "--jsno"], "--jsno"),
        (["run", "nope.yaml"], "nope.yaml:1:1: cannot be read"),
        (["shell"], "no bench named"),
        (["off", "sim-mir"], "sim-mri"),
        (["new", "--like", "in_situ"], "in_situ_mri"),
        (["new", "no/such/folder/x.yaml"], "cannot be written"),
    ],
)
def test_what_cannot_be_meant_is_bad_input(tmp_path, arguments, says):
    done = operando(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["show", "report"])
def test_a_run_that_is_not_there(tmp_path, verb):
    done = operando(verb, "-1", "--json", cwd=tmp_path)
    assert done.returncode == 5
    assert not done.stdout
    assert "Traceback" not in done.stderr
