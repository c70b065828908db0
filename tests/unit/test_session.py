"""A session without a terminal: magics, table, plot, summary, what a pause says."""

from __future__ import annotations

import io

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure
from traitlets.config import Config

from devices import CellLimits
from devices.cell_records import Records
from orchestrator.bench import open_bench
from orchestrator.records.runs import find_run, load_run
from orchestrator.session import Screen, namespace, summarize
from orchestrator.session.paused import paused_text
from orchestrator.session.plot import Curve, LivePlot
from orchestrator.session.prompt import install
from orchestrator.session.table import INTERVALS_S, LiveTable, interval_s
from plans import in_situ_mri

SHORT = {"area_cm2": 0.1257, "limits": CellLimits(-5, 5, -1, 1), "max_capacity_mah": 1}
DAY_S = 86_400.0


class Prompt:
    """IPython on a bench, with what it would have shown."""

    def __init__(self, bench):
        config = Config()
        config.HistoryManager.enabled = False
        config.IPCompleter.use_jedi = False
        self.bench, self.stream = bench, io.StringIO()
        self.screen = Screen(bench, self.stream, display=False)
        self.shell = InteractiveShell(config=config, user_ns=namespace(bench))
        install(self.shell, bench, self.screen)

    def run(self, cell):
        return self.shell.run_cell(cell)

    def completes(self, text):
        with provisionalcompleter():
            return [one.text for one in self.shell.Completer.completions(text, len(text))]


@pytest.fixture(scope="module")
def prompt(tmp_path_factory):
    with open_bench("sim-chamber", data=tmp_path_factory.mktemp("data")) as bench:
        prompt = Prompt(bench)
        yield prompt
        prompt.screen.close()


# --- magics ---------------------------------------------------------------------------------------


def test_mov_takes_the_chamber_there_in_virtual_time_and_it_stays(prompt, capsys):
    before_s = prompt.bench.elapsed_s
    prompt.run("%mov oven 30+10")
    assert "oven: settled" in capsys.readouterr().out
    assert prompt.bench.oven.position == pytest.approx(40, abs=0.5)
    assert 600 < prompt.bench.elapsed_s - before_s < 7200
    prompt.run("%movr oven -5")
    assert prompt.bench.oven.position == pytest.approx(35, abs=0.7)
    prompt.run("%ct oven press")  # a reading does not undo it either
    assert prompt.bench.oven.state.get() == "settled"


def test_ct_is_a_run_that_is_recorded(prompt, capsys):
    prompt.run("%ct")
    said = capsys.readouterr().out
    assert "press_pressure_mpa" in said
    assert "MPa" in said
    run = load_run(find_run(prompt.bench.data, "-1"))
    assert run.start["plan_name"] == "count"
    assert set(run.start["detectors"]) == {"oven", "press"}
    assert "run " + run.start["uid"][:8] in prompt.stream.getvalue()


