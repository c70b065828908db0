"""The fault matrix: what can go wrong, what is promised then, and which tests show it.

python -m tests.fault_matrix

writes docs/reference/faults.md. The rows stand here, once. A test says in the first line of its
docstring which rows it shows: ``Row 8: ...`` or ``Rows 8, 28: ...``. It ends with `tests.promises`
where it has a bench. What a test measured is in `tests.latencies`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.latencies import Measured, measured

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "faults.md"

_NAMES_ROWS = re.compile(r"Rows? (\d+(?:(?:, | and )\d+)*)[:.]\s*")


@dataclass(frozen=True)
class Row:
    """What can go wrong.

    Attributes:
        number: By which tests name it.
        fault: What happens.
        promise: What the software does then.
    """

    number: int
    fault: str
    promise: str


ROWS = (
    Row(
        1,
        "bad experiment or profile: unknown key, unit, limit outside the cell's envelope, "
        "metadata that are no JSON",
        "all errors at once with file:line:column; nothing is written to an instrument",
    ),
    Row(
        2,
        "a limit missing",
        "refused",
    ),
    Row(
        3,
        "an instrument is absent, or another one answers",
        "fails before anything is energised, by name",
    ),
    Row(
        4,
        "unplugged within a step",
        "off by every other path within one poll, the run fails, alert",
    ),
    Row(
        5,
        "plugged in again",
        "identity and state verified; goes on by policy only",
    ),
    Row(
        6,
        "garbled reply",
        "discarded, asked again a bounded number of times, counted; three in a row are a fault",
    ),
    Row(
        7,
        "truncated, merged, shifted replies",
        "reconnects and identifies anew; no stale number is ever used",
    ),
    Row(
        8,
        "no reply in time",
        "what reads is repeated; what energises never",
    ),
    Row(
        9,
        "slow reply",
        "the schedule stays absolute; a late sample is flagged",
    ),
    Row(
        10,
        "a driver blocks for ever",
        "the watchdog switches off within its time",
    ),
    Row(
        11,
        "over-voltage, under-voltage, over-current: one sample, n samples",
        "trips within the samples that confirm it; latched until acknowledged",
    ),
    Row(
        12,
        "over-temperature, pressure out of band",
        "trips; current 0, heater off",
    ),
    Row(
        13,
        "hard and soft short",
        "detected; cell open; spectrum and frame as evidence if safe; campaign stopped",
    ),
    Row(
        14,
        "open circuit, contact lost",
        "the step ends, flagged",
    ),
    Row(
        15,
        "NaN, inf, overload mark",
        "never ok: a fault after n; recorded as NaN",
    ),
    Row(
        16,
        "stuck sensor",
        "alarm of plausibility",
    ),
    Row(
        17,
        "commanded and read-back output differ",
        "abort, off by the second path, alert",
    ),
    Row(
        18,
        "switching off itself fails",
        "tried again, second path, UNSAFE latched, alert",
    ),
    Row(
        19,
        "SEM blanked, vacuum lost, black image",
        "frame stored and flagged; cycling by policy",
    ),
    Row(
        20,
        "SEM busy, frame late",
        "frame skipped, gap recorded, schedule not shifted",
    ),
    Row(
        21,
        "MRI console busy, scan aborted or truncated",
        "bounded wait, tried again, frame marked missing",
    ),
    Row(
        22,
        "huge image, wrong shape or dtype",
        "refused before it fills memory",
    ),
    Row(
        23,
        "disk full: journal, frames",
        "ends in order, off, `stop` written from the ballast",
    ),
    Row(
        24,
        "disk low before the start",
        "refused",
    ),
    Row(
        25,
        "Tiled or PostgreSQL down, slow, restarted",
        "the plan is unaffected; what waits is uploaded later, once",
    ),
    Row(
        26,
        "a subscriber raises",
        "only the journal may stop a run; others are isolated and logged",
    ),
    Row(
        27,
        "SIGINT once, twice; SIGTERM; SIGHUP",
        "attended: pauses at rest; unattended: aborts, off, `stop`, ends in time",
    ),
    Row(
        28,
        "SIGKILL, out of memory",
        "the watchdog switches off; recovery closes the run; the step is interrupted",
    ),
    Row(
        29,
        "SIGSTOP, hung loop",
        "the watchdog switches off",
    ),
    Row(
        30,
        "reboot, power loss",
        "nothing energised after the boot; another boot id: recovery",
    ),
    Row(
        31,
        "the watchdog dies",
        "the runner goes safe, and refuses to start without one",
    ),
    Row(
        32,
        "clock set, DST, NTP step",
        "durations unchanged; UTC recorded; the jump recorded",
    ),
    Row(
        33,
        "start time in the past, ambiguous, without zone",
        "explicit policy, or refused",
    ),
    Row(
        34,
        "submitted twice; two schedulers; two controllers",
        "one job; the second is refused",
    ),
    Row(
        35,
        "unicode, `../`, NUL, very long, `$x`, `a.b` in names",
        "escaped or refused; files are named by uids",
    ),
    Row(
        36,
        "unauthorised, read-only or wrong-host HTTP client; replay",
        "401 or 403, a line of the audit log, no change; any authenticated operator may stop",
    ),
    Row(
        37,
        "paused too long while energised",
        "the timer of the pause: rest state",
    ),
    Row(
        38,
        "rewinding would repeat a step of charge",
        "impossible: paused at every message, mAh compared",
    ),
    Row(
        39,
        "a second signal during the finalizer",
        "switching off is completed all the same",
    ),
    Row(
        40,
        "journal corrupted in the middle, cut at every byte",
        "reported; what stands before and behind is kept",
    ),
    Row(
        41,
        "software or files changed within a campaign",
        "hashes differ: asks",
    ),
    Row(
        42,
        "kill -9 at random points of a campaign that is resumed, the laboratory in a process "
        "of its own, each with a drawn outage and a watchdog that acts or is absent",
        "the cell's own charge is that of the uninterrupted run but for the stated gaps; what"
        " is recorded and the gaps add up to it; no event twice",
    ),
    Row(
        43,
        "memory",
        "less than 1 kB per event over 10^6 events, 30 days",
    ),
)


@dataclass(frozen=True)
class Shown:
    """A test that shows a row.

    Attributes:
        node: As pytest is told it.
        text: What its docstring says, or its name in words.
        soak: It is run by ``make soak`` only.
    """

    node: str
    text: str
    soak: bool


def rows_named(docstring: str | None) -> tuple[list[int], str]:
    """Rows that a docstring names at its beginning, and the rest of its first line."""
    first = (docstring or "").strip().partition("\n")[0]
    found = _NAMES_ROWS.match(first)
    if found is None:
        return [], first
    return [int(one) for one in re.findall(r"\d+", found[1])], first[found.end() :]


def shown_by_row(folder: Path = ROOT / "tests") -> dict[int, list[Shown]]:
    """Tests by the row that they show, in the order of files and lines; nothing is imported."""
    found: dict[int, list[Shown]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        for numbers, shown in _tests_of(path, path.relative_to(folder.parent).as_posix()):
            for number in numbers:
                found.setdefault(number, []).append(shown)
    return found


def _tests_of(path: Path, name: str) -> Iterator[tuple[list[int], Shown]]:
    text = path.read_text(encoding="utf-8")
    if "Row" not in text:
        return
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            members = [one for one in node.body if isinstance(one, ast.FunctionDef)]
            yield from (_shown(one, f"{name}::{node.name}::") for one in members if _is_test(one))
        elif isinstance(node, ast.FunctionDef) and _is_test(node):
            yield _shown(node, f"{name}::")


def _is_test(node: ast.FunctionDef) -> bool:
    return node.name.startswith("test_")


def _shown(node: ast.FunctionDef, where: str) -> tuple[list[int], Shown]:
    numbers, rest = rows_named(ast.get_docstring(node))
    words = node.name.removeprefix("test_").replace("_", " ")
    soak = any(ast.unparse(one) == "pytest.mark.soak" for one in node.decorator_list)
    return numbers, Shown(f"{where}{node.name}", rest.strip() or words, soak)


# --- the page -----------------------------------------------------------------------------------

HEAD = """# Faults

