"""Reports of recorded runs: whole, interrupted, with few or bad frames, with bad metadata."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from orchestrator.cli.main import main
from orchestrator.records.directory import DataDirectory
from orchestrator.records.frames import Hdf5Frames
from orchestrator.records.journal import JournalWriter
from orchestrator.records.runs import Run, load_run
from orchestrator.report import write_report
from orchestrator.report.contents import gather
from orchestrator.report.overview import envelope
from sim.clock import EPOCH_S
from sim.images.mri import FlashImager
from sim.images.mri import FlashSettings as SimulatedSettings
from sim.samples.llzo_cell import LlzoCell

FRAME_S = 15_974.4
PAGE_ROWS = 900
SHORT_D = 7.592
EXPERIMENT = {
    "protocol": {
        "record": {"time_s": 10.0},
        "safety": {"max_voltage_V": 5.0, "min_voltage_V": -5.0},
        "method": [
            {"step": "tag", "tag": "cycle"},
            {"step": "constant_current", "current_mA_per_cm2": 0.1, "until_time_s": 1800.0},
            {"step": "open_circuit_voltage", "until_time_s": 300.0},
            {"step": "constant_current", "current_mA_per_cm2": -0.1, "until_time_s": 1800.0},
            {"step": "open_circuit_voltage", "until_time_s": 300.0},
            {"step": "loop", "loop_to": "cycle", "cycle_count": 1000},
        ],
    }
}


@dataclass
class Recording:
    """One run as the engine would record it; devices are not called what the examples call them."""

    days: float = SHORT_D
    frames: int = 41
    echem: bool = True
    stopped: bool = True
    noted: bool = True
    simulated: bool = True
    start: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[int, str] = field(default_factory=dict)
    text: str = "hard_short: hard short: 20 ohm after 21300 ohm"

    def write(self, data: Path, uid: str = "a1b2c3d4-0000") -> Run:
        directory = DataDirectory(data)
        journal, frames = JournalWriter(directory, ballast_bytes=0), Hdf5Frames(directory)
        for name, doc in self._documents(uid, frames):
            journal(name, doc)
            frames(name, doc)
        journal.close()
        frames.close()
        return load_run(directory.journal(uid))

    def _documents(self, uid: str, frames: Hdf5Frames) -> Iterator[tuple[str, dict[str, Any]]]:
        cell = LlzoCell.from_preset("small_4p8")
        yield (
            "start",
            {
                "uid": uid,
                "time": EPOCH_S,
                "plan_name": "in_situ_mri",
                "operator": "A. Person",
                "sample": {"name": "LLZO-7", "area_cm2": 0.1257},
                "experiment": EXPERIMENT,
                "versions": {"operando-orchestrator": "0.1.0"},
                "simulated": {"smu": self.simulated, "scanner": self.simulated},
                **self.start,
            },
        )
        columns = cycled(cell, self.days)
        if self.echem:
            yield from _pages(uid, columns)
        if self.frames:
            yield from self._frames(uid, cell, frames)
        end_s = EPOCH_S + columns["time"][-1]
        if self.noted:
            yield (
                "descriptor",
                _descriptor(
                    uid,
                    "events",
                    {"event_kind": "string", "event_text": "string", "event_value": "number"},
                ),
            )
            yield (
                "event",
                _event(
                    "events",
                    end_s,
                    {"event_kind": "condition", "event_text": self.text, "event_value": 20.0},
                    1,
                ),
            )
        if self.stopped:
            yield "stop", {
                "uid": f"{uid}-stop", "run_start": uid, "time": end_s + 1.0,
                "exit_status": "success", "reason": "hard_short" if self.noted else "completed",
            }  # fmt: skip

    def _frames(
        self, uid: str, cell: LlzoCell, sink: Hdf5Frames
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        imager = FlashImager(cell.geometry, SimulatedSettings(), 0)
        numbers = ("frame", "t_start_s", "t_end_s", "charge_start_mah", "charge_end_mah",
                   "exposure_charge_mah", "exposure_throughput_mah")  # fmt: skip
        keys: dict[str, Any] = {f"scanner_{key}": "number" for key in numbers}
        descriptor = _descriptor(uid, "scanner", {**keys, "scanner_quality": "string"})
        descriptor["data_keys"]["scanner_image"] = {
            "source": "x", "dtype": "array", "shape": [1, *imager.shape], "external": "STREAM:",
            "dtype_numpy": "<f4",
        }  # fmt: skip
        settings = {"tr_s": 0.3, "te_s": 0.918e-3, "flip_angle_deg": 30.0, "averages": 1024,
                    "matrix": [81, 52], "fov_mm": [17.0, 11.0]}  # fmt: skip
        descriptor["configuration"] = {
            "scanner": {"data": {f"scanner_{key}": value for key, value in settings.items()}}
        }
        yield "descriptor", descriptor
        sink.open("scanner", "scanner_image", imager.shape, "<f4")
        for k in range(self.frames):
            a, b = k * FRAME_S, (k + 1) * FRAME_S
            image = imager.frame(cell.mean_layers_umol_per_cm2(a, b), k)
            if k in self.flags:
                image += 50.0
            sink.write("scanner", image, {"t_start_s": EPOCH_S + a})
            for name, doc in sink.asset_documents("scanner", k):
                if name == "stream_resource":
                    doc["run_start"] = uid
                doc["descriptor"] = descriptor["uid"]
                yield name, doc
            (net_a, all_a), (net_b, all_b) = cell.charge_mah(a), cell.charge_mah(b)
            values = (k, EPOCH_S + a, EPOCH_S + b, net_a, net_b, net_b - net_a, all_b - all_a)
            data = {f"scanner_{key}": value for key, value in zip(numbers, values, strict=True)}
            data["scanner_quality"] = self.flags.get(k, "ok")
            yield "event", _event("scanner", EPOCH_S + b, data, k + 1)


def cycled(cell: LlzoCell, days: float) -> dict[str, np.ndarray]:
    """Drive the cell as the paper did; a record each 10 s, times since the beginning."""
    current_ma, t_s, number = 0.1 * cell.area_cm2, 0.0, 0
    pieces: list[tuple[np.ndarray, ...]] = []
    while t_s < days * 86_400:
        number += 1
        for value, duration_s in ((1, 1800.0), (0, 300.0), (-1, 1800.0), (0, 300.0)):
            cell.apply_current(t_s, value * current_ma)
            at = np.arange(t_s, t_s + duration_s, 10.0)
            seen = cell.terminals(at)
            pieces.append((at, seen.voltage_v, seen.current_ma, np.full(len(at), number)))
            t_s += duration_s
    time_s, voltage_v, milliampere, cycle = (np.concatenate(p) for p in zip(*pieces, strict=True))
    noise = np.random.default_rng(7).standard_normal((2, len(time_s)))
    voltage_v, milliampere = voltage_v + 1e-6 * noise[0], milliampere + 1e-9 * noise[1]
    kept = time_s <= days * 86_400 + 60.0
    moved = np.concatenate([[0.0], milliampere[:-1] * 10.0 / 3600.0])
    columns = {
        "time": time_s,
        "smu_voltage_v": voltage_v,
        "smu_current_ma": milliampere,
        "smu_charge_mah": np.cumsum(moved),
        "smu_throughput_mah": np.cumsum(np.abs(moved)),
        "smu_cycle": cycle,
    }
    return {key: values[kept] for key, values in columns.items()}


def _descriptor(uid: str, name: str, keys: Mapping[str, str]) -> dict[str, Any]:
    data_keys = {key: {"source": "x", "dtype": kind, "shape": []} for key, kind in keys.items()}
    return {"uid": f"{name}-descriptor", "run_start": uid, "time": EPOCH_S, "name": name,
            "data_keys": data_keys, "configuration": {}}  # fmt: skip


def _event(name: str, time: float, data: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {"uid": f"{name}-{number}", "descriptor": f"{name}-descriptor", "time": time,
            "seq_num": number, "data": dict(data),
            "timestamps": dict.fromkeys(data, time)}  # fmt: skip


def _pages(uid: str, columns: Mapping[str, np.ndarray]) -> Iterator[tuple[str, dict[str, Any]]]:
    keys = [key for key in columns if key != "time"]
    kinds = {key: "integer" if key == "smu_cycle" else "number" for key in keys}
    yield "descriptor", _descriptor(uid, "echem", kinds)
    count = len(columns["time"])
    for first in range(0, count, PAGE_ROWS):
        rows = slice(first, min(first + PAGE_ROWS, count))
        times = (EPOCH_S + columns["time"][rows]).tolist()
        yield (
            "event_page",
            {
                "descriptor": "echem-descriptor",
                "uid": [f"e{k}" for k in range(rows.start, rows.stop)],
                "seq_num": list(range(rows.start + 1, rows.stop + 1)),
                "time": times,
                "data": {key: columns[key][rows].tolist() for key in keys},
                "timestamps": dict.fromkeys(keys, times),
            },
        )


class Page(HTMLParser):
    """Text, table rows and everything that a browser would fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._in_cell = False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_cell:
            self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        return next(row for row in self.rows if row and row[0] == first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Page, Path]:
    """The paper's experiment to its short, and its report."""
    data = tmp_path_factory.mktemp("whole")
    run = Recording().write(data)
    path = write_report(run, data / "report")
    return run, Page(path), path.parent


