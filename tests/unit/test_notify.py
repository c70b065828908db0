"""What a service tells systemd, over a real socket as systemd's."""

from __future__ import annotations

import os
import socket
from itertools import pairwise

import pytest

from orchestrator.units import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(tmp_path, request):
    """A socket as systemd gives one, and its name as it says it."""
    path = str(tmp_path / "notify")
    abstract = f"@operando-test-{os.getpid()}"
    name = path if request.param == "path" else abstract
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(path if request.param == "path" else "\0" + abstract[1:])
        ear.setblocking(False)
        yield ear, name


def heard(ear):
    found = []
    while True:
        try:
            found.append(ear.recv(4096).decode())
        except BlockingIOError:
            return found


def test_ready_status_and_stopping_arrive(manager):
    ear, name = manager
    environ = {"NOTIFY_SOCKET": name}
    service = Notifier(environ)
    service.ready()
    for _ in range(2):
        service.status("2 running,\n1 waiting")
    service.stopping()
    assert heard(ear) == ["READY=1", "STATUS=2 running, 1 waiting", "STOPPING=1"]
    assert environ == {}  # what it starts does not speak for it


def test_a_loop_that_goes_round_is_heard_often_enough_and_no_more(manager):
    ear, name = manager
    now = [0.0]
    service = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000000"}, lambda: now[0])
    times = []
    for _ in range(600):
        service.beat()
        times += [now[0]] * len(heard(ear))
        now[0] += 0.1
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert times[0] == 0.0
    assert 4.9 < min(gaps) <= max(gaps) < 20.0 / 2


def test_beats_for_another_process_are_not_sent(manager):
    ear, name = manager
    for environ in (
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "soon"},
        {},
    ):
        service = Notifier({"NOTIFY_SOCKET": name, **environ})
        service.beat()
        assert (service.watchdog_s, heard(ear)) == (0.0, [])


@pytest.mark.parametrize("address", ["", "@", "relative", "/nowhere/at/all"])
def test_without_a_manager_nothing_happens(address):
    service = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    service.ready()
    service.beat()
    service.stopping()


def test_a_manager_that_does_not_read_holds_nothing_up(manager):
    _, name = manager
    service = Notifier({"NOTIFY_SOCKET": name})
    for number in range(5000):  # far more than the socket holds
        service.status(f"{number}")
