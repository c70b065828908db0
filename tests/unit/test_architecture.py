"""The house rules hold, and each import contract is proven by breaking it once."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("orchestrator", "plans", "devices", "sim")

BREAKS = [
    ("layers", "devices/breach.py", "import plans.schedule"),
    ("layers", "plans/breach.py", "import orchestrator.engine"),
    ("sim knows bytes", "sim/breach.py", "import devices.errors"),
    ("sim knows bytes", "sim/breach.py", "import bluesky"),
    ("sim knows bytes", "sim/breach.py", "import ophyd"),
    ("sim knows bytes", "sim/breach.py", "import pymeasure"),
    ("only orchestrator.laboratory imports sim", "orchestrator/breach.py", "import sim.world"),
    ("only orchestrator.laboratory imports sim", "plans/breach.py", "import sim.world"),
    ("plans name no driver", "plans/breach.py", "import devices.link"),
    ("plans name no driver", "plans/breach.py", "import pyvisa"),
    ("PyMeasure and PyVISA stay", "orchestrator/breach.py", "import pymeasure"),
    ("PyMeasure and PyVISA stay", "devices/breach.py", "import pyvisa"),
    ("pyvisa.highlevel only", "sim/breach.py", "import pyvisa.highlevel"),
    ("inside orchestrator", "orchestrator/analysis/breach.py", "import orchestrator.records"),
    ("inside orchestrator", "orchestrator/records/breach.py", "import orchestrator.bench"),
    ("inside orchestrator", "orchestrator/engine_breach.py", ""),
    ("analysis is pure", "orchestrator/analysis/breach.py", "import devices.mri"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    env = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_house_stands(copy):
    result = lint(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("contract", "file", "line"), BREAKS)
def test_each_contract_breaks_when_it_should(copy, contract, file, line):
    breach = copy / file
    breach.write_text(f'"""Breach."""\n{line}\n')
    try:
        result = lint(copy)
    finally:
        breach.unlink()
    broken = [text for text in result.stdout.splitlines() if "BROKEN" in text]
    assert result.returncode != 0
    assert any(contract in text for text in broken), result.stdout


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_sizes(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400, "a module of at most 400 lines is read in one sitting"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node) is not None and len(node.body) > 1
            begin = node.body[1].lineno if documented else node.lineno
            assert node.end_lineno - begin + 1 <= 60, f"{node.name} is too long"


def test_no_module_is_called_something_that_says_nothing():
    nothing = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
    assert not [path for path in modules() if path.stem in nothing]


def test_import_names_belong_to_this_project():
    """PyPI's `plans` and `orchestrator` ship the same import names."""
    owners = packages_distributions()
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        assert Path(str(spec.origin)).is_relative_to(ROOT)
        assert set(owners.get(package, ["operando-orchestrator"])) <= {"operando-orchestrator"}


def test_nothing_happens_on_import():
    code = (
        "import sys, threading, asyncio\n"
        "import orchestrator, devices, plans, sim\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert 'matplotlib' not in sys.modules and 'tiled' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_pins_are_exact_and_name_no_registry():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert lines
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9.+!]+", line) for line in lines)


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        name for extra in project["optional-dependencies"].values() for name in extra
    ]
    names = {re.split(r"[\[<>=;]", text)[0].lower().replace("_", "-") for text in wanted}
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().split()
    }
    assert names <= pinned, names - pinned
