"""`operando reproduce`: protocols through the full stack, the table, the page, the JSON."""

from __future__ import annotations

import json
import re

import pytest

from orchestrator.cli import main
from orchestrator.experiment.templates import example_names
from orchestrator.reproduce import PAPERS
from orchestrator.reproduce.campaign import _ROWS, _TASKS
from orchestrator.reproduce.task import Task, carry_out

ROW_KEYS = {
    "paper", "id", "quantity", "published", "value", "unit", "tolerance", "ok", "kind", "note",
    "comparison",
}  # fmt: skip


@pytest.mark.parametrize("paper", PAPERS)
def test_every_protocol_is_an_example_that_ships(paper):
    tasks = _TASKS[paper](2)
    assert {task.example for task in tasks} <= set(example_names())
    assert len({task.key for task in tasks}) == len(tasks)
    assert any(task.keep for task in tasks)


def test_one_paper_as_json_and_page(tmp_path, capsys):
    argv = ["reproduce", "siniscalchi", "--seeds", "1", "--jobs", "1", "--json"]
    code = main([*argv, "--data", str(tmp_path)])
    told = json.loads(capsys.readouterr().out)
    assert code in (0, 1)  # one sample need not agree with a median
    assert all(set(row) == ROW_KEYS for row in told["rows"])
    assert {row["paper"] for row in told["rows"]} == {"siniscalchi"}
    rows = {row["id"]: row for row in told["rows"]}
    assert rows["electronic_s_per_cm"]["ok"] is True
    assert told["simulated"] is True
    page = (tmp_path / "reports" / "reproduce" / "index.html").read_text()
    assert "SIMULATED" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    for row in told["rows"]:
        assert row["quantity"].split(":")[0][:20] in page.replace("&gt;", ">").replace("&#39;", "'")


def test_a_bench_that_cannot_carry_out_a_variation_is_said(tmp_path):
    wrong = Task("large_cell", dict, {"sample.simulate_as.model": "void_interface"})
    with pytest.raises(ValueError, match="preset"):
        carry_out(wrong, tmp_path)


def test_rows_do_not_depend_on_the_order_of_the_runs():
    assert set(_ROWS) == set(_TASKS) == set(PAPERS)
