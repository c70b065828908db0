"""Switches everything that can energise a cell off, with links of its own and nothing else.

It needs no engine, no records and no other instrument: a console that is absent must not keep the
potentiostat on. `operando off` and the watchdog use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devices.clock import SystemClock, monotonic
from devices.errors import DeviceError, LinkError, UnreadError
from devices.link import Link, open_link
from orchestrator.equipment import Supplies, cell_relay, make_device
from orchestrator.profile.links import Link as LinkEntry
from orchestrator.profile.models import BenchProfile, PotentiostatEntry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OffReport:
    """What came of switching off.

    Attributes:
        off: Devices that are off, verified by read-back.
        unsafe: Devices that are not known to be off, with the reason.
        took_s: Real time that it took, s.
    """

    off: Sequence[str] = ()
    unsafe: Mapping[str, str] = field(default_factory=dict)
    took_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether everything is known to be off."""
        return not self.unsafe


def energisers(profile: BenchProfile) -> list[str]:
    """Devices that can put energy into a real cell or its surroundings, in the order to go safe.

    What is simulated in a process ends with that process.
    """
    return [
        action.device
        for action in profile.safe_actions
        if "off" in profile.kind_of(action.device).safe_actions
        and not all(link.simulated for link in profile.devices[action.device].links().values())
    ]


def switch_off(profile: BenchProfile, names: Sequence[str] | None = None) -> OffReport:
    """Switch devices off one after another; what fails does not keep the next one on.

    Args:
        profile: The bench; its addresses are hardware, or a laboratory served over TCP.
        names: Devices to switch off; by default all of `energisers`.

    Returns:
        What is off and what is not known to be. Never raises for an instrument's sake.
    """
    began_s = monotonic()
    off, unsafe = [], {}
    for name in energisers(profile) if names is None else names:
        try:
            _switch_off_one(profile, name)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next device must be tried
            log.critical("%s: not switched off: %s", name, error)
            unsafe[name] = str(error)
        else:
            off.append(name)
    return OffReport(tuple(off), unsafe, monotonic() - began_s)


def _switch_off_one(profile: BenchProfile, name: str) -> None:
    with contextlib.ExitStack() as stack:
        loop = asyncio.new_event_loop()  # never run: nothing is scheduled on the way to off
        stack.callback(loop.close)

        links: dict[str, Link] = {}

        def link(who: str, entry: LinkEntry) -> Link:
            if who not in links:
                links[who] = _opened(who, entry)
                stack.callback(links[who].close)
            return links[who]

        supplies = _supplies(profile, SystemClock(loop), link)
        try:
            make_device(name, supplies).stop(success=False)
        except UnreadError as error:
            log.warning("%s", error)  # it is off: its records are for whoever reads them later
        except DeviceError as error:
            entry = profile.devices[name]
            relay = (
                cell_relay(name, entry, supplies) if isinstance(entry, PotentiostatEntry) else None
            )
            if relay is None:
                raise
            log.critical("%s: not reached, the relay is opened: %s", name, error)
            relay.disconnect()


def _opened(who: str, entry: LinkEntry) -> Link:
    """A link; where somebody else holds the only one, in their place."""
    told: dict[str, Any] = {
        "who": who,
        "timeout_s": entry.timeout_s,
        "expect": entry.identity,
        "min_spacing_s": entry.min_spacing_s,
    }
    try:
        return open_link(entry.resource, **told)
    except LinkError:
        if not _made_room(entry):
            raise
        return open_link(entry.resource, **told)


def _made_room(entry: LinkEntry) -> bool:
    """Make an instrument with a port for that drop the connection that somebody else holds."""
    if entry.dead_socket_port is None:
        return False
    host = entry.resource.split("::")[1]
    try:
        with socket.create_connection((host, entry.dead_socket_port), timeout=entry.timeout_s):
            return True
    except OSError as error:
        log.warning("%s: its dead-socket port does not answer: %s", entry.resource, error)
        return False


def _supplies(profile: BenchProfile, clock: SystemClock, link: Any) -> Supplies:
    nothing: Any = None  # nothing that energises a cell writes frames or works beside the loop
    return Supplies(
        profile=profile,
        clock=clock,
        open_link=link,
        frames=nothing,
        worker=nothing,
        guard=lambda _device: None,
        watch_records=lambda _records: None,
    )
