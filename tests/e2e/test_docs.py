"""What the documentation says is true: links, commands, Python, tables, printed output."""

from __future__ import annotations

import argparse
import ast
import inspect
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from importlib import import_module
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

import pytest
import yaml

import plans
from devices.errors import ExplainedError
from orchestrator import rehearse
from orchestrator.bench import open_bench
from orchestrator.cli.main import VERBS, _parser, exit_code
from orchestrator.experiment.conditions import CONDITIONS, OPTIONS
from orchestrator.experiment.fault_kinds import FAULTS
from orchestrator.experiment.faults import fault_of
from orchestrator.experiment.sample import SIMULATED_SAMPLES, SimulateAs
from orchestrator.profile.tables import drivers
from orchestrator.records.runs import Run, find_run, load_run
from orchestrator.running import RunResult
from plans.conditions import CRITERIA
from sim.samples.llzo_parameters import PRESETS
from tests.command import python
from tests.warm import commands

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
TUTORIALS = [DOCS / "tutorials" / "first-run.md"]
BIN = Path(sys.executable).parent
LONGEST_S = 240

_ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith(("OPERANDO_", "PYTHONDONTWRITE"))},
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "COLUMNS": "80",
    "PYTHONIOENCODING": "utf-8",
}


# --- reading pages ------------------------------------------------------------------------------


def blocks(page: Path, *kinds: str) -> list[str]:
    """Fenced blocks of a page whose info string is one of `kinds`."""
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [body for kind, body in fenced if kind in kinds]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def rows(text: str) -> list[list[str]]:
    """Cells of every table row, heads and rulers left out."""
    cells = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.splitlines()
        if line.strip().startswith("|")
    ]
    ruled = [k for k, row in enumerate(cells) if set("".join(row)) <= set("-: ")]
    return [row for k, row in enumerate(cells) if k not in ruled and k + 1 not in ruled]


def section(page: Path, title: str) -> str:
    """Text below a heading, up to the next heading of any level."""
    found = re.search(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", page.read_text(), re.DOTALL | re.MULTILINE
    )
    assert found, f"{page.name} has no section {title!r}"
    return found[1]


def name(cell: str) -> str:
    return cell.strip("`")


def id_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


# --- links and names ----------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_links_resolve(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    broken = [
        target
        for target in targets
        if not target.startswith(("http://", "https://", "#"))
        and not (page.parent / target.split("#")[0]).exists()
    ]
    assert not broken


def test_every_page_is_reached_from_the_index():
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = re.findall(r"\]\(([^)\s:#]+\.md)", prose(page))
        waiting += [(page.parent / target).resolve() for target in targets]
    decisions = set((DOCS / "decisions").glob("*.md"))
    assert set(DOCS.rglob("*.md")) - reached - decisions == set()


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_files_and_modules_that_are_named_exist(page):
    named = set(
        re.findall(r"`((?:tests|examples|sim|plans|devices|orchestrator)/[\w/.]+)`", prose(page))
    )
    missing = {path for path in named if not (ROOT / path).exists() and "<" not in path}
    dotted = set(re.findall(r"`((?:sim|plans|devices|orchestrator)\.[\w.]+)[`(]", prose(page)))
    assert not missing
    assert not {one for one in dotted if not resolves(one)}


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module or an attribute of one."""
    parts = dotted.split(".")
    for k in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


# --- commands -----------------------------------------------------------------------------------


def command_lines(page: Path) -> list[str]:
    """Every `operando ...` line in a page's blocks, without prompt and comment."""
    found: list[str] = []
    for body in blocks(page, "", "sh", "console"):
        for line in body.splitlines():
            text = line.strip().removeprefix("$ ").split("  #")[0].split(" #")[0]
            text = text.replace(".venv/bin/", "").split(";")[0]
            if text.startswith("operando "):
                found.append(text.strip())
    return found


