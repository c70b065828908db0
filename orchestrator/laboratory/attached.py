"""A simulated laboratory in another process, as a bench and as tests see it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from devices.bridge.authentication import agent_mac, client_mac, new_nonce
from devices.clock import monotonic, pause
from orchestrator.errors import ControlError, NoAnswerError, ProfileError
from orchestrator.experiment.faults import Given, fault_of
from orchestrator.laboratory.address import LaboratoryAddress, read_address
from orchestrator.laboratory.timebase import TimeBase
from orchestrator.profile.models import BenchProfile

VARIABLE = "OPERANDO_LABORATORY"
"""Names the address files of laboratories to use, separated as paths in ``$PATH`` are."""

_WITHIN_S = 20.0
"""Longest wait for an answer, real s: what simulates a whole campaign may take long at once."""

_DRIVE_WITHIN_S = 1.0
_MAX_BYTES = 1 << 24


class Connection:
    """One authenticated connection to the control channel; from any thread.

    Args:
        address: Where.

    Raises:
        NoAnswerError: Nobody is there, or not whom the address file names.
    """

    def __init__(self, address: LaboratoryAddress) -> None:
        self._who = f"laboratory {address.bench}"
        self._lock = threading.Lock()
        self._received = b""
        try:
            self._socket = socket.create_connection(("127.0.0.1", address.channel), _WITHIN_S)
        except OSError as error:
            raise self._gone(error) from error
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._authenticate(address.token)
        except BaseException:
            self.close()
            raise

    def _authenticate(self, token: str) -> None:
        nonce = str(self._exchange({"do": "hello"}).get("nonce"))
        own = new_nonce()
        answer = self._exchange({"nonce": own, "mac": client_mac(token, nonce, own)})
        if answer.get("mac") != agent_mac(token, nonce, own):
            raise NoAnswerError(
                self._who,
                "whoever listens there does not know the token",
                remedy="the laboratory has ended, or the file is another's: serve it anew",
            )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have one command carried out.

        Raises:
            ControlError: The laboratory refuses it.
            NoAnswerError: It does not answer.
        """
        answer = self._exchange({"do": do, **arguments})
        if "error" in answer:
            raise ControlError(self._who, str(answer["error"]), remedy="see what it offers")
        return answer

    def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            try:
                self._socket.sendall(orjson.dumps(request) + b"\n")
                while b"\n" not in self._received:
                    piece = self._socket.recv(1 << 16)
                    if not piece or len(self._received) > _MAX_BYTES:
                        raise ConnectionError("it has closed the connection")
                    self._received += piece
                line, _, self._received = self._received.partition(b"\n")
                return dict(orjson.loads(line))
            except (OSError, ValueError) as error:
                raise self._gone(error) from error

    def _gone(self, error: Exception) -> NoAnswerError:
        return NoAnswerError(
            self._who, f"does not answer: {error}", remedy="has its process ended? serve it anew"
        )

    def close(self) -> None:
        """Disconnect; idempotent."""
        self._socket.close()


