"""Frames that conditions trigger: none is missed, none is taken twice, whatever the polls do."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage
from bluesky.utils import RunEngineInterrupted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ophyd import Component as Cpt
from ophyd import Device
from ophyd.status import Status

from devices.cell_records import Records
from devices.errors import InstrumentFault, LinkError
from devices.potentiostat import Potentiostat
from devices.roles import CellLimits
from devices.signals import ReadbackSignal
from plans.conditions import condition
from plans.imaging import Capture
from plans.protocol import Cycling
from plans.runs import run_with_images
from tests.conftest import ArithmeticBackend

LIMITS = CellLimits(-5, 5, -10, 10)
METHOD = [
    ConstantCurrent(current_mA=1.0, until_time_s=300),
    OpenCircuitVoltage(until_time_s=60),
    ConstantCurrent(current_mA=1.0, until_time_s=240),
]
OPTIONS = {"value": 1.25, "hysteresis": 0.1, "confirm": 2}


class Flickering(ArithmeticBackend):
    """A cell whose resistance goes up and down at given times; some polls fail."""

    def __init__(self, clock, changes_s, bad_polls):
        super().__init__(clock)
        self.changes_s = np.sort(np.asarray(changes_s, float))
        self.bad_polls, self.polls = set(bad_polls), 0

    def _page(self, end_now=False):
        page = super()._page(end_now)
        at_s = self.began_s + page.elapsed_s - self.origin_s
        high = np.searchsorted(self.changes_s, at_s, side="right") % 2 == 1
        page.voltage_v[:] = page.current_ma * np.where(high, 1.5, 1.0)
        return page

    def poll(self):
        self.polls += 1
        if self.polls in self.bad_polls:
            raise LinkError("pstat", "no reply", remedy="wait")
        return super().poll()


class Camera(Device):
    """Takes frames of one duration; every so many fail."""

    frame = Cpt(ReadbackSignal, value=-1, dtype="integer")
    t_start_s = Cpt(ReadbackSignal, value=np.nan, units="s")
    quality = Cpt(ReadbackSignal, value="ok", dtype="string")
    new_frame = Cpt(ReadbackSignal, value=0, kind="omitted")
    expected_duration_s = Cpt(ReadbackSignal, value=np.nan, kind="omitted")

    def __init__(self, clock, duration_s, fails_each):
        self.clock = clock
        super().__init__(name="camera")
        self.expected_duration_s.update(duration_s)
        self.fails_each, self.taken, self.begun_s = fails_each, 0, []

    def trigger(self):
        done = Status(obj=self, timeout=None)
        began_s, self.taken = self.clock.time(), self.taken + 1

        def end(number=self.taken):
            if self.fails_each and number % self.fails_each == 0:
                done.set_exception(InstrumentFault("camera", "no image", remedy="look"))
                return
            self.begun_s.append(began_s)
            self.frame.update(self.frame.get() + 1)
            self.t_start_s.update(began_s)
            self.new_frame.update(1)
            done.set_finished()

        self.new_frame.update(0)
        self.clock.call_later(self.expected_duration_s.get(), end, owner=self)
        return done

    def callback_failed(self, error):
        raise error


def run(engine, plan, pauses):
    """Run a plan, with a pause at some messages."""
    seen = []

    def hook(_msg):
        seen.append(1)
        if len(seen) in pauses:
            engine.loop.create_task(engine.RE._request_pause_coro())

    engine.RE.msg_hook = hook
    engine.RE.run(plan)
    while engine.RE.state == "paused":
        with suppress(RunEngineInterrupted):  # paused again
            engine.RE.resume()
    engine.RE.msg_hook = None


def causes_in(documents, **options):
    """When the condition was met, from the records of the run, in one batch."""
    echem = documents.stream("echem")
    columns = (np.asarray(echem[k]) for k in ("time", "pstat_voltage_v", "pstat_current_ma"))
    t_s, volts, amps = columns
    none = np.zeros(len(t_s))

    class Seen:
        clock, name = None, "records"

        def subscribe_records(self, listener):
            listener(Records(t_s, volts, amps, none, none, 0, 1))
            return lambda: None

    again = condition("voltage_above_v", Seen(), **options)
    again.trigger()
    return [met.t_s for met in again.take()]


def triggered(documents):
    """Beginning of the frame and latency of each cause, in the order in which they were noted."""
    events = documents.stream("events")
    rows = zip(
        events.get("event_kind", []),
        events.get("event_text", []),
        events.get("event_value", []),
        strict=True,
    )
    return [(text, value) for kind, text, value in rows if kind == "triggered"]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    changes_s=st.lists(st.floats(1.0, 600.0), max_size=14),
    period_s=st.sampled_from([0.7, 1.0, 3.0]),
    poll_s=st.floats(2.0, 200.0),
    bad_polls=st.sets(st.integers(1, 60), max_size=6),
    pauses=st.sets(st.integers(10, 120), max_size=4),
    duration_s=st.sampled_from([0.5, 20.0, 130.0]),
    fails_each=st.sampled_from([0, 3]),
    beside=st.booleans(),
)
def test_every_cause_has_one_frame_that_begins_after_it(
    virtual_engine, changes_s, period_s, poll_s, bad_polls, pauses, duration_s, fails_each, beside
):
    engine, documents = virtual_engine, virtual_engine.documents
    documents.all.clear()
    bad_polls -= {one + 1 for one in bad_polls}  # three in a row are a fault
    backend = Flickering(engine.clock, changes_s, bad_polls)
    pstat = Potentiostat(
        name="pstat", clock=engine.clock, backend=backend, limits=LIMITS, poll_period_s=poll_s
    )
    engine.RE._energisers.clear()
    engine.RE.guard(pstat)
    camera = Camera(engine.clock, duration_s, fails_each)
    on = condition("voltage_above_v", pstat, repeat=True, **OPTIONS)
    captures = [Capture(camera, on=on)]
    if beside:
        captures.append(Capture(camera, every_s=100.0))
    run(
        engine,
        run_with_images(Cycling(pstat, METHOD, period_s, LIMITS, 10), captures, md={}),
        pauses,
    )
    causes_s, served = causes_in(documents, repeat=True, **OPTIONS), triggered(documents)
    assert documents.of("stop")[0]["exit_status"] == "success"
    frames = [int(text.split()[1]) for text, _ in served]
    begun_s = [
        camera.begun_s[frame] - latency_s
        for frame, (_, latency_s) in zip(frames, served, strict=True)
    ]
    assert sorted(begun_s) == pytest.approx(causes_s, abs=1e-6)  # none missed, none twice
    assert all(latency_s >= -1e-6 for _, latency_s in served)
    if not beside:
        assert sorted(set(frames)) == list(range(len(camera.begun_s)))  # no frame without a cause
