"""`operando show`: what one run holds."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.output import Output, short

if TYPE_CHECKING:
    import numpy as np

    from orchestrator.analysis.per_cycle import PerCycle
    from orchestrator.records.campaigns import CampaignSummary
    from orchestrator.records.runs import Gap, Run

HELP = "show what a run holds (streams, columns, frames, damage), or the runs of a campaign"

_MOST_CYCLES = 12

_UNIX_S = 1e9
"""Seconds beyond which a column holds moments, not durations: 2001-09-09."""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "run",
        metavar="RUN",
        help="beginning of the uid of a run or campaign, or -1: the latest run",
    )
    parser.add_argument(
        "--alone",
        action="store_true",
        help="of a run that was cut off and resumed this part only, not the whole experiment",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Show a run."""
    from orchestrator.records.campaigns import find_campaign
    from orchestrator.records.chains import load_chain, summarise_chain
    from orchestrator.records.runs import find_run, load_run
    from orchestrator.records.summary import summarise

    campaign = find_campaign(args.data, args.run)
    if campaign is not None:
        return _show_campaign(campaign, args.data, out)
    from orchestrator.report.per_cycle import cycles_of

    path = find_run(args.data, args.run)
    load, sum_up = (load_run, summarise) if args.alone else (load_chain, summarise_chain)
    loaded, summary = load(path), sum_up(path)
    frames = {stream: _frames(loaded, stream) for stream in loaded.streams_with_frames()}
    value: dict[str, Any] = {
        **summary.as_dict(),
        "journal": str(path),
        "gaps": [_gap(one) for one in loaded.gaps],
        "start": loaded.start,
        "stop": loaded.stop,
        "streams": {name: _stream(loaded, name) for name in loaded.streams},
        "frames": frames,
        "cycles": None,
        "damaged_lines": [{"line": one.number, "reason": one.reason} for one in loaded.bad],
        "missing_documents": loaded.missing,
    }
    table = cycles_of(loaded)
    _tell(value, out)
    if table is not None:
        value["cycles"] = table.columns()
        _tell_cycles(table, out)
    out.result(value)
    return 0


def _show_campaign(campaign: CampaignSummary, data: Path, out: Output) -> int:
    """One line per run of a campaign."""
    from orchestrator.records.directory import DataDirectory
    from orchestrator.report.campaign import campaign_rows, members_of

    heads, rows = campaign_rows(members_of(campaign, DataDirectory(data)))
    out.line(f"campaign {campaign.uid}: {len(rows)} of {campaign.planned} runs of {campaign.name}")
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.line("  " + "  ".join(cells).rstrip())
    out.result(campaign.as_dict())
    return 0


def _stream(loaded: Run, name: str) -> dict[str, Any]:
    columns = loaded.streams[name]
    keys = loaded.descriptors[name]["data_keys"]
    spectra = {
        len(set(columns[f"{key.removesuffix('_z_real_ohm')}_spectrum"].tolist()))
        for key in columns
        if key.endswith("_z_real_ohm") and f"{key.removesuffix('_z_real_ohm')}_spectrum" in columns
    }
    return {
        "rows": len(columns["time"]),
        "spectra": max(spectra, default=0),
        "columns": {
            key: {"units": keys.get(key, {}).get("units") or "", **_span(values)}
            for key, values in columns.items()
            if key not in ("time", "seq_num")
        },
    }


