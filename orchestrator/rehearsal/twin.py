"""The simulated twin of a real bench: the same profile with every address a simulated one.

Limits, ranges, polling and timing stay the profile's own; nothing of it is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import ProfileError
from orchestrator.laboratory import SIMULATED_DRIVERS, simulated_resource
from orchestrator.profile.links import Link
from orchestrator.profile.models import BenchProfile
from orchestrator.profile.tables import drivers

STAND_IN_DRIVERS: Mapping[str, str] = {
    "potentiostat": "potentiostat_bridge",
    "mri_console": "console_bridge",
    "trigger": "agilent_33500",
    "microscope": "sem_bridge",
    "chamber": "temptronic_ats545",
    "voltmeter": "keithley_dmm6500",
    "relay": "keithley_2750",
}
"""What takes the place of a driver to which no simulated instrument answers, by its role."""


@dataclass(frozen=True)
class Twin:
    """A bench profile of which everything is simulated, and what differs from the real one.

    Attributes:
        profile: The twin.
        real: The profile it was made from.
        addresses: Address by link (``device`` or ``device.part``) that the twin does not open.
        replaced: Stand-in by link, of drivers to which nothing simulated answers.
    """

    profile: BenchProfile
    real: BenchProfile
    addresses: Mapping[str, str]
    replaced: Mapping[str, tuple[str, str]]


def twin_of(real: BenchProfile) -> Twin:
    """The twin of a bench; of a simulated one itself.

    Every link gets a simulated address of its own and no expectation of who answers (a simulated
    instrument has a serial number of its own); pages of records close each quarter of an hour of
    experiment time, which changes no record. The rest is the profile's.

    Raises:
        ProfileError: Nothing simulated can stand for a driver of that role.
    """
    addresses = {who: link.resource for who, link in real.links.items() if not link.simulated}
    if not addresses:
        return Twin(real, real, {}, {})
    taken = {link.resource.lower() for link in real.links.values() if link.simulated}
    replaced: dict[str, tuple[str, str]] = {}
    devices: dict[str, Any] = {}
    for name, entry in real.devices.items():
        changed = {
            part: _simulated(f"{name}.{part}" if part else name, link, taken, replaced)
            for part, link in entry.links().items()
            if not link.simulated
        }
        devices[name] = _with_links(entry, changed)
    profile = real.model_copy(update={"devices": devices, "journal_every_s": None})
    return Twin(profile, real, addresses, replaced)


def _simulated(
    who: str, link: Link, taken: set[str], replaced: dict[str, tuple[str, str]]
) -> dict[str, Any]:
    """What changes of a link."""
    driver = link.driver
    if driver not in SIMULATED_DRIVERS:
        driver = STAND_IN_DRIVERS.get(drivers()[link.driver].role, "")
        if not driver:
            raise ProfileError(
                who,
                f"nothing simulated stands for the driver {link.driver} "
                f"({drivers()[link.driver].role})",
                remedy="rehearse with a profile without this device",
            )
        replaced[who] = (link.driver, driver)
    stem = name = who.lower().replace(".", "-").replace("_", "-")
    number = 1
    while simulated_resource(name) in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(simulated_resource(name))
    return {
        "resource": simulated_resource(name),
        "driver": driver,
        "identity": None,
        "dead_socket_port": None,
    }


def _with_links(entry: Any, changed: Mapping[str, dict[str, Any]]) -> Any:
    """A device's entry with changed links; the part ``""`` is the entry itself."""
    links = entry.links()
    update: dict[str, Any] = {}
    for part, change in changed.items():
        if not part:
            update |= change
        elif part in type(entry).model_fields:
            update[part] = links[part].model_copy(update=change)
        else:  # a kind of another distribution keeps its links in a mapping
            parts = update.setdefault("parts", dict(entry.parts))
            parts[part] = links[part].model_copy(update=change)
    return entry.model_copy(update=update)