def spelled_out(line: str) -> str:
    """A synopsis as one command: optional parts kept, alternatives reduced to the first."""
    line = line.replace("[OPTIONS] VERB [ARGUMENTS]", "demo")
    line = re.sub(r"\[(\w[\w-]*)\|[^]]*\]", r"\1", line).replace("[", "").replace("]", "")
    for placeholder, value in {"RUN": "-1", "N": "3", "S": "10", "EXAMPLE": "quick_look"}.items():
        line = re.sub(rf"\b{placeholder}\b", value, line)
    return line


def parsed(line: str) -> argparse.Namespace:
    words = shlex.split(line)[1:]
    return _parser(next((w for w in words if w in VERBS), None)).parse_args(words)


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_commands_are_parsed_by_the_real_parser(page):
    for line in command_lines(page):
        parsed(spelled_out(line))
    for inline in re.findall(r"`operando ([^`]*)`", prose(page)):
        words = shlex.split(inline)
        if (words and words[0].startswith("-")) or words[:1] == ["VERB"]:
            continue
        assert words[0] in VERBS
        if len(words) > 1:
            parsed(spelled_out(f"operando {inline}"))


def test_a_wrong_command_would_be_noticed():
    with pytest.raises(SystemExit):
        parsed("operando run a.yaml --no-such-option")


def test_the_reference_names_every_verb_and_option():
    page = DOCS / "reference" / "cli.md"
    described = re.findall(r"^### ([\w-]+)$", page.read_text(), re.MULTILINE)
    assert sorted(described) == sorted(VERBS)
    everywhere = section(page, "Options of every verb")
    for verb in VERBS:
        own = section(page, verb)
        for action in subparser(verb)._actions:
            if not action.option_strings or "--help" in action.option_strings:
                continue
            text = f"{everywhere}\n{own}"
            missing = [o for o in action.option_strings if not re.search(rf"{o}\b", text)]
            assert not missing, f"operando {verb}: {missing}"


def subparser(verb: str) -> argparse.ArgumentParser:
    actions = _parser(verb)._actions
    choices = next(a for a in actions if isinstance(a, argparse._SubParsersAction)).choices
    return choices[verb]


# --- Python -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_python_compiles_and_its_imports_exist(page):
    for body in blocks(page, "python"):
        tree = ast.parse(body)
        compile(tree, str(page), "exec")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                if node.module == "watched_strip":  # of the example project
                    continue
                module = import_module(str(node.module))
                assert not [a.name for a in node.names if not hasattr(module, a.name)]
            elif isinstance(node, ast.Import):
                assert all(find_spec(alias.name) for alias in node.names)


def test_the_page_of_plans_is_what_their_docstrings_say():
    written = runpy.run_path(str(DOCS / "plans_page.py"))["page"]()
    assert (DOCS / "reference" / "plans.md").read_text() == written


def test_the_page_of_the_http_interface_is_what_its_routes_say():
    written = runpy.run_path(str(DOCS / "http_page.py"))["page"]()
    assert (DOCS / "reference" / "http-api.md").read_text() == written


