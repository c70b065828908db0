"""Bench profiles: what they say, what is refused, where they are found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import ProfileError
from orchestrator.profile.loading import find_profile, load_profile, profile_names
from orchestrator.profile.models import BenchProfile
from orchestrator.profile.resources import Resource, is_simulated
from orchestrator.profile.tables import Driver, Kind, drivers, kinds

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "sim" / "benches" / "sim-mri.yaml"
TEXT = SHIPPED.read_text(encoding="utf-8")
LINE = re.compile(r"^(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): (?P<rest>.+) \((?P<remedy>.+)\)$")


@pytest.fixture
def load(tmp_path):
    """Load the shipped profile with one text replaced."""

    def loaded(old: str = "", new: str = "", name: str = "bench.yaml") -> BenchProfile:
        assert old in TEXT, old
        path = tmp_path / name
        path.write_text(TEXT.replace(old, new, 1) if old else TEXT, encoding="utf-8")
        return load_profile(path)

    return loaded


def test_the_shipped_profile():
    profile = load_profile("sim-mri", environ={})
    assert profile.instrument_name == "simulated 21.1 T"
    assert profile.simulated
    assert list(profile.links) == ["pstat", "mri.console", "mri.trigger"]
    assert profile.devices["pstat"].limits.span == (-5.0, 5.0, -10.0, 10.0)
    assert (profile.poll_period_s, profile.journal_period_s) == (30.0, 900.0)
    assert [(a.device, a.action) for a in profile.safe_actions] == [
        ("pstat", "off"),
        ("mri", "abort"),
    ]
    assert profile.kind_of("mri").takes_images
    assert profile.driver_of("mri", "trigger").role == "trigger"


def test_the_profile_of_the_manual_is_one_line_a_device(tmp_path):
    path = tmp_path / "short.yaml"
    path.write_text(
        "bench: sim-mri\n"
        'instrument_name: "simulated 21.1 T"\n'
        "devices:\n"
        '  pstat: {kind: potentiostat, driver: keithley_2450, resource: "sim://smu", '
        "limits: {max_voltage_v: 5, max_current_ma: 10}}\n"
        '  mri: {kind: mri, console: {driver: console_bridge, resource: "sim://console"}, '
        'trigger: {driver: agilent_33500, resource: "sim://ttl"}}\n'
    )
    short, shipped = load_profile(path), load_profile("sim-mri", environ={})
    assert short.safe_actions == shipped.safe_actions
    assert short.devices == shipped.devices


def test_a_document_is_json_and_reads_back():
    profile = load_profile("sim-mri", environ={})
    document = json.loads(json.dumps(profile.to_document(), allow_nan=False))
    assert BenchProfile.model_validate(document) == profile


def test_the_hash_is_of_the_content(load):
    same = load("bench: sim-mri", "# a comment\nbench:   'sim-mri'")
    other = load("max_voltage_v: 5", "max_voltage_v: 4")
    assert same.profile_hash == load_profile("sim-mri", environ={}).profile_hash
    assert other.profile_hash != same.profile_hash


CASES = [
    ("bench: sim-mri", "", "bench: is missing, expected a bench's name"),
    ("bench: sim-mri", "bench: a/b", r"got 'a/b', expected a bench's name \(letters"),
    ("instrument_name:", "instrument:", r"instrument: is not a known key \(did you mean instrume"),
    ("kind: potentiostat", "kind: potentiostatt", "got 'potentiostatt', expected a kind of device"),
    ("kind: potentiostat, ", "", r"devices\.pstat\.kind: is missing, expected .*potentio"),
    ("driver: keithley_2450", "driver: os.system", r"driver: got 'os\.system', expected a driver"),
    ("driver: keithley_2450", "driver: console_bridge", "expected a driver for a potentiostat"),
    ("driver: agilent_33500", "driver: keithley_2450", "expected a driver for a trigger"),
    (', resource: "sim://smu"', "", r"devices\.pstat\.resource: is missing, expected an address"),
    ('"sim://smu"', '"sim://"', "got 'sim://', expected an address such as sim://smu"),
    ('"sim://smu"', '"TCPIP::1.2.3.4::99999::SOCKET"', "the port is a number from 1 to 65535"),
    ('"sim://smu"', '"TCPIP::1.2.3.4::5025::SOCKET\\n*RST"', "expected an address"),
    ('"sim://smu"', '"sim://ttl"', r"mri\.trigger\.resource: got sim://ttl, which pstat uses"),
    (", limits: {max_voltage_v: 5, max_current_ma: 10}", "", r"limits: is missing, expected what"),
    ("max_voltage_v: 5, ", "", r"limits\.max_voltage_v: is missing, expected the highest vol"),
    ("max_voltage_v: 5", "max_voltage_mv: 5000", r"max_voltage_v: write it and multiply.*0\.001"),
    ("max_voltage_v: 5", "max_voltage_v: .inf", "there is no unlimited"),
    ("max_voltage_v: 5", "max_voltage_v: 5, min_voltage_v: 6", "expected the first to be smaller"),
    ("max_current_ma: 10", "max_current_ma: -10", "got -10, expected the most positive current"),
    ("  pstat: {", "  p stat: {", r"got 'p stat', expected a device's name \(letters"),
    ("  pstat: {", "  RE: {", "got 'RE' as a device's name, which the session or a stream uses"),
    ("poll_period_s: 30", "poll_period_s: 0", "poll_period_s: got 0"),
    ("heartbeat_timeout_s: 10", "heartbeat_timeout_s: .inf", "heartbeat_timeout_s: got inf"),
    (
        "interlocks: []",
        "interlocks: [{device: x, signal: y, max: 1}]",
        "got 'x', expected a device",
    ),
    (
        "interlocks: []",
        "interlocks: [{device: pstat, signal: voltage, max: 1}]",
        "signal: got 'voltage', expected a reading of pstat.*mean voltage_v",
    ),
    ("interlocks: []", "interlocks: [{device: pstat, signal: voltage_v}]", "got no bound"),
    (
        "interlocks: []",
        "interlocks: [{device: pstat, signal: voltage_v, min: 2, max: 1}]",
        "got min 2 and max 1",
    ),
    (
        "interlocks: []",
        "interlocks: [{kind: imag, device: mri}]",
        r"interlocks\[0\]\.kind: got 'imag', expected a kind of interlock.*did you mean image",
    ),
    (
        "interlocks: []",
        "interlocks: [{kind: image, device: pstat}]",
        "got 'pstat', expected a device that takes images",
    ),
    (
        "interlocks: []",
        "interlocks: [{kind: data_rate, device: pstat}]",
        "within_s: is missing, expected a time in s",
    ),
    ("interlocks: []", "interlocks: [{kind: free_disk, min_gb: 0}]", "greater than 0"),
    ("interlocks: []", "interlocks: [3]", "got 3, expected an interlock"),
    (
        "interlocks: []",
        "interlocks: [{device: pstat, signal: voltage_v, max: 4, evry_s: 3}]",
        "is not a known key.*every_s",
    ),
    (
        "interlocks: []",
        "interlocks: [{device: pstat, signal: voltage_v, max: 4, evidence: [spectrum]}]",
        "the cell is not driven again then",
    ),
    (
        "interlocks: []",
        "interlocks: [{device: pstat, signal: voltage_v, max: 4}, "
        "{device: pstat, signal: voltage_v, min: 0}]",
        r"interlocks\[1\]: is called pstat.voltage_v, as interlock 1 is \(give it a name",
    ),
    (
        "{device: mri, action: abort}",
        "{device: mri, action: abort, celsius: 20}",
        "got celsius with abort, expected it with go_to",
    ),
    (
        "{device: mri, action: abort}",
        "{device: mri, action: off}",
        "what mri can do: abort, keep or trigger_off",
    ),
    ("{device: mri, action: abort}", "{device: sem, action: off}", "got 'sem', expected a device"),
    (
        "driver: console_bridge,",
        "driver: console_bridge, identity: '(',",
        "correct it: missing \\)",
    ),
    (
        "driver: console_bridge,",
        "driver: console_bridge, timeout_s: 60,",
        "timeout in s.*at most 1",
    ),
]


@pytest.mark.parametrize(("old", "new", "says"), CASES, ids=lambda value: str(value)[:30])
def test_a_mistake_is_said_with_its_place(load, tmp_path, old, new, says):
    """Row 1: a bench profile."""
    with pytest.raises(ProfileError) as caught:
        load(old, new)
    lines = str(caught.value).splitlines()
    assert all(LINE.match(line) for line in lines), lines
    assert all(line.startswith(str(tmp_path / "bench.yaml")) for line in lines)
    assert any(re.search(says, line) for line in lines), lines


@pytest.mark.parametrize("value", [".nan", ".inf", "true", "'5'"])
def test_a_bad_limit_is_one_mistake_not_two(load, value):
    with pytest.raises(ProfileError) as caught:
        load("max_voltage_v: 5", f"max_voltage_v: {value}")
    assert len(caught.value.problems) == 1


def test_several_mistakes_are_said_at_once(load):
    """Row 1: several of a profile."""
    with pytest.raises(ProfileError) as caught:
        load(
            "max_voltage_v: 5, max_current_ma: 10}}\n",
            "max_current_ma: 1}}\n  x: {kind: y}\n  RE: 3\n",
        )
    paths = [str(problem).split(": ")[1] for problem in caught.value.problems]
    assert paths == ["devices.pstat.limits.max_voltage_v", "devices.x.kind", "devices.RE"]


def test_hardware_loses_no_more_than_ten_seconds(load):
    real = load('"sim://ttl"', '"TCPIP::192.0.2.7::5025::SOCKET"')
    assert not real.simulated
    assert real.any_simulated
    assert real.journal_period_s == 10.0
    with pytest.raises(ProfileError, match="got 900 s on hardware, expected at most 10 s"):
        load(
            'resource: "sim://ttl"}\n',
            'resource: "GPIB0::7::INSTR"}\njournal_every_s: 900\n',
        )


@pytest.mark.parametrize(
    "address",
    [
        "sim://smu", "sim://ttl-2", "TCPIP::192.0.2.7::5025::SOCKET", "TCPIP0::lab.example::INSTR",
        "TCPIP::192.0.2.7::inst0::INSTR", "tcpip::[fe80::1]::5025::socket", "GPIB0::24::INSTR",
        "USB0::0x05E6::0x2450::04501234::INSTR", "USB0::1510::9296::04501234::0::INSTR",
        "ASRL/dev/ttyUSB0::INSTR", "ASRL3::INSTR", "ASRLCOM4::INSTR",
    ],
)  # fmt: skip
def test_addresses(address):
    assert Resource().check(address) == address
    assert is_simulated(address) == address.startswith("sim:")


@pytest.mark.parametrize(
    "address",
    [
        "", "smu", "sim://", "sim://Smu Two", "SIM:/smu", "TCPIP::::5025::SOCKET", 5025, None,
        "TCPIP::192.0.2.7::0::SOCKET", "TCPIP::192.0.2.7::5025::SOCKET ", "file:///etc/passwd",
        "GPIB0::INSTR", "TCPIP::a b::5025::SOCKET", "sim://smu\n", "sim://" + "a" * 300,
    ],
)  # fmt: skip
def test_what_is_no_address(address):
    with pytest.raises(ValueError, match="expected an address such as"):
        Resource().check(address)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text):
    try:
        assert Resource().check(text) == text
    except ValueError:
        return
    assert text.isascii()
    assert not set(text) & set("\r\n\0 ")


# --- where profiles are found --------------------------------------------------------------------


def write(folder: Path, name: str, bench: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(TEXT.replace("bench: sim-mri", f"bench: {bench or path.stem}"))
    return path


def test_a_name_is_looked_for_here_then_in_the_environment_then_among_the_shipped(tmp_path):
    environ = {"OPERANDO_BENCHES": f"{tmp_path / 'x'}:{tmp_path / 'y'}"}
    here, x, y = tmp_path / "here", tmp_path / "x", tmp_path / "y"
    here.mkdir()
    assert find_profile("sim-mri", beside=here, environ=environ) == SHIPPED
    write(y, "sim-mri.yaml")
    assert find_profile("sim-mri", beside=here, environ=environ) == y / "sim-mri.yaml"
    write(x, "sim-mri.yml")
    assert find_profile("sim-mri", beside=here, environ=environ) == x / "sim-mri.yml"
    write(here, "sim-mri.yaml")
    assert find_profile("sim-mri", beside=here, environ=environ) == here / "sim-mri.yaml"
    assert profile_names(environ).count("sim-mri") == 1


def test_a_path_is_a_path(tmp_path):
    path = write(tmp_path, "mine.yaml", bench="other")
    assert load_profile(path).bench == "other"
    assert load_profile(str(path)).bench == "other"
    assert load_profile("mine.yaml", beside=tmp_path, environ={}).bench == "other"
    with pytest.raises(ProfileError, match=r"got 'other', expected 'mine' as the file is called"):
        load_profile("mine", beside=tmp_path, environ={})


def test_a_profile_that_is_not_there(tmp_path):
    with pytest.raises(ProfileError, match=r"sim-mir:1:1: got 'sim-mir', found no such bench"):
        load_profile("sim-mir", beside=tmp_path, environ={})
    for name in ("../../etc/passwd", "..", "a\0b", "", "nö", "a" * 300):
        with pytest.raises(ProfileError, match=r":1:1: "):
            load_profile(name, beside=tmp_path, environ={})


def test_loading_a_profile_does_not_import_the_simulator():
    code = (
        "import sys; from orchestrator.profile.loading import load_profile; "
        "load_profile('sim-mri', environ={}); "
        "sys.exit(sum(name.split('.')[0] in ('sim', 'ophyd', 'pymeasure') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0


# --- tables --------------------------------------------------------------------------------------


def test_tables_are_consistent():
    roles = {driver.role for driver in drivers().values()}
    assert {role for kind in kinds().values() for role in kind.parts.values()} <= roles
    assert all(name == entry.name for name, entry in (*kinds().items(), *drivers().items()))
    for kind in kinds().values():
        assert isinstance(kind, Kind)
        assert kind.safe_actions
        assert kind.optional_parts <= set(kind.parts)
    for driver in drivers().values():
        assert isinstance(driver, Driver)
        assert not driver.steps & set(driver.reason)


PLUGIN = """
from orchestrator.profile.tables import Driver, Kind

