"""A link as PyMeasure's drivers see it."""

from __future__ import annotations

from typing import Any, Protocol

from pymeasure.adapters import Adapter


class Connection(Protocol):
    """What an adapter needs of a link; see `devices.link.Link`."""

    @property
    def connection(self) -> Any:
        """PyVISA resource of the present connection."""
        ...

    @property
    def resource(self) -> str:
        """Resource string."""
        ...

    def write(self, command: str | bytes) -> None:
        """Send a command at most once."""
        ...

    def read(self) -> str:
        """Next reply."""
        ...

    def read_bytes(self, count: int = -1, *, break_on_termchar: bool = False) -> bytes:
        """Next `count` bytes of a reply."""
        ...

    def distrust(self, trouble: str) -> None:
        """Use the connection no more."""
        ...

    def close(self) -> None:
        """Close the link."""
        ...


class LinkAdapter(Adapter):
    """PyMeasure adapter over a link: give it to any unmodified PyMeasure driver.

    Writes and reads go through the link's lock, deadlines and recovery. A driver that asks by
    writing and then reading keeps other threads waiting in between, until its reply is read or
    late; a driver with `StrictInstrumentMixin` asks in one piece.

    Args:
        link: The open link.
    """

    def __init__(self, link: Connection) -> None:
        super().__init__()
        self.link = link

    @property
    def connection(self) -> Any:
        """PyVISA resource, for drivers that set attributes on it; a reconnect replaces it."""
        return self.link.connection

    @property
    def resource_name(self) -> str:
        """Resource string of the link."""
        return self.link.resource

    def close(self) -> None:
        """Close the link."""
        link = getattr(self, "link", None)
        if link is not None:
            link.close()

    def flush_read_buffer(self) -> None:
        """Make sure that no old reply is read: the next command goes over a new connection."""
        self.link.distrust("its driver discarded what was received")

    def _write(self, command: str, **kwargs: Any) -> None:
        self.link.write(command, **kwargs)

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        self.link.write(content, **kwargs)

    def _read(self, **kwargs: Any) -> str:
        return self.link.read(**kwargs)

    def _read_bytes(self, count: int, break_on_termchar: bool, **kwargs: Any) -> bytes:  # noqa: FBT001 - PyMeasure's signature
        return self.link.read_bytes(count, break_on_termchar=break_on_termchar, **kwargs)

    def __repr__(self) -> str:
        return f"<LinkAdapter(link={self.link.resource!r})>"
