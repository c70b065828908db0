"""Faults to inject into a simulated laboratory, as people write them: one text or one mapping.

``short:cell:3600:inf:ohm=10`` and ``{kind: short, device: cell, start_s: 3600, ohm: 10}`` are the
same fault: 1 h after the laboratory began, a resistor of 10 ohm lies beside the cell for good.
A ``match`` comes last in a text, since a regular expression may contain colons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import model_validator

from orchestrator.errors import ProfileError
from orchestrator.experiment.fault_kinds import CELL, FAULTS, METER_ROLES, OPTIONS
from orchestrator.inputs.fields import Choice, Count, Quantity, Text, at, problem
from orchestrator.inputs.invalid import ExperimentFileError
from orchestrator.inputs.models import StrictModel, validated
from orchestrator.inputs.problems import Finding, InvalidInput, described, listed, name_remedy
from orchestrator.inputs.problems import Path as KeyPath
from orchestrator.inputs.source import read_source
from orchestrator.profile.models import BenchProfile
from orchestrator.profile.tables import drivers

FORM = "KIND:DEVICE:START:END[:OPTION]"
"""A fault in one word."""

_PARTS = 4
_EXAMPLE = "for example short:cell:3600:inf"


@dataclass(frozen=True)
class _Pattern(Text):
    """A regular expression."""

    def check(self, value: Any) -> str:
        """The expression, which compiles."""
        text = super().check(value)
        try:
            re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise self.refuse(value, f"correct it: {error}") from None
        return text


class Fault(StrictModel):
    """One thing that goes wrong in a simulated laboratory.

    Times count in seconds of the laboratory, from when it began: from the opening of the bench.

    Attributes:
        kind: What goes wrong.
        device: Where: ``cell``, or an instrument by ``device``, ``device.part`` or the name in
            its ``sim://`` resource.
        start_s: When it begins, s.
        end_s: When it ends, s; None: as long as the laboratory lives.
        ohm: Resistance of a ``short``, ohm.
        x_um_per_h: Rate of a ``drift`` along the columns of an image, um/h.
        y_um_per_h: Rate of a ``drift`` along the lines of an image, um/h.
        delay_s: How much ``late`` a reply is, s.
        seed: Which bytes a ``garble`` damages.
        match: Regular expression that a message must contain for a fault of the wire to act on it.
    """

    kind: Annotated[str, Choice("a kind of fault", tuple(FAULTS))]
    device: Annotated[str, Text("cell, or an instrument")]
    start_s: Annotated[float, Quantity("a start", "s", ge=0)]
    end_s: Annotated[float, Quantity("an end", "s", gt=0)] | None = None
    ohm: Annotated[float, Quantity("a resistance", "ohm", gt=0, le=1e12)] | None = None
    x_um_per_h: Annotated[float, Quantity("a rate", "um/h", ge=-1e6, le=1e6)] | None = None
    y_um_per_h: Annotated[float, Quantity("a rate", "um/h", ge=-1e6, le=1e6)] | None = None
    delay_s: Annotated[float, Quantity("a delay", "s", ge=0, le=3600)] | None = None
    seed: Annotated[int, Count("a seed", ge=0, le=2**32 - 1)] | None = None
    match: Annotated[str, _Pattern("a regular expression", longest=500)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return _parts(data) if isinstance(data, str) else data

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.end_s is not None and not self.end_s > self.start_s:
            what = f"got the end {self.end_s:g} s, expected it after the start {self.start_s:g} s"
            raise at(("end_s",), problem(what, "are they exchanged?"))
        known = FAULTS[self.kind].options
        for name in OPTIONS:
            if getattr(self, name) is not None and name not in known:
                expected = f"of {self.kind} only {listed(known)}" if known else "none"
                what = f"got the option {name}, expected {expected}"
                raise at((name,), problem(what, "remove it", at_key=True))
        if (self.device == CELL) != (FAULTS[self.kind].where == CELL):
            place = "cell" if FAULTS[self.kind].where == CELL else "an instrument"
            what = f"got '{self.device}', expected {place} for {self.kind}"
            raise at(("device",), problem(what, f"see {FORM}"))
        return self

    @property
    def options(self) -> dict[str, Any]:
        """Options that are given, by name."""
        given = {name: getattr(self, name) for name in OPTIONS}
        return {name: value for name, value in given.items() if value is not None}

    def __str__(self) -> str:
        """In one word, which reads back the same."""
        end = "inf" if self.end_s is None else _written(self.end_s)
        options = [f":{name}={_written(value)}" for name, value in self.options.items()]
        return f"{self.kind}:{self.device}:{_written(self.start_s)}:{end}{''.join(options)}"


Given = str | Mapping[str, Any] | Fault
"""A fault as a program may give it."""


def fault_of(given: Given, who: str = "fault") -> Fault:
    """One fault as a value.

    Args:
        given: A text, a mapping or the value itself.
        who: Whose it is, for the error.

    Raises:
        ProfileError: It is none; with everything that is wrong.
    """
    if isinstance(given, Fault):
        return given
    fault, found = validated(Fault, given if isinstance(given, str) else dict(given))
    if fault is not None:
        return fault
    name = f"{who} {given}" if isinstance(given, str) else who
    told = "; ".join(f"{one.path[-1]}: {one.what}" if one.path else one.what for one in found)
    raise ProfileError(name, told, remedy=found[-1].remedy)


def load_faults(path: str | Path, profile: BenchProfile | None = None) -> list[Fault]:
    """Faults of a file: a YAML list of texts and mappings.

    Args:
        path: The file.
        profile: The bench that is to have them; None: any.

    Raises:
        ExperimentError: With every error, at file:line:column.
    """
    try:
        source = read_source(Path(path))
    except InvalidInput as error:
        raise ExperimentFileError(error.problems) from None
    faults: list[Fault | None] = []
    found: list[Finding] = []
    if isinstance(source.data, list):
        for index, one in enumerate(source.data):
            fault, wrong = validated(Fault, one, (index,))
            found += wrong
            faults.append(fault)
        found += [] if profile is None else fault_findings(faults, profile, ())
    else:
        what = f"got {described(source.data)}, expected a list of faults"
        found.append(Finding((), what, f"write one per line, `- {FORM}`"))
    if found:
        raise ExperimentFileError([source.place(one) for one in found])
    return [one for one in faults if one is not None]


def target_of(fault: Fault, profile: BenchProfile) -> str | None:
    """The link, ``device`` or ``device.part``, whose simulated instrument a fault means.

    None where there is none. Of a device with parts it is the first that is no trigger.
    """
    links = {who: link for who, link in profile.links.items() if link.simulated}
    parts = profile.kind_of(fault.device).parts if fault.device in profile.devices else {}
    first = [f"{fault.device}.{part}" for part, role in parts.items() if role != "trigger"]
    named = [who for who, link in links.items() if link.resource == f"sim://{fault.device}"]
    return next((who for who in (fault.device, *named, *first) if who in links), None)


def fault_findings(
    faults: Iterable[Fault | None], profile: BenchProfile, at_path: KeyPath
) -> list[Finding]:
    """Faults that a bench cannot have: because it is real, or has no such instrument.

    Args:
        faults: In their order; None where one is not valid.
        profile: The bench.
        at_path: Where the list stands in its file.
    """
    given = [(index, one) for index, one in enumerate(faults) if one is not None]
    if given and not profile.simulated:
        real = [who for who, link in profile.links.items() if not link.simulated]
        what = f"got faults, and {listed(real)} of bench {profile.bench} is real"
        return [Finding(at_path, what, "remove them: there is no fault injection beside hardware")]
    found = []
    for index, one in given:
        path = (*at_path, index, "device")
        if one.device == CELL:
            continue
        target = target_of(one, profile)
        if target is None:
            what = f"got '{one.device}', expected an instrument of bench {profile.bench}"
            found.append(Finding(path, what, name_remedy(one.device, profile.links)))
        elif not _suits(one, target, profile):
            what = f"got {one.device}, which cannot have the fault {one.kind}"
            found.append(Finding(path, what, f"{one.kind}: {FAULTS[one.kind].text}"))
    return found


def _suits(fault: Fault, target: str, profile: BenchProfile) -> bool:
    """Whether the instrument at a link can have a fault."""
    where, device = FAULTS[fault.kind].where, target.partition(".")[0]
    if where == "meter":
        return drivers()[profile.links[target].driver].role in METER_ROLES
    return where == "wire" or profile.kind_of(device).takes_images


def _parts(text: str) -> dict[str, Any]:
    """The mapping that a text stands for; numbers that are none stay as they are written."""
    parts = text.split(":", _PARTS)
    if len(parts) < _PARTS:
        what = f"got '{text}', expected a fault: {FORM}"
        raise problem(what, _EXAMPLE)
    found: dict[str, Any] = {"kind": parts[0], "device": parts[1], "start_s": _value(parts[2])}
    if parts[3] != "inf":
        found["end_s"] = _value(parts[3])
    rest = parts[4] if len(parts) > _PARTS else ""
    while rest:
        if rest.startswith("match="):
            found["match"] = rest.removeprefix("match=")
            break
        word, _, rest = rest.partition(":")
        name, equals, value = word.partition("=")
        if not equals or name in found:
            raise problem(f"got the option '{word}', expected NAME=VALUE once", _EXAMPLE)
        found[name] = _value(value)
    return found


def _written(value: Any) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
