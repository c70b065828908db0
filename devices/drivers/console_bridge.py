"""An MRI console behind the bridge protocol: PyMeasure-style driver and its role.

`ConsoleBridge` speaks the lines of `docs/reference/bridge-protocol.md`; `BridgeMriConsole` makes
of it what an experiment expects of a console (`devices.roles.MriConsole`). The same bytes go to
the simulated console and to the agent on a vendor's PC.

Verified on hardware: no.
"""

from __future__ import annotations

import hmac
import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pymeasure.instruments import Instrument

from devices.bridge.authentication import agent_mac, client_mac, new_nonce
from devices.errors import (
    DeviceError,
    IdentityError,
    InstrumentFault,
    LimitError,
    LinkError,
    NotReachedError,
)
from devices.link import Link, StrictInstrumentMixin
from devices.link_numbers import GarbledReplyError, parse_float, parse_int
from devices.roles import ConsoleState, ConsoleStatus, Identity

T = TypeVar("T")

MAX_IMAGE_BYTES = 64 * 1024 * 1024
"""A larger image is refused before memory is taken for it."""

_MAX_QUEUE = 21
_REFUSED_SETTINGS = {-222, -224, -104}
_BUSY = {-213, -221}
_DOWNLOAD_BUDGET_S = 30.0


@dataclass(frozen=True)
class _Refused:
    """A query's error in place of its reply."""

    code: int
    text: str


def parse_error(entry: str) -> tuple[int, str]:
    """Number and text of an error entry, ``-222,"Data out of range;..."``.

    Raises:
        GarbledReplyError: It is not an entry.
    """
    code, _, text = entry.partition(",")
    return parse_int(code), text.strip().strip('"')


