"""bluesky's RunEngine on the bench's clock: stamps, journals, and leaves nothing energised.

What it adds to `bluesky.RunEngine`, and why, is in docs/explanation/engine.md. In short: a
document is journaled before anybody else sees it; only the journal may stop a run; a pause never
interrupts a message half-way; and every way out of a run switches off, verified, every device
that is registered as able to energise a cell.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Mapping, MutableMapping
from typing import Any

from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from event_model import DocumentNames

from devices.clock import Clock, Owner
from devices.energiser import Energiser
from devices.errors import UnreadError
from orchestrator.interrupting import Signals
from orchestrator.pages import Stamps
from orchestrator.subscribers import DocumentConsumer, Durable, Isolated, Ticker
from plans.control import Control
from plans.keeping import Keeper

log = logging.getLogger(__name__)

_MAY_BE_INTERRUPTED = frozenset({"wait", "wait_for", "sleep", "input", "pause", "checkpoint"})
_TRIES_TO_SWITCH_OFF = 3


class Engine(RunEngine):
    """A RunEngine for unattended electrochemistry.

    Args:
        loop: The event loop that the clock schedules on.
        clock: Time of the experiment; documents are stamped with it.
        record: Called with each document before anybody else; its exception ends the run.
        md: Metadata for every run; counts them where it has a method `next_scan_id`.

    Attributes:
        attended: A person is at the prompt: SIGINT pauses. Otherwise it aborts.
        signalled: Number of the last signal that ended or paused a run, 0 if none did.
        control: Where people's requests to the running plan come in.
        unsafe: Names of devices that could not be switched off, with the reason.
        keeper: Keeps what an interrupted run would go on from; None where nothing could.
        before_run: Called before a plan begins or goes on; what it raises keeps it from that.
        durable: Asked after each document; what it returns is awaited before anybody is told.
        off_loop: Does what waits for the disk while the loop goes on.
        on_rest: Called when a plan has paused.
        on_unsafe: Told of devices that could not be switched off, with the reason.
    """

    HAS_CONTROL = True
    """A plan may ask for the engine's `control` with a message of that name."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        record: DocumentConsumer | None = None,
        md: MutableMapping[str, Any] | None = None,
    ) -> None:
        self.clock = clock
        self.attended = True
        self.signalled = 0
        self.control = Control()
        self.keeper: Keeper | None = None
        self._abort_wanted, self._gave_up = "", False
        self.unsafe: dict[str, str] = {}
        self.before_run: Callable[[], None] | None = None
        self.durable: Durable | None = None
        self.off_loop: Callable[[Callable[[], None]], Awaitable[None]] | None = None
        self.on_rest: Callable[[], None] | None = None
        self.on_unsafe: Callable[[Mapping[str, str]], None] | None = None
        self._record = record
        self._energisers: dict[str, Energiser] = {}
        self._in_message = self._drove = self._cut = False
        self._stamps = Stamps(clock.time, lambda: self._run_bundlers.values())
        self.ticker = Ticker()
        standing: Any = md if md is not None else {}
        super().__init__(
            standing,
            loop=loop,
            context_managers=[Signals],
            during_task=self.ticker,
            call_returns_result=True,
            scan_id_source=_scan_id,
        )
        self.record_interruptions = True
        self.register_command("control", self._give_control)
        self.register_command("keeper", self._give_keeper)
        self.register_command("keep", self._keep)
        registry: dict[str, Any] = self._command_registry
        for name, command in list(registry.items()):
            if name not in _MAY_BE_INTERRUPTED:
                registry[name] = self._whole(command)

    # --- documents ---

    def emit_sync(self, name: DocumentNames, doc: dict[str, Any]) -> None:
        """Stamp with the experiment's time, journal, then tell the subscribers."""
        self._journaled(name, doc)
        super().emit_sync(name, doc)

    async def emit(self, name: DocumentNames, doc: dict[str, Any]) -> None:
        """The same for a document that can wait for the disk while the loop goes on."""
        self._journaled(name, doc)
        waits = None if self.durable is None else self.durable()
        if waits is not None:
            await self._uncut(asyncio.ensure_future(waits))
        super().emit_sync(name, doc)

    async def _uncut(self, work: asyncio.Future[None]) -> None:
        """Wait for the disk: who cancels the plan meanwhile does so when the message is over."""
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                self._cut = True
        work.result()
        if self._cut and not self._in_message:
            self._cut = False
            raise asyncio.CancelledError

    def _journaled(self, name: DocumentNames, doc: dict[str, Any]) -> None:
        self._stamps.stamp(name, doc)
        if self._record is not None:
            self._record(name.name, doc)

    def subscribe(self, func: DocumentConsumer, name: str = "all") -> int:
        """Tell `func` of documents; if it raises it is logged once and detached."""
        token: int = super().subscribe(Isolated(func), name)
        return token

    # --- the register of what can energise a cell ---

    def guard(self, device: Energiser) -> None:
        """Register a device that every exit from a run must leave off."""
        self._energisers[device.name] = device

    @property
    def energised(self) -> list[str]:
        """Names of registered devices that drive a cell now."""
        return [name for name, device in self._energisers.items() if device.energised]

    def switch_off(
        self, *, leave: frozenset[str] = frozenset(), only: Container[str] | None = None
    ) -> None:
        """Switch off every registered device, verified; what fails is tried again, then latched.

        Never raises: `unsafe` tells what is not known to be off. A device that is off and cannot be
        read is not unsafe.

        Args:
            leave: Names of devices that may stay as they are if they cannot drive a cell.
            only: Names of devices that are meant; None: all.
        """
        for name, device in self._energisers.items():
            if only is not None and name not in only:
                continue
            for attempt in range(1, _TRIES_TO_SWITCH_OFF + 1):
                try:
                    device.stop(success=name in leave)
                except UnreadError as error:
                    self.unsafe.pop(name, None)
                    log.warning("%s (attempt %d)", error, attempt)
                except Exception as error:  # noqa: BLE001 - the next device must be tried too
                    self.unsafe[name] = str(error)
                    log.critical("%s: not switched off (attempt %d): %s", name, attempt, error)
                else:
                    self.unsafe.pop(name, None)
                    break
        if self.unsafe and self.on_unsafe is not None:
            self.on_unsafe(dict(self.unsafe))

    async def _stop_movable_objects(self, *, success: bool = True) -> None:
        """Called by bluesky on a pause and on every exit, before the stop document."""
        await super()._stop_movable_objects(success=success)
        if self._state == "pausing":
            for name, device in self._energisers.items():
                if device.energised and device not in self._objs_seen:
                    log.warning("%s: energised outside the plan, switched off by the pause", name)
                    device.stop(success=True)
            return
        self.switch_off(leave=self._left_alone())
        for run in self._run_bundlers.values():
            # bluesky collects what a flyer still holds only if it was never collected before
            run._uncollected.update(  # noqa: SLF001 - no public way; asserted by a test
                device
                for device in self._energisers.values()
                if device in self._objs_seen and hasattr(device, "collect_pages")
            )

    def _left_alone(self) -> frozenset[str]:
        """Devices without power over a cell that stay as they are at the end of a plan.

        A plan that drove no cell and succeeded does not undo what a person has set before it
        (`%ct` of an oven that is at 60 degree), nor, where it is no run but a move (`%mov oven
        60`), what it was for.
        """
        if self._drove or self._exit_status != "success":
            return frozenset()
        moved = self._movable_objs_touched if self._run_start_uids else ()
        return frozenset(name for name, device in self._energisers.items() if device not in moved)

    def fail(self, owner: Owner, error: BaseException) -> None:
        """Go safe because a callback on the clock raised, and end the running plan."""
        log.error("%s: a scheduled callback failed: %s", owner.name, error)
        self.switch_off()
        self._end_with(error)

    def give_up(self, error: BaseException) -> None:
        """End a running plan with an error, from the loop; what fails then is a consequence."""
        self._gave_up = True
        self._end_with(error)

    def _end_with(self, error: BaseException) -> None:
        """Throw an error into the plan, if one runs and nothing else is about to be thrown."""
        task: Any = self._task
        if self._state == "running" and task is not None:
            with self._state_lock:
                self._exception: Any = self._exception or error
            task.cancel()

    def _status_object_completed(self, ret: Any, fut: Any, pardon_failures: asyncio.Event) -> None:
        """Called by bluesky when a status is done."""
        pardoned = asyncio.Event() if self._gave_up else pardon_failures
        if self._gave_up:
            pardoned.set()
        super()._status_object_completed(ret, fut, pardoned)

    def record_interruption(self, text: str) -> None:
        """Write into every open run what happened to it, whatever its plan is doing; from the loop.

        It does not matter as much as what happened: where it cannot be recorded it is logged.
        """
        for run in self._run_bundlers.values():
            try:
                run.record_interruption(text)
            except Exception:
                log.exception("not in the records: %s", text)

    # --- interruptions ---

    @property
    def pause_msg(self) -> str:
        """What a person reads when the plan was paused."""
        who = self.control.resting_for
        return _PAUSED.format(f" by {who}" if who else "")

    @pause_msg.setter
    def pause_msg(self, text: str) -> None:
        """Bluesky sets its own, which does not know our verbs."""

    @property
    def moves_time(self) -> bool:
        """Whether virtual time may pass: a plan is being run or cleaned up after.

        A paused plan that is told to stop is in the state ``stopping`` before it goes on: time
        must not pass until it has its permit.
        """
        permit: Any = self._run_permit
        running = str(self._state) not in ("idle", "paused", "panicked")
        return running and permit is not None and bool(permit.is_set())

    def _whole(self, command: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        """Mark a message as one that a pause waits for instead of cutting it short."""

        async def whole(msg: Any) -> Any:
            self._in_message = True
            self._drove = self._drove or msg.command == "kickoff"
            try:
                response = await command(msg)
            finally:
                self._in_message = False
                cut, self._cut = self._cut, False
            if cut:
                raise asyncio.CancelledError
            return response

        return whole

    async def _request_pause_coro(self, defer: bool = False) -> None:  # noqa: FBT001, FBT002
        """Pause between messages: a message that is cut short would be lost, not repeated."""
        while self._in_message and not defer:
            await asyncio.sleep(0)
        await super()._request_pause_coro(defer)

    async def _stop_coro(self) -> Any:
        """End the run as a success, and say in the stop document that a person did."""
        self._reason = self._reason or "stopped"
        return await super()._stop_coro()

    def end(self) -> None:
        """Ask from another thread for the end of a running plan as a success; never blocks."""

        async def carry_out() -> None:
            while self._in_message:
                await asyncio.sleep(0)
            try:
                await self._stop_coro()
            except Exception as error:  # noqa: BLE001 - too late: the run has ended meanwhile
                log.info("a stop came too late: %s", error)

        self.loop.call_soon_threadsafe(lambda: self.loop.create_task(carry_out()))

    async def _give_control(self, msg: Any) -> Control:
        """The message ``control``: a plan asks where requests to it come in."""
        del msg
        return self.control

    async def _give_keeper(self, msg: Any) -> Keeper | None:
        """The message ``keeper``: a plan asks who keeps what the run would go on from."""
        del msg
        return self.keeper

    async def _keep(self, msg: Any) -> None:
        """The message ``keep``: what the run would go on from is kept now."""
        del msg
        if self.keeper is None:
            return
        work = self.keeper.prepared()
        if self.off_loop is None:
            work()
        else:
            await self.off_loop(work)

    def interrupt(self, *, abort: bool, reason: str) -> None:
        """Ask for a pause or an abort from a signal handler or another thread; never blocks."""

        async def carry_out() -> None:
            try:
                if abort and str(self._state) not in ("pausing", "paused"):
                    await self._abort_coro(reason)
                elif not abort:
                    await self._request_pause_coro()
            except Exception as error:  # noqa: BLE001 - too late: the run has ended meanwhile
                log.info("%s came too late: %s", reason, error)

        if abort:
            self._abort_wanted = reason
        self.loop.call_soon_threadsafe(lambda: self.loop.create_task(carry_out()))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run a plan as `bluesky.RunEngine` does; an abort asked for during a pause is kept."""
        self._drove = False
        return self._until_it_rests(super().__call__, *args, **kwargs)

    def resume(self) -> Any:
        """Go on with a paused plan; an abort asked for during a pause is kept."""
        return self._until_it_rests(super().resume)

    def _until_it_rests(self, go: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A plan that is pausing cannot be aborted in that moment: do it once it has paused."""
        if self.before_run is not None:
            self.before_run()
        self._abort_wanted, self._gave_up = "", False
        self.control.goes_on()
        try:
            return go(*args, **kwargs)
        except RunEngineInterrupted:
            if str(self._state) == "paused":
                self.control.rested()
                if self.on_rest is not None:
                    self.on_rest()
            if self._abort_wanted and str(self._state) == "paused":
                self.abort(self._abort_wanted)
            raise
        finally:
            if str(self._state) == "idle":
                self.control.run_over()

    def run(self, plan: Any, md: Mapping[str, Any] | None = None) -> Any:
        """Run a plan to its end; returns bluesky's result also when it was interrupted."""
        try:
            return self(plan, **dict(md or {}))
        except RunEngineInterrupted:
            return self._create_result(self.NO_PLAN_RETURN)


def _scan_id(md: Any) -> int:
    """The number of the next run: counted by the metadata themselves, or from 1."""
    count = getattr(md, "next_scan_id", None)
    return int(md.get("scan_id", 0)) + 1 if count is None else int(count())


_PAUSED = """
The plan is paused{} and the cell is at rest. What next?

    bench.resume()          go on where it stood
    bench.stop()            end the run here; it counts as a success
    bench.abort()           end the run here; it counts as aborted
"""
