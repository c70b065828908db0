"""`operando bench`: the simulated laboratory over TCP, for any client."""

from __future__ import annotations

import argparse
import json
import math
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli import fault_options
from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.laboratory import ServedLaboratory, Surroundings
    from orchestrator.profile.models import BenchProfile

HELP = "serve the simulated laboratory over TCP and print resource strings"

DEFAULT_BENCH = "sim-mri"
DEFAULT_LIFE_S = 8 * 3600.0

_LONGEST_LIFE_S = 31 * 86_400.0
_LOOK_S = 0.5
"""How often errors of the simulation are looked for, s of real time."""

_LAST_PORT = 65_535


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "profile",
        nargs="?",
        default=DEFAULT_BENCH,
        metavar="PROFILE",
        help=f"bench profile by name or path (default {DEFAULT_BENCH})",
    )
    parser.add_argument(
        "--experiment",
        metavar="FILE",
        help="put the sample of this experiment file on the bench (its simulate_as)",
    )
    fault_options.register(parser)
    parser.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="DEVICE=PORT",
        help="port of an instrument (default: any that is free); may be repeated",
    )
    parser.add_argument(
        "--life-s",
        default=f"{DEFAULT_LIFE_S:g}",
        metavar="S",
        help=f"end by itself after this time, s (default {DEFAULT_LIFE_S:g}, 8 h)",
    )
    parser.add_argument(
        "--write-profile",
        type=Path,
        metavar="FILE",
        help="write a bench profile with the addresses served, for run, shell and doctor",
    )
    parser.add_argument(
        "--address-file",
        type=Path,
        metavar="FILE",
        help="open a control channel and write the file that `--laboratory` of the other verbs "
        "takes; it is for its owner alone and goes when the laboratory ends",
    )
    parser.add_argument(
        "--virtual-time",
        action="store_true",
        help="time stands still until an engine, or somebody at the control channel, moves it "
        "(default address file: laboratories/BENCH.json of the state directory)",
    )
    parser.add_argument(
        "--real-time",
        action="store_true",
        help="accepted for symmetry: that is so without --virtual-time",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Serve until the life is over or a signal ends it; both are exit code 0."""
    from orchestrator.laboratory import serve_laboratory  # keep `--help` fast
    from orchestrator.profile.loading import load_profile

    life_s, ports = _life(args.life_s), _ports(args.port)
    profile = load_profile(args.profile)
    sample, around = _sample(args.experiment, profile)
    faults = fault_options.chosen(args, profile)
    file = _address_file(args, profile)
    with (
        _interruptible(),
        serve_laboratory(
            profile,
            sample,
            surroundings=around,
            faults=faults,
            ports=ports,
            life_s=life_s,
            control="none" if file is None else "virtual" if args.virtual_time else "real",
        ) as serving,
        _announced(serving, file),
    ):
        try:
            if args.write_profile is not None:
                _write_profile(args.write_profile, profile, serving.resources)
            _say(args, profile, serving, (life_s, file), out)
            _wait(serving, life_s, out)
        except KeyboardInterrupt:
            out.line(f"{profile.bench}: ended by a signal")
        else:
            out.line(f"{profile.bench}: ended{_why(serving, life_s)}")
    return 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGINT end the server also where a shell script began it in the background.

    Such a shell has it ignored, and a server nobody can stop that way outlives its script.
    """
    in_main = threading.current_thread() is threading.main_thread()
    ignored = in_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _say(
    args: argparse.Namespace,
    profile: BenchProfile,
    serving: ServedLaboratory,
    about: tuple[float, Path | None],
    out: Output,
) -> None:
    """Print where the instruments are, before anybody connects; life, s, and address file."""
    recipe = serving.laboratory.recipe
    life_s, file = about
    time = "in virtual time" if args.virtual_time else "on the system's clock"
    out.line(f"SIMULATED laboratory of {profile.bench}, {time}")
    out.line(f"sample: {', '.join(f'{key} {value}' for key, value in recipe.items())}\n")
    width = max(map(len, serving.resources))
    for who, resource in serving.resources.items():
        out.line(f"  {who:<{width}}  {resource}  {serving.identities[who]}")
    for fault in serving.laboratory.faults:
        out.line(f"  fault {fault}")
    out.line("\nEvery message and reply ends with a line feed.")
    if file is not None:
        out.line(f"Use it with: operando run EXPERIMENT --laboratory {file}")
    out.line(f"Ends after {life_s:g} s, or with Ctrl-C.")
    out.result(
        {
            "bench": profile.bench,
            "simulated": True,
            "sample": recipe,
            "resources": serving.resources,
            "identities": serving.identities,
            "faults": [str(fault) for fault in serving.laboratory.faults],
            "life_s": life_s,
            "virtual_time": bool(args.virtual_time),
            "address_file": None if file is None else str(file),
            "profile": None if args.write_profile is None else str(args.write_profile),
        }
    )


def _wait(serving: ServedLaboratory, life_s: float, out: Output) -> None:
    """Wait for the end; say at once what went wrong in the simulation."""
    said = 0
    # the server ends itself: the bound is for one that hangs
    for _ in range(math.ceil(life_s / _LOOK_S) + 60):
        ended = serving.wait(_LOOK_S)
        failures = serving.failures()
        for error in failures[said:]:
            out.error(f"operando: an instrument failed: {type(error).__name__}: {error}")
        said = len(failures)
        if ended:
            return


def _sample(
    experiment: str | None, profile: BenchProfile
) -> tuple[dict[str, Any] | None, Surroundings | None]:
    """What an experiment file says lies on a simulated bench, and what surrounds it."""
    if experiment is None:
        return None, None
    from orchestrator.experiment import load_experiment
    from orchestrator.laboratory import Surroundings

    one = load_experiment(experiment, profile=profile)
    recipe = one.sample.simulate_as
    around = Surroundings(**one.environment.model_dump())
    return None if recipe is None else recipe.model_dump(exclude_none=True), around


def _address_file(args: argparse.Namespace, profile: BenchProfile) -> Path | None:
    """Where the address file goes; None: there is no control channel."""
    from orchestrator.errors import NoAnswerError, OrchestratorError, ProfileError
    from orchestrator.laboratory import attach
    from orchestrator.state import state_directory

    file: Path | None = args.address_file
    if file is None and args.virtual_time:
        file = state_directory() / "laboratories" / f"{profile.bench}.json"
    if file is None or not file.exists():
        return file
    try:
        attach(file).close()
    except NoAnswerError:
        return file  # of a laboratory that has ended without its farewell
    except OrchestratorError as error:
        what, remedy = f"exists and is something else ({error})", "name another --address-file"
        raise ProfileError(str(file), what, remedy=remedy) from None
    what, remedy = "leads to a laboratory that runs", "end that, or name another --address-file"
    raise ProfileError(str(file), what, remedy=remedy)


@contextmanager
def _announced(serving: ServedLaboratory, file: Path | None) -> Iterator[None]:
    """Write the address file; it goes with the laboratory."""
    if file is None or serving.address is None:
        yield
        return
    serving.address.write(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _why(serving: ServedLaboratory, life_s: float) -> str:
    """Why it has ended."""
    return " over its control channel" if serving.told_to_end else f" after {life_s:g} s"


def _life(text: str) -> float:
    from orchestrator.errors import ProfileError

    life_s = _number(text)
    if not 0.0 < life_s <= _LONGEST_LIFE_S:
        what = f"got {text!r}, expected a time in s above 0 and up to {_LONGEST_LIFE_S:.0f}"
        raise ProfileError("--life-s", what, remedy="for example --life-s 3600")
    return life_s


def _ports(texts: Sequence[str]) -> dict[str, int]:
    from orchestrator.errors import ProfileError

    ports: dict[str, int] = {}
    for text in texts:
        who, _, port = text.partition("=")
        if not (who and port.isdecimal() and 1 <= int(port) <= _LAST_PORT):
            what = f"got {text!r}, expected DEVICE=PORT with a port from 1 to {_LAST_PORT}"
            raise ProfileError("--port", what, remedy="for example --port pstat=5025")
        ports[who] = int(port)
    return ports


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _write_profile(path: Path, profile: BenchProfile, resources: Mapping[str, str]) -> None:
    """Write the bench as its clients see it; JSON is YAML too."""
    from orchestrator.errors import ProfileError
    from orchestrator.laboratory import readdressed

    addresses = {
        link.resource: resources[who] for who, link in profile.links.items() if who in resources
    }
    document = readdressed(profile.to_document(), addresses)
    document.pop("journal_every_s", None)  # a bench in real time has a tighter bound of its own
    document["bench"] = f"{profile.bench[:55]}-over-tcp"
    try:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ProfileError(
            str(path), f"cannot be written: {error.strerror}", remedy="choose another place"
        ) from None
