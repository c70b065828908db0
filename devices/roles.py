"""What an experiment may expect of a potentiostat, an MRI console and the bench around them.

Plans and devices know these protocols; drivers and the bench supply them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from devices.adoption import Attached, Fit
from devices.cell_program import (
    CellLimits,
    EndReason,
    Floats,
    Mode,
    Page,
    PotentiostatCapabilities,
    Program,
    ProgramState,
    SpectrumPoints,
    Sweep,
)
from devices.clock import Owner

__all__ = [
    "Attached",
    "CellLimits",
    "ChargeSource",
    "ConsoleState",
    "ConsoleStatus",
    "Derived",
    "EndReason",
    "Fit",
    "Floats",
    "FrameSink",
    "Identity",
    "Mode",
    "MriConsole",
    "Page",
    "PotentiostatBackend",
    "PotentiostatCapabilities",
    "Program",
    "ProgramState",
    "Reading",
    "RecordSource",
    "Relay",
    "SpectrumPoints",
    "Sweep",
    "TriggerSource",
    "Worker",
]


@dataclass(frozen=True)
class Identity:
    """Who answered on a link.

    Attributes:
        manufacturer: First field of the ``*IDN?`` reply.
        model: Second field.
        serial: Third field; simulated instruments answer one that begins with ``SIM-``.
        firmware: Fourth field.
    """

    manufacturer: str
    model: str
    serial: str
    firmware: str

    @property
    def simulated(self) -> bool:
        """Whether the instrument itself says that it is simulated."""
        return self.serial.startswith("SIM-")


class PotentiostatBackend(Protocol):
    """A potentiostat that runs one program at a time by itself.

    Every method is one short transaction on the link and raises `devices.errors`.
    """

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        ...

    def capabilities(self) -> PotentiostatCapabilities:
        """What it can do."""
        ...

    def load(self, program: Program, *linked: Program) -> None:
        """Check and program a technique; raises `LimitError` before anything is energised.

        Args:
            program: What runs first.
            linked: What runs after it without a gap, one after another; an instrument that
                takes no spectra need not be able to link.
        """
        ...

    def start(self) -> None:
        """Energise and run the loaded program; returns when it is known to run.

        Never repeated on a failure: it raises and the caller goes safe.
        """
        ...

    def poll(self) -> Page:
        """Records since the last poll; never deletes anything from the instrument."""
        ...

    def rewind(self, index: int) -> None:
        """Let the next poll begin at this row again (after a crash)."""
        ...

    def mark(self) -> Mapping[str, Any]:
        """What the loaded program is known by in the instrument, JSON-able; asks nothing.

        ``index`` is the row at which the next poll begins, ``started`` whether it was started.
        """
        ...

    def attach(self, programs: Sequence[Program], mark: Mapping[str, Any]) -> Attached:
        """Find the programs of a host that is gone: reads, and changes nothing at the cell.

        If they are there (`Fit.OURS`), `poll` gives their rows from the mark's index on, a
        spectrum from its first point, and `stop` ends them, as if this backend had started them.

        Args:
            programs: What was loaded together; none asks whether nothing runs and nothing is
                driven (`Fit.GONE`), whatever is loaded.
            mark: What `mark` said of them.
        """
        ...

    def stop(self) -> Page:
        """End the program now and leave the cell off (high impedance), verified by read-back.

        Idempotent. Returns the records up to and including the moment of stopping.
        Raises `InstrumentFault` if the output does not read back as off.
        """
        ...

    def output_on(self) -> bool:
        """Read back whether the cell is connected and driven."""
        ...


class ConsoleState(StrEnum):
    """State of an MRI console."""

    IDLE = "idle"
    ARMED = "armed"
    WAITING_TRIGGER = "waiting_trigger"
    ACQUIRING = "acquiring"
    RECONSTRUCTING = "reconstructing"
    ERROR = "error"


@dataclass(frozen=True)
class ConsoleStatus:
    """What the console says of the acquisition.

    Attributes:
        state: Its state.
        progress: Part of the acquisition done, 0 to 1.
        experiment: Number of the current or last experiment.
        t_start_s: Console time at which the acquisition began, Unix s; NaN before.
        t_end_s: Console time at which it ended, Unix s; NaN before.
        error: The console's own text in state ``error``, else empty.
    """

    state: ConsoleState
    progress: float
    experiment: int
    t_start_s: float
    t_end_s: float
    error: str


class MriConsole(Protocol):
    """An MRI console behind its driver."""

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        ...

    def configure(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Set parameters and return those of the present method as read back."""
        ...

    def held(self) -> Mapping[str, Any]:
        """Parameters of the present method as read back; nothing is set."""
        ...

    def arm(self) -> None:
        """Prepare an acquisition that begins at the next trigger."""
        ...

    def status(self) -> ConsoleStatus:
        """Where the acquisition stands."""
        ...

    def expected_duration_s(self) -> float:
        """How long an acquisition with the present settings takes, s.

        TR x (encoded phase lines x averages x repetitions + dummy scans), or the sum over the
        nuclei of scans x recycle delay.
        """
        ...

    def read_image(self) -> tuple[npt.NDArray[np.float32], Mapping[str, Any]]:
        """Last image, volume or spectra, and its header.

        Shape (lines, columns), (slices, lines, columns) or (nuclei, points), as
        `devices.mri_methods.frame_shape` has it for the header's settings.
        """
        ...

    def abort(self) -> None:
        """End the acquisition; idempotent."""
        ...

    def time(self) -> float:
        """The console's own clock, Unix s."""
        ...


