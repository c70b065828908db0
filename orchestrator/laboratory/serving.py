"""A simulated laboratory that any client can reach over TCP, with faults on its wires."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import ProfileError
from orchestrator.experiment.faults import Given
from orchestrator.inputs.problems import name_remedy
from orchestrator.laboratory.simulated import Laboratory, simulated_name, simulated_resource
from orchestrator.laboratory.timebase import TimeBase
from orchestrator.profile.models import BenchProfile
from sim.wire.tcp import Served, serve

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
    """

    laboratory: Laboratory
    resources: dict[str, str]
    identities: dict[str, str]
    served: Served

    def wait(self, timeout_s: float) -> bool:
        """Wait until the server has ended, at most `timeout_s` of real time; whether it has."""
        return self.served.ended.wait(timeout_s)

    def failures(self) -> list[BaseException]:
        """What the instruments raised, oldest first: errors of the simulation, not of a client."""
        return list(self.served.errors)


@contextmanager
def serve_laboratory(
    profile: BenchProfile,
    sample: Mapping[str, Any] | None = None,
    *,
    faults: Iterable[Given] = (),
    ports: Mapping[str, int] | None = None,
    life_s: float,
) -> Iterator[ServedLaboratory]:
    """Serve the simulated instruments of a bench over TCP, on loopback and the system's clock.

    An instrument is named as in the profile (``pstat``, ``mri.console``) or as in its resource
    (``smu`` of ``sim://smu``).

    Args:
        profile: The bench; its instruments on hardware are left out.
        sample: What lies on it, as an experiment's ``simulate_as``.
        faults: What goes wrong; times count from now on.
        ports: Port by instrument; any free one for those not named.
        life_s: Longest life of the server, s.

    Raises:
        ProfileError: Nothing on the bench is simulated; a fault or a port cannot be understood,
            names no instrument, or the port is in use. Nothing is served.
        Exception: The first that an instrument raised, when the context ends.
    """
    names = {
        who: simulated_name(link.resource) for who, link in profile.links.items() if link.simulated
    }
    if not names:
        raise ProfileError(
            profile.bench, "nothing on it is simulated", remedy="name a bench with sim:// resources"
        )
    time = TimeBase.real()
    try:
        laboratory = Laboratory(profile, sample, time, faults=faults, strict=False)
        identities = {
            who: laboratory.instruments[name].answer(b"*IDN?").decode()
            for who, name in names.items()
        }
        # a wire that nothing can befall needs no watch for refused connections
        instruments = {
            name: wire if wire.faults else laboratory.instruments[name]
            for name, wire in laboratory.wires.items()
        }
        wanted = {_named(names, who, f"--port {who}"): port for who, port in (ports or {}).items()}
        with _listening(instruments, wanted, life_s) as served:
            resources = {who: served.resource(name) for who, name in names.items()}
            yield ServedLaboratory(laboratory, resources, identities, served)
    finally:
        time.loop.close()


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
    instruments: Mapping[str, Any], ports: Mapping[str, int], life_s: float
) -> Iterator[Served]:
    """Serve; a port that cannot be had is bad input."""
    started = False
    try:
        with serve(instruments, ports=ports, life_s=life_s) as served:
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
