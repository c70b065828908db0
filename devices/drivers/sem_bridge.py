"""A scanning electron microscope behind the bridge protocol: PyMeasure-style driver and its role.

`SemBridge` speaks the lines of `docs/reference/bridge-protocol.md`; `BridgeMicroscope` makes of it
what an experiment expects of a microscope (`devices.imaging_roles.Microscope`). The same bytes go
to the simulated microscope and to the agent on a vendor's PC. Names of settings follow
OpenFIBSEM's image and beam settings, each with its unit.

Verified on hardware: no.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devices.drivers.bridge_acquisition import AcquisitionBridge, BridgeAcquisition, time_s
from devices.errors import InstrumentFault
from devices.imaging_roles import MicroscopeState, MicroscopeStatus
from devices.link import Link
from devices.sem_settings import frame_shape


class SemBridge(AcquisitionBridge):
    """A scanning electron microscope that speaks the bridge protocol.

    Args:
        adapter: A link's adapter.
        name: Name for messages.
        **kwargs: As for `pymeasure.instruments.Instrument`.
    """

    def __init__(self, adapter: Any, name: str = "SEM bridge", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def blank(self) -> None:
        """End the acquisition and take the beam off the specimen until the next one."""
        self.write("ACQ:BLAN")


class BridgeMicroscope(BridgeAcquisition):
    """A scanning electron microscope for experiments, over a link to a bridge.

    Args:
        link: Open link to the bridge.
        token: Token shared with the agent; None where it needs none.

    Raises:
        IdentityError: The agent wants a token, does not accept this one, or cannot prove it.
    """

    def __init__(self, link: Link, *, token: str | None = None) -> None:
        super().__init__(link, SemBridge(link.adapter, link.who), token=token)

    def blank(self) -> None:
        """Take the beam off the specimen until the next acquisition, verified; idempotent.

        Raises:
            InstrumentFault: It does not read back as blanked.
        """
        driver: Any = self.driver
        with self._link.transaction():
            driver.blank()
            driver.check_errors()
            state = self.status().state
        if state is not MicroscopeState.BLANKED:
            raise InstrumentFault(
                self._link.who,
                f"the beam is {state}, expected blanked",
                remedy="blank it at the microscope",
            )

    def status(self) -> MicroscopeStatus:
        """Where the acquisition stands, and the dose so far: one query, one line.

        Raises:
            LinkError: The reply is not a status.
        """
        return self.read_status(_status)

    def expected_shape(self, settings: Mapping[str, Any]) -> tuple[int, ...] | None:
        """(lines, columns), (channels, lines, columns), or (elements, points) of a line scan."""
        return frame_shape(settings)


def _status(reply: dict[str, Any]) -> MicroscopeStatus:
    return MicroscopeStatus(
        state=MicroscopeState(reply["state"]),
        progress=float(reply["progress"]),
        experiment=int(reply["experiment"]),
        t_start_s=time_s(reply["t_start_s"]),
        t_end_s=time_s(reply["t_end_s"]),
        accumulated_dose_uc_per_cm2=float(reply["accumulated_dose_uc_per_cm2"]),
        error=str(reply["error"]),
    )
