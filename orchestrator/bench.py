"""Composition root: from a bench profile to clock, links, devices, engine and records."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from devices.errors import DeviceError
from devices.link import Link, open_link
from orchestrator.clock_watch import ClockWatch
from orchestrator.desk import Desk
from orchestrator.engine import Engine
from orchestrator.equipment import Supplies, make_device
from orchestrator.errors import ProfileError
from orchestrator.experiment.faults import Given
from orchestrator.interlocks import Interlocks
from orchestrator.laboratory import LaboratoryAddress, Surroundings, laboratory_of
from orchestrator.laboratory.ground import ground, refuse_faults
from orchestrator.live import Live
from orchestrator.locks import controlling
from orchestrator.profile.links import Link as LinkEntry
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile
from orchestrator.records.bench_metadata import RunMetadata
from orchestrator.records.keeper import CheckpointKeeper
from orchestrator.records.recorder import Recorder
from orchestrator.safeguards import Safeguards, parts_of
from orchestrator.verbs import Verbs
from orchestrator.watchdog import Watch
from orchestrator.worker import DiskThread, LoopWorker

if TYPE_CHECKING:
    from orchestrator.records.store import Store

log = logging.getLogger(__name__)

Transport = Literal["process", "tcp"]
"""How bytes reach simulated instruments."""


class Bench(Verbs):
    """An open bench: its devices, its engine and its records.

    Use `open_bench`. Devices are attributes by their names (``bench.pstat``). Closing the bench
    switches everything off, verified.

    Args:
        profile: What the bench is made of.
        data: Where records go.
        sample: What lies on a simulated bench, as an experiment's ``simulate_as``.
        surroundings: What surrounds that sample from the beginning.
        faults: What goes wrong on a simulated bench, each as a text or a mapping.
        real_time: Put a simulated bench on the system's clock.
        transport: How bytes reach simulated instruments: in this ``process``, or over ``tcp`` on
            loopback, as they reach real ones. The records are the same.
        laboratory: The laboratory of another process, where the bench is simulated there.
        recorder: Records with this, made for `data`; None: as every run is recorded.

    Attributes:
        profile: As given.
        devices: Devices by name.
        links: Open links by device or ``device.part``.
        clock: The experiment's clock.
        RE: The engine.
        laboratory: The simulated part, here or in another process; None where everything is real.
        outlasts_process: Whether its instruments go on when this process ends: they are real, or
            stand in the laboratory of another.
        keeper: Writes what an interrupted run goes on from; None where nothing could.
        live: What is going on now, for progress and status.
        desk: Takes requests to its runs, from here and from other terminals.
        safeguards: Interlocks, watchdog and what else is asked before a plan begins.
        md: Metadata of every run on this bench, kept in a file of the data directory.
        say: Tells a person what takes long; by default the log.
    """

    def __init__(
        self,
        profile: BenchProfile,
        data: Path,
        *,
        sample: Mapping[str, Any] | None = None,
        surroundings: Surroundings | None = None,
        faults: Iterable[Given] = (),
        real_time: bool = False,
        transport: Transport = "process",
        laboratory: LaboratoryAddress | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.profile, self.data = profile, data
        self._recorder = recorder if recorder is not None else Recorder(data)
        self._open = ExitStack()
        try:
            self._ground = ground(
                profile,
                sample,
                surroundings,
                tuple(faults),
                self._open,
                real_time=real_time,
                transport=transport,
                address=laboratory,
            )
            self.time, self.laboratory = self._ground.time, self._ground.laboratory
            self.outlasts_process = self._ground.outlasts_process
            self._compose()
        except BaseException:
            self._open.close()
            raise

    def _compose(self) -> None:
        self.clock = self.time.clock
        self.live = Live(self._recorder.live, self.clock)
        self.md = self._recorder.metadata_of(self.profile.bench)
        md = RunMetadata(self.md)
        self.RE = Engine(loop=self.time.loop, clock=self.clock, record=self._record, md=md)
        self.desk = Desk(self.RE, self.live, self._recorder.directory)
        self.keeper: CheckpointKeeper | None = None
        if self.outlasts_process:  # else there is nothing that a later process could go on with
            self.keeper = CheckpointKeeper(self._recorder, self.profile, self.clock)
        self.RE.keeper = self.keeper
        self._open.callback(self._end_loop)
        self.time.set_moving(lambda: self.RE.moves_time or self._waits > 0)
        self._waits = 0
        self._store: Store | None = None
        self._ground.on_failure(self.RE.fail)
        self._worker = LoopWorker(self.clock, self.time.hold)
        self._open.callback(self._worker.close)
        disk = DiskThread(self.time.hold)
        self._open.callback(disk.close)
        self.RE.durable, self.RE.off_loop = self._recorder.durable_by(disk), disk.run
        self._open.callback(self._recorder.close)
        self._open.callback(self.desk.close)
        if not self.clock.simulated:
            clock_watch = ClockWatch(self.clock, lambda jump: self.desk.carry_out(jump, wait_s=0.0))
            self._open.callback(clock_watch.close)
        owned = controlling(self._ground.hardware, bench=self.profile.bench)
        self._open.enter_context(owned)
        self.links: dict[str, Link] = {}
        self.say: Callable[[str], None] = log.info
        supplies = Supplies(
            profile=self.profile,
            clock=self.clock,
            open_link=self._link,
            frames=self._recorder.frames,
            worker=self._worker,
            guard=self.RE.guard,
            watch_records=self.live.records,
            permit=(lambda: self.interlocks.permit()) if self.profile.interlocks else None,
        )
        self.devices: dict[str, Any] = supplies.devices
        for name in sorted(self.profile.devices, key=self._energisers_first):
            make_device(name, supplies)
        self._open.callback(self._off)
        parts = parts_of(self, self._worker, self._recorder)
        self.safeguards = Safeguards(parts, self.clock, self._ground.profile)
        self._open.callback(lambda: self.safeguards.close(everything_off=not self._off()))
        self.RE.md.update(self.metadata())  # plans that know nothing of us say it too

    # --- what a user does -----------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """A device by its name."""
        devices = self.__dict__.get("devices", {})
        if name in devices:
            return devices[name]
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __dir__(self) -> list[str]:
        """Attributes with the devices, for completion at the prompt."""
        return [*super().__dir__(), *self.devices]

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        kind = "simulated" if self.profile.simulated else "hardware"
        clock = "virtual time" if self.clock.simulated else "real time"
        lines = [f"<Bench {self.profile.bench}: {kind}, {clock}, engine {self.RE.state}"]
        return "\n  ".join([*lines, *(repr(device) for device in self.devices.values())]) + ">"

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what runs, switch everything off and close links and records; idempotent."""
        if str(self.RE.state) == "paused":
            self.RE.abort("the bench was closed")
        self._open.close()

    def wait(self, duration_s: float) -> None:
        """Let experiment time pass at the prompt, s; Ctrl-C ends the wait."""

        async def waiting() -> None:
            self._waits += 1
            try:
                await asyncio.sleep(duration_s)
            finally:
                self._waits -= 1  # here, on the loop: before virtual time could jump once more

        future = asyncio.run_coroutine_threadsafe(waiting(), self.time.loop)
        try:
            future.result()
        finally:
            future.cancel()

    def store(self) -> Store:
        """The store, started at first use, with the last run in it."""
        from orchestrator.records.store import open_store  # most runs never need it

        if self._store is None:
            self._store = open_store(self.data, say=self.say)
            self._open.callback(self._store.close)
        self._store.wait_uploaded()
        return self._store

    def inject(self, fault: Given) -> str:
        """Let something go wrong on a simulated bench; returns the fault in one word.

        Times count from the opening of the bench (`elapsed_s`). Between runs only: what goes
        wrong in a run stands in its start document.

        Args:
            fault: ``KIND:DEVICE:START:END[:OPTION]``, or a mapping.

        Raises:
            ProfileError: It cannot happen here, it begins in the past, or a run is under way.
        """
        if self.laboratory is None:
            refuse_faults(self.profile)
        if str(self.RE.state) != "idle":
            raise ProfileError(
                f"fault {fault}", "a run is under way", remedy="inject before the run begins"
            )
        assert self.laboratory is not None  # noqa: S101 - the first lines have raised otherwise
        said = str(self.laboratory.inject(fault))
        self.RE.md.update(self.metadata())
        return said

    @property
    def watchdog(self) -> Watch | None:
        """Switches off when the engine dies or hangs; None where nothing is real."""
        return self.safeguards.watchdog

    @property
    def interlocks(self) -> Interlocks:
        """What must hold before and while the cell is energised."""
        return self.safeguards.interlocks

    @property
    def elapsed_s(self) -> float:
        """Experiment time since the bench was opened, s."""
        return self.time.elapsed()

    @property
    def simulated(self) -> dict[str, bool]:
        """Which devices say of themselves that they are simulated."""
        return {name: bool(device.simulated) for name, device in self.devices.items()}

    def metadata(self) -> dict[str, Any]:
        """What the start document of every run on this bench says of it."""
        md: dict[str, Any] = {
            "bench": self.profile.bench,
            "instrument_name": self.profile.instrument_name,
            "profile_hash": self.profile.profile_hash,
            "simulated": self.simulated,
        }
        if self.laboratory is not None:
            md["simulation"] = self.laboratory.describe()
        return md

    # --- inside ---------------------------------------------------------------------------------

    def _record(self, name: str, doc: dict[str, Any]) -> None:
        """The first consumer of documents: nothing goes on that could not be recorded."""
        self._recorder(name, doc)
        if self.keeper is not None:
            self.keeper.document(name, doc)
        self.live.document(name, doc)
        self.desk.document(name, doc)

    def _energisers_first(self, name: str) -> bool:
        return not self.profile.kind_of(name).drives_cell

    def _link(self, who: str, entry: LinkEntry) -> Link:
        address = self._ground.addresses.get(entry.resource, entry.resource)
        in_process = entry.simulated and address == entry.resource
        library = self.laboratory.visa_library if self.laboratory and in_process else None
        link = open_link(
            address,
            who=who,
            timeout_s=self._ground.timeout_s(entry.resource, entry.timeout_s),
            expect=entry.identity,
            visa_library=library,
            min_spacing_s=entry.min_spacing_s,
        )
        self._open.callback(link.close)
        self.links[who] = link
        return link

    def _end_loop(self) -> None:
        """Stop the engine's loop and its thread."""
        loop = self.time.loop

        def end() -> None:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.call_soon(loop.stop)

        loop.call_soon_threadsafe(end)
        self.RE._th.join(timeout=5.0)  # noqa: SLF001 - bluesky offers no way to end its thread
        self._close_loop()

    def _close_loop(self) -> None:
        if not self.time.loop.is_running():
            self.time.loop.close()


