"""`operando doctor`: is this machine and this bench fit for a run?"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from devices.clock import monotonic, wall_time
from orchestrator.cli import laboratory_option
from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.bench import Bench

HELP = "check environment, package names, disk, clocks and, with --bench, every instrument"

DISTRIBUTION = "operando-orchestrator"
IMPORT_PACKAGES = ("orchestrator", "plans", "devices", "sim")
_LEAST_FREE_BYTES = 1_000_000_000
_LONGEST_CLOCK_STEP_S = 0.1

Verdict = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        check: What was looked at.
        verdict: ``ok``, ``warning`` or ``wrong``.
        text: What was found, and the remedy where it is not ok.
    """

    check: str
    verdict: Verdict
    text: str


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--bench", help="bench profile by name or path")
    laboratory_option.register(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Examine; exit code 3 if anything is wrong."""
    findings = [*_environment(), *_names(), *_disk(args.data), *_clocks()]
    if args.bench:
        findings += _instruments(args.bench, args.data, args.laboratory)
    for finding in findings:
        out.line(f"{finding.verdict:>8}  {finding.check}: {finding.text}")
    wrong = [finding for finding in findings if finding.verdict == "wrong"]
    out.line(f"\n{len(findings)} checks, {len(wrong)} wrong")
    out.result({"ok": not wrong, "findings": [asdict(finding) for finding in findings]})
    return 3 if wrong else 0


def _environment() -> Iterator[Finding]:
    from orchestrator.records.software import PACKAGES  # keep `--help` fast

    python = ".".join(str(part) for part in sys.version_info[:3])
    fit: Verdict = "ok" if sys.version_info >= (3, 11) else "wrong"
    yield Finding("python", fit, f"{python} (3.11 or newer is needed)")
    for name in PACKAGES:
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:
            yield Finding(name, "wrong", f"not installed (python -m pip install {name})")


def _names() -> Iterator[Finding]:
    """PyPI's `plans` and `orchestrator` ship the same import names as this project."""
    owners = packages_distributions()
    own = find_spec("orchestrator")
    home = Path(str(own.origin)).parents[1] if own and own.origin else Path()
    for package in IMPORT_PACKAGES:
        spec = find_spec(package)
        strangers = sorted(set(owners.get(package, [])) - {DISTRIBUTION})
        origin = Path(str(spec.origin)) if spec and spec.origin else None
        if strangers:
            remedy = f"python -m pip uninstall {' '.join(strangers)}"
            yield Finding(package, "wrong", f"also shipped by {', '.join(strangers)} ({remedy})")
        elif origin is None or not origin.is_relative_to(home):
            remedy = "leave the folder that shadows it, or unset PYTHONPATH"
            yield Finding(package, "wrong", f"imported from {origin}, expected {home} ({remedy})")
        else:
            yield Finding(package, "ok", f"imported from {origin.parent}")


def _disk(data: Path) -> Iterator[Finding]:
    folder = data.resolve()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    fit: Verdict = "ok" if free > _LEAST_FREE_BYTES else "warning"
    yield Finding("disk", fit, f"{free / 1e9:.1f} GB free for {data}")


def _clocks() -> Iterator[Finding]:
    """Wall and monotonic clock must run together for as long as we can look."""
    began_wall_s, began_s = wall_time(), monotonic()
    while monotonic() - began_s < _LONGEST_CLOCK_STEP_S:
        pass
    drift_s = (wall_time() - began_wall_s) - (monotonic() - began_s)
    fit: Verdict = "ok" if abs(drift_s) < _LONGEST_CLOCK_STEP_S else "warning"
    yield Finding("clocks", fit, f"wall and monotonic clock differ by {drift_s * 1e3:.3f} ms")


def _interlocks(bench: Bench) -> Iterator[Finding]:
    """Each interlock as it stands now; what cannot be seen with the cell off is said to be."""
    wrong = {trip.name: trip.text for trip in bench.interlocks.check()}
    latched = bench.interlocks.latches.read()
    seen = bench.interlocks.seen()
    for monitor in bench.interlocks.monitors:
        name, expected = f"interlock {monitor.name}", monitor.entry.expected
        if monitor.name in latched:
            remedy = f"operando interlocks {bench.profile.bench} --acknowledge {monitor.name}"
            said = f"latched: {latched[monitor.name].text} (look at the cell, then {remedy})"
            yield Finding(name, "wrong", said)
        elif monitor.name in wrong:
            yield Finding(name, "wrong", f"{wrong[monitor.name]} (no run begins until it is right)")
        else:
            value = seen.get(monitor.name, {}).get("value")
            now = "" if value is None else f", {value:.6g} now"
            blind = "" if monitor.name in seen else ", seen with the first record or frame"
            yield Finding(name, "ok", f"expected {expected}{now}{blind}")
    left = [name for name in latched if name not in {one.name for one in bench.interlocks.monitors}]
    for name in left:
        yield Finding(f"interlock {name}", "wrong", f"latched: {latched[name].text}")


def _instruments(bench_name: str, data: Path, laboratory: Path | None) -> Iterator[Finding]:
    from orchestrator.bench import open_bench

    with open_bench(bench_name, data=data, laboratory=laboratory) as bench:
        for who, link in bench.links.items():
            identity = link.identity
            kind = "SIMULATED" if identity.simulated else "hardware, driver not verified on it"
            text = f"{identity.manufacturer} {identity.model}, serial {identity.serial} ({kind})"
            yield Finding(who, "ok", text)
        yield from _interlocks(bench)
        for name in bench.off():
            yield Finding(name, "wrong", "not known to be off (disconnect the cell by hand)")
