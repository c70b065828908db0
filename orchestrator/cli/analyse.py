"""`operando analyse`: numbers with errors from files of any instrument."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.cli.options import common_options
from orchestrator.cli.output import Output

HELP = "numbers with errors from images, spectra and curves of any instrument"

Result = dict[str, Any]
Add = Callable[[argparse.ArgumentParser], None]
Measure = Callable[[argparse.Namespace], Result]


def register(parser: argparse.ArgumentParser) -> None:
    """Add one sub-verb for each kind of measurement."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True, title="kinds")
    for name, (text, add, _) in KINDS.items():
        sub = kinds.add_parser(name, help=text, description=text)
        common_options(sub, after_verb=True)
        add(sub)


def run(args: argparse.Namespace, out: Output) -> int:
    """Measure, tell and return the result."""
    result = KINDS[args.kind][2](args)
    out.line(f"{result['kind']} of {', '.join(result['files'])}: {result['quality']}")
    if result.get("simulated"):
        out.line("  SIMULATED data")
    for note in result["notes"]:
        out.line(f"  note: {note}")
    for line in _lines(result):
        out.line(line)
    out.result(result)
    return 0


# --- what people see -----------------------------------------------------------------------------

_TOLD = {"kind", "files", "notes", "simulated", "quality", "voids", "filaments", "spots", "counts",
         "edges", "errors", "largest", "series", "bulk", "interface"}  # fmt: skip
"""What has been said, or is for programs only."""


def _lines(value: Mapping[str, Any], indent: str = "  ") -> list[str]:
    """Numbers with their errors, one a line."""
    lines: list[str] = []
    for key, each in value.items():
        if key == "quality" and each != "ok" and len(indent) > 2:
            lines.append(f"{indent}{key}: {each}")
        if key in _TOLD or each is None:
            continue
        if isinstance(each, Mapping):
            below = [] if "value" in each else _lines(each, f"{indent}  ")
            lines += [f"{indent}{key}: {'' if below else _number(each)}".rstrip(), *below]
        elif isinstance(each, list) and each and isinstance(each[0], Mapping):
            for index, item in enumerate(each, start=0 if key == "frames" else 1):
                said = _number(item) if "value" in item else ""
                lines.append(f"{indent}{key.removesuffix('s')} {index}: {said}".rstrip())
                lines += [] if said else _lines(item, f"{indent}  ")
        else:
            lines.append(f"{indent}{key}: {_plain(each)}")
    return lines


def _number(value: Mapping[str, Any]) -> str:
    """Value and error, with as many digits as the error allows."""
    number, error, quality = value["value"], value["error"], value.get("quality", "ok")
    if number is None:
        return f"not measured ({quality})"
    remark = "" if quality == "ok" else f" ({quality})"
    if not error:
        known = "" if error is None else " +- 0"
        return f"{number:.6g}{known}{remark}"
    digits = max(0, 1 - math.floor(math.log10(abs(error))))
    if digits > 6 or abs(number) >= 1e7:
        return f"{number:.4g} +- {error:.2g}{remark}"
    return f"{number:.{digits}f} +- {error:.{digits}f}{remark}"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join("-" if each is None else _plain(each) for each in value) or "none"
    return str(value)


# --- arguments -----------------------------------------------------------------------------------


def _span(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    return int(first), int(last)


def _one_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the file")


def _micrographs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="TIFF or HDF5; several are a series"
    )
    parser.add_argument(
        "--pixel-um", type=float, metavar="UM", help="size of a pixel (default: as the file says)"
    )
    parser.add_argument(
        "--lines", type=_span, metavar="FIRST:END", help="use these lines only (cuts a data bar)"
    )
    parser.add_argument(
        "--dataset",
        metavar="PATH",
        help="dataset in an HDF5 file, perhaps of it a part: /entry/data/data[-1]",
    )


def _interfaces(parser: argparse.ArgumentParser) -> None:
    _micrographs(parser)
    parser.add_argument("--flip", action="store_true", help="the metal is below the electrolyte")


def _voids(parser: argparse.ArgumentParser) -> None:
    _interfaces(parser)
    parser.add_argument(
        "--raw", action="store_true", help="do not correct the bias of smoothing and threshold"
    )
    parser.add_argument(
        "--charge-mah-per-cm2",
        type=float,
        metavar="Q",
        help="charge between frames: adds box numbers, drops and trends of the series",
    )


def _polarity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--polarity",
        choices=("dark", "bright"),
        default="dark",
        help="whether they are darker or brighter than around (dark)",
    )


def _filaments(parser: argparse.ArgumentParser) -> None:
    _interfaces(parser)
    _polarity(parser)


def _spallations(parser: argparse.ArgumentParser) -> None:
    _micrographs(parser)
    _polarity(parser)


def _lithium(parser: argparse.ArgumentParser, fov: str) -> None:
    _one_file(parser)
    lengths: tuple[tuple[str, str], ...] = (
        ("--electrode-mm", "diameter of the electrodes"),
        ("--thickness-mm", "thickness of the electrolyte"),
        ("--tr-s", "repetition time"),
        ("--te-s", "echo time"),
        ("--flip-angle-deg", "excitation angle"),
    )
    for name, text in lengths:
        parser.add_argument(name, type=float, required=True, metavar="X", help=text)
    count = len(fov.split())
    parser.add_argument(
        "--fov-mm", type=float, nargs=count, required=True, metavar="X", help=f"{fov}, mm"
    )
    parser.add_argument("--reference", type=Path, metavar="FILE", help="of the pristine cell")
    parser.add_argument(
        "--dataset",
        metavar="PATH",
        help="dataset in an HDF5 file, perhaps of it a part: /entry/data/data[-1]",
    )