kind = Kind("furnace", parts={"oven": "oven"}, signals=("temperature_celsius",))
driver = Driver("acme_oven", role="oven")
usurper = Driver("keithley_2450", role="oven")
"""
POINTS = """
[operando.devices]
furnace = plugin_of_a_lab:kind
[operando.drivers]
acme_oven = plugin_of_a_lab:driver
keithley_2450 = plugin_of_a_lab:usurper
"""
USE = """
import sys
from orchestrator.profile.loading import load_profile
from orchestrator.profile.tables import drivers
profile = load_profile(sys.argv[1])
assert list(profile.links) == ["pstat", "mri.console", "mri.trigger", "furnace.oven"]
assert profile.kind_of("furnace").signals == ("temperature_celsius",)
assert drivers()["keithley_2450"].role == "potentiostat"
"""


def test_another_distribution_adds_kinds_and_drivers(tmp_path):
    """By real entry points, in a process of its own: the tables are read once."""
    (tmp_path / "plugin_of_a_lab.py").write_text(PLUGIN)
    info = tmp_path / "plugin_of_a_lab-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-of-a-lab\nVersion: 1\n")
    (info / "entry_points.txt").write_text(POINTS)
    device = (
        '  furnace: {kind: furnace, parts: {oven: {driver: acme_oven, resource: "sim://oven"}}}\n'
    )
    path = tmp_path / "bench.yaml"

    def loads(text: str) -> subprocess.CompletedProcess[str]:
        path.write_text(text)
        return subprocess.run(
            [sys.executable, "-c", USE, str(path)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    text = TEXT.replace("poll_period_s:", f"{device}poll_period_s:", 1)
    done = loads(text)
    assert done.returncode == 0, done.stderr
    assert "has no part oven" in loads(text.replace("oven: {driver", "stove: {driver")).stderr
    (info / "entry_points.txt").write_text(POINTS.replace(":kind", ":driver"))
    assert "got Driver, expected Kind" in loads(text).stderr


TOKENS = [match.span() for match in re.finditer(r"[A-Za-z0-9_.\-:/]+|[\[\]{}:,]", TEXT)]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    spans=st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4, unique=True),
    words=st.lists(
        st.sampled_from(
            [
                "",
                "0",
                ".nan",
                "~",
                "[]",
                "{}",
                "*a",
                "&a",
                "!x y",
                "mri",
                "sim://smu",
                "pstat",
                "on",
                "kind:mri",
                "[key]",
                "1e9",
                "-5",
                "x y",
                "'",
                '"',
                "#",
                "\t",
                "é",
                "{kind: mri}",
            ]
        ),
        min_size=4,
        max_size=4,
    ),
)
def test_random_mutations_raise_nothing_but_profile_errors(tmp_path, spans, words):
    text = TEXT
    for (start, end), word in zip(sorted(spans, reverse=True), words, strict=False):
        text = text[:start] + word + text[end:]
    path = tmp_path / "bench.yaml"
    path.write_text(text, encoding="utf-8")
    told = ""
    try:
        profile = load_profile(path)
    except ProfileError as error:
        told = str(error)
    if told:
        assert all(LINE.match(line) for line in told.split("\n")), told
    else:
        assert BenchProfile.model_validate(profile.to_document()) == profile