def _object(reply: str) -> dict[str, Any]:
    try:
        result = json.loads(reply, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise GarbledReplyError(f"got {reply[:60]!r}, expected JSON: {error}") from error
    if not isinstance(result, dict):
        raise GarbledReplyError(f"got {reply[:60]!r}, expected a JSON object")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def bridge_error(who: str, code: int, text: str) -> DeviceError:
    """The error that a refusal stands for.

    A refused setting is a `LimitError`, a console that is busy a `NotReachedError`, a token that
    was not accepted an `IdentityError`, anything else an `InstrumentFault`.
    """
    what = f"the bridge answers {code}, {text}"
    if code in _REFUSED_SETTINGS:
        return LimitError(who, what, remedy="change the image settings of the experiment")
    if code in _BUSY:
        return NotReachedError(who, what, remedy="wait for the acquisition, or abort it")
    if code == -203:
        return IdentityError(who, what, remedy="give the agent's token in the environment")
    return InstrumentFault(who, what, remedy="look at the console")


class ConsoleBridge(StrictInstrumentMixin, Instrument):
    """An MRI console that speaks the bridge protocol.

    Args:
        adapter: A link's adapter.
        name: Name for messages.
        **kwargs: As for `pymeasure.instruments.Instrument`.
    """

    def __init__(self, adapter: Any, name: str = "MRI console bridge", **kwargs: Any) -> None:
        super().__init__(adapter, name, includeSCPI=False, **kwargs)

    @property
    def settings(self) -> dict[str, Any]:
        """Control the acquisition's parameters (dict, units in the names)."""
        return self._answer("ACQ:CONF?", _object)

    @settings.setter
    def settings(self, changes: Mapping[str, Any]) -> None:
        self.write(f"ACQ:CONF {json.dumps(dict(changes), allow_nan=False)}")

    @property
    def status(self) -> dict[str, Any]:
        """Get where the acquisition stands (dict with state, progress, times in Unix s)."""
        return self._answer("ACQ:STAT?", _object)

    @property
    def expected_duration_s(self) -> float:
        """Get the duration of an acquisition with the present settings in s (float)."""
        return self._answer("ACQ:DUR?", parse_float)

    @property
    def image_header(self) -> dict[str, Any]:
        """Get shape, dtype, size in bytes, CRC-32, times and settings of the last image (dict)."""
        return self._answer("ACQ:IMAG:HEAD?", _object)

    @property
    def clock_s(self) -> float:
        """Get the console's own clock in Unix s (float)."""
        return self._answer("SYST:TIME?", parse_float)

    @property
    def challenge(self) -> dict[str, Any]:
        """Get whether a token is required, and the nonce to prove it with (dict)."""
        return self._answer("AUTH:CHAL?", _object)

    @property
    def next_error(self) -> tuple[int, str]:
        """Get the oldest entry of the error queue and remove it (tuple of int and str)."""
        return self._answer("SYST:ERR?", parse_error)

    def abort(self) -> None:
        """End the acquisition, acknowledge an error."""
        self.write("ACQ:ABOR")

    def clear(self) -> None:
        """Empty the error queue."""
        self.write("*CLS")

    def check_errors(self) -> list[tuple[int, str]]:
        """Read the whole error queue and raise what its first entry stands for.

        Raises:
            DeviceError: As `bridge_error` says; the message has every entry's text.
        """
        entries: list[tuple[int, str]] = []
        for _ in range(_MAX_QUEUE):
            code, text = self.next_error
            if code == 0:
                break
            entries.append((code, text))
        if entries:
            texts = "; ".join(text for _, text in entries)
            raise bridge_error(self.name, entries[0][0], texts)
        return entries

    def prove(self, client_nonce: str, mac: str) -> str:
        """Answer the challenge; returns the agent's own proof. Sent once: a nonce serves once.

        Raises:
            IdentityError: The agent does not accept the proof.
        """
        response = json.dumps({"client_nonce": client_nonce, "mac": mac})
        return str(self._answer(f"AUTH:RESP? {response}", _object, repeat=False).get("mac"))

    def _answer(self, query: str, parse: Callable[[str], T], *, repeat: bool | None = None) -> T:
        """What a query answers; a refusal raises, but the connection stays trusted."""

        def classify(reply: str) -> T | _Refused:
            return _Refused(*parse_error(reply[1:])) if reply[:1] == "!" else parse(reply)

        link = getattr(self.adapter, "link", None)
        try:
            if link is None:
                answer = classify(self.ask(query))
            else:
                answer = link.ask_for(query, classify, repeat=repeat)
        except GarbledReplyError as error:
            raise LinkError(self.name, f"{query}: {error}", remedy="check the cable") from error
        if isinstance(answer, _Refused):
            raise bridge_error(self.name, answer.code, answer.text)
        return answer


class BridgeMriConsole:
    """An MRI console for experiments, over a link to a bridge.

    After a reconnect the token is proved again and the console is asked for its state, before
    anything else is sent; an acquisition that was running goes on.

    Args:
        link: Open link to the bridge.
        token: Token shared with the agent; None where it needs none.
        trigger_mode: What begins an armed acquisition: ``per_scan`` one pulse, ``off`` the arming
            itself; None leaves the console as it is.

    Raises:
        NotReachedError: The console is busy with another trigger mode.
        IdentityError: The agent wants a token, does not accept this one, or cannot prove it.
    """

    def __init__(
        self, link: Link, *, token: str | None = None, trigger_mode: str | None = None
    ) -> None:
        self._link, self._token = link, token
        self.driver = ConsoleBridge(link.adapter, link.who)
        with link.transaction():
            self._greet()
            held = self.driver.settings.get("trigger_mode")
        if trigger_mode is not None and trigger_mode != held:
            self.configure({"trigger_mode": trigger_mode})
        link.on_reconnect(self._greet)

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        return self._link.identity

    def configure(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Set the acquisition's parameters, all or none, and return them as read back.

        Raises:
            LimitError: A name or value is refused; the text is the console's.
            NotReachedError: The console is busy.
            InstrumentFault: A parameter that was set is missing from what is read back.
        """
        with self._link.transaction():
            try:
                self.driver.settings = dict(settings)
            except ValueError as error:
                raise LimitError(
                    self._link.who, f"settings: {error}", remedy="use finite numbers"
                ) from error
            self.driver.check_errors()
            held = self.driver.settings
        missing = sorted(set(settings) - set(held))
        if missing:
            raise InstrumentFault(
                self._link.who,
                f"settings {', '.join(missing)} are not read back",
                remedy="compare the agent's version with the driver's",
            )
        return held

    def arm(self) -> None:
        """Prepare an acquisition that begins at the next trigger; sent at most once.

        Raises:
            NotReachedError: The console is busy.
            LinkError: It was not sent, or may have been: look at `status`.
        """
        entry = self._link.write_once("ACQ:ARM", confirm="SYST:ERR?")
        try:
            code, text = parse_error(entry)
        except GarbledReplyError as error:
            raise LinkError(
                self._link.who,
                f"'ACQ:ARM' was sent and may have acted: {error}",
                remedy="look at the console's status",
            ) from error
        if code:
            raise bridge_error(self._link.who, code, text)

    def status(self) -> ConsoleStatus:
        """Where the acquisition stands: one query, one line.

        Raises:
            LinkError: The reply is not a status.
        """
        reply = self.driver.status
        try:
            return ConsoleStatus(
                state=ConsoleState(reply["state"]),
                progress=float(reply["progress"]),
                experiment=int(reply["experiment"]),
                t_start_s=_time(reply["t_start_s"]),
                t_end_s=_time(reply["t_end_s"]),
                error=str(reply["error"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LinkError(
                self._link.who,
                f"garbled status, {type(error).__name__}: {error}",
                remedy="compare the agent's version with the driver's",
            ) from error

    def expected_duration_s(self) -> float:
        """TR x encoded phase lines x averages x repetitions, plus dummy scans, s."""
        return self.driver.expected_duration_s

    def read_image(self) -> tuple[npt.NDArray[np.float32], Mapping[str, Any]]:
        """Last reconstructed image, shape (lines, columns), and its header.

        Raises:
            InstrumentFault: There is no image of the last acquisition, or its header promises
                another shape than its matrix, another type or too many bytes.
            LinkError: What arrived is not what the header promised; it may be asked for again.
        """
        with self._link.transaction(budget_s=_DOWNLOAD_BUDGET_S):
            header = self.driver.image_header
            shape = self._checked_shape(header)
            pixels = self._link.query_binary("ACQ:IMAG?", "u1")
            received = pixels.tobytes()
            wrong = len(received) != header["nbytes"] or zlib.crc32(received) != header["crc32"]
            if wrong:
                self._link.distrust("an image that does not fit its header")
                raise LinkError(
                    self._link.who,
                    f"image: got {len(received)} bytes with CRC {zlib.crc32(received)}, "
                    f"expected {header['nbytes']} with {header['crc32']}",
                    remedy="read it again",
                )
        return np.frombuffer(received, "<f4").reshape(shape).copy(), header

    def abort(self) -> None:
        """End the acquisition, acknowledge an error; idempotent."""
        with self._link.transaction():
            self.driver.abort()
            self.driver.check_errors()

    def time(self) -> float:
        """The console's own clock, Unix s."""
        return self.driver.clock_s

    def _greet(self) -> None:
        """Prove the token, forget errors of a conversation before this one, see that it answers."""
        challenge = self.driver.challenge
        if challenge.get("required"):
            self._authenticate(str(challenge.get("nonce")))
        self.driver.clear()
        self.status()

    def _authenticate(self, nonce: str) -> None:
        if self._token is None:
            raise IdentityError(
                self._link.who,
                "the agent wants a token, got none",
                remedy="give the agent's token in the environment",
            )
        mine = new_nonce()
        proof = self.driver.prove(mine, client_mac(self._token, nonce, mine))
        if not hmac.compare_digest(proof.encode(), agent_mac(self._token, nonce, mine).encode()):
            raise IdentityError(
                self._link.who,
                "the agent cannot prove that it knows the token",
                remedy="somebody else may listen at this address",
            )

    def _checked_shape(self, header: Mapping[str, Any]) -> tuple[int, int]:
        """Shape of an image that may be read: as its matrix (x, z) says, and not too large."""
        settings = header.get("settings")
        matrix = settings.get("matrix") if isinstance(settings, dict) else None
        found = [header.get(name) for name in ("shape", "dtype", "nbytes")]
        if isinstance(matrix, list) and [type(side) for side in matrix] == [int, int]:
            columns, lines = matrix
            expected = [[lines, columns], "<f4", 4 * lines * columns]
            if found == expected and 0 < expected[2] <= MAX_IMAGE_BYTES and "crc32" in header:
                return lines, columns
        raise InstrumentFault(
            self._link.who,
            f"image of shape, type and size {found}, expected those of matrix {matrix} as '<f4', "
            f"at most {MAX_IMAGE_BYTES} bytes and a crc32",
            remedy="compare the console's matrix with the experiment's",
        )


def _time(value: Any) -> float:
    return math.nan if value is None else float(value)
