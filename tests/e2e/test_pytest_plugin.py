"""The pytest plugin as a laboratory uses it: in a project of its own, in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.warm import Child

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "testing_your_plans"
PLUGIN = "orchestrator.testing.plugin"

pytestmark = pytest.mark.e2e


def installed() -> bool:
    """Whether the environment's metadata know the plugin; a source tree alone does not."""
    return any(point.name == "operando" for point in entry_points(group="pytest11"))


def run_pytest(
    folder: Path, *arguments: str, plugin: bool = True
) -> subprocess.CompletedProcess[str]:
    given = ["-p", PLUGIN] if plugin and not installed() else []
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    # the warm process has imported a plugin that pytest would like to rewrite
    quiet = ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *quiet, *given]
    command += arguments
    child = Child(command, cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)})
    try:
        stdout, stderr = child.communicate(timeout=240)
    finally:
        child.kill()
        child.close()
    return subprocess.CompletedProcess(command, child.wait(10), stdout, stderr)


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = ["--strict-markers"]\nfilterwarnings = ["error"]\n'
    )
    (folder / "test_one.py").write_text(text)
    return folder


def test_it_is_registered_under_its_name():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert points["pytest11"] == {"operando": PLUGIN}
    assert import_module(PLUGIN).pytest_configure


def test_the_example_project(tmp_path):
    folder = shutil.copytree(EXAMPLE, tmp_path / "ours")
    done = run_pytest(folder)
    assert done.returncode == 0, done.stdout
    count = len(
        re.findall(
            r"^def test_", (EXAMPLE / "tests/test_watched_strip.py").read_text(), re.MULTILINE
        )
    )
    assert f"{count} passed" in done.stdout


FIXTURES = """
import bluesky.plan_stubs as bps
import pytest

def leave_on(bench):
    bench.links["pstat"].write(":SOUR:FUNC CURR;:SOUR:CURR 1e-5;:SOUR:CURR:VLIM 5;:OUTP ON")

def test_the_cell_is_left_on(bench):
    leave_on(bench)

@pytest.mark.operando(may_stay_on=True)
def test_that_is_meant(bench):
    leave_on(bench)

def one_reading(signal):
    yield from bps.open_run()
    yield from bps.sleep(50)
    yield from bps.trigger_and_read([signal])
    yield from bps.close_run()

def test_every_fixture(bench, RE, documents, inject, tmp_path):
    assert RE is bench.RE
    assert bench.clock.simulated
    assert bench.data.is_relative_to(tmp_path)
    with pytest.raises(LookupError, match="nothing was run"):
        documents.start
    bench.wait(100)
    assert inject("late", "pstat", at_s=5, for_s=10, delay_s=3) == "late:pstat:105:115:delay_s=3"
    RE(one_reading(bench.pstat.voltage_v))
    assert bench.elapsed_s == 150
    assert (documents.names[0], documents.names[-1]) == ("start", "stop")
    assert "primary" in documents.streams
    assert len(documents.of("event")) == 1
    assert list(documents.stream("primary")) == ["time", "pstat_voltage_v"]
    assert len(documents) == len(documents.all)
    with pytest.raises(LookupError, match="no stream"):
        documents.stream("echem")

@pytest.mark.operando(profile="sim-cycler", transport="tcp")
def test_another_bench_over_tcp(bench):
    assert list(bench.devices) == ["pstat"]
    assert bench.links["pstat"].resource.startswith("TCPIP")

@pytest.mark.operando(bench="sim-mri")
def test_a_wrong_marker(bench):
    pass

@pytest.mark.operando(profile="hardware.yaml")
def test_hardware(bench):
    pass

class TestOverridden:
    @pytest.fixture
    def bench_profile(self):
        return "sim-sem"

    @pytest.fixture
    def bench_sample(self):
        return {"seed": 4}

    @pytest.fixture
    def bench_faults(self):
        return ["black:sem:0:10"]

    def test_it(self, bench):
        assert "sem" in bench.devices
        simulation = bench.metadata()["simulation"]
        assert (simulation["seed"], simulation["faults"]) == (4, ["black:sem:0:10"])
"""

HARDWARE = """
bench: hardware
instrument_name: hardware
devices:
  pstat:
    kind: potentiostat
    driver: keithley_2450
    resource: "TCPIP::192.0.2.7::5025::SOCKET"
    limits: {max_voltage_v: 5, max_current_ma: 10}
"""


def test_what_the_fixtures_do_and_refuse(tmp_path):
    folder = project(tmp_path, FIXTURES)
    (folder / "hardware.yaml").write_text(HARDWARE)
    done = run_pytest(folder, "-rA")
    said = dict(
        re.findall(r"^(?:ERROR|FAILED|PASSED) .*?::(\w+)(?: - (.*))?$", done.stdout, re.MULTILINE)
    )
    outcomes = re.findall(r"^(ERROR|FAILED|PASSED) .*?::(\w+)(?: |$)", done.stdout, re.MULTILINE)
    failed = {name for kind, name in outcomes if kind != "PASSED"}
    assert failed == {"test_the_cell_is_left_on", "test_a_wrong_marker", "test_hardware"}, (
        done.stdout
    )
    assert "0.01 mA flow through the cell" in done.stdout
    assert "got ['bench'], expected" in done.stdout
    assert "bench hardware has real devices" in done.stdout
    assert {"test_every_fixture", "test_another_bench_over_tcp", "test_it"} <= set(said)


LEFT_OUT = """
import sys

import pytest

def test_it_is_not_there(request):
    assert "orchestrator.testing.plugin" not in sys.modules
    with pytest.raises(pytest.FixtureLookupError):
        request.getfixturevalue("inject")
"""


def test_it_can_be_left_out(tmp_path):
    done = run_pytest(project(tmp_path, LEFT_OUT), "-p", "no:operando", plugin=False)
    assert done.returncode == 0, done.stdout


IMPORT = """
import sys, time, pytest
before, began_s = set(sys.modules), time.perf_counter()
import orchestrator.testing.plugin
print(time.perf_counter() - began_s, *sorted(set(sys.modules) - before))
"""


def test_its_import_takes_no_time_and_brings_nothing():
    times = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        took, *modules = done.stdout.split()
        times.append(float(took))
        ours = {"orchestrator", "orchestrator.testing", PLUGIN}
        assert {name for name in modules if name.partition(".")[0] == "orchestrator"} == ours
        heavy = {"bluesky", "ophyd", "numpy", "pydantic", "pyvisa", "sim", "devices", "plans"}
        assert not heavy & set(modules)
    print(f"importing the plugin: {1e3 * min(times):.1f} ms")
    assert min(times) < 0.05