class AttachedLaboratory:
    """A laboratory that another process serves.

    Args:
        address: Where it is.

    Attributes:
        address: As given.
        on_lost: Told, on the engine's loop, when its time can no longer be handed over.
        visa_library: None: its instruments are reached over TCP.

    Raises:
        NoAnswerError: It is not there.
    """

    visa_library: Any = None

    def __init__(self, address: LaboratoryAddress) -> None:
        self.address = address
        self.on_lost: Callable[[Exception], None] | None = None
        self._asking = Connection(address)
        self._driving: Connection | None = None
        self._base: TimeBase | None = None

    # --- time -----------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since its world began."""
        return float(self._asking.ask("now")["t_s"])

    def advance(self, to_s: float) -> bool:
        """Let its virtual time pass until `to_s`, where no engine moves it; whether it has."""
        return bool(self._asking.ask("advance", to_s=to_s)["advanced"])

    def hold(self, *, held: bool = True) -> None:
        """Keep its virtual time still, whoever moves it, or let it pass again."""
        self._asking.ask("hold", held=held)

    def time_base(self) -> TimeBase:
        """The time of an engine on this laboratory: it goes on from the laboratory's present.

        In virtual time this process moves the laboratory's from now on: each jump of the engine's
        loop is told before anything happens then.

        Raises:
            ControlError: Another process moves it.
        """
        if not self.address.virtual_time:
            self._base = TimeBase.real(begin_s=self.now())
            return self._base
        self._driving = Connection(self.address)
        until_s = monotonic() + _DRIVE_WITHIN_S
        while True:
            try:  # one that was killed just now may not have been noticed yet
                begin_s = float(self._driving.ask("drive", pid=os.getpid())["t_s"])
                break
            except ControlError:
                if monotonic() > until_s:
                    raise
                pause(0.05)
        self._base = TimeBase.virtual(
            begin_s=begin_s, epoch_s=self.address.epoch_s, lead=self._lead
        )
        return self._base

    def _lead(self, to_s: float) -> bool:
        """Tell the laboratory of a jump; once it is lost the engine's time goes on without it."""
        if self._driving is None:
            return True
        try:
            return bool(self._driving.ask("advance", to_s=to_s)["advanced"])
        except (NoAnswerError, ControlError) as error:
            self._driving.close()
            self._driving, lost = None, error
            if self.on_lost is not None and self._base is not None:
                self._base.loop.call_soon(self.on_lost, lost)
            return True

    # --- what is so, and what goes wrong --------------------------------------------------------

    @property
    def recipe(self) -> dict[str, Any]:
        """What lies on it, as an experiment's ``simulate_as``."""
        return dict(self._asking.ask("describe")["recipe"])

    @property
    def faults(self) -> list[str]:
        """Every fault, in the order in which they were given."""
        return list(self._asking.ask("describe")["faults"])

    def describe(self) -> dict[str, Any]:
        """Provenance of the simulation, as `Laboratory.describe` has it."""
        return dict(self._asking.ask("describe")["simulation"])

    def truth(self) -> dict[str, Any]:
        """What the sample really is now; for tests."""
        return dict(self._asking.ask("truth", snapshot=True)["snapshot"])

    def cell(self) -> dict[str, Any]:
        """The cell's own charge, what is at its terminals, and what is on.

        Returns:
            ``t_s``, ``charge_mah`` and ``throughput_mah`` (what the lithium carried until then),
            ``current_ma``, ``voltage_v``, and ``on``: names of the links whose output is on.
        """
        return self._asking.ask("truth")

    def inject(self, given: Given) -> str:
        """Let something go wrong; returns the fault as a text.

        Raises:
            ProfileError: It cannot be understood.
            ControlError: It cannot happen there, or begins in the past.
        """
        return str(self._asking.ask("inject", fault=str(fault_of(given)))["fault"])

    def dead_socket(self) -> None:
        """Reset every connection to its instruments."""
        self._asking.ask("dead_socket")

    def switch_off(self) -> None:
        """Switch the cell off by hand, at the front panels."""
        self._asking.ask("switch_off")

    def stop(self) -> None:
        """End the laboratory."""
        self._asking.ask("stop")

    def check_sample(self, sample: Mapping[str, Any] | None) -> None:
        """Refuse an experiment whose sample is not the one on the bench.

        Raises:
            ProfileError: It is another.
        """
        if sample is None:
            return
        there = self.recipe
        asked = {k: v for k, v in sample.items() if k != "faults" and v is not None}
        here = {k: v for k, v in there.items() if v is not None}
        if any(here.get(key) != value for key, value in asked.items()):
            raise ProfileError(
                "sample.simulate_as",
                f"got {_told(asked)}, and on the laboratory lies {_told(here)}",
                remedy="serve it with `--experiment FILE` of this file",
            )

    def close(self) -> None:
        """Disconnect; the laboratory stays, and its virtual time stands still."""
        if self._driving is not None:
            self._driving.close()
        self._asking.close()


def attach(path: str | Path, profile: BenchProfile | None = None) -> AttachedLaboratory:
    """Reach the laboratory of an address file.

    Args:
        path: The file that `operando bench` wrote.
        profile: The bench that it must be; None: any.

    Raises:
        ProfileError: The file is none, or of another bench.
        NoAnswerError: The laboratory is not there.
    """
    address = read_address(path)
    if profile is not None:
        address.check(profile)
    return AttachedLaboratory(address)


def laboratory_of(
    profile: BenchProfile, path: str | Path | None = None, *, environment: Mapping[str, str]
) -> LaboratoryAddress | None:
    """The laboratory in which a bench stands, where it is not this process.

    Args:
        profile: The bench.
        path: Address file that somebody has named; None: those of ``$OPERANDO_LABORATORY``.
        environment: The process's environment.

    Raises:
        ProfileError: The file is none, or of another bench; or the bench is simulated and among
            those of the environment there is no laboratory of it.
    """
    if path is not None:
        address = read_address(path)
        address.check(profile)
        return address
    named = [one for one in environment.get(VARIABLE, "").split(os.pathsep) if one]
    if not named or not profile.any_simulated:
        return None
    found = [read_address(one) for one in named]
    fits = [one for one in found if one.profile_hash == profile.profile_hash]
    if not fits:
        raise ProfileError(
            profile.bench,
            f"is none of the laboratories of ${VARIABLE}: {', '.join(o.bench for o in found)}",
            remedy=f"add its address file, or unset {VARIABLE}",
        )
    return fits[0]


def _told(recipe: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in recipe.items())
