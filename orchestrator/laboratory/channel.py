"""The control channel of a served laboratory: its time, its truth and what goes wrong in it.

A line of JSON each way, on loopback only, at most 64 kB. Whoever connects proves that it knows the
token (HMAC both ways, `devices.bridge.authentication`) before anything else is heard, loopback or
not. There is no channel on a bench with a real device.

One client at a time may hand time over (``drive``); as long as one does, nobody else moves it.
Where nobody does, time stands still until somebody sends ``advance``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson

from devices.bridge.authentication import Authentication
from orchestrator.errors import OrchestratorError
from orchestrator.laboratory.instruments import IS_ON, SWITCH_OFF
from orchestrator.laboratory.simulated import Laboratory, simulated_name
from orchestrator.profile.models import BenchProfile
from sim.clock import HandedTime
from sim.errors import SimulationError
from sim.wire.carrying import Outcome
from sim.wire.framing import Lines
from sim.wire.tcp import Served

MAX_BYTES = 65_536
"""Longest line that is read."""

_MOST_CLIENTS = 16


class Refused(Exception):  # noqa: N818 - what it is
    """A command cannot be carried out; says why."""


class Channel:
    """What a served laboratory is told and asked beside its instruments.

    Args:
        profile: The bench.
        laboratory: What is served.
        time: The time that is handed over; None: it is the system's.
        token: What clients must know.

    Attributes:
        server: Set by whoever serves it.
    """

    def __init__(
        self, profile: BenchProfile, laboratory: Laboratory, time: HandedTime | None, token: str
    ) -> None:
        self.profile, self.laboratory, self.time, self.token = profile, laboratory, time, token
        self.server: Served | None = None
        self.driver: ChannelClient | None = None
        self.clients: set[ChannelClient] = set()

    def client(self) -> ChannelClient:
        """For a new connection."""
        one = ChannelClient(self)
        self.clients.add(one)
        return one

    def carry_out(self, who: ChannelClient, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carry one command out; returns what to answer beside the present.

        Raises:
            Refused: It cannot be.
        """
        do = str(request.get("do"))
        if do not in _COMMANDS:
            raise Refused(f"got the command {do[:40]!r}, expected one of {', '.join(_COMMANDS)}")
        try:
            return _COMMANDS[do](self, who, request)
        except (OrchestratorError, SimulationError) as error:
            raise Refused(str(error)) from error

    # --- time -----------------------------------------------------------------------------------

    def now(self, _who: ChannelClient, _request: Mapping[str, Any]) -> dict[str, Any]:
        """The present, and how time passes."""
        held = self.time is not None and self.time.held
        return {"virtual_time": self.time is not None, "held": held, "driven": bool(self.driver)}

    def drive(self, who: ChannelClient, request: Mapping[str, Any]) -> dict[str, Any]:
        """Hand this laboratory's time over to one client, until it disconnects."""
        self._handed()
        if self.driver not in (None, who):
            raise Refused(f"process {self.driver.pid if self.driver else 0} moves its time")
        self.driver, who.pid = who, _integer(request, "pid")
        return {}

    def advance(self, who: ChannelClient, request: Mapping[str, Any]) -> dict[str, Any]:
        """Let time pass until ``to_s``; whether it has: not while it is held."""
        time = self._handed()
        if self.driver not in (None, who):
            raise Refused(f"process {self.driver.pid if self.driver else 0} moves its time")
        return {"advanced": time.advance(_number(request, "to_s"))}

    def hold(self, _who: ChannelClient, request: Mapping[str, Any]) -> dict[str, Any]:
        """Keep time still, whoever moves it, or let it pass again."""
        self._handed().held = bool(request.get("held", True))
        return {}

    def _handed(self) -> HandedTime:
        if self.time is None:
            raise Refused("its time is the system's (serve it with --virtual-time)")
        return self.time

    # --- what is so, and what goes wrong --------------------------------------------------------

    def describe(self, _who: ChannelClient, _request: Mapping[str, Any]) -> dict[str, Any]:
        """What lies on the bench, as the start document of a run says it."""
        one = self.laboratory
        return {
            "simulation": one.describe(),
            "recipe": one.recipe,
            "faults": [str(fault) for fault in one.faults],
        }

    def truth(self, _who: ChannelClient, request: Mapping[str, Any]) -> dict[str, Any]:
        """The cell's own charge, its terminals and what is on; with ``snapshot`` everything."""
        world = self.laboratory.world
        with world.lock:
            t_s = world.catch_up()
            seen = world.sample.terminals(np.array([t_s]))
            net_mah, throughput_mah = world.sample.charge_mah(t_s)
            on = [who for who, one in self._driving() if IS_ON[one](self._instrument(who))]
            whole = {"snapshot": self.laboratory.truth()} if request.get("snapshot") else {}
        return {
            "charge_mah": net_mah,
            "throughput_mah": throughput_mah,
            "current_ma": float(seen.current_ma[0]),
            "voltage_v": float(seen.voltage_v[0]),
            "on": on,
            **whole,
        }

    def inject(self, _who: ChannelClient, request: Mapping[str, Any]) -> dict[str, Any]:
        """Let something go wrong from now on or later; times count from the world's beginning."""
        given = request.get("fault")
        if not isinstance(given, str | dict):
            raise Refused("fault: expected a text or a mapping")
        return {"fault": str(self.laboratory.inject(given))}

    def dead_socket(self, _who: ChannelClient, _request: Mapping[str, Any]) -> dict[str, Any]:
        """Reset every connection to the instruments."""
        if self.server is not None:
            self.server.drop()
        return {}

    def switch_off(self, _who: ChannelClient, _request: Mapping[str, Any]) -> dict[str, Any]:
        """Switch off by hand, at the front panels of what drives the cell."""
        for who, driver in self._driving():
            for message in SWITCH_OFF[driver]:
                self._instrument(who).answer(message)
        return {"off": [who for who, _ in self._driving()]}

    def _driving(self) -> list[tuple[str, str]]:
        """What drives the cell, with its driver."""
        links = self.profile.links.items()
        return [(who, link.driver) for who, link in links if link.driver in SWITCH_OFF]

    def _instrument(self, who: str) -> Any:
        return self.laboratory.instruments[simulated_name(self.profile.links[who].resource)]

    def stop(self, _who: ChannelClient, _request: Mapping[str, Any]) -> dict[str, Any]:
        """End the laboratory."""
        if self.server is not None:
            self.server.end()
        return {}


