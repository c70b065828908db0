"""A simulated Keithley 2750 switch system whose one channel connects the cell.

After the Model 2750 Multimeter/Switch System User's Manual (2750-900-01), section 2, "Remote
programming": ROUTe:MULTiple:CLOSe, :OPEN, :CLOSe? and :CLOSe:STATe?, ROUTe:OPEN:ALL. Of the
multimeter nothing is simulated. Relays act at once; after power-on and ``*RST`` all are open
(section 2, "Power-on defaults"); the cell's channel begins closed here where asked, as somebody
left it.
"""

from __future__ import annotations

import re

from sim.instruments.scpi import ScpiError, ScpiInstrument
from sim.world import World

_SLOTS, _CHANNELS = range(1, 6), range(1, 41)
_OUT_OF_RANGE = -222
_LIST = re.compile(r"\(@([\d,:\s]+)\)\Z")


class SimulatedKeithley2750(ScpiInstrument):
    """A switch system with the cell's lead on one channel.

    Args:
        world: Where it stands; its sample must be able to be disconnected.
        channel: Channel that the cell's lead goes through, slot and two digits: 101.
        closed: Whether that channel is closed at first.
        serial: Third field of ``*IDN?``; begins with ``SIM-``.
        strict: Raise `sim.errors.UnknownCommand` at an undefined header.

    Attributes:
        stuck: Whether the relays do not move any more.
    """

    def __init__(
        self,
        world: World,
        channel: int,
        *,
        closed: bool = True,
        serial: str = "SIM-RELAY-0001",
        strict: bool = True,
    ) -> None:
        identity = f"KEITHLEY INSTRUMENTS INC.,MODEL 2750,{serial},A09"
        super().__init__(world, identity, strict=strict)
        self._channel, self.stuck = channel, False
        self._closed = {channel} if closed else set()
        if not closed:
            world.sample.disconnect(world.catch_up())
        self.on(":ROUTe:MULTiple:CLOSe", self._close, self._closed_list)
        self.on(":ROUTe:MULTiple:CLOSe:STATe", query=self._states)
        self.on(":ROUTe:MULTiple:OPEN", self._open)
        self.on(":ROUTe:OPEN:ALL", self._open_all)

    def reset(self) -> None:
        """``*RST``: every channel is open."""
        self._open_all()

    def _close(self, *texts: str) -> None:
        self._move(_channels(texts), close=True)

    def _open(self, *texts: str) -> None:
        self._move(_channels(texts), close=False)

    def _open_all(self) -> None:
        self._move(sorted(self._closed), close=False)

    def _closed_list(self) -> str:
        return f"(@{','.join(str(one) for one in sorted(self._closed))})"

    def _states(self, *texts: str) -> str:
        return ",".join(str(int(one in self._closed)) for one in _channels(texts))

    def _move(self, channels: list[int], *, close: bool) -> None:
        if self.stuck:
            return
        was = self._channel in self._closed
        self._closed = self._closed | set(channels) if close else self._closed - set(channels)
        now = self._channel in self._closed
        if now != was:
            t_s, sample = self.world.catch_up(), self.world.sample
            (sample.connect if now else sample.disconnect)(t_s)
            self.world.revision += 1


def _channels(texts: tuple[str, ...]) -> list[int]:
    """Channels of a list such as ``(@101, 203)`` or ``(@101:110)``; commas split it before."""
    found = _LIST.match(",".join(texts).strip())
    if found is None:
        raise ScpiError(-102)
    channels: list[int] = []
    for item in found[1].split(","):
        first, _, last = item.strip().partition(":")
        if not first.isdigit() or (last and not last.isdigit()):
            raise ScpiError(-102)
        run = range(int(first), int(last or first) + 1)
        if len(run) > len(_SLOTS) * len(_CHANNELS):
            raise ScpiError(_OUT_OF_RANGE)
        channels += run
    if not channels or any(n // 100 not in _SLOTS or n % 100 not in _CHANNELS for n in channels):
        raise ScpiError(_OUT_OF_RANGE)
    return channels
