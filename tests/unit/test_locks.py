"""One controller for each instrument: refused with its name, free when it is dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from orchestrator.errors import BusyError
from orchestrator.locks import controlling, lock_directory
from orchestrator.watchdog.latch import Latch

SMU, TTL = "TCPIP::192.0.2.7::5025::SOCKET", "USB0::0x0957::0x2307::MY1::INSTR"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))


def test_the_second_is_refused_and_told_by_whom():
    """Row 34: one lock for each instrument."""
    with controlling([TTL, SMU], bench="one"):
        with (
            pytest.raises(BusyError, match=f"two: {SMU} is controlled by process {os.getpid()}"),
            controlling([f" {SMU.lower()} "], bench="two"),
        ):
            pass
        with controlling([], bench="simulated"):
            pass
    with controlling([SMU], bench="two"):
        pass


def test_what_was_got_before_the_refusal_is_free_again():
    with controlling([TTL], bench="one"):
        with pytest.raises(BusyError), controlling([SMU, TTL], bench="two"):
            pass
        with controlling([SMU], bench="three"):
            pass


def test_a_killed_owner_owns_nothing(tmp_path):
    code = (
        "import time; from orchestrator.locks import controlling\n"
        f"with controlling([{SMU!r}], bench='killed'):\n"
        " print('has it', flush=True)\n time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "has it\n"
        with (
            pytest.raises(BusyError, match=f"process {process.pid} for the bench killed"),
            controlling([SMU], bench="two"),
        ):
            pass
    finally:
        process.kill()
        process.communicate()
    with controlling([SMU], bench="two"):
        pass


def test_an_owner_that_did_not_say_who_it_is():
    with controlling([SMU], bench="one"):
        (owner,) = lock_directory().glob("*.json")
        for text in ("", "[]", "{}", "\x00"):
            owner.write_text(text)
            with (
                pytest.raises(BusyError, match="another process"),
                controlling([SMU], bench="two"),
            ):
                pass


def test_the_mark_outlives_and_an_unreadable_one_counts(tmp_path):
    """Rows 18, 30: UNSAFE outlives processes and reboots."""
    latch = Latch("b")
    assert latch.read() is None
    latch.set({"pstat": "no answer"}, "the engine died")
    assert json.loads(latch.path.read_text())["devices"] == {"pstat": "no answer"}
    assert Latch("b").read()["reason"] == "the engine died"
    assert Latch("other").read() is None
    latch.path.write_text("{")
    assert Latch("b").read() == {"reason": "unreadable", "devices": {}}
    latch.clear()
    latch.clear()
    assert latch.read() is None