_Command = Callable[[Channel, "ChannelClient", Mapping[str, Any]], dict[str, Any]]

_COMMANDS: Mapping[str, _Command] = {
    "now": Channel.now,
    "drive": Channel.drive,
    "advance": Channel.advance,
    "hold": Channel.hold,
    "describe": Channel.describe,
    "truth": Channel.truth,
    "inject": Channel.inject,
    "dead_socket": Channel.dead_socket,
    "switch_off": Channel.switch_off,
    "stop": Channel.stop,
}


class ChannelClient:
    """One connection to the channel.

    Args:
        channel: The channel.

    Attributes:
        pid: Process that moves time over it.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel, self.pid = channel, 0
        self._authentication = Authentication(channel.token)
        self.feed = Lines(MAX_BYTES).feed

    def exchange(self, message: bytes) -> Outcome:
        """Answer one line; one that is no request, or a wrong proof, ends the connection."""
        try:
            request = orjson.loads(message)
        except ValueError:
            request = None
        if not isinstance(request, dict) or len(self._channel.clients) > _MOST_CLIENTS:
            return _answered({"error": "not understood, or too many clients"}, last=True)
        if not self._authentication.passed:
            return self._authenticated(request)
        try:
            answer = self._channel.carry_out(self, request)
        except Refused as refusal:
            answer = {"error": str(refusal)}
        return _answered({"t_s": self._channel.laboratory.world.now(), **answer})

    def _authenticated(self, request: Mapping[str, Any]) -> Outcome:
        if request.get("do") == "hello":
            return _answered({"nonce": self._authentication.challenge()})
        proof = self._authentication.respond(request.get("nonce"), request.get("mac"))
        if proof is None:
            return _answered({"error": "not authenticated"}, last=True)
        return _answered({"mac": proof})

    def left(self) -> None:
        """The connection is gone: time stands still, or is somebody else's."""
        self._channel.clients.discard(self)
        if self._channel.driver is self:
            self._channel.driver = None


def _answered(value: Mapping[str, Any], *, last: bool = False) -> Outcome:
    told = orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY)
    return Outcome(told, ending="close" if last else "open")


def _number(request: Mapping[str, Any], name: str) -> float:
    value = request.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{name}: got {str(value)[:40]!r}, expected a number")
    return float(value)


def _integer(request: Mapping[str, Any], name: str) -> int:
    return int(_number(request, name))
