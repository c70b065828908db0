"""A simulated laboratory that any client can reach over TCP, with faults on its wires."""

from __future__ import annotations

import os
import secrets
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.errors import ProfileError
from orchestrator.experiment.faults import Given
from orchestrator.inputs.problems import name_remedy
from orchestrator.laboratory.address import LaboratoryAddress
from orchestrator.laboratory.channel import Channel
from orchestrator.laboratory.samples import Surroundings
from orchestrator.laboratory.simulated import Laboratory, simulated_name, simulated_resource
from orchestrator.laboratory.timebase import TimeBase
from orchestrator.profile.models import BenchProfile
from sim.clock import HandedTime
from sim.wire.tcp import Served, serve

Control = Literal["none", "real", "virtual"]
"""Whether a served laboratory has a control channel, and its time."""

_CHANNEL = " channel"
"""Its name among what is served; no instrument's, since those stand in a resource."""

BENCH_LIFE_S = 24 * 3600.0
"""Longest life of a bench's instruments over TCP, s of real time."""


@dataclass(frozen=True)
class ServedLaboratory:
    """A simulated laboratory that any client can reach.

    Attributes:
        laboratory: What is served.
        resources: VISA resource string by link, ``device`` or ``device.part``.
        identities: What answers to ``*IDN?``, by link.
        served: The server behind it.
        address: How an engine reaches it; None where it has no control channel.
    """

    laboratory: Laboratory
    resources: dict[str, str]
    identities: dict[str, str]
    served: Served
    address: LaboratoryAddress | None = None

    def wait(self, timeout_s: float) -> bool:
        """Wait until the server has ended, at most `timeout_s` of real time; whether it has."""
        return self.served.ended.wait(timeout_s)

    @property
    def told_to_end(self) -> bool:
        """Whether somebody has ended it over its control channel."""
        return self.served.told_to_end

    def failures(self) -> list[BaseException]:
        """What the instruments raised, oldest first: errors of the simulation, not of a client."""
        return list(self.served.errors)


@contextmanager
def serve_laboratory(
    profile: BenchProfile,
    sample: Mapping[str, Any] | None = None,
    *,
    surroundings: Surroundings | None = None,
    faults: Iterable[Given] = (),
    ports: Mapping[str, int] | None = None,
    life_s: float,
    control: Control = "none",
) -> Iterator[ServedLaboratory]:
    """Serve the simulated instruments of a bench over TCP, on loopback.

    An instrument is named as in the profile (``pstat``, ``mri.console``) or as in its resource
    (``smu`` of ``sim://smu``).

    Args:
        profile: The bench; its instruments on hardware are left out.
        sample: What lies on it, as an experiment's ``simulate_as``.
        surroundings: What surrounds it from the beginning.
        faults: What goes wrong; times count from now on.
        ports: Port by instrument; any free one for those not named.
        life_s: Longest life of the server, s of real time.
        control: Whether there is a control channel, and what time it is: the system's, or a
            ``virtual`` one that stands still until somebody hands it over.

    Raises:
        ProfileError: Nothing on the bench is simulated; a fault or a port cannot be understood,
            names no instrument, or the port is in use; a control channel is asked for beside a
            real device. Nothing is served.
        Exception: The first that an instrument raised, when the context ends.
    """
    names = {
        who: simulated_name(link.resource) for who, link in profile.links.items() if link.simulated
    }
    if not names:
        raise ProfileError(
            profile.bench, "nothing on it is simulated", remedy="name a bench with sim:// resources"
        )
    if control != "none" and not profile.simulated:
        what = "has a real device, beside which neither time nor faults can be controlled"
        raise ProfileError(profile.bench, what, remedy="serve it without a control channel")
    handed = HandedTime() if control == "virtual" else None
    time = TimeBase.real() if handed is None else TimeBase.handed(handed)
    try:
        laboratory = Laboratory(
            profile, sample, time, surroundings=surroundings, faults=faults, strict=False
        )
        identities = {
            who: laboratory.instruments[name].answer(b"*IDN?").decode()
            for who, name in names.items()
        }
        channel = Channel(profile, laboratory, handed, secrets.token_hex(32))
        # a wire that nothing can befall needs no watch for refused connections
        instruments: dict[str, Any] = {
            name: wire if wire.faults or control != "none" else laboratory.instruments[name]
            for name, wire in laboratory.wires.items()
        }
        if control != "none":
            instruments[_CHANNEL] = channel
        wanted = {_named(names, who, f"--port {who}"): port for who, port in (ports or {}).items()}
        with _listening(instruments, wanted, life_s, dead_socket=control != "none") as served:
            channel.server = served
            resources = {who: served.resource(name) for who, name in names.items()}
            address = _address(profile, channel, served, time) if control != "none" else None
            yield ServedLaboratory(laboratory, resources, identities, served, address)
    finally:
        time.loop.close()


def _address(
    profile: BenchProfile, channel: Channel, served: Served, time: TimeBase
) -> LaboratoryAddress:
    """How an engine reaches what is served."""
    return LaboratoryAddress(
        id=uuid.uuid4().hex,
        bench=profile.bench,
        profile_hash=profile.profile_hash,
        addresses={
            simulated_resource(name): served.resource(name)
            for name in channel.laboratory.instruments
        },
        channel=served.ports[_CHANNEL],
        dead_socket_port=served.dead_socket_port,
        token=channel.token,
        virtual_time=channel.time is not None,
        epoch_s=time.epoch_s,
        pid=os.getpid(),
    )


@contextmanager
def over_tcp(laboratory: Laboratory, *, life_s: float = BENCH_LIFE_S) -> Iterator[dict[str, str]]:
    """Carry a bench's own instruments over TCP on loopback, in whatever time the bench lives.

    In virtual time the engine's loop blocks while it exchanges bytes, so that time stands still,
    and the server's thread answers with the laboratory's present.

    Args:
        laboratory: What is carried, with the faults of its wires.
        life_s: Longest life of the server, s of real time.

    Yields:
        VISA resource string by ``sim://`` resource.

    Raises:
        Exception: The first that an instrument raised, when the context ends.
    """
    with _listening(laboratory.wires, {}, life_s) as served:
        yield {simulated_resource(name): served.resource(name) for name in laboratory.wires}


@contextmanager
def _listening(
    instruments: Mapping[str, Any],
    ports: Mapping[str, int],
    life_s: float,
    *,
    dead_socket: bool = False,
) -> Iterator[Served]:
    """Serve; a port that cannot be had is bad input."""
    started = False
    try:
        with serve(instruments, ports=ports, life_s=life_s, dead_socket=dead_socket) as served:
            started = True
            yield served
    except OSError as error:
        if started:
            raise
        raise ProfileError(
            "bench", f"cannot listen: {error}", remedy="choose another --port, or leave it out"
        ) from None


def _named(names: Mapping[str, str], given: str, who: str) -> str:
    """The instrument that a person means, by link or by the name in its resource."""
    if given in names.values():
        return given
    if given not in names:
        raise ProfileError(
            who,
            f"got {given!r}, expected a simulated instrument of this bench",
            remedy=name_remedy(given, names),
        )
    return names[given]