def red_in_the_upper_strip(path: Path) -> int:
    """Number of pixels in the colour of the simulated mark above the first panel."""
    pixels = matplotlib.image.imread(path)[:40, :, :3]
    return int((np.abs(pixels - np.array([0xB3, 0x26, 0x1E]) / 255).max(axis=2) < 0.02).sum())


def test_the_page_needs_nothing_but_itself(whole: tuple[Run, Page, Path]) -> None:
    _, page, directory = whole
    *pictures, table = page.fetched
    assert len(pictures) == 3
    assert all(source.startswith("data:image/png;base64,") for source in pictures)
    assert (
        base64.b64decode(table.removeprefix("data:text/csv;base64,"))
        == (directory / "cycles.csv").read_bytes()
    )
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "url(" not in page.source
    assert "default-src 'none'" in page.source
    for name, source in zip(("overview", "frames", "charge"), pictures, strict=True):
        assert (
            base64.b64decode(source.partition(",")[2]) == (directory / f"{name}.png").read_bytes()
        )


def test_the_figures_have_the_width_of_the_page_at_one_and_a_half_pixels(
    whole: tuple[Run, Page, Path],
) -> None:
    for name in ("overview", "frames", "charge"):
        picture = matplotlib.image.imread(whole[2] / f"{name}.png")
        assert picture.shape[1] == 1440
        assert np.ptp(picture[..., :3]) > 0.9


