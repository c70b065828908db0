"""One experiment's protocol in another program's format.

The converters are aurora-unicycler's (https://github.com/empaeconversion/aurora-unicycler, 0.4);
what they leave out without a word is found here and said.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import aurora_unicycler as unicycler

from orchestrator.exchange import battinfo, biologic
from orchestrator.exchange.losses import losses
from orchestrator.exchange.plain import plain_protocol
from orchestrator.experiment import Experiment
from orchestrator.inputs.problems import Finding

MAX_PYBAMM_STEPS = 10_000
"""Steps of a PyBaMM experiment, its loops written out, that the converter gives up after."""


@dataclass(frozen=True)
class Format:
    """A format of another program.

    Attributes:
        title: What people call it.
        suffix: Of its files.
        write: The converter.
        refuses: What of a protocol it cannot hold at all.
        encoding: Of its files.
    """

    title: str
    suffix: str
    write: Callable[[unicycler.CyclingProtocol], str]
    refuses: Callable[[unicycler.CyclingProtocol], Iterator[Finding]]
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Export:
    """A protocol for another program.

    Attributes:
        content: The file.
        lost: What of the experiment is not in it, each at its place in the experiment file; the
            remedy says what to do instead.
        refused: Why there is no file; then `content` is empty.
    """

    content: bytes
    lost: tuple[Finding, ...] = ()
    refused: tuple[Finding, ...] = ()


def _nothing(protocol: unicycler.CyclingProtocol) -> Iterator[Finding]:
    """A format that holds every protocol."""
    del protocol
    yield from ()


def _pybamm_refuses(protocol: unicycler.CyclingProtocol) -> Iterator[Finding]:
    for index, step in enumerate(protocol.method):
        if isinstance(step, unicycler.VoltageScan | unicycler.ImpedanceSpectroscopy):
            what = f"got {step.step}, which a PyBaMM experiment does not have"
            yield Finding(
                ("protocol", "method", index, "step"), what, "leave it out of what you export"
            )
    steps = _written_out(protocol)
    if steps > MAX_PYBAMM_STEPS:
        what = (
            f"got {steps} steps once loops are written out, expected at most {MAX_PYBAMM_STEPS}: "
            "PyBaMM has no loops"
        )
        yield Finding(("protocol", "method"), what, "lower cycle_count in what you export")


def _written_out(protocol: unicycler.CyclingProtocol) -> int:
    """Number of steps with every loop repeated, the loops counted as the converter does."""
    places = {
        step.tag: i for i, step in enumerate(protocol.method) if isinstance(step, unicycler.Tag)
    }
    weights = [0 if isinstance(step, unicycler.Tag) else 1 for step in protocol.method]
    for i, step in enumerate(protocol.method):
        if isinstance(step, unicycler.Loop):
            to = step.loop_to
            first = places[to] if isinstance(to, str) else to - 1
            for k in range(first, i + 1):
                weights[k] *= step.cycle_count
    return sum(weights)


FORMATS: Mapping[str, Format] = {
    "unicycler": Format(
        "aurora-unicycler JSON", ".json", lambda one: one.to_json() + "\n", _nothing
    ),
    "mps": Format(
        "Biologic settings", ".mps", biologic.written, biologic.refusals, encoding="cp1252"
    ),
    "pybamm": Format(
        "PyBaMM experiment",
        ".pybamm.json",
        lambda one: json.dumps(one.to_pybamm_experiment(), indent=2) + "\n",
        _pybamm_refuses,
    ),
    "battinfo": Format("BattINFO JSON-LD", ".jsonld", battinfo.written, _nothing),
}
"""Formats by the word that ``operando export --protocol`` takes."""


def export_protocol(experiment: Experiment, name: str) -> Export:
    """The protocol of an experiment for another program.

    Args:
        experiment: The validated file; currents per area become mA by its sample's area.
        name: A key of `FORMATS`.

    Returns:
        The file and what it does not hold, or why there is none.
    """
    form = FORMATS[name]
    protocol = plain_protocol(experiment)
    refused = tuple(form.refuses(protocol))
    lost = tuple(losses(experiment, protocol, name))
    if refused:
        return Export(b"", lost, refused)
    with _quiet():
        text = form.write(protocol)
    try:
        return Export(text.encode(form.encoding), lost)
    except UnicodeEncodeError as error:
        what = f"got {error.object[error.start : error.end]!r}, which {form.title} cannot hold"
        return Export(b"", lost, (Finding(("sample", "name"), what, "rename the sample"),))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the converter's own warnings: `losses` says them with their place."""
    log = logging.getLogger("aurora_unicycler")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
