"""The page with the last result of the kill campaigns, from the file that `make soak` writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "tests" / "unattended" / "kill_campaign.json"
PAGE = ROOT / "docs" / "reference" / "kill-campaign.md"

_TITLES = {
    "point": "where the engine died",
    "cell": "the cell at that moment",
    "outage": "how long nobody came",
    "meanwhile": "what happened meanwhile",
    "found": "what `resume` found at the instrument",
    "gaps": "gaps in the records",
    "refused": "`resume` refused, rightly",
}

_TEXT = """\
# Killed again and again

Written by `make soak` (`pytest -m soak tests/unattended/test_kill_campaign.py`); do not edit.
Last on {date}, {machine}: **{kills} kills in {campaigns} campaigns**. CI does 50.

An experiment of twelve hours (constant current both ways, constant voltage, rests, a loop,
conditions, MRI frames; spectra behind the bridge) runs on a [laboratory in a process of its own,
in virtual time](../how-to/serve-the-laboratory.md#a-cell-that-outlives-the-engine). Its engine is
killed by SIGKILL in front of, behind or half-way through a document, a message of the plan, a
byte to an instrument, a byte of a journal line, an fsync, a rename, a jump of time, or after a
drawn real delay. Then nobody comes for 0 s to 6 h. A watchdog has switched off 2 s after the
death, with links of its own; or there was none and the instrument ran to its programmed end; or a
stranger has used the instrument meanwhile. Then `operando resume -1 --yes`, which is killed in
turn.

Checked each time, from outside and from the records:

- The cell is off where the watchdog acted, and without one once its program has ended.
- Every line of every journal that had been fsynced before a kill is still there, byte for byte.
- No record, frame, spectrum or event is there twice; sequence numbers have no hole; every journal
  is whole.
- Recorded charge, with the gaps stated, is the cell's own within one record, net and in both
  directions.
- Each step has passed the charge of the uninterrupted run's, within one record and the gaps
  stated.
- Every frame announced can be read; of every twentieth campaign through databroker.

Largest deviations, of which 1 is allowed:

| | |
|---|---|
| recorded charge against the cell's own | {recorded:.4f} of one record's charge |
| charge of a step against the uninterrupted run's | {steps:.4f} of one record's charge |
| the same at a voltage, where it depends on history | {voltage:.4f} of how cycles differ anyway |

| | | times |
|---|---|---|
{rows}
Compared: {checked}.
"""


def page(result: Mapping[str, Any]) -> str:
    """The page as text.

    Args:
        result: What the soak test has written.
    """
    largest, counts = result["largest_deviation"], result["counts"]
    rows = "".join(
        f"| {title if number == 0 else ''} | {which} | {times} |\n"
        for what, title in _TITLES.items()
        for number, (which, times) in enumerate(counts.get(what, {}).items())
    )
    checked = ", ".join(f"{number:,} {what}" for what, number in counts["checked"].items())
    return _TEXT.format(
        date=result["date"],
        machine=result["machine"],
        kills=f"{result['kills']:,}",
        campaigns=result["campaigns"],
        recorded=largest["recorded"],
        steps=largest["steps"],
        voltage=largest["voltage_steps"],
        rows=rows,
        checked=checked,
    )
