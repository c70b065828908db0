"""What is sent when: once, not too often, not at night, again after a failure or a crash."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.alerts import anchors
from orchestrator.alerts.deliverer import FIRST_RETRY_S, Deliverer
from orchestrator.alerts.model import Alerts
from orchestrator.alerts.outbox import KEPT_S, Outbox
from orchestrator.alerts.sending import NotSentError
from orchestrator.errors import AlertError, RecordError
from orchestrator.records.audit import AuditLog
from orchestrator.telling import Severity, Telling, spool_directory, tell

NOON_S = datetime(2026, 11, 26, 12, tzinfo=ZoneInfo("Europe/Zurich")).timestamp()
QUIET = {"begin": "22:00", "end": "07:00", "zone": "Europe/Zurich"}


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("OPERANDO_CONFIG", str(tmp_path / "config"))


class Post:
    """An outbox in a time of its own, and a channel that fails when it is told to."""

    def __init__(self, **alerts):
        self.now_s = NOON_S
        self.sent: list[tuple[float, str, str]] = []
        self.failures: list[Exception] = []
        channels = alerts.pop("channels", {"chat": "notice"})
        hooks = [
            {"name": name, "url": "http://localhost/", "least": least}
            for name, least in channels.items()
        ]
        self.alerts: Alerts | Exception = Alerts.model_validate({"webhook": hooks} | alerts)
        self.outbox = Outbox(now=lambda: self.now_s)
        self.deliverer = self.made()

    def made(self) -> Deliverer:
        return Deliverer(self.outbox, send=self.send, load=self.load)

    def load(self, _data):
        if isinstance(self.alerts, Exception):
            raise self.alerts
        return self.alerts

    def send(self, message, channel):
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((self.now_s, channel.name, message.subject))
        self.message = message
        return ""

    def told(self, text, severity=Severity.FAILURE, **more):
        more = {"kind": "run", "bench": "b", "time": self.now_s} | more
        tell(Telling(severity=severity, text=text, **more))

    def pass_time(self, duration_s, step_s=60.0):
        """Step whenever something is due, at least each `step_s`."""
        ends_s = self.now_s + duration_s
        while self.now_s < ends_s:
            again_s = self.deliverer.step()
            least_s = self.now_s + 1.0
            self.now_s = min(ends_s, max(again_s or ends_s, least_s), self.now_s + step_s)

    def subjects(self):
        return [subject for _, _, subject in self.sent]


@pytest.fixture
def post():
    return Post()


def test_who_wants_it_is_told_once(tmp_path):
    post = Post(channels={"all": "notice", "bad": "failure", "worst": "unsafe"})
    post.told("something ended", Severity.NOTICE)
    post.told("something failed", bench="c")
    post.told("not off", Severity.UNSAFE, bench="d")
    assert post.deliverer.step() is None
    names = [(name, subject.split(":")[1].strip()) for _, name, subject in post.sent]
    assert names == [
        ("all", "not off"),
        ("bad", "not off"),
        ("worst", "not off"),
        ("all", "something failed"),
        ("bad", "something failed"),
        ("all", "something ended"),
    ]  # the worst first
    post.now_s += 1e5
    assert post.deliverer.step() is None
    assert len(post.sent) == 6
    assert list(spool_directory().glob("*")) == []


def test_the_same_thing_told_twice_is_one_message(post):
    """Row 34: by its runner and by the scheduler, and by the next scheduler."""
    for _ in range(3):
        post.told("job 7 failed", key="job:7:failed")
        post.deliverer.step()
    assert len(post.sent) == 1


def test_what_comes_too_often_is_joined(post):
    for number in range(20):
        post.told(f"failed {number}")
        post.pass_time(60.0)
    assert len(post.sent) == 6
    assert post.outbox.listed()[-1]["deliveries"][0]["note"] == "6 in an hour"
    post.told("failed elsewhere", bench="c")
    post.deliverer.step()
    assert len(post.sent) == 7  # a bench that is noisy mutes no other
    post.pass_time(3600.0, step_s=600.0)
    assert len(post.sent) == 8
    assert [one.text for one in post.message.tellings] == [f"failed {n}" for n in range(6, 20)]
    assert {one["deliveries"][0]["state"] for one in post.outbox.listed()} == {"sent"}


def test_what_is_unsafe_is_never_held_back():
    """Row 18: neither by a rate nor at night."""
    post = Post(per_hour=1, quiet_hours=QUIET)
    post.now_s += 11 * 3600  # 23:00
    for number in range(5):
        post.told(f"not off {number}", Severity.UNSAFE)
        assert post.deliverer.step() is None
        post.now_s += 1.0
    assert len(post.sent) == 5


def test_at_night_all_else_waits_and_is_told_in_the_morning():
    post = Post(quiet_hours=QUIET)
    post.now_s += 11 * 3600
    post.told("failed at 23:00")
    post.now_s += 3600
    post.told("failed at midnight")
    morning_s = post.deliverer.step()
    assert (morning_s, post.sent) == (NOON_S + 19 * 3600, [])
    assert post.outbox.listed()[0]["deliveries"][0]["note"] == "quiet hours"
    post.deliverer = post.made()  # another process, after a restart
    post.pass_time(8 * 3600, step_s=1800.0)
    assert [when for when, _, _ in post.sent] == [morning_s]
    assert post.subjects()[0].endswith("failed at 23:00 (and 1 more)")


def test_a_failure_is_tried_again_ever_more_slowly(post):
    post.failures = [NotSentError("not reached") for _ in range(9)]
    post.told("failed")
    waits = []
    while (again_s := post.deliverer.step()) is not None:
        waits.append(again_s - post.now_s)
        post.now_s = again_s
    assert waits == [30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]
    assert len(post.sent) == 1
    assert post.outbox.listed()[0]["deliveries"][0]["attempts"] == 10


def test_what_is_unsafe_is_tried_each_five_minutes_for_ever(post):
    post.failures = [NotSentError("refused", lasting=True) for _ in range(5000)]
    post.told("not off", Severity.UNSAFE)
    post.pass_time(3600.0, step_s=300.0)
    assert 12 <= 5000 - len(post.failures) <= 15
    post.now_s += 1000 * 3600.0
    post.deliverer.step()
    assert post.outbox.listed()[0]["deliveries"][0]["state"] == "waiting"


def test_after_three_days_it_is_given_up(post):
    post.failures = [NotSentError("answered 404", lasting=True) for _ in range(500)]
    post.told("failed")
    for _ in range(4):
        post.deliverer.step()
        post.now_s += 25 * 3600.0
    way = post.outbox.listed()[0]["deliveries"][0]
    assert (way["state"], way["note"]) == ("failed", "given up: answered 404")
    post.told("an old one", time=post.now_s - 73 * 3600)
    assert post.deliverer.step() is None
    assert post.outbox.listed()[0]["deliveries"] or not post.outbox.listed()[1]["deliveries"]


def test_a_server_that_asks_to_wait_is_waited_for(post):
    post.failures = [NotSentError("answered 429", after_s=1800.0)]
    post.told("failed")
    assert post.deliverer.step() == NOON_S + 1800.0


def test_a_channel_that_fails_keeps_no_other_from_being_told():
    post = Post(channels={"one": "notice", "two": "notice"})
    post.failures = [NotSentError("not reached")]
    post.told("failed")
    assert post.deliverer.step() == NOON_S + FIRST_RETRY_S
    assert [name for _, name, _ in post.sent] == ["two"]


class KilledError(BaseException):
    """As if the process had been killed there."""


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_process_that_dies_while_it_sends(post, where):
    """Row 28: told at least once; where it was sent already, again with the same id."""
    ids = []

    def dies(message, channel):
        ids.append(message.id)
        if where == "after":
            post.send(message, channel)
        raise KilledError

    post.told("failed")
    with pytest.raises(KilledError):
        Deliverer(post.outbox, send=dies, load=post.load).step()
    again_s = post.made().step()
    assert again_s == NOON_S + FIRST_RETRY_S
    post.now_s = again_s
    post.made().step()
    assert len(post.sent) == (2 if where == "after" else 1)
    assert post.message.id == ids[0]


def test_a_process_that_dies_between_spool_and_outbox(post, monkeypatch):
    post.told("failed")
    (path,) = spool_directory().glob("*.json")
    kept = path.read_bytes()
    post.outbox.take_up()
    path.write_bytes(kept)  # as if it had died before it removed the file
    post.deliverer.step()
    assert len(post.sent) == 1


def test_what_cannot_be_noted_is_not_sent_again_and_again(post, monkeypatch):
    """Row 23: the disk is full."""
    post.told("failed")
    post.outbox.take_up()

    def full(*_args, **_more):
        raise RecordError("outbox", "disk full", remedy="make room")

    monkeypatch.setattr(post.outbox, "begin", full)
    with pytest.raises(RecordError):
        post.deliverer.step()
    assert post.sent == []


def test_a_file_of_alerts_that_is_broken_loses_nothing(post):
    right, post.alerts = post.alerts, AlertError("alerts.yaml:1:1", "x", remedy="y")
    post.told("failed")
    assert post.deliverer.step() == NOON_S + FIRST_RETRY_S
    post.alerts = right
    post.deliverer.step()
    assert len(post.sent) == 1


def test_nobody_to_tell_and_channels_that_are_gone(post):
    right, post.alerts = post.alerts, None
    post.told("told to nobody")
    assert post.deliverer.step() is None
    post.alerts = right
    post.failures = [NotSentError("not reached")]
    post.told("failed")
    post.deliverer.step()
    post.alerts = Post(channels={"another": "notice"}).alerts
    post.now_s += 3600
    assert post.deliverer.step() is None
    assert post.sent == []
    ways = [one["deliveries"] for one in post.outbox.listed()]
    assert ways[0] == []
    assert ways[1][0]["note"] == "is no longer in the file of alerts"


def test_only_what_lacks_a_secret_waits():
    post = Post(channels={"one": "notice", "two": "notice"})
    post.failures = [NotSentError("$X", environment=True)]
    post.told("failed")
    post.deliverer.step()
    assert post.deliverer.only_missing
    post.failures = [NotSentError("$X", environment=True), NotSentError("not reached")]
    post.told("failed too", bench="c")
    post.deliverer.step()
    assert not post.deliverer.only_missing


def test_rubbish_in_the_spool_is_put_aside(post):
    post.told("failed")
    (path,) = spool_directory().glob("*.json")
    for number, rubbish in enumerate((b"", b"{", b"[]", b"x" * 200_000)):
        path.with_name(f"{number}.json").write_bytes(rubbish)
    post.deliverer.step()
    assert len(post.sent) == 1
    assert sorted(one.name for one in spool_directory().iterdir()) == [
        f"{number}.bad" for number in range(4)
    ]


def test_what_ended_long_ago_is_forgotten(post):
    post.told("failed")
    post.deliverer.step()
    post.failures = [NotSentError("not reached")] * 3
    post.told("waits", bench="c", severity=Severity.UNSAFE)
    post.deliverer.step()
    post.now_s += KEPT_S + 1.0
    post.outbox.prune()
    assert [one["text"] for one in post.outbox.listed()] == ["waits"]
    with sqlite3.connect(post.outbox.path) as db:
        assert db.execute("SELECT count(*) FROM deliveries").fetchone() == (1,)
    db.close()


def test_each_message_carries_the_head_of_the_audit_log(post, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    line = AuditLog(data / "audit.jsonl").append("request", "somebody", verb="pause")
    post.told("failed", data=str(data))
    post.deliverer.step()
    (anchor,) = anchors.anchors_of(data, anchors.anchors_file())
    assert (anchor.seq, anchor.hash, anchor.channel) == (0, line["hash"], "chat")
    assert line["hash"] in post.message.text
    assert (
        orjson.loads(orjson.dumps(post.message.to_document()))["audit"][0]["hash"] == (line["hash"])
    )


@settings(max_examples=6, deadline=None)
@given(
    told=st.lists(
        st.tuples(st.sampled_from(Severity), st.sampled_from("ab"), st.floats(0, 20_000)),
        min_size=1,
        max_size=8,
    ),
    fails=st.lists(st.booleans(), max_size=8),
    per_hour=st.integers(1, 3),
)
def test_whatever_happens_each_channel_is_told_everything(tmp_path_factory, told, fails, per_hour):
    """Failures, nights, rates and restarts put off, join and repeat; they lose nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPERANDO_STATE", str(tmp_path_factory.mktemp("state")))
        post = Post(per_hour=per_hour, quiet_hours=QUIET, give_up_after_h=1000)
        got: set[str] = set()
        left = list(fails)

        def send(message, channel):
            if left and left.pop():
                raise NotSentError("not reached", lasting=len(left) % 2 == 0)
            got.update(one.text for one in message.tellings)
            return ""

        def step():
            return Deliverer(post.outbox, send=send, load=post.load).step()

        for number, (severity, bench, wait_s) in enumerate(told):
            post.told(f"{number}", severity, bench=bench)
            again_s = step()
            post.now_s += wait_s
        for _ in range(60):
            if again_s is None:
                break
            post.now_s = max(post.now_s, again_s)
            again_s = step()
        assert again_s is None
        assert got == {str(number) for number in range(len(told))}