def _span(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Lowest and highest finite value of a column of numbers."""
    import numpy as np  # keep `--help` fast

    if values.dtype.kind not in "fiub":
        return {"min": None, "max": None}
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {"min": None, "max": None}
    return {"min": finite.min().item(), "max": finite.max().item()}


def _frames(loaded: Run, stream: str) -> dict[str, Any]:
    from orchestrator.errors import RecordError

    try:
        reader = loaded.frames(stream)
    except RecordError as error:
        return {"count": 0, "error": str(error)}
    return {"count": len(reader), "shape": list(reader.shape[1:]), "file": str(reader.path)}


def _range(column: dict[str, Any]) -> str:
    """Lowest to highest value; moments as dates."""
    low, high, units = column["min"], column["max"], column["units"]
    if low is None:
        return str(units)
    if units == "s" and low >= _UNIX_S:
        began, ended = (datetime.fromtimestamp(t_s, UTC) for t_s in (low, high))
        return f"{began:%Y-%m-%d %H:%M:%S} to {ended:%Y-%m-%d %H:%M:%S} UTC"
    return f"{low:.6g} to {high:.6g} {units}"


def _counted(stream: dict[str, Any]) -> str:
    rows, spectra = stream["rows"], stream["spectra"]
    text = f"{rows} event{'' if rows == 1 else 's'}"
    return f"{text}, {spectra} impedance spectr{'um' if spectra == 1 else 'a'}" if spectra else text


def _tell_cycles(table: PerCycle, out: Output) -> None:
    """The cycles in at most 80 columns."""
    from orchestrator.report.per_cycle import text_rows

    rows = text_rows(table, _MOST_CYCLES)
    left_out = len(table) - (len(rows) - 2)
    out.line(f"  cycles: {len(table)}" + (f", {left_out} of them not shown" if left_out else ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        out.line("  " + "  ".join(cells).rstrip())


def _tell_campaign(told: dict[str, Any], out: Output) -> None:
    number, runs, uid = (str(told.get(key, "?"))[:8] for key in ("number", "runs", "uid"))
    out.line(f"  run {number} of {runs} of campaign {uid}")


def _tell_relations(value: dict[str, Any], out: Output) -> None:
    """What it belongs to, and what belongs to it."""
    if value["campaign"] is not None:
        _tell_campaign(value["campaign"], out)
    if value["parts"]:
        _tell_parts(value, out)
    elif value["resumes"]:
        out.line(f"  it goes on with run {value['resumes']}")


def _tell_parts(value: dict[str, Any], out: Output) -> None:
    """The runs that the experiment consists of, and what is missing between them."""
    out.line(f"  one experiment in {len(value['parts'])} runs, cut off and resumed:")
    for uid, gap in zip(value["parts"], [None, *value["gaps"]], strict=True):
        out.line(f"    {uid}{'' if gap is None else _gap_said(gap)}")


def _gap(gap: Gap) -> dict[str, Any]:
    """For a JSON result: what nobody knows is null."""
    return {key: None if value != value else value for key, value in asdict(gap).items()}


def _gap_said(gap: dict[str, Any]) -> str:
    bound, found = gap["bound_mah"], gap["found"] or "not recorded how"
    known = gap["from_s"] is not None and gap["to_s"] is not None
    length = f"gap {gap['to_s'] - gap['from_s']:.6g} s" if known else "unknown gap"
    charge = "unknown charge" if bound is None else f"at most {bound:.3g} mAh"
    return f": {length}, {charge}, found {found}"


def _tell_stream(name: str, stream: dict[str, Any], out: Output) -> None:
    out.line(f"  stream {name}: {_counted(stream)}")
    for key, column in stream["columns"].items():
        out.line(f"    {key}: {_range(column)}".rstrip(" :"))


def _tell(value: dict[str, Any], out: Output) -> None:
    out.line(f"run {value['uid']}: {value['state']} {value['reason']}".rstrip())
    out.line(f"  {value['plan_name']} on {value['sample']}, began {value['began']}")
    _tell_relations(value, out)
    for name, stream in value["streams"].items():
        if stream["rows"]:
            _tell_stream(name, stream, out)
    for name, frames in value["frames"].items():
        if "error" in frames:
            out.line(f"  frames of {name}: {frames['error']}")
            continue
        shape = " x ".join(str(length) for length in frames["shape"])
        out.line(f"  frames of {name}: {frames['count']} of {shape}, in")
        out.line(f"    {short(Path(frames['file']))}")
    for damaged in value["damaged_lines"]:
        out.line(f"  damaged: line {damaged['line']}: {damaged['reason']}")
    if value["missing_documents"]:
        out.line(f"  missing documents: {value['missing_documents']}")
