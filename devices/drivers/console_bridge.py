"""An MRI console behind the bridge protocol: PyMeasure-style driver and its role.

`ConsoleBridge` speaks the lines of `docs/reference/bridge-protocol.md`; `BridgeMriConsole` makes
of it what an experiment expects of a console (`devices.roles.MriConsole`). The same bytes go to
the simulated console and to the agent on a vendor's PC.

Verified on hardware: no.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devices.drivers.bridge_acquisition import AcquisitionBridge, BridgeAcquisition, time_s
from devices.link import Link
from devices.mri_methods import frame_shape
from devices.roles import ConsoleState, ConsoleStatus


class ConsoleBridge(AcquisitionBridge):
    """An MRI console that speaks the bridge protocol.

    Args:
        adapter: A link's adapter.
        name: Name for messages.
        **kwargs: As for `pymeasure.instruments.Instrument`.
    """

    def __init__(self, adapter: Any, name: str = "MRI console bridge", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)


class BridgeMriConsole(BridgeAcquisition):
    """An MRI console for experiments, over a link to a bridge.

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
        super().__init__(link, ConsoleBridge(link.adapter, link.who), token=token)
        held = self.driver.settings.get("trigger_mode")
        if trigger_mode is not None and trigger_mode != held:
            self.configure({"trigger_mode": trigger_mode})

    def status(self) -> ConsoleStatus:
        """Where the acquisition stands: one query, one line.

        Raises:
            LinkError: The reply is not a status.
        """
        return self.read_status(_status)

    def expected_shape(self, settings: Mapping[str, Any]) -> tuple[int, ...] | None:
        """(lines, columns), (slices, lines, columns) or (nuclei, points), by the method."""
        try:
            return frame_shape(settings)
        except ValueError:
            return None


def _status(reply: dict[str, Any]) -> ConsoleStatus:
    return ConsoleStatus(
        state=ConsoleState(reply["state"]),
        progress=float(reply["progress"]),
        experiment=int(reply["experiment"]),
        t_start_s=time_s(reply["t_start_s"]),
        t_end_s=time_s(reply["t_end_s"]),
        error=str(reply["error"]),
    )
