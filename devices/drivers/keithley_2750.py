"""One channel of a Keithley 2750 switch system as the relay in the cell's lead.

`Keithley2750` is PyMeasure's own driver with the link's strict replies before it; its reading of
closed channels covers measurement channels only, so the state of the one channel is asked for with
``:ROUTe:MULTiple:CLOSe:STATe?`` (Model 2750 User's Manual, 2750-900-01, page 2-19).

Verified on hardware: no.
"""

from __future__ import annotations

from typing import Any

from pymeasure.instruments.keithley import Keithley2750 as UpstreamKeithley2750

from devices.errors import InstrumentFault
from devices.link import Link, StrictInstrumentMixin
from devices.link_numbers import GarbledReplyError
from devices.roles import Identity


class Keithley2750(StrictInstrumentMixin, UpstreamKeithley2750):
    """PyMeasure's driver with atomic queries and errors that raise.

    Args:
        adapter: A link's adapter.
        name: Name for messages.
        **kwargs: As for `pymeasure.instruments.Instrument`.
    """

    def __init__(self, adapter: Any, name: str = "Keithley 2750", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)


class SwitchChannel:
    """Serves `devices.roles.Relay`: closed connects the cell, open disconnects it.

    Args:
        link: Open link to the switch system.
        channel: Slot and two digits, for example 101.
    """

    def __init__(self, link: Link, *, channel: int) -> None:
        self._link, self._channel = link, channel
        self._switch = Keithley2750(link.adapter, link.who)

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        return self._link.identity

    def connected(self) -> bool:
        """Read back whether the channel is closed."""
        return self._link.ask_for(f":ROUT:MULT:CLOS:STAT? (@{self._channel})", _parse_state)

    def connect(self) -> None:
        """Close the channel, verified.

        Raises:
            InstrumentFault: It reads back as open.
        """
        self._switch.close(self._channel)
        self._require(connected=True)

    def disconnect(self) -> None:
        """Open the channel, verified; idempotent.

        Raises:
            InstrumentFault: It reads back as closed.
        """
        self._switch.open(self._channel)
        self._require(connected=False)

    def _require(self, *, connected: bool) -> None:
        if self.connected() is not connected:
            said, wanted = ("open", "closed") if connected else ("closed", "open")
            raise InstrumentFault(
                self._link.who,
                f"channel {self._channel} reads back as {said}, expected {wanted}",
                remedy="disconnect the cell by hand and look at the switch system",
            )


def _parse_state(text: str) -> bool:
    if text.strip() not in ("0", "1"):
        raise GarbledReplyError(f"got {text!r}, expected 0 or 1")
    return text.strip() == "1"