@contextmanager
def open_bench(
    profile: str | Path | BenchProfile = "sim-mri",
    *,
    data: str | Path | None = None,
    sample: Mapping[str, Any] | None = None,
    surroundings: Surroundings | None = None,
    faults: Iterable[Given] = (),
    real_time: bool = False,
    transport: Transport = "process",
    laboratory: str | Path | None = None,
) -> Iterator[Bench]:
    """Open a bench for a ``with`` block; everything is off and closed after it.

    Args:
        profile: Name or path of a bench profile, or the profile itself.
        data: Data directory; by default ``$OPERANDO_DATA``, else ``./operando-data``.
        sample: What lies on a simulated bench, as an experiment's ``simulate_as``.
        surroundings: What surrounds that sample from the beginning.
        faults: What goes wrong on a simulated bench, each as a text or a mapping.
        real_time: Put a simulated bench on the system's clock.
        transport: How bytes reach simulated instruments: in this ``process``, or over ``tcp`` on
            loopback, as they reach real ones. The records are the same.
        laboratory: Address file of the laboratory in another process where the simulated bench
            stands; None: what ``$OPERANDO_LABORATORY`` names, else it is made in this process.

    Raises:
        ProfileError: The profile is wrong; with file, line and column.
        NoAnswerError: The laboratory is not there.
        DeviceError: An instrument is absent or another one answers.
    """
    chosen = profile if isinstance(profile, BenchProfile) else load_profile(profile)
    with Bench(
        chosen,
        _data_directory(data),
        sample=sample,
        surroundings=surroundings,
        faults=faults,
        real_time=real_time,
        transport=transport,
        laboratory=laboratory_of(chosen, laboratory, environment=os.environ),
    ) as bench:
        yield bench


def _data_directory(data: str | Path | None) -> Path:
    return Path(data if data is not None else os.environ.get("OPERANDO_DATA", "operando-data"))


__all__ = ["Bench", "DeviceError", "open_bench"]