<!-- Written by `make faults` from the table and the docstrings of the tests; a test compares. -->

What can go wrong, what is promised then, and the tests that show it. Instruments are simulated and
time is virtual; processes, signals, sockets and disks are real where the fault is one of theirs.
Whatever the row: at the end **the output is off**, and **what the journal acknowledged can be
read**.

What can be injected into a simulated laboratory, to try it yourself, is on
[another page](injectable-faults.md).

"""


def page() -> str:
    """The whole page."""
    tests, latencies = shown_by_row(), measured()
    table = ["| # | fault | promised | tests | measured |", "|---|---|---|---|---|"]
    table += [_line(row, tests.get(row.number, []), latencies) for row in ROWS]
    parts = [_section(row, tests.get(row.number, []), latencies) for row in ROWS]
    return "\n".join([HEAD + "\n".join(table), _about(latencies), *parts])


def _line(row: Row, tests: list[Shown], latencies: Measured) -> str:
    mine = latencies.of(row.number)
    most = "; ".join(f"{one.most_s:.3g} s" for one in mine)
    number = f"[{row.number}](#row-{row.number})"
    return f"| {number} | {row.fault} | {row.promise} | {len(tests) or 'none'} | {most} |"


def _about(latencies: Measured) -> str:
    if not latencies.rows:
        return ""
    return (
        f"\nMeasured: the longest of its repetitions, on {latencies.date}, {latencies.machine}, by "
        "`make latencies`.\n"
    )


def _section(row: Row, tests: list[Shown], latencies: Measured) -> str:
    lines = [f"## Row {row.number}\n", f"*{row.fault}*: {row.promise}.\n"]
    for one in latencies.of(row.number):
        lines.append(
            f"{one.what}: {one.median_s:.3g} s in the median of {one.times}, {one.most_s:.3g} s at "
            f"most; {one.promised_s:g} s are promised.\n"
        )
    if not tests:
        lines.append("No test yet.\n")
    for test in tests:
        soak = " (by `make soak`)" if test.soak else ""
        lines.append(f"- {test.text.rstrip('.')}{soak}: `{test.node}`")
    return "\n".join(lines) + ("\n" if tests else "")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