def test_wa_says_where_everything_is_without_asking(prompt, capsys):
    queries = {who: link.counters.queries for who, link in prompt.bench.links.items()}
    prompt.run("%wa")
    said = capsys.readouterr().out
    assert {who: link.counters.queries for who, link in prompt.bench.links.items()} == queries
    for words in ("Potentiostat pstat", "temperature_celsius", "-20 to 80", "MPa"):
        assert words in said
    assert max(map(len, said.splitlines())) <= 80
    prompt.run("%wa press")
    assert "oven" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("%mov oven", "expected DEVICE VALUE"),
        ("%mov nothing 3", "got 'nothing', expected a device (of this bench: pstat, oven, press)"),
        ("%mov press 3", "press cannot be moved"),
        ("%live table sometimes", "expected e.g. `%live table off`"),
        ("%mov oven 300", "LimitError: oven: temperature: got 300 C, expected -20 to 80 C"),
        ("RE(bps.mv(oven, 300))", "LimitError: oven: temperature"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(prompt, capsys, cell, told):
    assert not prompt.run(cell).success
    out, err = capsys.readouterr()
    assert told in out + err
    assert "Traceback" not in out + err


def test_live_switches_what_is_shown(prompt, capsys):
    prompt.run("%live table off")
    prompt.run("RE(bp.count([press]))")
    assert load_run(find_run(prompt.bench.data, "-1")).start["uid"][:8] not in (
        prompt.stream.getvalue()
    )
    prompt.run("%live all on")
    assert "there is no display" in capsys.readouterr().out
    assert prompt.screen.on == {"table": True, "line": True, "plot": False}
    prompt.run("%live")
    assert "table on" in capsys.readouterr().out


def test_completion_offers_what_a_person_wants(prompt):
    offered = prompt.completes("pstat.")
    for name in (".voltage_v", ".charge_mah", ".stop", ".read"):
        assert name in offered
    assert ".show_records" not in offered
    assert len(offered) < 60 < len(dir(prompt.bench.pstat))
    plans = {name.rpartition(".")[2] for name in prompt.completes("plans.")}
    assert {"in_situ_mri", "Capture", "run_with_images"} <= plans
    assert not plans & {"stubs", "criteria", "annotations"}  # modules, not plans


def test_a_question_mark_shows_units_values_and_examples(prompt):
    prompt.bench.RE(bps.trigger(prompt.bench.press, wait=True))
    for device, words in (
        (prompt.bench.oven, ("degC", "%mov oven 40", "low_limit_celsius", "-20 degC")),
        (prompt.bench.press, ("MPa", "press.tare()", "pressure_mpa")),
        (prompt.bench.pstat, ("voltage_v", "not known (V)", "bench.off()", "max_current_ma")),
    ):
        text = device.getdoc()
        for word in words:
            assert word in text
        assert max(map(len, text.splitlines())) <= 80
        assert "Args:" not in text
    assert "MPa>" in repr(prompt.bench.press.pressure_mpa)


def test_a_result_is_one_line(prompt):
    format_ = prompt.shell.display_formatter.formatters["text/plain"]
    said = format_(prompt.bench.RE(bp.count([prompt.bench.press])))
    assert said.startswith("<success (")
    assert len(said) <= 80


# --- a pause --------------------------------------------------------------------------------------


def test_a_pause_says_what_rests_and_what_goes_on(tmp_path):
    with open_bench("sim-mri", data=tmp_path) as bench:
        bench.clock.call_later(1900.0, bench.pause, owner=bench.pstat)
        with pytest.raises(RunEngineInterrupted):
            bench.RE(in_situ_mri(bench.pstat, bench.mri, **SHORT))
        said = paused_text(bench)
        assert "PAUSED after 32 min of experiment time by " in said
        assert "pstat   cell off, read back; the rest of the step waits" in said
        assert "mri     its frame goes on by itself" in said
        assert "Virtual time stands still" in said
        assert "bench.resume()" in said
        assert max(map(len, said.splitlines())) <= 80
        bench.abort()
        assert "PAUSED by" in paused_text(bench)  # not after how long: no run is under way


# --- the table ------------------------------------------------------------------------------------


def records(t_s, **columns):
    n = len(t_s)
    fill = {"voltage_v": 0.05, "current_ma": 0.01, "charge_mah": 0.001, "throughput_mah": 0.001}
    values = {name: np.full(n, columns.get(name, value)) for name, value in fill.items()}
    return Records(t_s=np.asarray(t_s, dtype=float), step_index=1, cycle=3, **values)


def began(table, stream="echem"):
    table.document("start", {"uid": "u" * 8, "time": 0.0, "scan_id": 1, "plan_name": "p"})
    table.document("descriptor", {"uid": "d", "name": stream, "data_keys": {}})


@settings(max_examples=40, deadline=None)
@given(
    days=st.floats(0.01, 30),
    period_s=st.sampled_from([1.0, 10.0, 30.0, 900.0]),
    scale=st.floats(-30, 30).map(lambda power: 10.0**power),
)
def test_weeks_of_records_are_a_few_screens_of_80_columns(days, period_s, scale):
    table = LiveTable()
    began(table)
    every = max(period_s, days * DAY_S / 1000)  # a batch of records for each poll
    for batch in range(int(days * DAY_S / every)):
        t_s = batch * every + np.linspace(0, every, 3, endpoint=False)
        table.records(records(t_s, charge_mah=-scale if scale < 1e5 else 1e5))
    rows = table.take()
    assert len(rows) < 130
    assert max(map(len, rows)) <= 80
    assert table.take() == []


@given(st.floats(0, 1e7))
def test_rows_become_rarer_as_time_passes(elapsed_s):
    every = interval_s(elapsed_s)
    assert every in INTERVALS_S
    assert every == INTERVALS_S[0] or every <= elapsed_s / 5


def test_what_goes_on_happening_is_said_ever_less():
    table = LiveTable()
    began(table, "events")
    for k in range(1000):
        data = {"event_kind": "frame_missing", "event_text": f"mri: no trigger, number {k}"}
        table.document("event", {"descriptor": "d", "time": 10.0 * k, "seq_num": k, "data": data})
    rows = [row for row in table.take() if "no trigger" in row]
    assert len(rows) == 6  # the first three, the tenth, the hundredth, the thousandth
    assert "1000 times so far" in rows[-1]


def test_other_plans_have_their_readings_in_columns(tmp_path):
    stream = io.StringIO()
    with open_bench("sim-chamber", data=tmp_path) as bench:
        screen = Screen(bench, stream, display=False)
        bench.RE(bp.scan([bench.press], bench.oven, 30, 34, 2))
        screen.close()
        bench.RE(bp.count([bench.press]))
    rows = stream.getvalue().splitlines()
    assert "pressure_mpa" in rows[1]
    assert rows[2].split()[:3][-1] == "1"
    assert "run " in rows[4]
    assert "success" in rows[4]
    assert max(map(len, rows)) <= 80
    assert len([row for row in rows if row.startswith("run ")]) == 2  # nothing after `close`


def test_a_view_that_fails_harms_only_itself(tmp_path, caplog):
    """Row 26: a live view."""

    class Terminal(io.StringIO):
        def write(self, text):
            raise OSError("the terminal is gone")

    with open_bench("sim-chamber", data=tmp_path) as bench:
        screen = Screen(bench, Terminal(), display=False)
        assert bench.RE(bp.count([bench.press])).exit_status == "success"
        assert not any(screen.on.values())
        assert "the live view failed" in caplog.text
        screen.close()


def test_the_line_says_how_far_the_step_and_the_frame_are(tmp_path):
    with open_bench("sim-mri", data=tmp_path) as bench:
        screen, lines = Screen(bench, io.StringIO(), display=False), []
        bench.clock.call_later(900.0, lambda: lines.append(screen.line().plain), owner=bench.pstat)
        bench.RE(in_situ_mri(bench.pstat, bench.mri, cycles=1, **SHORT))
        screen.close()
    assert "cycle 1 step 2 [####----] 15/30 min" in lines[0]
    assert "mri [------] 0.2/4.4 h" in lines[0]
    assert len(lines[0]) <= 80


# --- the plot -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    values=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=300),
    batch=st.integers(1, 40),
)
def test_a_curve_is_bounded_and_keeps_its_extremes(values, batch):
    curve = Curve(most=16)
    for at in range(0, len(values), batch):
        part = np.asarray(values[at : at + batch])
        curve.add(np.arange(at, at + len(part), dtype=float), part)
    times, drawn = curve.points()
    assert len(times) == len(drawn) <= 2 * 17
    assert drawn.min() == min(values)
    assert drawn.max() == max(values)
    assert np.all(np.diff(times) >= 0)
    assert times[-1] == len(values) - 1