def test_the_plan_on_the_page_of_plans_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(blocks(DOCS / "reference" / "plans.md", "python")[0], {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.splitlines()[-1] == "completed"


def test_every_plan_names_its_source_and_its_example():
    for key, plan in plans.PLANS.items():
        text = str(plan.__doc__)
        assert "Source: " in text, key
        assert f"`examples/{key}.yaml`" in text, key
        parameters = set(inspect.signature(plan).parameters)
        assert parameters == set(re.findall(r"^        (\w+): ", text, re.MULTILINE)), key


def test_the_plan_on_the_page_is_the_example():
    (shown,) = blocks(DOCS / "how-to" / "write-a-plan.md", "python")
    example = ast.parse((ROOT / "examples" / "own_plan.py").read_text())
    mine, theirs = (
        next(n for n in tree.body if isinstance(n, ast.FunctionDef))
        for tree in (ast.parse(shown), example)
    )
    assert [ast.dump(one) for one in mine.body] == [ast.dump(one) for one in theirs.body]


def test_the_test_on_the_page_is_the_examples():
    shown = ast.parse(blocks(DOCS / "how-to" / "test-your-own-plans.md", "python")[0])
    example = ast.parse(
        (ROOT / "examples/testing_your_plans/tests/test_watched_strip.py").read_text()
    )
    (mine,) = (node for node in shown.body if isinstance(node, ast.FunctionDef))
    theirs = [node for node in example.body if isinstance(node, ast.FunctionDef)]
    assert ast.dump(mine) in [ast.dump(node) for node in theirs]


def test_public_names_of_the_reference_exist():
    for where, names in rows(section(DOCS / "reference" / "python-api.md", "Public names")):
        for module in re.findall(r"`([\w.]+)`", where):
            for public in re.findall(r"`([\w.]+)`", names):
                assert hasattr(import_module(module), public), f"{module}.{public}"


def test_names_are_all_of_the_public_ones():
    table = rows(section(DOCS / "reference" / "python-api.md", "Public names"))
    for where, names in table:
        if where in {"`orchestrator`", "`devices`", "`plans`"}:
            public = import_module(name(where)).__all__
            assert sorted(re.findall(r"`(\w+)`", names)) == sorted(public)


# --- tables -------------------------------------------------------------------------------------


def test_conditions():
    page = (DOCS / "reference" / "conditions.md").read_text()
    table = rows(page[: page.index("## Forms")])
    assert [name(row[0]) for row in table] == list(CRITERIA) == list(CONDITIONS)
    for row in table:
        kind = CONDITIONS[name(row[0])]
        unit = getattr(kind.value, "unit", "none") or "0 to 1"
        assert row[1] == unit
        assert re.findall(r"`(\w+)`", row[3]) == list(kind.options)
    forms = rows(section(DOCS / "reference" / "conditions.md", "Forms"))
    assert [name(row[0]) for row in forms] == list(OPTIONS)


def test_faults():
    page = DOCS / "reference" / "injectable-faults.md"
    table = rows(section(page, "Kinds"))
    assert [name(row[0]) for row in table] == list(FAULTS)
    for row in table:
        form = FAULTS[name(row[0])]
        assert row[1:3] == [form.where, form.text]
        options = dict(re.findall(r"`(\w+)` \(([^)]*)\)", row[3]))
        assert options == {
            key: f"{value:g}" if value != "" else "every message"
            for key, value in form.options.items()
        }


def test_faults_in_yaml_are_faults():
    in_file, in_experiment = blocks(DOCS / "how-to" / "inject-faults.md", "yaml")
    assert len([fault_of(one) for one in yaml.safe_load(in_file)]) == 3
    recipe = yaml.safe_load(in_experiment)["sample"]["simulate_as"]
    assert [str(one) for one in SimulateAs.model_validate(recipe).faults] == recipe["faults"]


def test_errors():
    listed = {name(row[0]): row for row in rows((DOCS / "reference" / "errors.md").read_text())}
    classes = {}
    for module in ("devices.errors", "plans.errors", "orchestrator.errors"):
        for key, value in vars(import_module(module)).items():
            if isinstance(value, type) and hasattr(value, "policy"):
                assert issubclass(value, ExplainedError)
                classes[key] = value
    assert set(listed) == set(classes)
    for key, kind in classes.items():
        _, module, _, policy, code = listed[key]
        error = kind("who", "what", remedy="remedy")
        assert (name(module), name(policy)) == (kind.__module__, kind.policy), key
        assert int(code) == exit_code(error), key


def test_instruments():
    page = DOCS / "reference" / "instruments.md"
    table = [row for row in rows(page.read_text()) if len(row) == 6]
    assert {name(row[0]) for row in table} == set(drivers())
    for row in table:
        module = import_module(f"devices.drivers.{name(row[0])}")
        assert "verified on hardware: no" in str(module.__doc__).lower()
        assert row[-1] == "no"


def test_presets():
    page = DOCS / "explanation" / "sample.md"
    listed = {name(row[0]): row for row in rows(section(page, "Presets"))}
    assert set(listed) == set(PRESETS)
    for key, preset in PRESETS.items():
        shape = preset.geometry
        assert listed[key][1] == f"{shape.electrode_diameter_mm:g} mm"
        assert float(listed[key][2].removesuffix(" mm")) == pytest.approx(shape.thickness_mm)


def test_samples_of_experiment_files():
    page = DOCS / "reference" / "experiment-file.md"
    table = [row for row in rows(section(page, "`sample`")) if len(row) == 3]
    listed = {name(row[0]): tuple(re.findall(r"`(\w+)`", row[1])) for row in table}
    assert {key: listed.get(key) for key in SIMULATED_SAMPLES} == SIMULATED_SAMPLES


def test_the_picture():
    from PIL import Image

    path = DOCS / "images" / "in-situ-mri.png"
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert "SIMULATED" in image.info["Description"]
    assert "SIMULATED" in (ROOT / "README.md").read_text()


# --- what is executed ---------------------------------------------------------------------------


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Execute a command line as a reader would, in a folder, with nothing to type but `exit`."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**_ENVIRONMENT, "PATH": f"{commands()}{os.pathsep}{_ENVIRONMENT['PATH']}"},
        input="exit\n",
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )


@dataclass
class Sandbox:
    """A folder in which tutorials have been gone through, with what each step printed."""

    folder: Path
    done: dict[Path, list[subprocess.CompletedProcess[str]]] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "operando-data"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory) -> Sandbox:
    """Where the first tutorial has been gone through."""
    box = Sandbox(tmp_path_factory.mktemp("docs"))
    for page in TUTORIALS:
        box.done[page] = [shell(box.folder, f"exec 2>&1; {command}") for command, _ in steps(page)]
    return box


