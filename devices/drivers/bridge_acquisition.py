"""Imaging instruments behind a bridge: what an MRI console and a microscope have in common.

Both are configured, begin an acquisition, say how it stands and deliver an array with a header
(`docs/reference/bridge-protocol.md`, ``ACQuire:``). What differs, the shape that the settings
promise and the meaning of the status, is left to the derived classes.

Verified on hardware: no.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from devices.drivers.bridge_lines import BridgeInstrument, command_once, greet, parse_object
from devices.errors import InstrumentFault, LimitError, LinkError
from devices.link import Link
from devices.link_numbers import parse_float
from devices.roles import Identity

S = TypeVar("S")

MAX_IMAGE_BYTES = 64 * 1024 * 1024
"""A larger image is refused before memory is taken for it."""

_DOWNLOAD_BUDGET_S = 30.0


class AcquisitionBridge(BridgeInstrument):
    """An imaging instrument that speaks the bridge protocol.

    Args:
        adapter: A link's adapter.
        name: Name for messages.
        **kwargs: As for `pymeasure.instruments.Instrument`.
    """

    def __init__(self, adapter: Any, name: str = "imaging bridge", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    @property
    def settings(self) -> dict[str, Any]:
        """Control the acquisition's parameters (dict, units in the names)."""
        return self.answer("ACQ:CONF?", parse_object)

    @settings.setter
    def settings(self, changes: Mapping[str, Any]) -> None:
        self.write(f"ACQ:CONF {json.dumps(dict(changes), allow_nan=False)}")

    @property
    def status(self) -> dict[str, Any]:
        """Get where the acquisition stands (dict with state, progress, times in Unix s)."""
        return self.answer("ACQ:STAT?", parse_object)

    @property
    def expected_duration_s(self) -> float:
        """Get the duration of an acquisition with the present settings in s (float)."""
        return self.answer("ACQ:DUR?", parse_float)

    @property
    def image_header(self) -> dict[str, Any]:
        """Get shape, dtype, size in bytes, CRC-32, times and settings of the last image (dict)."""
        return self.answer("ACQ:IMAG:HEAD?", parse_object)

    def abort(self) -> None:
        """End the acquisition, acknowledge an error."""
        self.write("ACQ:ABOR")


class BridgeAcquisition:
    """An imaging instrument for experiments, over a link to a bridge.

    After a reconnect the token is proved again and the instrument is asked for its state, before
    anything else is sent; an acquisition that was running goes on.

    Args:
        link: Open link to the bridge.
        driver: What speaks on it.
        token: Token shared with the agent; None where it needs none.

    Raises:
        IdentityError: The agent wants a token, does not accept this one, or cannot prove it.
    """

    def __init__(self, link: Link, driver: AcquisitionBridge, *, token: str | None = None) -> None:
        self._link, self.driver, self._token = link, driver, token
        with link.transaction():
            self._greet()
        link.on_reconnect(self._greet)

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        return self._link.identity

    def time(self) -> float:
        """The instrument's own clock, Unix s."""
        return self.driver.clock_s

    def expected_shape(self, settings: Mapping[str, Any]) -> tuple[int, ...] | None:
        """Shape of an image with these settings; None where they do not say one."""
        raise NotImplementedError

    def configure(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Set the acquisition's parameters, all or none, and return them as read back.

        Raises:
            LimitError: A name or value is refused; the text is the instrument's.
            NotReachedError: The instrument is busy.
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

    def held(self) -> Mapping[str, Any]:
        """The acquisition's parameters as read back; nothing is set."""
        return self.driver.settings

    def arm(self) -> None:
        """Begin an acquisition, or prepare it for its trigger; sent at most once.

        Raises:
            NotReachedError: The instrument is busy.
            LinkError: It was not sent, or may have been: look at `status`.
        """
        command_once(self._link, "ACQ:ARM")

    def expected_duration_s(self) -> float:
        """Duration of an acquisition with the present settings, s."""
        return self.driver.expected_duration_s

    def read_image(self) -> tuple[npt.NDArray[np.float32], Mapping[str, Any]]:
        """Last image, of the shape that its settings promise, and its header.

        Raises:
            InstrumentFault: There is no image of the last acquisition, or its header promises
                another shape than its settings, another type or too many bytes.
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

    def read_status(self, understand: Callable[[dict[str, Any]], S]) -> S:
        """Where the acquisition stands: one query, one line.

        Args:
            understand: Makes the role's status of the reply.

        Raises:
            LinkError: The reply is not a status.
        """
        reply = self.driver.status
        try:
            return understand(reply)
        except (KeyError, TypeError, ValueError) as error:
            raise LinkError(
                self._link.who,
                f"garbled status, {type(error).__name__}: {error}",
                remedy="compare the agent's version with the driver's",
            ) from error

    def _greet(self) -> None:
        """Prove the token, forget errors of a conversation before this one, see that it answers."""
        greet(self._link, self.driver, self._token)
        _ = self.driver.status

    def _checked_shape(self, header: Mapping[str, Any]) -> tuple[int, ...]:
        """Shape of an image that may be read: as its settings say, and not too large."""
        settings = header.get("settings")
        shape = self.expected_shape(settings) if isinstance(settings, dict) else None
        found = [header.get(name) for name in ("shape", "dtype", "nbytes")]
        if shape is not None:
            nbytes = 4 * math.prod(shape)
            fits = found == [list(shape), "<f4", nbytes] and 0 < nbytes <= MAX_IMAGE_BYTES
            if fits and "crc32" in header:
                return shape
        raise InstrumentFault(
            self._link.who,
            f"image of shape, type and size {found}, expected shape {shape} of its settings as "
            f"'<f4', at most {MAX_IMAGE_BYTES} bytes and a crc32",
            remedy="compare the instrument's settings with the experiment's",
        )


def time_s(value: Any) -> float:
    """A moment in a status, Unix s; NaN where there is none yet."""
    return math.nan if value is None else float(value)