def _layers(parser: argparse.ArgumentParser) -> None:
    _lithium(parser, "columns lines")


def _components(parser: argparse.ArgumentParser) -> None:
    _lithium(parser, "columns lines depths")


def _histogram(parser: argparse.ArgumentParser) -> None:
    _one_file(parser)
    parser.add_argument(
        "--reference", type=Path, required=True, metavar="FILE", help="of the pristine cell"
    )
    parser.add_argument(
        "--dataset",
        metavar="PATH",
        help="dataset in an HDF5 file, perhaps of it a part: /entry/data/data[-1]",
    )


def _impedance(parser: argparse.ArgumentParser) -> None:
    _one_file(parser)
    parser.add_argument("--area-cm2", type=float, required=True, metavar="A", help="electrode area")
    parser.add_argument(
        "--electrolyte-ohm-cm2",
        type=float,
        required=True,
        metavar="R",
        help="thickness over conductivity of the electrolyte: far below it is a short",
    )
    parser.add_argument(
        "--negated", action="store_true", help="the imaginary column holds -Im Z without saying so"
    )


def _records(parser: argparse.ArgumentParser) -> None:
    _one_file(parser)
    parser.add_argument("--area-cm2", type=float, required=True, metavar="A", help="electrode area")
    parser.add_argument(
        "--rest-v", type=float, metavar="V", help="voltage at rest: adds the overpotential's onset"
    )


def _magnesium(parser: argparse.ArgumentParser) -> None:
    _one_file(parser)
    parser.add_argument(
        "--near-um", type=float, default=2.0, metavar="UM", help="depth that counts as near (2)"
    )
    parser.add_argument(
        "--reference-um",
        type=float,
        nargs=2,
        default=(20.0, math.inf),
        metavar="UM",
        help="depths that stripping leaves alone (20 to the end)",
    )


# --- measurements --------------------------------------------------------------------------------


def _micrograph_options(args: argparse.Namespace) -> Any:
    from orchestrator.measuring import MicrographOptions  # keep `--help` fast

    given = vars(args)
    return MicrographOptions(
        args.pixel_um, args.lines, args.dataset, given.get("flip", False), given.get("raw", False)
    )


def _lithium_options(args: argparse.Namespace) -> Any:
    from orchestrator.measuring import LithiumOptions

    return LithiumOptions(
        electrode_mm=args.electrode_mm,
        thickness_mm=args.thickness_mm,
        fov_mm=tuple(args.fov_mm),
        tr_s=args.tr_s,
        te_s=args.te_s,
        flip_angle_deg=args.flip_angle_deg,
        dataset=args.dataset,
        reference=args.reference,
    )


def _measure_voids(args: argparse.Namespace) -> Result:
    from orchestrator.measuring import voids_of

    return voids_of(
        args.files, _micrograph_options(args), charge_mah_per_cm2=args.charge_mah_per_cm2
    )


def _measure_filaments(args: argparse.Namespace) -> Result:
    from orchestrator.measuring import filaments_of

    return filaments_of(args.files, _micrograph_options(args), polarity=args.polarity)


def _measure_spallations(args: argparse.Namespace) -> Result:
    from orchestrator.measuring import spallations_of

    return spallations_of(args.files, _micrograph_options(args), polarity=args.polarity)


def _measure_layers(args: argparse.Namespace) -> Result:
    from orchestrator.measuring import layers_of

    return layers_of(args.file, _lithium_options(args))


def _measure_components(args: argparse.Namespace) -> Result:
    from orchestrator.measuring import components_of

    return components_of(args.file, _lithium_options(args))


def _measure_histogram(args: argparse.Namespace) -> Result:
    from orchestrator.measuring import histogram_of

    return histogram_of(args.file, args.reference, dataset=args.dataset)


def _measure_impedance(args: argparse.Namespace) -> Result:
    from orchestrator.measuring import measure_impedance

    return measure_impedance(
        args.file,
        area_cm2=args.area_cm2,
        electrolyte_ohm_cm2=args.electrolyte_ohm_cm2,
        negated=args.negated,
    )


def _measure_records(args: argparse.Namespace) -> Result:
    from orchestrator.measuring import measure_records

    return measure_records(args.file, area_cm2=args.area_cm2, rest_v=args.rest_v)


def _measure_magnesium(args: argparse.Namespace) -> Result:
    from orchestrator.measuring import measure_magnesium

    return measure_magnesium(args.file, near_um=args.near_um, reference_um=tuple(args.reference_um))


KINDS: dict[str, tuple[str, Add, Measure]] = {
    "voids": ("voids between metal and electrolyte", _voids, _measure_voids),
    "filaments": ("filaments in the electrolyte", _filaments, _measure_filaments),
    "spallations": ("spallations of a face", _spallations, _measure_spallations),
    "layers": ("lithium per layer from 2D MRI frames", _layers, _measure_layers),
    "components": ("connected lithium in a 3D MRI volume", _components, _measure_components),
    "histogram": ("pixels of an image minus a reference", _histogram, _measure_histogram),
    "impedance": ("bulk, interface or short from a spectrum", _impedance, _measure_impedance),
    "records": ("steps, onset, failure from time, V and I", _records, _measure_records),
    "magnesium": ("enrichment along an EDS line", _magnesium, _measure_magnesium),
}
"""Kinds of measurement: help, arguments, function."""
