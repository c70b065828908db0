"""A rehearsal as lines for a terminal of 80 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np

from orchestrator.experiment.campaign import worded
from orchestrator.interlocks import Account
from orchestrator.rehearsal.campaign import RehearsedCampaign
from orchestrator.rehearsal.findings import Margin
from orchestrator.rehearsal.result import Rehearsal, Remark
from orchestrator.rehearsal.timeline import HOUR_S, Row, coarser_s, timeline
from orchestrator.rehearsal.watch import Happening
from orchestrator.rehearsal.words import clock, size, span

COLUMNS = 80
_NUMBER_AND_UNIT = re.compile(r"(\d) (?=(?:[num]?A|mAh|uAh|mV|V|s|h|d|min|%|[kMG]?B)\b|%)")
MOST_ROWS = 30
_LABEL = 11
_BAR = 20
_TIME = 11
"""Columns of a row before its content."""
_EXPECTED = ("cell_goes_on",)
"""Kinds of event that say what was to be expected."""
_NOISE = 1e-5
"""Part of the largest value of a run below which one is shown as nothing."""
_SYMMETRIC = 0.02
"""Relative difference of two extremes that are written as one number both ways."""


def campaign_lines(campaign: RehearsedCampaign) -> list[str]:
    """What a person reads of a campaign: a line for each run, and every remark once."""
    found = [
        f"{campaign.name}: {len(campaign.runs)} runs on a SIMULATED twin of "
        f"{campaign.runs[0].bench}",
        "",
        f"  {'run':>4} {'takes':>9} {'ends by':<16} {'mAh':>9} {'frames':>6} {'eis':>4}  values",
    ]
    for point, one in zip(campaign.points, campaign.runs, strict=True):
        text = (
            f"  {point.number:>4} {span(one.duration_s):>9} {one.stop_reason[:16]:<16} "
            f"{one.throughput_mah:>9.4g} {sum(one.frames.values()):>6} {one.spectra:>4}  "
        )
        found.append(text + textwrap.shorten(worded(point.values), COLUMNS - len(text)))
    found += ["", f"  all of them take {span(campaign.duration_s)}, without what is done between"]
    warnings = campaign.said("warnings")
    return [
        *found,
        "",
        *_grouped("violations", campaign.said("violations"), len(campaign.runs)),
        *_grouped("warnings", [one for one in warnings if not one[0].minor], len(campaign.runs)),
        *_grouped("remarks", [one for one in warnings if one[0].minor], len(campaign.runs)),
    ]


def _grouped(kind: str, said: Sequence[tuple[Remark, list[int]]], count: int) -> Iterator[str]:
    yield f"  {kind}: {len(said) or 'none'}"
    mark = "!" if kind == "violations" else ""
    for number, (remark, runs) in enumerate(said, start=1):
        which = "every run" if len(runs) == count > 1 else f"run {_listed(runs)}"
        of = f"{which}; numbers of run {runs[0]}" if len(runs) > 1 else which
        yield from _remark(number, remark, mark, of=of)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return f"{shown}, ..." if len(numbers) > 8 else shown


def lines(rehearsal: Rehearsal, *, every_row: bool = False) -> list[str]:
    """What a person reads first: how it ends, what it costs, what is wrong, hour by hour.

    Args:
        rehearsal: The result.
        every_row: Every row of the timeline, instead of at most thirty coarser ones.
    """
    return [
        *_summary(rehearsal),
        "",
        *_timeline(rehearsal, every_row=every_row),
        "",
        *_limits(rehearsal.margins),
        *_interlocks(rehearsal.interlocks),
        *_remarks(rehearsal),
    ]


# --- what it comes to ---------------------------------------------------------------------------


def _summary(one: Rehearsal) -> Iterator[str]:
    what = "real instruments not opened" if one.addresses else "a simulated bench"
    yield f"{one.name} on a SIMULATED twin of {one.bench} ({what})"
    yield ""
    yield from _entry("ends", f"{_end(one)}; all is done after {span(one.duration_s)}")
    yield from _entry("frames", _frames(one))
    if one.spectra:
        yield from _entry("spectra", f"{one.spectra}")
    yield from _entry("records", f"{one.records:,}, {size(one.record_bytes)} with all documents")
    yield from _entry("disk", _disk(one))
    yield from _entry("charge", _charge(one))
    idle = "; ".join(f"{span(dead.seconds)} {dead.text}" for dead in one.dead_times)
    yield from _entry("no current", idle or "never")
    yield from _entry("a crash", _loss(one))
    speed = one.duration_s / max(one.wall_s, 1e-9)
    yield from _entry("rehearsed", f"in {one.wall_s:.1f} s, {speed:,.0f} times faster than it runs")


def _entry(label: str, text: str) -> Iterator[str]:
    """A labelled paragraph."""
    yield from _wrapped(text, f"  {label:<{_LABEL}}", " " * (_LABEL + 2))


def _wrapped(text: str, first: str, following: str) -> Iterator[str]:
    """Lines of a paragraph; a number and its unit stay together."""
    kept = _NUMBER_AND_UNIT.sub("\\1\u00a0", text)
    for line in textwrap.wrap(kept, COLUMNS, initial_indent=first, subsequent_indent=following):
        yield line.replace("\u00a0", " ")


def _end(one: Rehearsal) -> str:
    reasons = {
        "completed": "the method has run to its end",
        "horizon": "NOT within the rehearsal",
        "limit": "a LIMIT ends it",
        "interlock": "an INTERLOCK ends it",
        "failed": "a device FAILS",
    }
    return f"{reasons.get(one.stop_reason, one.stop_reason)} after {span(one.stopped_at_s)}"


def _frames(one: Rehearsal) -> str:
    if not one.frames:
        return "none"
    return "; ".join(
        f"{name} {count}, {size(one.frame_bytes.get(name, 0))}, exposing "
        f"{100 * one.exposing.get(name, 0.0):.3g} % of the time"
        for name, count in one.frames.items()
    )


def _disk(one: Rehearsal) -> str:
    return (
        f"{size(one.bytes)} in this run; the longest one and a reserve need "
        f"{size(one.disk.needed_bytes)}, {size(one.disk.free_bytes)} are free"
    )


def _charge(one: Rehearsal) -> str:
    text = f"{one.charge_mah:+.4g} mAh net, {one.throughput_mah:.4g} mAh in both directions"
    if one.area_cm2 > 0:
        text += f" ({one.throughput_mah / one.area_cm2:.4g} mAh/cm2)"
    return text


def _loss(one: Rehearsal) -> str:
    loss = one.loss
    return (
        f"loses up to {span(loss.journal_every_s)} of records, {1e3 * loss.charge_mah:.3g} uAh; "
        f"a condition is seen up to {span(loss.poll_period_s)} late, "
        f"{1e3 * loss.unseen_mah:.3g} uAh"
    )


# --- hour by hour -------------------------------------------------------------------------------


def _timeline(one: Rehearsal, *, every_row: bool) -> Iterator[str]:
    rows = one.timeline
    if not every_row and len(rows) > MOST_ROWS:
        length_s = coarser_s(one.duration_s, MOST_ROWS)
        rows = timeline(one.course, one.resting, length_s)
    row_s = rows[0].to_s - rows[0].from_s if rows else HOUR_S
    names = list(one.frames)
    taken = "/".join([*names, *(["eis"] if one.spectra else [])]) or "-"
    yield f"  timeline, a row each {span(row_s)}; idle: the protocol stands still"
    head = f"  {'from':<9} {'cycles':>9}  {'current / mA':>18}  {'voltage / V':>17}"
    yield f"{head} {'rest':>5} {'idle':>5} {taken[:7]:>7}"
    scales = tuple(_largest(one, name) for name in ("current_ma", "voltage_v"))
    former, repeated = "", False
    for k, row in enumerate(rows):
        text = _row(row, names, row_s, scales, spectra=bool(one.spectra))
        events = list(_events(row, one))
        same = text[_TIME:] == former and not events and k + 1 < len(rows)
        if not same:
            yield text
        elif not repeated:
            yield "        :"
        repeated, former = same, text[_TIME:]
        yield from events


def _largest(one: Rehearsal, name: str) -> float:
    """Largest size of a column of the records; what is far below it is noise."""
    values = np.abs(one.course.records[name])
    return float(np.max(values[np.isfinite(values)], initial=0.0))


def _row(
    row: Row, names: Sequence[str], row_s: float, scales: Sequence[float], *, spectra: bool
) -> str:
    length_s = max(row.to_s - row.from_s, 1e-9)
    rest, idle = (f"{100 * part / length_s:.0f} %" for part in (row.rest_s, row.idle_s))
    taken = "/".join(str(row.frames.get(name, 0)) for name in names)
    if spectra:
        taken = f"{taken}{'/' if taken else ''}{row.spectra}"
    return (
        f"  {clock(row.from_s, row_s):<9} {_cycles(row):>9}  "
        f"{_between(row.min_current_ma, row.max_current_ma, scales[0]):>18}  "
        f"{_between(row.min_voltage_v, row.max_voltage_v, scales[1]):>17} "
        f"{rest:>5} {idle:>5} {taken[:7]:>7}"
    ).rstrip()


def _cycles(row: Row) -> str:
    if not row.first_cycle:
        return "-"
    same = row.first_cycle == row.last_cycle
    return f"{row.first_cycle}" if same else f"{row.first_cycle}-{row.last_cycle}"


def _between(low: float | None, high: float | None, scale: float) -> str:
    if low is None or high is None:
        return "-"
    least = max(1e-3 * max(abs(low), abs(high)), _NOISE * scale)
    texts = [f"{value if abs(value) > least else 0.0:.3g}" for value in (low, high)]
    if texts[0] == texts[1]:
        return texts[0]
    if high > 0.0 and abs(low + high) <= _SYMMETRIC * high:
        return f"+-{high:.3g}"
    return f"{texts[0]} .. {texts[1]}"


def _events(row: Row, one: Rehearsal) -> Iterator[str]:
    """Events of a row; of many of a kind the first."""
    last = row.to_s >= one.duration_s
    kinds: dict[str, list[Happening]] = {}
    for event in one.course.events:
        inside = row.from_s < event.time_s <= row.to_s or (not row.from_s and not event.time_s)
        if inside or (last and event.time_s > row.to_s):
            kinds.setdefault(event.kind, []).append(event)
    for kind, events in kinds.items():
        if kind in _EXPECTED:
            continue
        count = f"{len(events)} x " if len(events) > 1 else ""
        text = f"> {span(events[0].time_s)} {count}{kind}: {events[0].text}"
        yield "    " + textwrap.shorten(text, COLUMNS - 4, placeholder=" ...")


# --- limits, violations, warnings ---------------------------------------------------------------


def _limits(margins: Sequence[Margin]) -> Iterator[str]:
    if not margins:
        return
    yield "  limits, and how much of each was used"
    for one in margins:
        filled = round(_BAR * min(max(one.used, 0.0), 1.0))
        bar = f"[{'#' * filled}{'.' * (_BAR - filled)}]"
        reached = f"{one.reached:.4g} of {one.limit:g} {one.unit}"
        yield f"  {one.key:<17} {bar} {100 * max(one.used, 0.0):>4.0f} %  {reached}"
    yield ""


def _interlocks(accounts: Sequence[Account]) -> Iterator[str]:
    if not accounts:
        return
    yield "  interlocks of the bench, and what each has seen"
    for one in accounts:
        seen = "nothing to see" if not one.readings else f"{one.readings} readings"
        if one.low is not None and one.high is not None:
            seen = f"{one.low:.4g}" if one.low == one.high else f"{one.low:.4g} .. {one.high:.4g}"
        state = "TRIPPED" if one.tripped else "held"
        yield from _wrapped(f"{one.name}: {one.expected}; {seen}", f"  {state:<8} ", " " * 11)
    yield ""


def _remarks(one: Rehearsal) -> Iterator[str]:
    yield f"  violations: {len(one.violations) or 'none'}"
    for number, remark in enumerate(one.violations, start=1):
        yield from _remark(number, remark, "!")
    serious = [remark for remark in one.warnings if not remark.minor]
    minor = [remark for remark in one.warnings if remark.minor]
    yield f"  warnings: {len(serious) or 'none'}"
    for number, remark in enumerate(serious, start=1):
        yield from _remark(number, remark, "")
    if minor:
        yield f"  remarks: {len(minor)}"
        for number, remark in enumerate(minor, start=1):
            yield from _remark(number, remark, "")


def _remark(number: int, remark: Remark, mark: str, *, of: str = "") -> Iterator[str]:
    """A remark: its place, what, and what to do."""
    place = " ".join(one for one in (remark.place, remark.path) if one) or "the run as a whole"
    yield f"  {mark or ' '}{number:>2}. {place}"
    if of:
        yield f"       {of}"
    pad = " " * 7
    yield from _wrapped(remark.what, pad, pad)
    yield from _wrapped(remark.remedy, f"{pad}-> ", f"{pad}   ")
