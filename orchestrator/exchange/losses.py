"""What of an experiment a format does not hold, each at its place in the experiment file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import aurora_unicycler as unicycler
from pydantic import BaseModel

from orchestrator.exchange import biologic
from orchestrator.exchange.plain import WORDS
from orchestrator.experiment import Experiment
from orchestrator.inputs.problems import Finding, Path, listed

_ELSEWHERE = "it stays in the experiment file"
_HELD = ("bench", "roles", "sample", "protocol")
"""Keys that are in a protocol, or say nothing about what is done."""

_KEYS: Mapping[str, str] = {
    "experiment": "the experiment's name",
    "images": "images are not taken",
    "spectra": "spectra beside the protocol are not taken",
    "environment": "temperature and pressure are neither brought about nor checked",
    "stop_when": "no condition ends it before its last step",
    "preflight": "nothing is checked before the first current",
    "before": "the steps before the protocol are not done",
    "after": "the steps after the protocol are not done",
    "md": "metadata of your own",
}
"""What the loss of a key of the file means; of any other its name is said."""

_STEP_KEYS: Mapping[str, str] = {
    "on_failure": "what happens when the step fails",
    "on_pause": "what happens to the rest of the step after a pause",
    "on_interruption": "what becomes of the step where the program was cut off in it",
}

_SAMPLE: Mapping[str, tuple[str, ...]] = {
    "unicycler": ("name", "capacity_mAh"),
    "mps": ("name", "capacity_mAh"),
    "pybamm": (),
    "battinfo": ("capacity_mAh",),
}
"""Keys of the sample that each format holds."""


def losses(
    experiment: Experiment, protocol: unicycler.CyclingProtocol, form: str
) -> Iterator[Finding]:
    """Everything that the file of a format will not say.

    Args:
        experiment: What is exported.
        protocol: The same as aurora-unicycler's protocol.
        form: The format's name.
    """
    yield from _top_level(experiment, form)
    yield from _steps(experiment)
    yield from _per_area(experiment)
    yield from _OF_FORMAT[form](protocol)


def _top_level(experiment: Experiment, form: str) -> Iterator[Finding]:
    for key in type(experiment).model_fields:
        if key in _HELD or not _says_something(getattr(experiment, key)):
            continue
        yield Finding((key,), f"lost: {_KEYS.get(key, f'what {key} says')}", _ELSEWHERE)
    held = (*_SAMPLE[form], "simulate_as")
    sample = experiment.sample
    given = [
        key
        for key in type(sample).model_fields
        if key in sample.model_fields_set and key not in held
    ]
    if given:
        yield Finding(("sample",), f"lost: {', '.join(given)}", _ELSEWHERE)


def _says_something(value: Any) -> bool:
    if isinstance(value, BaseModel):
        return any(_says_something(getattr(value, key)) for key in type(value).model_fields)
    return value not in (None, (), {}, "", False)


def _steps(experiment: Experiment) -> Iterator[Finding]:
    """Keys and steps of ours, whatever the format."""
    for index, step in enumerate(experiment.protocol.method):
        path: Path = ("protocol", "method", index)
        name = str(getattr(step, "step", ""))
        if name not in WORDS:
            what = f"lost: {name}; the cell rests for as long as the step may take"
            yield Finding((*path, "step"), what, "bring it about by hand")
        for key, meaning in _STEP_KEYS.items():
            if getattr(step, key, None) is not None:
                yield Finding((*path, key), f"lost: {meaning}", _ELSEWHERE)


def _per_area(experiment: Experiment) -> Iterator[Finding]:
    """Currents per area, said once for all of a key."""
    area = experiment.sample.area_cm2
    for key in ("current_mA_per_cm2", "until_current_mA_per_cm2", "amplitude_mA_per_cm2"):
        places = [
            index
            for index, step in enumerate(experiment.protocol.method)
            if getattr(step, key, None) is not None
        ]
        if places:
            path = ("protocol", "method", places[0], key)
            also = f", and of {len(places) - 1} steps more" if len(places) > 1 else ""
            what = f"lost: per area; it is mA for this sample's {area:g} cm2{also}"
            yield Finding(path, what, "export again for another sample")


def _labels(protocol: unicycler.CyclingProtocol) -> Iterator[Finding]:
    for index, step in enumerate(protocol.method):
        if step.id is not None:
            yield Finding(("protocol", "method", index, "id"), "lost: the label", _ELSEWHERE)


def _ends_at_zero(protocol: unicycler.CyclingProtocol) -> Iterator[Finding]:
    """aurora-unicycler's converters take an end at 0 V for none."""
    for index, step in enumerate(protocol.method):
        if getattr(step, "until_voltage_V", None) == 0:
            what = "lost: the end at 0 V; the step ends by time alone"
            path = ("protocol", "method", index, "until_voltage_V")
            yield Finding(path, what, "write 0.001 V, or set it by hand")


