"""A bench as its profile describes it: devices, links, limits, interlocks."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import InitErrorDetails, ValidationError

from orchestrator.inputs.fields import Count, Quantity, Text, at, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import described, listed, name_remedy
from orchestrator.profile.checks import HARDWARE_JOURNAL_S, agreement
from orchestrator.profile.interlocks import Interlock, SafeAction
from orchestrator.profile.links import Limits, Link
from orchestrator.profile.surroundings import ChamberEntry, LoadCellEntry
from orchestrator.profile.tables import Driver, Kind, drivers, kinds

NAME = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}"
"""What a bench may be called; it becomes part of file names."""

_DEVICE_NAME = r"[A-Za-z][A-Za-z0-9_]*"
_VIRTUAL_JOURNAL_S = 900.0


class RelayLink(Link):
    """A channel of a switch system in the cell's lead: closed connects the cell.

    Attributes:
        channel: Slot and two digits, for example 101.
    """

    channel: Annotated[int, Count("a channel of the switch system", ge=101, le=599)]


class PotentiostatEntry(Link):
    """A potentiostat.

    Attributes:
        kind: ``potentiostat``.
        limits: What the bench allows at the cell; required.
        disconnect: The second way to switch the cell off, for when the potentiostat does not
            answer; None where there is none.
        poll_period_s: Time between polls, s, where it differs from the bench's.
    """

    kind: Literal["potentiostat"]
    limits: Limits = Field(description="what the bench allows: {max_voltage_v, max_current_ma}")
    poll_period_s: Annotated[float, Quantity("a time between polls", "s", gt=0, le=3600)] | None = (
        None
    )

    disconnect: RelayLink | None = None

    def links(self) -> dict[str, Link]:
        """Its links by part; the part ``""`` is the device itself."""
        return {"": self} | ({"disconnect": self.disconnect} if self.disconnect else {})


class MriEntry(StrictModel):
    """An MRI console and the trigger that starts its scans.

    Attributes:
        kind: ``mri``.
        console: The console.
        trigger: Source of the TTL pulse; None where the console starts by itself.
    """

    kind: Literal["mri"]
    console: Link = Field(description="the console: {driver, resource}")
    trigger: Link | None = None

    def links(self) -> dict[str, Link]:
        """Its links by part."""
        return {"console": self.console} | ({"trigger": self.trigger} if self.trigger else {})


class SemEntry(Link):
    """A scanning electron microscope.

    Attributes:
        kind: ``sem``.
    """

    kind: Literal["sem"]

    def links(self) -> dict[str, Link]:
        """Its links by part; the part ``""`` is the device itself."""
        return {"": self}


class OtherEntry(StrictModel):
    """A device of a kind that another distribution registers.

    Attributes:
        kind: Its kind.
        parts: Its links by part.
        options: What its kind understands besides.
    """

    kind: Annotated[str, Text("a kind of device")]
    parts: dict[str, Link] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)

    def links(self) -> dict[str, Link]:
        """Its links by part."""
        return dict(self.parts)


_ENTRIES = {
    "potentiostat": PotentiostatEntry,
    "mri": MriEntry,
    "sem": SemEntry,
    "chamber": ChamberEntry,
    "load_cell": LoadCellEntry,
}


def _entry_tag(value: Any) -> str:
    name = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", "")
    return f"kind:{name if name in _ENTRIES else 'other'}"


def _known_kind(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, StrictModel):
        return handler(value)
    if not isinstance(value, dict):
        what = f"got {described(value)}, expected a device such as {{kind: potentiostat, ...}}"
        raise problem(what, "write each device as a mapping with the key `kind`")
    name = value.get("kind")
    if isinstance(name, str) and name in kinds():
        return handler(value)
    if name is None:
        what, remedy = f"is missing, expected {listed(sorted(kinds()))}", "add `kind: ...`"
    else:
        what = f"got {described(name)}, expected a kind of device"
        remedy = name_remedy(str(name), kinds())
    raise at(("kind",), problem(what, remedy))


DeviceEntry = Annotated[
    Annotated[PotentiostatEntry, Tag("kind:potentiostat")]
    | Annotated[MriEntry, Tag("kind:mri")]
    | Annotated[SemEntry, Tag("kind:sem")]
    | Annotated[ChamberEntry, Tag("kind:chamber")]
    | Annotated[LoadCellEntry, Tag("kind:load_cell")]
    | Annotated[OtherEntry, Tag("kind:other")],
    Discriminator(_entry_tag),
    WrapValidator(_known_kind),
]


class BenchProfile(StrictModel):
    """All hardware of a bench.

    Attributes:
        bench: Its name.
        instrument_name: What documents call the whole instrument.
        devices: Devices by the name they have in documents.
        poll_period_s: Time between polls of a running potentiostat, s.
        journal_every_s: Longest time that records wait before they are journaled, s; None is
            900 s on a simulated bench and 10 s on hardware.
        heartbeat_timeout_s: Silence of the engine after which the watchdog acts, s.
        max_pause_s: Longest time that a paused run may keep something energised, s.
        interlocks: What must hold before and while a cell is energised.
        safe_state: What goes safe first, second, ... once the cell is off; what is not named
            does the first action of its kind, what drives the cell first.
    """

    bench: Annotated[str, Text("a bench's name", NAME, "letters, digits, '_', '-', '.'", 64)]
    instrument_name: Annotated[str, Text("an instrument's name")]
    devices: dict[
        Annotated[
            str, Text("a device's name", _DEVICE_NAME, "letters, digits, '_', a letter first", 32)
        ],
        DeviceEntry,
    ] = Field(description="the devices by name", min_length=1)
    poll_period_s: Annotated[float, Quantity("a time between polls", "s", gt=0, le=3600)] = 30.0
    journal_every_s: (
        Annotated[float, Quantity("a time between pages", "s", gt=0, le=3600)] | None
    ) = None
    heartbeat_timeout_s: Annotated[float, Quantity("a timeout", "s", ge=1, le=600)] = 10.0
    max_pause_s: Annotated[float, Quantity("a time", "s", ge=1, le=1e6)] = 3600.0
    interlocks: tuple[Interlock, ...] = ()
    safe_state: tuple[SafeAction, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = agreement(self)
        if found:
            raise ValidationError.from_exception_data(
                "BenchProfile",
                [
                    InitErrorDetails(
                        type=problem(f.what, f.remedy, at_key=f.at_key), loc=f.path, input=None
                    )
                    for f in found
                ],
            )
        return self

    @property
    def links(self) -> dict[str, Link]:
        """Every link by ``device`` or ``device.part``."""
        return {
            f"{name}.{part}" if part else name: link
            for name, device in self.devices.items()
            for part, link in device.links().items()
        }

    @property
    def simulated(self) -> bool:
        """Whether every instrument is simulated, so that time may jump."""
        return all(link.simulated for link in self.links.values())

    @property
    def any_simulated(self) -> bool:
        """Whether at least one instrument is simulated, so that a simulated sample is needed."""
        return any(link.simulated for link in self.links.values())

    @property
    def journal_period_s(self) -> float:
        """Longest time that records wait before they are journaled, s."""
        if self.journal_every_s is not None:
            return self.journal_every_s
        return _VIRTUAL_JOURNAL_S if self.simulated else HARDWARE_JOURNAL_S

    @property
    def safe_actions(self) -> tuple[SafeAction, ...]:
        """What every device does to become safe, in order; devices not named come last."""
        named = {action.device for action in self.safe_state}
        rest = sorted(
            (name for name in self.devices if name not in named),
            key=lambda name: not self.kind_of(name).drives_cell,
        )
        own = [
            SafeAction(device=n, celsius=None, action=self.kind_of(n).safe_actions[0]) for n in rest
        ]
        return (*self.safe_state, *own)

    @property
    def profile_hash(self) -> str:
        """SHA-256 of the profile's content, independent of its file and of comments."""
        return content_hash(self.to_document())

    def kind_of(self, device: str) -> Kind:
        """What a device is."""
        return kinds()[self.devices[device].kind]

    def of_kind(self, kind: str) -> list[str]:
        """Names of the devices of a kind."""
        return [name for name, device in self.devices.items() if device.kind == kind]

    def driver_of(self, device: str, part: str = "") -> Driver:
        """The driver of a device's link."""
        return drivers()[self.devices[device].links()[part].driver]

    def to_document(self) -> dict[str, Any]:
        """The whole profile, normalised and JSON-able."""
        return self.model_dump(mode="json", exclude_none=True)


def content_hash(document: dict[str, Any]) -> str:
    """SHA-256 of a JSON-able document in one canonical spelling, in hexadecimal."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