def steps(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Commands of a page's console blocks, each with the output that the page shows."""
    for body in blocks(page, "console"):
        shown: list[str] = []
        command = ""
        for line in body.splitlines():
            if line.startswith("$ "):
                if command:
                    yield command, shown
                command, shown = line.removeprefix("$ "), []
            else:
                shown.append(line)
        yield command, shown


def matches(shown: list[str], got: str) -> bool:
    """Whether output is as shown; `...` stands for anything, lines of it included."""
    pattern = ""
    for line in "\n".join(shown).strip().splitlines():
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*?".join(re.escape(part) for part in line.rstrip().split("..."))
            pattern += r" *\n"
    return re.fullmatch(pattern, f"{got.strip()}\n" if got.strip() else "") is not None


def test_matching_notices_a_difference():
    assert matches(["a ... c", "..."], "a b c\nd\n")
    assert not matches(["a ... c"], "a b d")
    assert matches(["...", "a"], "a\n")
    assert not matches(["a"], "a\nb")
    assert not matches(["a ..."], "a \nb")
    assert matches([], "")
    assert not matches([], "a")


@pytest.mark.parametrize("page", TUTORIALS, ids=id_of)
def test_tutorial_prints_what_it_shows(page, sandbox):
    for (command, shown), done in zip(steps(page), sandbox.done[page], strict=True):
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        assert matches(shown, done.stdout), f"{command}\n{done.stdout}"


def test_tutorial_made_the_runs_it_tells_of(sandbox):
    reasons = [load_run(find_run(sandbox.data, k)).stop["reason"] for k in ("-2", "-1")]
    assert reasons == ["hard_short", "completed"]


def test_readme_commands_work(sandbox, tmp_path):
    for body in blocks(ROOT / "README.md", "sh"):
        for line in body.splitlines():
            command = line.split("  #")[0].strip()
            done = shell(sandbox.folder if " show " in command else tmp_path, command)
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            assert done.stdout


def recipe(target: str) -> list[str]:
    """Commands of a target of the Makefile, without make's own marks."""
    makefile = (ROOT / "Makefile").read_text()
    found = re.search(rf"(?m)^{re.escape(target)}:.*\n((?:\t.*\n)+)", makefile)
    assert found, target
    return [line.strip().replace("$(BIN)/", ".venv/bin/") for line in found[1].splitlines()]


def test_readme_shows_the_lines_behind_make():
    readme = (ROOT / "README.md").read_text()
    for line in (*recipe("demo"), *recipe("test")):
        assert f"{line}\n" in readme
    pip = " --no-compile --constraint constraints.txt"
    assert pip in (ROOT / "Makefile").read_text()
    for stamp in ("$(VENV)/.run", "$(VENV)/.dev"):
        install = next(line for line in recipe(stamp) if line.startswith("$(PIP)"))
        wanted = install.replace("$(PIP)", f".venv/bin/python -m pip install{pip}")
        assert f"{wanted}\n" in readme.replace('"', "'")


def test_python_tutorial_prints_what_it_shows(tmp_path):
    page = DOCS / "tutorials" / "python.md"
    pairs = re.findall(r"```python\n(.*?)```\s+```output\n(.*?)```", page.read_text(), re.DOTALL)
    assert len(pairs) == len(blocks(page, "python"))
    mark = "---- next block ----"
    script = f"print({mark!r})\n".join(code for code, _ in pairs)
    done = run_python(tmp_path, "-c", script)
    assert done.returncode == 0, done.stderr
    for (_, shown), got in zip_longest(pairs, done.stdout.split(f"{mark}\n")):
        assert got == shown


def run_python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(*arguments, cwd=folder, timeout_s=LONGEST_S, **_ENVIRONMENT)


@pytest.mark.parametrize(
    ("example", "last_line"),
    [
        ("in_situ_mri", r"0\.0251 mAh moved, last <MriScanner mri: idle.*last frame 2>"),
        ("own_plan", r"10\.06 µAh from A to B"),
    ],
)
def test_examples_run(example, last_line, tmp_path):
    done = run_python(tmp_path, str(ROOT / "examples" / f"{example}.py"))
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(last_line, done.stdout.splitlines()[-1])
    assert load_run(find_run(tmp_path / "operando-data", "-1")).stop["reason"] == "completed"


@pytest.fixture(scope="module")
def read_a_run(sandbox) -> subprocess.CompletedProcess[str]:
    """The example that opens the catalogue of the tutorial's runs."""
    return run_python(sandbox.folder, str(ROOT / "examples" / "read_a_run.py"))


def test_example_reads_a_run_in_three_ways(read_a_run):
    assert read_a_run.returncode == 0, read_a_run.stderr
    assert read_a_run.stdout.splitlines()[1:] == [
        "arrays: 144 records over 0.017 h",
        "arrays: last image (52, 81), float32",
        "databroker: 144 rows, 0.000168 mAh moved",
        "databroker: found by plan name: True",
        "Tiled: images (15, 52, 81), the last one the same: True",
    ]


def test_example_goes_on_after_a_crash(tmp_path):
    done = run_python(tmp_path, str(ROOT / "examples" / "go_on_after_a_crash.py"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the run was ended by SIGKILL",
        "2 runs, 88 records",
        "recorded 0.0041900 mAh, the cell passed 0.0041900 mAh",
    ]


def test_every_example_is_executed():
    executed = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert not [p.name for p in (ROOT / "examples").glob("*.py") if p.stem not in executed]


# --- documents of a real run --------------------------------------------------------------------


@pytest.fixture(scope="module")
def short_run(sandbox) -> Run:
    return load_run(find_run(sandbox.data, "-2"))


STREAMS = DOCS / "reference" / "streams-and-documents.md"


def described(keys: dict[str, dict[str, object]]) -> dict[str, tuple[object, object]]:
    return {key: (one["dtype"], one.get("units") or "") for key, one in keys.items()}


@pytest.mark.parametrize("stream", ["echem", "mri", "events", "interruptions"])
def test_streams_are_as_described(stream, short_run):
    descriptor = short_run.descriptors[stream]
    expected = described(descriptor["data_keys"])
    for device in descriptor["configuration"].values():
        expected |= described(device["data_keys"])
    table = [row for row in rows(section(STREAMS, f"Stream `{stream}`")) if len(row) == 4]
    assert {name(row[0]): (row[1], row[2]) for row in table} == expected


def test_the_stream_of_what_surrounds_the_cell_is_as_described(tmp_path):
    with open_bench("sim-chamber", data=tmp_path) as bench:
        expected = {}
        for device in (bench.oven, bench.press):
            expected |= described(device.describe()) | described(device.describe_configuration())
    table = [row for row in rows(section(STREAMS, "Stream `environment`")) if len(row) == 4]
    assert {name(row[0]): (row[1], row[2]) for row in table} == expected


def test_the_stream_of_a_microscope_is_as_described(tmp_path):
    with open_bench("sim-sem", data=tmp_path) as bench:
        expected = described({**bench.sem.describe(), **bench.sem.describe_configuration()})
    table = [row for row in rows(section(STREAMS, "Stream `sem`")) if len(row) == 4]
    assert {name(row[0]): (row[1], row[2]) for row in table} == expected


def test_kinds_of_event_are_those_that_plans_note():
    noted = {"before", "after"}  # the names of the blocks, from `plans.protocol`
    for path in (ROOT / "plans").glob("*.py"):
        module = import_module(f"plans.{path.stem}")
        for node in ast.walk(ast.parse(path.read_text())):
            called = getattr(node, "func", None)
            if getattr(called, "id", "") == "note" or getattr(called, "attr", "") == "_noted":
                for kind in node.args[1:2]:
                    if isinstance(kind, ast.Constant):
                        noted.add(kind.value)
                    elif isinstance(kind, ast.Name) and kind.id.isupper():
                        noted.add(getattr(import_module(f"plans.{path.stem}"), kind.id))
                names = [a.id for a in node.args[1:2] if isinstance(a, ast.Name)]
                noted |= {getattr(module, name) for name in names if name.isupper()}
    table = [row for row in rows(section(STREAMS, "Stream `events`")) if len(row) == 2]
    assert {one for row in table for one in re.findall(r"`(\w+)`", row[0])} == noted


def test_start_and_stop_are_as_described(short_run):
    listed = {name(row[0]) for row in rows(section(STREAMS, "Start document"))}
    from_md = set(short_run.start["experiment"]["md"])
    assert listed - from_md == set(short_run.start) - from_md
    assert {name(row[0]) for row in rows(section(STREAMS, "Stop document"))} == set(short_run.stop)


def test_result_keys_are_as_described():
    table = rows(section(DOCS / "reference" / "cli.md", "run"))
    listed = {one for row in table for one in re.findall(r"`(\w+)`", row[0])}
    assert listed == {one.name for one in fields(RunResult)} | {"report"}


def test_keys_of_a_rehearsal_are_as_described(tmp_path):
    found = rehearse(ROOT / "examples" / "quick_look.yaml", data=tmp_path).to_document()
    table = rows(section(DOCS / "reference" / "cli.md", "rehearse"))
    listed = {one for row in table for one in re.findall(r"`(\w+)`", row[0])}
    assert listed == set(found) | {"page", "figure"}
    told = {name(row[0]): row[1] for row in table}
    row = {key for key in found["timeline"][0] if not key.startswith(("min_", "max_"))}
    assert set(re.findall(r"`(\w+)`", told["timeline"])) == row


def test_data_directory_is_as_described(sandbox, short_run, read_a_run):
    page = DOCS / "reference" / "data-directory.md"
    listed = [one for row in rows(page.read_text()) for one in re.findall(r"`([^`]+)`", row[0])]
    files = [one for one in listed if not one.startswith("/")]
    patterns = [re.sub(r"<\w+>", "*", one) for one in files]
    rare = {
        "journals/*.bad.jsonl", "journals/*.ballast", "rehearsals/*/index.html", "jobs.sqlite",
        "jobs/*.log", "watchdog.jsonl", "audit.jsonl", "audit.lock", "control/*.json",
        "checkpoints/*.json", "alerts.yaml", "http/tokens.json", "http/requests.sqlite",
        "http/address.json", "http/experiments/*.yaml",
    }  # fmt: skip
    assert not [p for p in patterns if p not in rare and not list(sandbox.data.glob(p))]
    known = {p.split("/")[0] for p in patterns}
    assert {path.name for path in sandbox.data.iterdir()} <= known
    scalars = {one.removeprefix("/entry/data/") for one in listed if one.startswith("/entry/data/")}
    assert scalars - {"data"} == set(short_run.frames("mri").scalars())
