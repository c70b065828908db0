"""Row 30: what is left energised by processes that died, by a reboot, is found and switched off."""

from __future__ import annotations

import json
import os
import signal

import pytest

from orchestrator import registered, telling
from orchestrator.cli import main
from orchestrator.errors import RecordError, UnsafeBenchError
from orchestrator.profile.loading import load_profile
from orchestrator.registered import Registration, taken_over
from orchestrator.registered import registered as listed
from orchestrator.telling import spool_directory
from orchestrator.watchdog.latch import Latch
from tests.command import wait_until
from tests.unattended.test_watchdog import Engine, gone, laboratory_of


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("OPERANDO_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def laboratory(tmp_path):
    yield from laboratory_of(tmp_path)


@pytest.fixture
def engine(laboratory):
    """A process that has energised the cell, with its watchdog."""
    made = Engine(laboratory)
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.communicate(timeout=10)


def power_fails(engine):
    """Engine and watchdog are gone at once; the instrument has a supply of its own."""
    engine.process.send_signal(signal.SIGSTOP)
    os.kill(engine.watchdog, signal.SIGKILL)
    engine.process.kill()
    engine.process.communicate(timeout=10)
    wait_until(lambda: gone(engine.watchdog), what="the watchdog is gone")


def asked(capsys, *words):
    code = main([*map(str, words), "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else said.err


def told():
    return [json.loads(path.read_bytes()) for path in sorted(spool_directory().glob("*.json"))]


def test_after_a_power_loss_nothing_stays_energised(laboratory, engine, capsys, monkeypatch):
    """Row 30: reboot with an instrument that has a supply of its own."""
    power_fails(engine)
    assert laboratory.on
    monkeypatch.setattr(registered, "boot_id", lambda: "another boot")
    (one,) = listed()
    assert (one.bench, one.held, one.from_another_boot) == ("watched", False, True)
    code, said = asked(capsys, "off", "--abandoned")
    assert code == 0
    assert said["benches"] == [
        {"bench": "watched", "in_use": False, "off": ["pstat"], "unsafe": {}}
    ]
    assert not laboratory.on
    assert listed() == []
    (telling_,) = told()
    assert telling_["text"].endswith("the machine was started since")
    assert (telling_["severity"], telling_["cell"]) == ("failure", "off, verified (pstat)")
    assert asked(capsys, "off", "--abandoned") == (0, {"benches": []})  # nothing left to do


def test_what_is_watched_is_left_alone_and_ended_in_order_where_all_must_be_off(
    laboratory, engine, capsys
):
    """Row 30: a scheduler that ends; then the machine is shut down."""
    code, said = asked(capsys, "off", "--abandoned")
    assert (code, said["benches"][0]["in_use"], laboratory.on) == (0, True, True)
    code, said = asked(capsys, "off", "--all")
    assert (code, laboratory.on) == (0, False)
    assert said["benches"][0]["unsafe"] == {}
    assert engine.end().endswith("off True\n")  # it went through its own finalizers
    assert listed() == []
    assert told() == []  # nothing went wrong


def test_a_bench_that_is_left_and_cannot_be_reached_is_unsafe(tmp_path, capsys):
    """Rows 18, 30: latched, told, and refused until somebody has looked."""
    lab = laboratory_of(tmp_path)
    laboratory = next(lab)
    engine = Engine(laboratory)
    power_fails(engine)
    lab.close()  # nothing listens any more
    code, said = asked(capsys, "off", "--abandoned")
    assert code == 3
    assert "pstat" in said["benches"][0]["unsafe"]
    with pytest.raises(UnsafeBenchError, match="UNSAFE"):
        Latch("watched").check()
    assert [one["severity"] for one in told()] == ["unsafe"]
    assert len(listed()) == 1  # it is tried again at the next occasion


def test_a_watchdog_that_has_switched_off_leaves_nothing_to_do(laboratory, engine):
    """Row 28: a killed engine."""
    engine.process.kill()
    laboratory.off_within(10.0)
    wait_until(lambda: gone(engine.watchdog), what="the watchdog has left")
    assert listed() == []


def test_what_cannot_be_registered_is_not_energised(laboratory, tmp_path, monkeypatch):
    """Row 30: it would not be found after a crash."""
    profile = load_profile(laboratory.profile())
    mine = Registration(profile, tmp_path)
    mine.begin()
    monkeypatch.setattr(registered, "_LOCK_WITHIN_S", 0.1)
    with pytest.raises(UnsafeBenchError, match="cannot be registered"):
        Registration(profile, tmp_path).begin()
    mine.end(everything_off=False)
    (one,) = listed()
    assert not one.held
    with (
        taken_over(one) as taken,
        pytest.raises(UnsafeBenchError, match="switches it off at this moment"),
    ):
        Registration(profile, tmp_path).begin()
    assert taken == one
    mine.begin()
    mine.end(everything_off=True)
    mine.end(everything_off=True)
    assert listed() == []
    (tmp_path / "file").touch()
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "file"))
    with pytest.raises(UnsafeBenchError, match="cannot be registered"):
        Registration(profile, tmp_path).begin()


def test_a_list_that_cannot_be_read_is_said_and_not_passed_over(tmp_path, capsys):
    folder = tmp_path / "state" / "energised"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("{")
    with pytest.raises(RecordError, match="look at every cell"):
        listed()
    assert main(["off", "--abandoned"]) == 5
    assert "look at every cell" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [[], ["sim-mri", "--all"], ["--all", "--abandoned"], ["--all", "--acknowledge"]]
)
def test_what_off_is_asked_for_must_be_clear(words, capsys):
    assert main(["off", *words]) == 2


def test_off_is_a_line_of_the_audit_log_where_there_is_one(laboratory, tmp_path, capsys):
    from orchestrator.records.audit import AuditLog, read_audit

    log = AuditLog(tmp_path / "data" / "audit.jsonl")
    log.path.parent.mkdir()
    log.append("request", "somebody")
    Latch("watched").set({"pstat": "x"}, "y")
    assert (
        main(["off", str(laboratory.profile()), "--acknowledge", "--data", str(log.path.parent)])
        == 0
    )
    (_, line) = read_audit(log.path)
    assert (line["kind"], line["what"]["bench"]) == ("off", "watched")
    assert line["what"]["acknowledged"] is True
    assert telling._STARTED == []
