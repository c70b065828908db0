"""The simulated laboratory in process: a VISA library object for PyVISA.

`pyvisa.ResourceManager(SimulatedVisaLibrary({"smu": instrument}))` opens ``sim://smu`` as a
message-based socket resource. PyVISA hands every name that its own grammar does not know to the
library (`Resource.__init__`, "can fail for aliases"), so ``sim://`` needs no translation: this
module alone knows it.

Nothing here waits. A read that no reply answers fails at once with VI_ERROR_TMO, since the
laboratory's time cannot move while its caller blocks. A reply that is later than the session's
timeout comes with the read after the one that timed out, as a stale reply does on real wire;
closing the session forgets it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pyvisa import attributes, constants
from pyvisa.constants import InterfaceType, ResourceAttribute, StatusCode
from pyvisa.highlevel import ResourceInfo, VisaLibraryBase
from pyvisa.typing import VISAEventContext, VISARMSession, VISASession
from pyvisa.util import LibraryPath

from sim.wire.carrying import Instrument, Outcome, exchanger, refuses
from sim.wire.framing import Framing

PREFIX = "sim://"
"""Resource names of the simulated laboratory: ``sim://NAME``."""

AnySession = VISASession | VISAEventContext | VISARMSession

_numbers = itertools.count(1)


@dataclass
class _Session:
    """One open connection to one instrument."""

    name: str
    exchange: Callable[[bytes], Outcome]
    framing: Framing = field(default_factory=Framing)
    inbox: bytearray = field(default_factory=bytearray)
    late: bytearray = field(default_factory=bytearray)
    ended: bool = False
    attributes: dict[int, Any] = field(default_factory=dict)
    timeout_ms: float = 2000.0
    termination: bytes = b""