def test_simulated_data_are_marked_in_the_page_and_in_every_figure(
    whole: tuple[Run, Page, Path],
) -> None:
    _, page, directory = whole
    assert page.text.count("SIMULATED - not measured data") >= 2  # title and banner
    for name in ("overview", "frames", "charge"):
        assert red_in_the_upper_strip(directory / f"{name}.png") > 500
        assert b"SIMULATED - not measured data" in (directory / f"{name}.png").read_bytes()


def test_the_head_tells_what_was_done(whole: tuple[Run, Page, Path]) -> None:
    run, page, _ = whole
    assert page.row("Sample")[1] == "LLZO-7; area 0.1257 cm²"
    assert (
        "current -0.1 mA/cm² for 30 min; rest at open circuit for 5 min" in page.row("Protocol")[1]
    )
    assert "repeat from “cycle”, 1000 times in total" in page.row("Protocol")[1]
    assert page.row("Recording")[1].startswith("a record every 10 s; limits max voltage 5 V")
    assert page.row("Operator")[1] == "A. Person"
    assert page.row("Ended")[1] == "success: hard short"
    assert page.row("Frames")[1].startswith("41; FLASH, TR 0.3 s, TE 0.918 ms, flip 30°, 1,024")
    assert page.row("Run")[1] == run.start["uid"]
    assert page.row("Data")[1] == str(run.path)
    assert "15.6" in page.row("Charge")[1]


def test_the_numbers_are_those_of_the_analysis(whole: tuple[Run, Page, Path]) -> None:
    run, page, _ = whole
    contents = gather(run)
    assert contents.imaging is not None
    analysis = contents.imaging.analysis
    assert analysis is not None
    assert analysis.stages.complete
    for name, boundary, truth_d in zip(
        ("I | II", "II | III", "III | IV"),
        analysis.stages.boundaries,
        (1.08, 2.50, 5.82),
        strict=True,
    ):
        assert page.row(name)[1] == f"{boundary.time_d:.2f} ± {boundary.error_d:.2f}"
        assert boundary.time_d == pytest.approx(truth_d, abs=0.35)
    last = analysis.layers.amounts_umol_per_cm2[-1]
    assert page.row("40")[2].startswith(f"{last[0]:.2f} ± ")
    assert "Thickness 1.0" in page.text