def test_the_plot_shows_voltage_current_and_frames_where_there_is_a_display():
    figure = Figure()
    plot = LivePlot(display=True, figure=lambda: figure)
    plot.document("start", {"uid": "a" * 8, "time": 0.0, "plan_name": "p"})
    plot.document("descriptor", {"uid": "d", "data_keys": {"mri_image": {"external": "STREAM:"}}})
    plot.document("event", {"descriptor": "d", "time": 3600.0})
    plot.records(records([0.0, 3600.0, 7200.0], voltage_v=0.05))
    plot.draw(at_once=True)
    top, bottom = figure.axes
    assert list(top.lines[0].get_xdata()) == [0, 0, 1, 1, 2, 2]
    assert set(top.lines[0].get_ydata()) == {0.05}
    assert top.collections[0].get_offsets()[0][0] == 1.0
    assert bottom.get_xlabel() == "experiment time / h"
    plot.close()


def test_no_plot_without_a_display_and_none_after_a_failure(caplog):
    def fails():
        raise RuntimeError("no window today")

    without = LivePlot(display=False, figure=fails)
    broken = LivePlot(display=True, figure=fails)
    for plot in (without, broken):
        plot.records(records([0.0]))
        plot.draw(at_once=True)
        plot.draw(at_once=True)
    assert caplog.text.count("the plot ended") == 1


# --- summary --------------------------------------------------------------------------------------


def summary(plan):
    lines = []
    summarize(plan, lines.append)
    return "\n".join(lines)


def test_a_plan_is_summarized_with_its_cycles_said_once(tmp_path):
    with open_bench("sim-mri", data=tmp_path) as bench:
        writes = {who: link.counters.writes for who, link in bench.links.items()}
        said = summary(in_situ_mri(bench.pstat, bench.mri, **SHORT))
        assert {who: link.counters.writes for who, link in bench.links.items()} == writes
        counted = summary(bp.count([bench.mri], num=3))
    assert "1000 times:" in said
    assert "+0.01257 mA for 30 min" in said
    assert "rest for 5 min" in said
    assert "watch for hard_short" in said
    assert "begin a frame of mri" in said
    assert "averages 1024" in " ".join(said.split())
    assert "48.611 d" in said
    assert len(said.splitlines()) < 24
    assert max(map(len, said.splitlines())) <= 80
    assert "3 times:" in counted
