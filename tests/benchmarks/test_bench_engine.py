"""What our plan, engine and records cost beside plain bluesky doing the same messages.

Ways through the same day of cycling with images, on the same simulated devices and the same virtual
clock, one after the other, the order alternating:

- ours: `in_situ_mri` on the bench's engine, with journal, stamps and live state;
- plain: a plain `bluesky.RunEngine` that is handed the recorded messages one by one, so that
  nothing has to be decided and nothing is kept;
- paged: the same with pages of records composed as ours are, without bluesky's walk over a schema
  (docs/decisions/0007): what is left is plan, journal, stamps and live state;
- plan: our plan on that engine.

Times are of the processor, both threads: another process on the machine does not count.
"""

from __future__ import annotations

import gc
import statistics
import time

import pytest
from bluesky import Msg, RunEngine
from event_model import DocumentNames
from ophyd.status import Status

from devices import CellLimits
from orchestrator.bench import open_bench
from orchestrator.engine import Engine
from orchestrator.records.keeper import CheckpointKeeper
from plans import in_situ_mri
from plans.stubs import wait_any

PAIRS = 5
MOST = 1.25


def plan(bench, cycles=21):
    return in_situ_mri(
        bench.pstat,
        bench.mri,
        area_cm2=0.1257,
        limits=CellLimits(-5, 5, -1, 1),
        max_capacity_mah=1,
        current_ma_per_cm2=0.01,  # no short in this benchmark
        cycles=cycles,  # of 70 min: 21 are a day
    )


def recorded(messages, into):
    """Pass messages on, keeping each with what came back."""
    answer = None
    while True:
        try:
            message = messages.send(answer)
        except StopIteration:
            return
        answer = yield message
        into.append((message, answer))


def waited_for(message):
    """Statuses and longest wait, s, of a `wait_any`."""
    factory = message.args[0][0]
    held = dict(zip(factory.__code__.co_freevars, factory.__closure__, strict=True))
    return held["statuses"].cell_contents, held["timeout_s"].cell_contents


def replayed(script):
    """The same messages, waiting for what they give this time."""
    fresh = {}
    for message, former in script:
        if message.command == "wait_for":
            statuses, timeout_s = waited_for(message)
            never = Status(timeout=None)
            answer = yield from wait_any([fresh.get(id(s), never) for s in statuses], timeout_s)
            continue
        answer = yield Msg(message.command, message.obj, *message.args, **message.kwargs)
        if isinstance(former, Status):
            fresh[id(former)] = answer


class Paged(RunEngine):
    """Plain bluesky, but for what composes pages."""

    def emit_sync(self, name, doc):
        if name is DocumentNames.descriptor:
            Engine._compose_pages_of(self, doc)
        super().emit_sync(name, doc)


class Engines:
    """Our engine and plain ones on the same loop; one of them moves the time."""

    def __init__(self, bench):
        self.bench = bench
        self.plain, self.paged = (
            kind({}, loop=bench.time.loop, context_managers=[]) for kind in (RunEngine, Paged)
        )
        for engine in (self.plain, self.paged):
            for name in set(bench.RE.commands) - set(engine.commands):  # requests to a plan
                engine.register_command(name, bench.RE._command_registry[name])
            # image devices write their frames for a run: the file is told of it, nothing else is
            engine.subscribe(bench._recorder.frames)

    def run(self, engine, messages):
        """Processor time of a run, s."""
        states = ("idle", "paused", "panicked")
        self.bench.time.set_moving(lambda: str(engine._state) not in states)
        gc.collect()
        began = time.process_time()
        engine(messages)
        return time.process_time() - began


@pytest.fixture
def engines(tmp_path):
    with open_bench("sim-mri", data=tmp_path, sample={"seed": 1}) as bench:
        yield Engines(bench)


def ratio(over, under):
    """Ratios of paired times, and how to say them."""
    ratios = [a / b for a, b in zip(over, under, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return middle, f"{middle:.3f} (quartiles {low:.3f} to {high:.3f})"


def test_our_plan_costs_little_more_than_plain_bluesky(engines):
    bench, script = engines.bench, []
    bench.RE(recorded(plan(bench), script))
    began_s = bench.elapsed_s
    engines.run(engines.plain, replayed(script))
    replay_s = bench.elapsed_s - began_s
    ways = {
        "ours": lambda: engines.run(bench.RE, plan(bench)),
        "plain": lambda: engines.run(engines.plain, replayed(script)),
        "paged": lambda: engines.run(engines.paged, replayed(script)),
        "plan": lambda: engines.run(engines.paged, plan(bench)),
    }
    times = {name: [] for name in ways}
    for pair in range(PAIRS):
        for name in list(ways) if pair % 2 else list(reversed(ways)):
            times[name].append(ways[name]())
    whole, whole_said = ratio(times["ours"], times["plain"])
    strict, strict_said = ratio(times["ours"], times["paged"])
    _, plan_said = ratio(times["plan"], times["paged"])
    took = ", ".join(f"{name} {statistics.median(each):.3f} s" for name, each in times.items())
    print(
        f"\n{len(script)} messages, {replay_s / 86_400:.2f} d of experiment, {PAIRS} times: {took}"
        f"\nours / plain bluesky                       {whole_said}"
        f"\nours / plain bluesky with pages as ours    {strict_said}"
        f"\nour plan / its messages one by one         {plan_said}"
    )
    assert bench.live.snapshot().frames["mri"] > 3
    assert whole <= MOST
    assert strict <= MOST


def test_what_the_checkpoint_costs(tmp_path, record_property):
    """Beside the same day without: it is written only where the cell outlives the process."""
    with open_bench("sim-mri", data=tmp_path, sample={"seed": 1}) as bench:
        keeper = CheckpointKeeper(bench._recorder, bench.profile, bench.clock)
        both = Engines(bench)
        times = {None: [], keeper: []}
        wall_s = 0.0
        for _ in range(2):
            for kept in times:
                bench.keeper = bench.RE.keeper = kept
                began_s = time.monotonic()
                times[kept].append(both.run(bench.RE, plan(bench, cycles=3)))
                wall_s += (1 if kept else -1) * (time.monotonic() - began_s)
    number = keeper.written // 2
    extra_s = statistics.median(times[keeper]) - statistics.median(times[None])
    text = (
        f"{7 * number} checkpoints a day of {keeper.size_bytes} bytes: "
        f"{1e3 * extra_s / number:.2f} ms of processor, {1e3 * wall_s / 2 / number:.1f} ms in all"
    )
    record_property("checkpoint", text)
    print(text)
    assert keeper.failure == ""
    assert extra_s / number < 0.01, text