def test_published_numbers_stand_beside_computed_ones(whole: tuple[Run, Page, Path]) -> None:
    _, page, _ = whole
    frame = page.row("Time of a 2D frame")
    assert "4.5 h" in frame[1]
    assert "0.3 s × 52 × 1,024 = 4.437 h" in frame[2]
    assert "82°" in page.row("Flip angle")[3]
    assert "44 %" in page.row("Flip angle")[3]
    assert re.match(r"49\.\d mV at 0\.1 mA/cm²", page.row("Voltage at the start")[2])
    assert page.row("Voltage at the start")[3].startswith("[A]")
    short = page.row("Short circuit")
    assert "7.6 d" in short[1]
    assert short[2].startswith("7.59")
    assert "peak 268 mV" in short[2]


def test_the_cycles_are_those_of_the_run(whole: tuple[Run, Page, Path]) -> None:
    run, page, _ = whole
    first = page.row("1")
    assert first[2] == "6.285"
    assert first[4] == "1.0000"
    assert re.fullmatch(r"49\.\d\d ± 0\.0\d", first[5])  # rests, and their noise, are left out
    assert re.fullmatch(r"49\d\.\d ± 0\.\d", first[6])
    last = int(run.streams["echem"]["smu_cycle"][-1])
    assert page.row(str(last))[7] in ("incomplete", "voltage unsteady")


def test_measured_data_are_not_called_simulated(tmp_path: Path) -> None:
    run = Recording(days=0.6, frames=2, noted=False, simulated=False).write(tmp_path)
    path = write_report(run, tmp_path / "report")
    page = Page(path)
    assert "SIMULATED" not in page.text
    assert "measured" in page.text
    assert red_in_the_upper_strip(path.parent / "overview.png") == 0


def test_a_bench_that_is_simulated_in_part_names_the_part(tmp_path: Path) -> None:
    start = {"simulated": {"smu": True, "scanner": False}}
    run = Recording(days=0.3, frames=0, noted=False, start=start).write(tmp_path)
    page = Page(write_report(run, tmp_path / "report"))
    assert "SIMULATED - not measured data (simulated: smu)" in page.text


def test_a_run_that_does_not_say_where_it_comes_from_is_not_called_measured(tmp_path: Path) -> None:
    run = Recording(days=0.3, frames=0, noted=False, start={"simulated": {}}).write(tmp_path)
    assert "origin of the data not recorded" in Page(write_report(run, tmp_path / "r")).text


NASTY = "<script>alert('x')</script>\"><img src=https://example.org/x.png onerror=alert(1)>"


def test_metadata_cannot_become_markup(tmp_path: Path) -> None:
    """Row 35: in reports."""
    start = {"operator": NASTY, "sample": {"name": NASTY, "area_cm2": 0.1257, NASTY: NASTY}}
    run = Recording(days=0.3, frames=1, start=start, text=f"hard_short {NASTY}").write(tmp_path)
    page = Page(write_report(run, tmp_path / "report"))
    assert "script" not in page.tags
    assert all(source.startswith("data:") for source in page.fetched)
    assert NASTY in page.row("Operator")[1]
    assert "&lt;script&gt;" in page.source


def test_an_interrupted_run_is_shown_as_far_as_it_went(tmp_path: Path) -> None:
    run = Recording(stopped=False, noted=False).write(tmp_path)
    contents = gather(run)
    assert contents.short is not None  # nobody noted it: found in the records
    assert contents.short.time_s / 86_400 == pytest.approx(SHORT_D, abs=0.005)
    page = Page(write_report(run, tmp_path / "report"))
    assert "This run was interrupted" in page.text
    assert page.row("Ended")[1].startswith("interrupted: there is no stop document")