def _no_limits(protocol: unicycler.CyclingProtocol) -> Iterator[Finding]:
    del protocol
    yield Finding(("protocol", "record"), "lost: when a record is kept", _ELSEWHERE)
    what = "lost: every limit"
    yield Finding(("protocol", "safety"), what, "set limits where the protocol is run")


def _mps(protocol: unicycler.CyclingProtocol) -> Iterator[Finding]:
    yield from _labels(protocol)
    for index, step in enumerate(protocol.method):
        for key in ("rate_C", "until_rate_C"):
            if getattr(step, key, None) is not None:
                what = f"lost: the rate; it is mA for {protocol.sample.capacity_mAh:g} mAh"
                yield Finding(
                    ("protocol", "method", index, key), what, "export again for another cell"
                )
    yield from _ends_at_zero(protocol)
    safety = protocol.safety
    what = f"lost: the largest charge, {safety.max_capacity_mAh:g} mAh"
    yield Finding(("protocol", "safety", "max_capacity_mAh"), what, "set it in EC-Lab by hand")
    low, high = abs(safety.min_current_mA or 0.0), abs(safety.max_current_mA or 0.0)
    if low != high:
        key = "min_current_mA" if low < high else "max_current_mA"
        what = f"lost: {getattr(safety, key):g} mA; one limit acts both ways, {max(low, high):g} mA"
        yield Finding(("protocol", "safety", key), what, "make both limits alike")
    for number in biologic.numbers(protocol):
        if not number.kept and number.written != 0:
            what = f"lost: decimals; {number.value:.9g} becomes {number.written:.9g} {number.unit}"
            yield Finding(number.path, what, "set it in EC-Lab by hand")


def _pybamm(protocol: unicycler.CyclingProtocol) -> Iterator[Finding]:
    yield from _labels(protocol)
    yield from _ends_at_zero(protocol)
    yield from _no_limits(protocol)
    if any(getattr(step, "rate_C", None) for step in protocol.method):
        what = "lost: the capacity that C-rates refer to; PyBaMM takes its model's"
        yield Finding(("sample", "capacity_mAh"), what, "give the model this capacity")


def _battinfo(protocol: unicycler.CyclingProtocol) -> Iterator[Finding]:
    yield from _labels(protocol)
    yield from _ends_at_zero(protocol)
    yield from _no_limits(protocol)
    for index, step in enumerate(protocol.method):
        if isinstance(step, unicycler.ImpedanceSpectroscopy):
            keys = ("points_per_decade", "measures_per_point", "drift_correction")
            words = [*keys, "the order of the frequencies"]
            what = f"lost: {listed(words).replace(' or ', ' and ')}"
            yield Finding(("protocol", "method", index), what, _ELSEWHERE)


_OF_FORMAT: Mapping[str, Callable[[unicycler.CyclingProtocol], Iterator[Finding]]] = {
    "unicycler": lambda _protocol: iter(()),
    "mps": _mps,
    "pybamm": _pybamm,
    "battinfo": _battinfo,
}
