"""The loop of `operando serve`: looks at the queue when the clock says so, and answers meanwhile.

Everything that happens later is scheduled on one clock on one loop. What may block (SQLite, files,
starting a runner, asking a run) is done in worker threads that never wait for time.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from devices.clock import Handle, SystemClock
from orchestrator.http.listening import Server
from orchestrator.http.lookout import Lookout

LOOK_S = 0.5
"""Time between two looks at the queue, s of real time: start times are given in minutes."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Serving:
    """Serves until a signal, the end of its life, or a look that says so.

    Args:
        look: Looks at the queue; returns whether to go on. Called in a worker thread, one at a
            time; what it raises ends the serving.
        tell: Told why it ends.
        server: Answers over HTTP; None for none.
        lookout: Tells pages of changes; None for none.
        begun: Called once signals end it in order.

    Attributes:
        name: For callbacks of the clock.
    """

    name = "serve"

    def __init__(
        self,
        look: Callable[[], bool],
        tell: Callable[[str], None],
        *,
        server: Server | None = None,
        lookout: Lookout | None = None,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        self._look, self._tell, self._server, self._lookout = look, tell, server, lookout
        self._begun = begun
        self._timer: Handle | None = None

    def run(self, life_s: float) -> None:
        """Serve for at most so many real seconds.

        Raises:
            Exception: Whatever a look raised.
        """
        asyncio.run(self._serve(life_s))

    def callback_failed(self, error: BaseException) -> None:
        """A callback of ours failed: end, and say why."""
        if not self._end.done():
            self._end.set_exception(error)

    # --- inside ---------------------------------------------------------------------------------

    async def _serve(self, life_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._loop, self._clock = loop, SystemClock(loop)
        self._end: asyncio.Future[None] = loop.create_future()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        life = self._clock.call_later(life_s, self._over, owner=self)
        # two workers: the queue is looked at on time however long a page's look takes
        with ThreadPoolExecutor(2, "serve") as workers:
            self._workers = workers
            listening = self._listen(workers)
            self._begun()
            self._due()
            try:
                await asyncio.wait(
                    {self._end, *([listening] if listening else [])},
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                life.cancel()
                await self._leave(listening)
        if self._end.done():
            self._end.result()

    def _listen(self, workers: ThreadPoolExecutor) -> asyncio.Task[None] | None:
        if self._lookout is not None:
            self._lookout.begin(self._clock, workers)
        return self._loop.create_task(self._server.until_told()) if self._server else None

    async def _leave(self, listening: asyncio.Task[None] | None) -> None:
        """Look no more, end the streams, let go of the port."""
        for number in _SIGNALS:
            self._loop.remove_signal_handler(number)
        if self._timer is not None:
            self._timer.cancel()
        if self._lookout is not None:
            self._lookout.end()
        if self._server is not None and listening is not None:
            self._server.leave()
            await listening

    def _signalled(self, number: signal.Signals) -> None:
        self._tell(f"{signal.Signals(number).name}: runs that are under way go on")
        self._over()

    def _over(self) -> None:
        if not self._end.done():
            self._end.set_result(None)

    def _due(self) -> None:
        """Time to look."""
        looked = self._loop.run_in_executor(self._workers, self._look)
        looked.add_done_callback(self._looked)

    def _looked(self, looked: asyncio.Future[bool]) -> None:
        error = looked.exception()
        if self._end.done():
            return
        if error is not None:
            self._end.set_exception(error)
        elif looked.result():
            self._timer = self._clock.call_later(LOOK_S, self._due, owner=self)
        else:
            self._over()