@pytest.mark.parametrize("frames", [0, 1, 3])
def test_few_frames_make_a_report_that_says_so(tmp_path: Path, frames: int) -> None:
    run = Recording(days=0.75, frames=frames, noted=False).write(tmp_path)
    page = Page(write_report(run, tmp_path / "report"))
    assert (tmp_path / "report" / "frames.png").exists() == (frames > 0)
    assert page.row("Frames")[1].startswith(str(frames) if frames else "none")
    if frames:
        assert f"{frames} usable, 7 frames needed" in page.text


def test_a_flagged_frame_is_left_out_and_listed(tmp_path: Path) -> None:
    run = Recording(days=2.0, frames=10, noted=False, flags={4: "receiver overload"}).write(
        tmp_path
    )
    contents = gather(run)
    assert contents.imaging is not None
    assert contents.imaging.analysis is not None
    assert np.flatnonzero(~contents.imaging.analysis.layers.usable).tolist() == [4]
    assert len(contents.imaging.analysis.rates.time_s) == 9
    page = Page(write_report(run, tmp_path / "report"))
    assert page.row("4") == ["4", "receiver overload"]
    assert "1 flagged by the device" in page.row("Frames")[1]


def test_frames_that_are_gone_leave_the_rest(tmp_path: Path) -> None:
    run = Recording(days=0.6, frames=2, noted=False).write(tmp_path)
    for path in (tmp_path / "frames").rglob("*.h5"):
        path.unlink()
    page = Page(write_report(run, tmp_path / "report"))
    assert "The frames were not analysed: the frames cannot be read" in page.text
    assert (tmp_path / "report" / "overview.png").exists()
    assert not (tmp_path / "report" / "frames.png").exists()


def test_a_run_without_a_potentiostat_or_a_sample_shows_its_frames(tmp_path: Path) -> None:
    run = Recording(days=0.6, frames=2, noted=False, echem=False, start={"sample": {}})
    page = Page(write_report(run.write(tmp_path), tmp_path / "report"))
    assert "sample.electrode_diameter_mm and sample.area_cm2 are missing" in page.text
    assert (tmp_path / "report" / "frames.png").exists()
    assert not (tmp_path / "report" / "charge.png").exists()


def test_a_cell_that_was_not_pristine_is_not_assumed_to_be(tmp_path: Path) -> None:
    said, unsaid = (
        gather(Recording(days=2.0, frames=10, noted=False, start=start).write(tmp_path / name))
        for name, start in (("cycled", {"pristine": False}), ("new", {}))
    )
    for contents, expected in ((said, False), (unsaid, True)):
        assert contents.imaging is not None
        assert contents.imaging.analysis is not None
        sentences = " ".join(contents.imaging.analysis.assumptions)
        assert ("pristine" in sentences) is expected


def test_a_second_report_replaces_the_first(tmp_path: Path) -> None:
    directory = tmp_path / "report"
    write_report(Recording(days=0.4, frames=1, noted=False).write(tmp_path / "a"), directory)
    write_report(Recording(days=0.4, frames=0, noted=False).write(tmp_path / "b"), directory)
    assert sorted(path.name for path in directory.iterdir()) == [
        "charge.png",
        "cycles.csv",
        "index.html",
        "overview.png",
    ]


def test_the_verb_writes_beside_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Recording(days=0.3, frames=1, noted=False).write(tmp_path, "feed0001")
    assert main(["report", "feed", "--data", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["uid"] == "feed0001"
    assert Path(result["report"]) == tmp_path / "reports" / "feed0001" / "index.html"
    assert [Path(path).name for path in result["figures"]] == [
        "charge.png",
        "frames.png",
        "overview.png",
    ]
    assert main(["report", "-1", "--data", str(tmp_path), "--to", str(tmp_path / "here")]) == 0
    assert (tmp_path / "here" / "index.html").exists()


def test_a_run_that_is_not_there_is_an_error_of_the_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "beef", "--data", str(tmp_path)]) == 5
    assert "beef" in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, 2, 7, 5000])
def test_an_envelope_contains_every_value(count: int) -> None:
    rng = np.random.default_rng(count)
    time, values = np.sort(rng.uniform(0, 8, count)), rng.normal(size=count)
    middle, low, mean, high = envelope(time, values, 100)
    assert len(middle) <= 100
    assert low.min() == values.min()
    assert high.max() == values.max()
    assert (low <= mean + 1e-12).all()
    assert (mean <= high + 1e-12).all()
    assert (np.diff(middle) > 0).all()