class FrameSink(Protocol):
    """Where frames are written before they are announced."""

    def open(
        self,
        stream: str,
        data_key: str,
        shape: tuple[int, ...],
        dtype: str,
        *,
        units: str = "a.u.",
    ) -> None:
        """Begin a stream of frames of one shape for the open run; idempotent for the same run."""
        ...

    def write(self, stream: str, image: npt.NDArray[Any], scalars: Mapping[str, float]) -> int:
        """Append one frame durably; returns its index from 0. Called from a worker."""
        ...

    def asset_documents(self, stream: str, index: int) -> list[tuple[str, dict[str, Any]]]:
        """`stream_resource` (first time) and `stream_datum` documents for one frame."""
        ...


class ChargeSource(Protocol):
    """Something that knows the charge passed through the cell."""

    def charge_at(self, t_s: float) -> tuple[float, float]:
        """Net and throughput charge since the run began, mAh, at experiment time `t_s`."""
        ...


class RecordSource(Protocol):
    """Something whose records or readings a condition can look at."""

    @property
    def name(self) -> str:
        """Its name in documents."""
        ...

    def subscribe_records(self, listener: Callable[[Any], None]) -> Callable[[], Any]:
        """Show everything new to `listener`; returns how to end that.

        A potentiostat shows `devices.cell_records.Records`, everything else a `Reading`.
        """
        ...


@dataclass(frozen=True)
class Reading:
    """One number, of a sensor or out of a frame.

    Attributes:
        t_s: Experiment time at which it holds, Unix s; of a frame the end of its exposure.
        value: In the unit of its source; NaN where there is none.
        error: Standard error in the same unit; NaN where it is not known.
        quality: ``ok``; `UPPER_BOUND` and what follows it where the number is at most `value`;
            else why nothing may be concluded.
        source: Name of the device that took it, or the frame.
        frame: Index of the frame or spectrum in its stream; -1 of a sensor.
        known_s: Experiment time at which it was known, Unix s.
    """

    t_s: float
    value: float
    error: float = math.nan
    quality: str = "ok"
    source: str = ""
    frame: int = -1
    known_s: float = math.nan

    @property
    def latency_s(self) -> float:
        """Time from when it holds until it was known, s; NaN where that is not known."""
        return self.known_s - self.t_s


UPPER_BOUND = "upper bound"
"""How the quality of a reading begins where the number is at most its value."""


class Derived(RecordSource, Protocol):
    """A number that the bench gets out of every frame or spectrum of one device.

    It is computed in a worker that holds the clock, by the analysis that reports use too, and is
    a reading like any other: conditions look at it, and its stream records it with its error,
    source frame, quality and latency. Stage it before the frames and unstage it after them. What
    cannot be analysed gives a reading without a value and says why; it never raises.
    """

    @property
    def source(self) -> str: ...  # noqa: D102

    @property
    def latest(self) -> Reading | None:
        """The last reading since it was staged; None before the first."""
        ...

    def stage(self) -> list[object]:
        """Begin to look at frames; what was seen before is forgotten."""
        ...

    def unstage(self) -> list[object]:
        """Look no more."""
        ...

    def state(self) -> dict[str, Any]:
        """What a run that goes on must know of it, JSON-able."""
        ...

    def restore(self, state: Any, past: Sequence[Any], recorded_s: float) -> None:
        """Go on where that stood; see `devices.derived.DerivedNumber`, which says it all."""
        ...

    def recall(self, past: Sequence[Any]) -> None: ...  # noqa: D102

    def show_missed(self) -> None: ...  # noqa: D102


class Worker(Protocol):
    """Does slow work off the engine's loop; virtual time stands still meanwhile."""

    def submit(
        self,
        work: Callable[[], Any],
        done: Callable[[Any, BaseException | None], None],
        *,
        owner: Owner,
    ) -> None:
        """Run `work` in a thread, then call ``done(result, error)`` on the engine's loop.

        An exception in `done` fails the owner, as one in a callback of the clock does.
        """
        ...


class Relay(Protocol):
    """A relay in the cell's lead, the second way to switch it off."""

    def connected(self) -> bool:
        """Read back whether the cell is connected."""
        ...

    def connect(self) -> None:
        """Connect the cell, verified; raises `InstrumentFault` if it reads back otherwise."""
        ...

    def disconnect(self) -> None:
        """Disconnect the cell, verified; idempotent."""
        ...


class TriggerSource(Protocol):
    """A generator that starts an armed scan."""

    def pulse(self) -> None:
        """Send one pulse; returns when the generator has taken the command."""
        ...

    def off(self) -> None:
        """Switch the output off, verified, until the next pulse; idempotent."""
        ...
