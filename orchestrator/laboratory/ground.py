"""What a bench stands on: its time, and its simulated part, in this process or in another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from devices.clock import Owner
from orchestrator.errors import ProfileError
from orchestrator.experiment.faults import Given
from orchestrator.laboratory.address import LaboratoryAddress
from orchestrator.laboratory.attached import AttachedLaboratory
from orchestrator.laboratory.samples import Surroundings
from orchestrator.laboratory.serving import over_tcp
from orchestrator.laboratory.simulated import Laboratory
from orchestrator.laboratory.timebase import TimeBase, time_base
from orchestrator.profile.models import BenchProfile

_VIRTUAL_TIMEOUT_S = 5.0
"""Real time that an instrument in another process has for a reply, at least, in virtual time."""


@dataclass(frozen=True)
class Ground:
    """What a bench stands on.

    Attributes:
        time: Its time.
        laboratory: The simulated part; None where everything is real.
        addresses: Where simulated instruments are that are not reached in process, by resource.
        profile: The bench with those addresses, for whoever needs links of its own.
        outlasts_process: Whether the instruments go on when this process ends.
    """

    time: TimeBase
    laboratory: Laboratory | AttachedLaboratory | None
    addresses: Mapping[str, str]
    profile: BenchProfile
    outlasts_process: bool

    @property
    def hardware(self) -> list[str]:
        """Addresses of what other processes could control too."""
        return [link.resource for link in self.profile.links.values() if not link.simulated]

    def timeout_s(self, resource: str, given_s: float) -> float:
        """How long a reply may take, real s.

        In virtual time the machine's load must not decide what an instrument answers.
        """
        far = isinstance(self.laboratory, AttachedLaboratory) and resource in self.addresses
        far = far and self.time.clock.simulated
        return max(given_s, _VIRTUAL_TIMEOUT_S) if far else given_s

    def on_failure(self, fail: Callable[[Owner, BaseException], None]) -> None:
        """Let the engine fail by callbacks of its clock, and where the laboratory is lost."""
        self.time.clock.on_failure = fail
        if isinstance(self.laboratory, AttachedLaboratory):
            self.laboratory.on_lost = lambda error: fail(_Lost(), error)


class _Lost:
    """Who fails with a laboratory; it has promised nothing."""

    name = "laboratory"

    def callback_failed(self, error: BaseException) -> None:
        """Nothing waits for it."""


def ground(
    profile: BenchProfile,
    sample: Mapping[str, Any] | None,
    surroundings: Surroundings | None,
    faults: Iterable[Given],
    opened: ExitStack,
    *,
    real_time: bool,
    transport: str,
    address: LaboratoryAddress | None,
) -> Ground:
    """Make what a bench stands on.

    Args:
        profile: The bench.
        sample: What lies on it where it is simulated, as an experiment's ``simulate_as``.
        surroundings: What surrounds that sample from the beginning.
        faults: What goes wrong.
        opened: Closes it.
        real_time: Put a simulated bench on the system's clock.
        transport: How bytes reach instruments simulated in this process, ``process`` or ``tcp``.
        address: The laboratory of another process; None: it is made in this one.

    Raises:
        ProfileError: There are faults beside real devices, or the laboratory is not as asked for.
    """
    if address is not None:
        return _attached(profile, sample, faults, opened, address, real_time=real_time)
    time = time_base(profile, real_time=real_time)
    opened.callback(lambda: None if time.loop.is_running() else time.loop.close())
    laboratory, addresses = None, {}
    if profile.any_simulated:
        laboratory = Laboratory(profile, sample, time, surroundings=surroundings, faults=faults)
        if transport == "tcp":
            addresses = opened.enter_context(over_tcp(laboratory))
    elif tuple(faults):
        refuse_faults(profile)
    return Ground(time, laboratory, addresses, profile, not profile.any_simulated)


def refuse_faults(profile: BenchProfile) -> None:
    """There is no fault injection on hardware.

    Raises:
        ProfileError: Always.
    """
    remedy = "remove them: there is no fault injection on hardware"
    raise ProfileError(profile.bench, "got faults, and it is real", remedy=remedy)


def _attached(
    profile: BenchProfile,
    sample: Mapping[str, Any] | None,
    faults: Iterable[Given],
    opened: ExitStack,
    address: LaboratoryAddress,
    *,
    real_time: bool,
) -> Ground:
    """Find the laboratory of another process as it should be; its time is the bench's."""
    if real_time and address.virtual_time:
        raise ProfileError(
            profile.bench,
            "got --real-time, and its laboratory is served in virtual time",
            remedy="leave it out, or serve the laboratory without --virtual-time",
        )
    reached = address.reached(profile)
    there = AttachedLaboratory(address)
    opened.callback(there.close)
    there.check_sample(sample)
    for fault in faults:
        there.inject(fault)
    time = there.time_base()
    opened.callback(lambda: None if time.loop.is_running() else time.loop.close())
    return Ground(time, there, dict(address.addresses), reached, outlasts_process=True)
