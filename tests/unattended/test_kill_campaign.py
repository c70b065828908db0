"""An experiment of twelve hours whose engine is killed again and again (`kill_campaign`)."""

from __future__ import annotations

import datetime
import importlib
import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import orjson
import pytest

from orchestrator.records.store import open_store
from tests.unattended.kill_campaign import ONE_RECORD_MAH, VOLTAGE_STEPS, Campaign, Outcome
from tests.unattended.kill_checks import Recorded, deviations
from tests.unattended.kill_page import PAGE, RESULT, page

pytestmark = [pytest.mark.unattended, pytest.mark.long]

for _verb in ("run", "resume", "attended"):  # the forked engines find everything imported
    importlib.import_module(f"orchestrator.cli.{_verb}")

DRIVERS = ("keithley_2450", "potentiostat_bridge")
_AT_MOST = 10
"""Kills of one campaign."""


@dataclass
class Tally:
    """What many campaigns came to.

    Attributes:
        largest: Largest deviation of each kind, 1 is allowed.
        counts: What happened how often.
        campaigns: Number of them.
    """

    largest: dict[str, float] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    campaigns: int = 0

    @property
    def kills(self) -> int:
        return sum(self.counts.get("point", Counter()).values())

    def add(self, outcome: Outcome, reference: Recorded) -> None:
        """Compare one campaign with the uninterrupted run, and count what happened."""
        there = outcome.recorded
        assert there is not None
        told = deviations(there, outcome.cell_mah, reference, ONE_RECORD_MAH, VOLTAGE_STEPS)
        for name, value in vars(told).items():
            self.largest[name] = max(self.largest.get(name, 0.0), value)
            assert value <= 1.0, (name, value, outcome.kills)
        for kill in outcome.kills:
            self._count("point", kill.point.partition(" ")[0])
            self._count("meanwhile", kill.meanwhile)
            self._count("cell", "on" if kill.on else "off")
            self._count("outage", _decade(kill.outage_s))
        for found in there.found:
            self._count("found", found)
        self._count("gaps", "none stated", sum(not gap for gap in there.gap_s))
        self._count("gaps", "stated", sum(bool(gap) for gap in there.gap_s))
        self._count("checked", "journal bytes acknowledged before a kill", outcome.journal_bytes)
        self._count("checked", "frames", outcome.frames)
        self._count("checked", "records", len(there.run.streams["echem"]["time"]))
        self._count("refused", "nothing had been done yet", outcome.refused)
        self.campaigns += 1

    def write(self, file: Path) -> None:
        file.with_suffix(".new").write_bytes(orjson.dumps(vars(self)))
        file.with_suffix(".new").replace(file)

    @classmethod
    def read(cls, file: Path) -> Tally:
        told = orjson.loads(file.read_bytes())
        counts = {what: Counter(one) for what, one in told["counts"].items()}
        return cls(told["largest"], counts, told["campaigns"])

    def __add__(self, other: Tally) -> Tally:
        names, kinds = {*self.largest, *other.largest}, {*self.counts, *other.counts}
        nothing: Counter[str] = Counter()
        return Tally(
            {n: max(self.largest.get(n, 0.0), other.largest.get(n, 0.0)) for n in names},
            {k: self.counts.get(k, nothing) + other.counts.get(k, nothing) for k in kinds},
            self.campaigns + other.campaigns,
        )

    def _count(self, what: str, which: str, number: int = 1) -> None:
        self.counts.setdefault(what, Counter())[which] += number


def _decade(outage_s: float) -> str:
    bounds = ((1.0, "under 1 s"), (60.0, "1 s to 1 min"), (3600.0, "1 min to 1 h"))
    return next((text for bound, text in bounds if outage_s < bound), "1 h to 6 h")


def campaigns(
    folder: Path, driver: str, kills: int, tally: Tally, first: int = 0
) -> Iterator[Path]:
    """Campaigns until so many kills have been survived; gives the folder of each."""
    reference = Campaign(folder / "reference", driver, 0).run()
    assert reference.recorded is not None
    tally.add(reference, reference.recorded)
    seed, wanted = first, tally.kills + kills
    while tally.kills < wanted:
        seed += 1
        assert seed < first + kills, "the kills do not hit"
        here = folder / str(seed)
        most = min(_AT_MOST, wanted - tally.kills)
        tally.add(Campaign(here, driver, seed, most, reference).run(), reference.recorded)
        yield here
        shutil.rmtree(here)


@pytest.mark.parametrize("driver", DRIVERS)
def test_killed_anywhere_and_resumed(driver, tmp_path):
    """Row 42: kill -9 anywhere, any outage, with and without a watchdog: resumed, nothing lost."""
    tally, in_store = Tally(), 0
    for here in campaigns(tmp_path, driver, 25, tally):
        if driver == DRIVERS[1] and not in_store:
            in_store = frames_in_store(here / "data")
    assert bool(in_store) == (driver == DRIVERS[1])
    assert tally.kills == 25
    assert tally.counts["checked"]["journal bytes acknowledged before a kill"] > 1_000_000
    assert set(tally.counts["found"]) >= {"off", "running"}


def frames_in_store(data: Path) -> int:
    """Every frame that a journal announces, read through databroker; how many there are."""
    from orchestrator.records.chains import load_chain
    from orchestrator.records.directory import DataDirectory

    directory, count = DataDirectory(data), 0
    whole = load_chain(directory.journal(list(directory.runs())[-1]))
    with open_store(data) as store:
        store.wait_uploaded()
        for part in whole.parts or (whole,):
            announced = len(part.streams.get("mri", {"time": ()})["time"])
            if announced:  # a file may hold one more, of which the next run took care
                pixels = store.cat[part.uid]["mri"]["mri_image"].read()
                frames = part.frames("mri")
                assert len(pixels) >= announced
                assert all((pixels[k] == frames[k]).all() for k in range(announced))
            count += announced
    return count


def _half(folder: Path, kills: int, driver: str) -> None:
    """Campaigns with one driver; what they came to is written after each, so that it may end."""
    tally = Tally()
    for number, here in enumerate(campaigns(folder / driver, driver, kills, tally)):
        if number % 20 == 10:
            frames_in_store(here / "data")
        tally.write(folder / f"{driver}.json")
        write_result(sum(map(Tally.read, folder.glob("*.json")), Tally()))


@pytest.mark.soak
def test_a_thousand_kills(tmp_path):
    """Row 42: a thousand kills; writes the result and the page that the repository keeps."""
    kills = int(os.environ.get("OPERANDO_KILLS", "1000")) // len(DRIVERS)
    with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:
        list(pool.map(partial(_half, tmp_path, kills), DRIVERS))
    assert orjson.loads(RESULT.read_bytes())["kills"] == kills * len(DRIVERS)


def write_result(tally: Tally) -> None:
    """Write the result and its page."""
    result = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.release()}, {platform.machine()}, "
        f"{os.cpu_count()} processors, Python {platform.python_version()}",
        "kills": tally.kills,
        "campaigns": tally.campaigns,
        "largest_deviation": tally.largest,
        "counts": {what: dict(sorted(counts.items())) for what, counts in tally.counts.items()},
    }
    RESULT.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n")
    PAGE.write_text(page(result), encoding="utf-8")


def test_the_page_says_what_was_measured():
    assert PAGE.read_text(encoding="utf-8") == page(orjson.loads(RESULT.read_bytes()))
