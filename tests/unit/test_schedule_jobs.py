"""The queue: one job for one key, order, dependencies, missed starts, and nothing runs twice."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from orchestrator.errors import ScheduleError
from orchestrator.schedule.job import ASKING, ENDED, Request, State
from orchestrator.schedule.jobs import JobStore
from tests.command import environment
from tests.warm import Child


class Clock:
    def __init__(self):
        self.now_s = 1_000_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    return JobStore(tmp_path / "data" / "jobs.sqlite", now=clock)


def asked(key="a", **more):
    return Request(
        **{"experiment": "e.yaml", "bench": "b1", "profile": "b1.yaml", "key": key} | more
    )


def add(store, *args, **more):
    return store.add(asked(*args, **more))[0]


def claim(store):
    return store.claim(runner="here", boot_id="boot")


def test_one_key_is_one_job_and_survives(store, clock):
    """Row 34: submitted twice."""
    job, new = store.add(asked(hashes={"experiment": "1"}, md={"operator": "ä"}, by="me"))
    assert new
    again, new = store.add(asked(hashes={"experiment": "1"}, priority=7))
    assert not new
    assert again == job == JobStore(store.path).get(job.id[:8])
    assert store.history(job.id) == [(1_000_000.0, "added", "me")]
    with pytest.raises(ScheduleError, match="'a' with another hashes"):
        store.add(asked(hashes={"experiment": "2"}))
    with pytest.raises(ScheduleError, match="0 match"):
        store.get("nothing")
    with pytest.raises(ScheduleError, match="1 match"):
        store.get(job.id[:3])


def test_the_order_is_priority_then_time_then_the_first_asked(store, clock):
    late = add(store, "late", not_before_s=clock.now_s + 10, bench="b2")
    first = add(store, "first", not_before_s=clock.now_s - 10, start="t", bench="b3")
    urgent = add(store, "urgent", priority=1, bench="b4")
    add(store, "same bench", bench="b4")
    assert claim(store).id == urgent.id
    assert claim(store).id == first.id
    assert claim(store) is None  # b4 is busy, the other's time has not come
    clock.now_s += 11
    assert claim(store).id == late.id
    store.finish(urgent.id, State.DONE, "completed")
    assert claim(store).request.key == "same bench"
    assert claim(store) is None


def test_dependencies(store):
    one = add(store, "one")
    two = add(store, "two", after=[one.id[:8]], bench="b2")
    assert store.waits_for(two) == f"waits for {one.id[:8]}"
    claim(store)
    assert claim(store) is None
    store.finish(one.id, State.DONE, "completed")
    assert claim(store).id == two.id
    three = add(store, "three", after=[two.id], bench="b3")
    store.finish(two.id, State.FAILED, "no")
    assert claim(store) is None
    assert "is failed" in store.waits_for(three)
    with pytest.raises(ScheduleError, match="0 match"):
        add(store, "four", after=["unknown"])


def test_an_interrupted_job_is_never_run_again_by_itself(store, clock):
    """Rows 28, 30: never run again by itself."""
    job = add(store)
    claim(store)
    store.began_run(job.id, "uid1")
    store.finish(job.id, State.INTERRUPTED, "its runner died")
    clock.now_s += 1e7
    assert claim(store) is None
    add(store, "same bench")
    assert claim(store) is None  # nobody has looked at the cell on that bench yet
    assert "interrupted" in store.waits_for(store.jobs()[-1])
    with pytest.raises(ScheduleError, match="expected one of again, resume"):
        store.acknowledge(job.id, "whatever")
    store.acknowledge(job.id, "again", by="me")
    again = claim(store)
    assert again.id == job.id or again.request.key == "same bench"
    assert store.get(job.id).runs == ("uid1",)


@pytest.mark.parametrize(
    ("missed", "late_s", "state"),
    [
        ("ask", 3599, State.RUNNING), ("ask", 3601, State.MISSED),
        ("skip", 3601, State.SKIPPED), ("start", 1e7, State.RUNNING),
    ],
)  # fmt: skip
def test_a_start_that_was_missed(store, clock, missed, late_s, state):
    """Row 33: the policy of a start that was missed."""
    job = add(store, start="said", not_before_s=clock.now_s, missed=missed)
    clock.now_s += late_s
    claimed = claim(store)
    assert (claimed is not None) is (state is State.RUNNING)
    assert store.get(job.id).state is state
    if state is State.MISSED:
        assert store.acknowledge(job.id, "again").state is State.WAITING
        assert claim(store).id == job.id


def test_held_and_removed(store):
    job = add(store)
    store.hold(job.id, held=True)
    assert claim(store) is None
    assert store.waits_for(store.get(job.id)) == "held back"
    store.hold(job.id, held=False)
    claim(store)
    for change in (lambda: store.remove(job.id), lambda: store.hold(job.id, held=True)):
        with pytest.raises(ScheduleError, match="is running"):
            change()
    store.finish(job.id, State.DONE, "completed")
    with pytest.raises(ScheduleError, match="is done, expected running"):
        store.finish(job.id, State.DONE, "once more")
    assert store.jobs(ended=False) == []


def test_a_file_that_is_no_queue_is_named(tmp_path):
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(ScheduleError, match=r"jobs\.sqlite: cannot be used: .*not a database"):
        JobStore(path)


def test_asked_twenty_times_at_once_it_is_one_job(tmp_path):
    """Row 34: submitted by twenty processes at once."""
    code = (
        "import sys; from pathlib import Path\n"
        "from orchestrator.schedule.jobs import JobStore, Request\n"
        "sys.stdin.readline()\n"
        "store = JobStore(Path(sys.argv[1]))\n"
        "job, new = store.add(Request('e', 'b', 'p', 'key'))\n"
        "mine = store.claim(runner=sys.argv[2], boot_id='boot')\n"
        "print(job.id, new, mine is not None)\n"
    )
    processes = [
        Child(
            [sys.executable, "-c", code, tmp_path / "jobs.sqlite", str(number)],
            cwd=tmp_path, env=environment(), stdin=subprocess.PIPE,
        )
        for number in range(20)
    ]  # fmt: skip
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 20
    assert len({job for job, _, _ in said}) == 1
    assert [new for _, new, _ in said].count("True") == 1
    assert [mine for _, _, mine in said].count("True") == 1


class Queue(RuleBasedStateMachine):
    """Whatever is done in whatever order: never two jobs on a bench, nothing begins twice."""

    jobs = Bundle("jobs")

    def __init__(self):
        super().__init__()
        import tempfile
        from pathlib import Path

        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.store = JobStore(Path(self.folder.name) / "jobs.sqlite", now=self.clock)
        self.begun: dict[str, int] = {}
        self.allowed: dict[str, int] = {}

    @rule(
        target=jobs, key=st.integers(0, 5), bench=st.sampled_from(["b1", "b2"]),
        late=st.booleans(), wait_s=st.sampled_from([0.0, 5.0]), priority=st.integers(0, 2),
    )  # fmt: skip
    def add(self, key, bench, late, wait_s, priority):
        request = asked(f"{key}{bench}{late}", bench=bench, start="t" if late else "",
                        not_before_s=self.clock.now_s + wait_s, priority=priority)  # fmt: skip
        job, new = self.store.add(request)
        assert new or job.id in self.allowed
        self.allowed.setdefault(job.id, 1)
        return job.id

    @rule(wait_s=st.sampled_from([1.0, 10.0, 4000.0]))
    def pass_time(self, wait_s):
        self.clock.now_s += wait_s

    @rule()
    def claim(self):
        job = claim(self.store)
        if job is not None:
            self.begun[job.id] = self.begun.get(job.id, 0) + 1

    @rule(job=jobs, state=st.sampled_from([State.DONE, State.FAILED, State.INTERRUPTED]))
    def finish(self, job, state):
        if self.store.get(job).state is State.RUNNING:
            self.store.finish(job, state, "")

    @rule(job=jobs)
    def again(self, job):
        if self.store.get(job).state in ASKING:
            self.store.acknowledge(job, "again")
            self.allowed[job] += 1

    @rule(job=jobs, held=st.booleans())
    def hold(self, job, held):
        if self.store.get(job).state not in {*ENDED, State.RUNNING}:
            self.store.hold(job, held=held)

    @invariant()
    def one_for_a_bench_and_none_twice(self):
        running = [one.request.bench for one in self.store.jobs() if one.state is State.RUNNING]
        assert len(running) == len(set(running))
        for job, times in self.begun.items():
            assert times <= self.allowed[job]

    def teardown(self):
        self.folder.cleanup()


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


@given(st.text(max_size=50))
def test_no_text_finds_what_is_not_meant(text):
    """Row 35: names of jobs."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        store = JobStore(Path(folder) / "jobs.sqlite")
        job = add(store)
        try:
            assert store.get(text).id == job.id
        except ScheduleError:
            assert not (len(text) >= 4 and job.id.startswith(text))