class SimulatedVisaLibrary(VisaLibraryBase):
    """A VISA library whose instruments are Python objects.

    Args:
        instruments: Instrument by name; ``sim://NAME`` opens it.
    """

    def __new__(cls, instruments: Mapping[str, Instrument]) -> SimulatedVisaLibrary:
        """Make a library of its own: PyVISA would share one per path."""
        del instruments
        path = LibraryPath(f"simulated laboratory {next(_numbers)}", "made in process")
        return cast(SimulatedVisaLibrary, super().__new__(cls, path))

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._instruments = dict(instruments)
        self._sessions: dict[AnySession, _Session] = {}
        self._lock = threading.RLock()

    def open_default_resource_manager(self) -> tuple[VISARMSession, StatusCode]:
        """Session of the resource manager (viOpenDefaultRM)."""
        session = VISARMSession(next(_numbers))
        return session, self.handle_return_value(session, StatusCode.success)

    def list_resources(self, session: VISARMSession, query: str = "?*") -> tuple[str, ...]:
        """Names of every instrument; the query is not interpreted."""
        del session, query
        return tuple(PREFIX + name for name in self._instruments)

    def parse_resource_extended(
        self, session: VISARMSession, resource_name: str
    ) -> tuple[ResourceInfo, StatusCode]:
        """A name of this laboratory is a message-based socket."""
        del session
        status = StatusCode.success
        if resource_name.removeprefix(PREFIX) not in self._instruments:
            status = StatusCode.error_resource_not_found
        return ResourceInfo(InterfaceType.tcpip, 0, "SOCKET", resource_name, None), status

    def open(
        self,
        session: VISARMSession,
        resource_name: str,
        access_mode: constants.AccessModes = constants.AccessModes.no_lock,
        open_timeout: int | None = 0,
    ) -> tuple[VISASession, StatusCode]:
        """Connect to an instrument (viOpen).

        Raises:
            pyvisa.errors.VisaIOError: There is no such instrument, or it refuses.
        """
        del session, access_mode, open_timeout
        name = resource_name.removeprefix(PREFIX)
        instrument = self._instruments.get(name)
        if instrument is None or refuses(instrument):
            self.handle_return_value(None, StatusCode.error_resource_not_found)
        number = VISASession(next(_numbers))
        assert instrument is not None  # noqa: S101 - the line above has raised otherwise
        self._sessions[number] = _Session(resource_name, exchanger(instrument))
        return number, self.handle_return_value(number, StatusCode.success)

    def close(self, session: AnySession) -> StatusCode:
        """Close a connection, forgetting replies nobody read (viClose)."""
        self._sessions.pop(session, None)
        self._last_status_in_session.pop(session, None)
        return StatusCode.success

    def write(self, session: VISASession, data: bytes) -> tuple[int, StatusCode]:
        """Hand every complete message in `data` to the instrument (viWrite).

        Raises:
            pyvisa.errors.VisaIOError: The instrument closed or reset this connection.
        """
        wire = self._session(session)
        if wire.ended:
            self.handle_return_value(session, StatusCode.error_connection_lost)
        with self._lock:
            for message in wire.framing.feed(data):
                self._carry(session, wire, message)
        return len(data), StatusCode.success

    def bytes_waiting(self, session: AnySession) -> int:
        """Bytes received that nobody has read; a stale reply shows here."""
        return len(self._session(session).inbox)

    def _carry(self, session: VISASession, wire: _Session, message: bytes) -> None:
        outcome = wire.exchange(message)
        if outcome.reply is not None:
            end = b"\n" if outcome.terminated else b""
            late = outcome.delay_s * 1000.0 > wire.timeout_ms
            (wire.late if late else wire.inbox).extend(outcome.reply + end)
        if outcome.ending == "open":
            return
        wire.ended = True
        if outcome.ending == "reset":
            wire.inbox.clear()
            self.handle_return_value(session, StatusCode.error_connection_lost)

    def read(self, session: VISASession, count: int) -> tuple[bytes, StatusCode]:
        """Take up to `count` bytes of what the instrument sent (viRead).

        Raises:
            pyvisa.errors.VisaIOError: VI_ERROR_TMO where nothing (more) was sent,
                VI_ERROR_CONN_LOST after the end of the connection.
        """
        wire = self._session(session)
        inbox = wire.inbox
        if not inbox:
            if wire.ended:
                self.handle_return_value(session, StatusCode.error_connection_lost)
            inbox += wire.late
            wire.late.clear()
            self.handle_return_value(session, StatusCode.error_timeout)
        end = inbox.find(wire.termination) if wire.termination else -1
        if 0 <= end < count:
            count, status = end + 1, StatusCode.success_termination_character_read
        elif len(inbox) >= count:
            status = StatusCode.success_max_count_read
        else:
            return self._partial(session, wire)
        if count == len(inbox):
            data = bytes(inbox)
            inbox.clear()
        else:
            data = bytes(inbox[:count])
            del inbox[:count]
        return data, status

    def _partial(self, session: VISASession, wire: _Session) -> tuple[bytes, StatusCode]:
        """Part of a reply: a stream has no END, so without its terminator it is incomplete."""
        if not wire.termination:
            data = bytes(wire.inbox)
            wire.inbox.clear()
            return data, StatusCode.success
        wire.inbox.clear()
        lost = StatusCode.error_connection_lost if wire.ended else StatusCode.error_timeout
        self.handle_return_value(session, lost)
        raise AssertionError  # pragma: no cover - an error status always raises above

    def clear(self, session: VISASession) -> StatusCode:
        """Forget everything under way on a connection (viClear)."""
        wire = self._session(session)
        wire.framing = Framing()
        wire.inbox.clear()
        wire.late.clear()
        return self.handle_return_value(session, StatusCode.success)

    def flush(self, session: VISASession, mask: constants.BufferOperation) -> StatusCode:
        """Forget what was received (viFlush)."""
        del mask
        self._session(session).inbox.clear()
        return self.handle_return_value(session, StatusCode.success)

    def get_attribute(self, session: AnySession, attribute: int) -> tuple[Any, StatusCode]:
        """Value of a VISA attribute, by default as the VISA standard has it."""
        wire = self._session(session)
        if attribute == ResourceAttribute.resource_name:
            return wire.name, StatusCode.success
        if attribute == ResourceAttribute.timeout_value:
            return wire.timeout_ms, StatusCode.success
        default = getattr(attributes.AttributesByID.get(attribute), "default", None)
        return wire.attributes.get(attribute, default), StatusCode.success

    def set_attribute(
        self, session: VISASession, attribute: int, attribute_state: Any
    ) -> StatusCode:
        """Set a VISA attribute; timeout and termination character act."""
        wire = self._session(session)
        if attribute == ResourceAttribute.timeout_value:
            wire.timeout_ms = attribute_state
            return StatusCode.success
        wire.attributes[attribute] = attribute_state
        enabled = wire.attributes.get(ResourceAttribute.termchar_enabled, False)
        character = wire.attributes.get(ResourceAttribute.termchar, 10)
        wire.termination = bytes([character]) if enabled else b""
        return StatusCode.success

    def disable_event(self, session: VISASession, event_type: Any, mechanism: Any) -> StatusCode:
        """Nothing to do: there are no events."""
        del session, event_type, mechanism
        return StatusCode.success

    def discard_events(self, session: VISASession, event_type: Any, mechanism: Any) -> StatusCode:
        """Nothing to do: there are no events."""
        del session, event_type, mechanism
        return StatusCode.success

    def _session(self, session: AnySession) -> _Session:
        wire = self._sessions.get(session)
        if wire is None:
            self.handle_return_value(None, StatusCode.error_invalid_object)
            raise AssertionError  # pragma: no cover - an error status always raises above
        return wire
