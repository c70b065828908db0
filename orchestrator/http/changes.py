"""All changes as Server-Sent Events, with numbers from which a page goes on after a gap.

An event is named after the kind of thing that changed; its data is the whole thing as it is now,
so that a page that missed some is right again with the next. ``gone`` names what is no more.
Lines of the audit log and events of runs are never merged: each is sent.

The number is ``<server>-<n>``. One that this server does not know any more is answered with
``state``: everything at once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

Everything = Mapping[str, Mapping[str, Any]]

_KEPT = 5000
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS

SILENT_S = 15.0
"""A line is sent at least so often, s, so that both sides notice when the other is gone."""


@dataclass(frozen=True)
class Change:
    """One event.

    Attributes:
        number: From 1.
        kind: What sort of thing changed.
        data: As it is now.
    """

    number: int
    kind: str
    data: Mapping[str, Any]


@dataclass
class Changes:
    """What changed, since when it is looked at.

    Attributes:
        now: Everything, as it was seen last.
        server: Tells this server's numbers from those of one before.
        streams: How many are open.
    """

    now: Everything = field(default_factory=dict)
    server: str = field(default_factory=lambda: secrets.token_hex(4))
    _kept: deque[Change] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _last: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: bool = False
    streams: int = 0

    def seen(self, everything: Everything, happened: list[tuple[str, dict[str, Any]]]) -> None:
        """Take over what is the case now, and what has happened; whoever waits is told."""
        for kind, things in everything.items():
            before = self.now.get(kind, {})
            for name, thing in things.items():
                if before.get(name) != thing:
                    self._add(kind, {"name": name, "value": thing})
            for name in before:
                if name not in things:
                    self._add("gone", {"kind": kind, "name": name})
        for kind, data in happened:
            self._add(kind, data)
        self.now = everything

    def end(self) -> None:
        """No more will come: streams end."""
        self._ended = True
        self._tell()

    async def stream(self, last_id: str) -> AsyncIterator[bytes]:
        """Events as bytes, from the one after `last_id`, else from everything as it is now.

        Args:
            last_id: Number of the last event that the other side has; empty for none.
        """
        server, _, text = last_id.partition("-")
        mine = server == self.server and text.isascii() and text.isdecimal()
        number = int(text[:15]) if mine else -1
        while not self._ended:
            news = self._news
            if not self._first - 1 <= number <= self._last:  # unknown, or too far behind
                number = self._last
                yield self._bytes("state", number, self.now)
                continue
            late = [one for one in self._kept if one.number > number]
            for change in late:
                yield self._bytes(change.kind, change.number, change.data)
                number = change.number
            if late:
                continue
            try:
                async with asyncio.timeout(SILENT_S):
                    await news.wait()
            except TimeoutError:
                yield b": still here\n\n"

    @property
    def _first(self) -> int:
        """Number of the first event that is still known."""
        return self._kept[0].number if self._kept else self._last + 1

    def _bytes(self, kind: str, number: int, data: Mapping[str, Any]) -> bytes:
        text = orjson.dumps(data, default=str, option=_OPTIONS)  # has no line breaks
        return b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (
            self.server.encode(), number, kind.encode(), text,
        )  # fmt: skip

    def _add(self, kind: str, data: dict[str, Any]) -> None:
        self._last += 1
        self._kept.append(Change(self._last, kind, data))
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
