"""What must agree within one bench profile: names, drivers, addresses, interlocks, times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator.inputs.problems import Finding, name_remedy
from orchestrator.profile.interlock_checks import interlock_findings, safe_state_findings
from orchestrator.profile.tables import drivers

if TYPE_CHECKING:
    from orchestrator.profile.models import BenchProfile

HARDWARE_JOURNAL_S = 10.0
"""Longest time between pages on hardware, s: what a crash may lose."""

RESERVED_NAMES = frozenset({
    "RE", "bench", "cat", "db", "bp", "bps", "plans", "internal", "time", "seq_num", "events",
    "baseline", "echem", "eis", "environment", "interruptions", "rehearse",
})  # fmt: skip
"""Names of the session and of streams that a device must not have."""


def agreement(profile: BenchProfile) -> list[Finding]:
    """What does not agree within a profile whose parts are valid."""
    return [
        *_name_findings(profile),
        *_part_findings(profile),
        *_sharing_findings(profile),
        *interlock_findings(profile),
        *safe_state_findings(profile),
        *_time_findings(profile),
    ]


def _name_findings(profile: BenchProfile) -> Iterator[Finding]:
    for name in profile.devices:
        if name in RESERVED_NAMES:
            what = f"got '{name}' as a device's name, which the session or a stream uses"
            yield Finding(("devices", name), what, "choose another name", at_key=True)


def _part_findings(profile: BenchProfile) -> Iterator[Finding]:
    for name, device in profile.devices.items():
        kind = profile.kind_of(name)
        links = device.links()
        for part, role in kind.parts.items():
            if part not in links and part not in kind.optional_parts:
                what = f"has no part {part}, expected one for a {kind.name}"
                yield Finding(("devices", name), what, "add it under `parts`")
            elif part in links and drivers()[links[part].driver].role != role:
                known = [d.name for d in drivers().values() if d.role == role]
                what = f"got {links[part].driver}, expected a driver for a {role}"
                path = ("devices", name, *((part,) if part else ()), "driver")
                yield Finding(path, what, name_remedy(links[part].driver, known))


def _sharing_findings(profile: BenchProfile) -> Iterator[Finding]:
    """Two links to one instrument would fight over its replies."""
    first: dict[str, str] = {}
    for name, device in profile.devices.items():
        for part, link in device.links().items():
            address = link.resource.lower()
            where = f"{name}.{part}" if part else name
            if address in first:
                what = f"got {link.resource}, which {first[address]} uses already"
                path = ("devices", name, *((part,) if part else ()), "resource")
                yield Finding(path, what, "give each instrument its own address")
            first.setdefault(address, where)


def _time_findings(profile: BenchProfile) -> Iterator[Finding]:
    if not profile.simulated and profile.journal_period_s > HARDWARE_JOURNAL_S:
        what = (
            f"got {profile.journal_period_s:g} s on hardware, expected at most "
            f"{HARDWARE_JOURNAL_S:g} s: a crash loses what is not journaled"
        )
        yield Finding(("journal_every_s",), what, "lower it or leave it out")
