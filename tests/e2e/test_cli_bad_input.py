"""Experiment files that cannot be run: said at file:line:column, and nothing is touched."""

from __future__ import annotations

import re

import pytest

from tests.command import EXAMPLES, operando

GOOD = (EXAMPLES / "quick_look.yaml").read_text(encoding="utf-8")
PLACE = re.compile(r"^bad\.yaml:(\d+):(\d+): .+ \(.+\)$")


def changed(old: str, new: str) -> bytes:
    assert old in GOOD, old
    return GOOD.replace(old, new, 1).encode()


def bombed() -> bytes:
    aliases = "a0: &a0 [x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    return aliases.encode() + GOOD.encode()


BAD = {
    "unknown key": (changed("record: {time_s: 0.5}", "recrod: {time_s: 0.5}"), "recrod"),
    "missing limit": (changed("max_voltage_V: 5, ", ""), "max_voltage_V: is missing"),
    "limit beyond the bench": (changed("max_voltage_V: 5", "max_voltage_V: 50"), "got 50 V"),
    "no current": (changed("cm2: 0.1, until", "cm2: 0, until"), "non-zero current"),
    "negative time": (changed("until_time_s: 4", "until_time_s: -4"), "got -4"),
    "loop to nowhere": (changed("loop_to: cycle", "loop_to: cycel"), "choose cycle"),
    "no such device": (changed("device: mri", "device: sem"), "sem"),
    "no matrix": (changed("matrix: [81, 52]", "matrix: [0, 0]"), "matrix"),
    "key twice": (changed("images:\n", "sample: {}\nimages:\n"), "sample"),
    "alias bomb": (bombed(), "alias"),
    "tag": (changed('"your name"', "!!python/name:os.system x"), "tag"),
    "not UTF-8": (GOOD.encode().replace(b"your name", b"\xff\xfe"), "UTF-8"),
    "empty": (b"", ""),
    "10 MB": (GOOD.encode() + b"#" * 10_000_000, ""),
    "metadata that JSON lacks": (changed('"your name"', ".nan"), "md.operator"),
    "no bench": (changed("bench: sim-mri\n", ""), "--bench"),
    "no such bench": (changed("bench: sim-mri\n", "bench: sim-mir\n"), "did you mean sim-mri"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_before_anything_is_touched(tmp_path, name):
    """Row 1: told at its place, and nothing is touched."""
    content, says = BAD[name]
    (tmp_path / "bad.yaml").write_bytes(content)
    done = operando("run", "bad.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines
    assert all(PLACE.match(line) for line in lines), done.stderr
    assert says in done.stderr
    # no journal, no data directory; that no instrument was opened either is the next test
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_no_instrument_library_is_loaded_for_a_bad_file(tmp_path):
    (tmp_path / "bad.yaml").write_bytes(BAD["no current"][0])
    done = operando("run", "bad.yaml", cwd=tmp_path, cold=True, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 2
    assert "orchestrator.experiment" in done.stderr
    loaded = re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE)
    assert not {"orchestrator.bench", "orchestrator.laboratory", "pyvisa"} & set(loaded)


def test_every_mistake_is_said_at_once(tmp_path):
    """Row 1: all at once."""
    text = GOOD.replace("area_cm2: 0.1257", "area_cm2: 0").replace(
        "cycle_count: 2", "cycle_count: 0"
    )
    (tmp_path / "bad.yaml").write_text(text.replace("operator:", "operater.x:"))
    done = operando("run", "bad.yaml", cwd=tmp_path)
    assert done.returncode == 2
    for said in ("sample.area_cm2: got 0", "cycle_count: got 0", "operater.x"):
        assert said in done.stderr


def test_a_disk_that_cannot_hold_the_run_is_refused(tmp_path):
    """Row 24: less than one and a half times the estimate is free."""
    huge = changed("cycle_count: 2", "cycle_count: 10000000")
    (tmp_path / "huge.yaml").write_bytes(huge.replace(b"time_s: 0.5", b"time_s: 0.2"))
    done = operando("run", "huge.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    assert done.stdout == ""
    assert re.search(r"\d+ MB free, expected \d+ MB", done.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["huge.yaml"]
