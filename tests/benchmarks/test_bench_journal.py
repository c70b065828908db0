"""What recording costs, as ratios measured in one run: absolute figures belong to a machine."""

from __future__ import annotations

import time

import numpy as np
import orjson

from orchestrator.records.directory import DataDirectory
from orchestrator.records.encoding import decode_line, encode_line
from orchestrator.records.journal import Journal
from orchestrator.records.runs import load_run
from tests import sample_run

ROWS = 900


def best_of(work, repeats: int = 7) -> float:
    """Shortest time of several, s: what the machine can do when nobody interrupts it."""
    times = []
    for _ in range(repeats):
        begin_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin_s)
    return min(times)


def test_a_page_costs_little_more_than_its_json():
    page = sample_run.page("run", 1, ROWS)
    bare = {**page, "timestamps": {}}
    json_s = best_of(lambda: orjson.dumps(bare))
    line_s = best_of(lambda: encode_line(1, "event_page", page))
    line = encode_line(1, "event_page", page)
    read_s = best_of(lambda: decode_line(line))
    print(
        f"\npage of {ROWS} rows x 6: {line_s * 1e3:.2f} ms to encode ({json_s * 1e3:.2f} ms bare "
        f"JSON), {read_s * 1e3:.2f} ms to read, {len(line) / 1e3:.0f} kB, "
        f"{len(line) / line_s / 1e6:.0f} MB/s"
    )
    assert line_s < 10 * json_s  # a walk over every number in Python costs more
    assert read_s < 10 * json_s


def test_times_are_said_once():
    page = sample_run.page("run", 1, ROWS)
    naive = len(orjson.dumps(page))
    line = len(encode_line(1, "event_page", page))
    print(f"\npage of {ROWS} rows: {line / 1e3:.0f} kB, {naive / 1e3:.0f} kB with repeated times")
    assert line < 0.65 * naive


def test_a_run_of_a_week_is_loaded_as_fast_as_it_is_parsed(tmp_path):
    pages = 73
    journal = Journal.create(DataDirectory(tmp_path).journals, "week")
    journal.append("start", sample_run.start("week"))
    journal.append("descriptor", sample_run.echem_descriptor("week"))
    page = sample_run.page("week", 1, ROWS)
    begin_s = time.perf_counter()
    for _ in range(pages):
        journal.append("event_page", page)
    write_s = time.perf_counter() - begin_s
    events = 2000
    event = sample_run.event("week", "echem", 1, dict.fromkeys(sample_run.ECHEM, 0.5))
    begin_s = time.perf_counter()
    for _ in range(events):
        journal.append("event", event)
    event_s = time.perf_counter() - begin_s
    journal.append("stop", sample_run.stop("week"))
    journal.close()
    raw = journal.path.read_bytes().splitlines()
    parse_s = best_of(lambda: [orjson.loads(line) for line in raw], repeats=3)
    load_s = best_of(lambda: load_run(journal.path), repeats=3)
    megabytes = journal.path.stat().st_size / 1e6
    print(
        f"\n{pages * ROWS} records in pages, {megabytes:.1f} MB: written at "
        f"{megabytes / write_s:.0f} MB/s, loaded in {load_s:.2f} s ({parse_s:.2f} s bare JSON); "
        f"single events {events / event_s:.0f} /s"
    )
    run = load_run(journal.path)
    assert len(run.streams["echem"]["time"]) == pages * ROWS + events
    assert np.isnan(run.streams["echem"]["pstat_cycle"][-1])
    assert load_s < 6 * parse_s
