"""The engine's side of the watchdog: starts it, beats for it, notices when it is gone."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from devices.clock import Handle, LoopClock, monotonic
from orchestrator.errors import UnsafeBenchError
from orchestrator.profile.models import BenchProfile
from orchestrator.watchdog.guardian import ACTED, BEAT, FAREWELL, READY, Charge
from orchestrator.watchdog.vigil import Vigil

log = logging.getLogger(__name__)

_START_S = 30.0
"""Longest time until a started watchdog says that it watches, s."""

_LEAVE_S = 10.0
_REAP_S = 1.0
_BEATS_PER_TIMEOUT = 10
_LONGEST_BEAT_S = 0.5


class Watch:
    """One engine's watchdog.

    Heartbeats are callbacks of the engine's own loop on its clock, so that a loop or a driver
    that hangs falls silent. The watchdog answers each: one that does not, or whose process ends,
    is lost, and the engine goes safe.

    Args:
        profile: The bench it switches off.
        clock: The engine's clock, on the system's time.
        log_file: File that the watchdog appends its lines to.
        lost: Told, on the engine's loop, why there is no watchdog any more or that it has acted.

    Attributes:
        name: For callbacks of the clock.
    """

    name = "watchdog"

    def __init__(
        self,
        profile: BenchProfile,
        clock: LoopClock,
        log_file: Path,
        lost: Callable[[str], None],
    ) -> None:
        self._profile, self._clock, self._log_file, self._lost = profile, clock, log_file, lost
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: Handle | None = None
        self._lock = threading.Lock()
        self._vigil = Vigil(profile.heartbeat_timeout_s, self._period_s, monotonic())

    @property
    def pid(self) -> int | None:
        """Its process; None while there is none."""
        return self._process.pid if self.watching and self._process is not None else None

    @property
    def watching(self) -> bool:
        """Whether there is a watchdog that answers."""
        return self._process is not None and self._process.poll() is None

    def ensure(self) -> None:
        """Start a watchdog unless there is one; returns when it watches.

        Raises:
            UnsafeBenchError: None could be started: nothing must be energised.
        """
        if not self.watching:
            self._taken(self._process)
            self._start()

    def close(self, *, everything_off: bool) -> None:
        """End it; idempotent.

        Args:
            everything_off: Whether all is known to be off. Otherwise it is left to find the
                engine gone, and to switch off by itself.
        """
        process = self._process
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(OSError, ValueError):  # it ended, or was found to have, just now
            if everything_off:
                os.write(process.stdin.fileno(), FAREWELL)
        self._taken(process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LEAVE_S if everything_off else 0.0)

    def callback_failed(self, error: BaseException) -> None:
        """A heartbeat raised: without them it will act (called by the clock)."""
        log.critical("watchdog: a heartbeat failed: %s", error)

    # --- inside ---------------------------------------------------------------------------------

    def _start(self) -> None:
        charge = Charge(
            profile=self._profile.to_document(),
            pid=os.getpid(),
            timeout_s=self._profile.heartbeat_timeout_s,
            log=str(self._log_file.resolve()),
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.watchdog"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C at the terminal is not for it
            bufsize=0,
        )
        assert process.stdin is not None  # noqa: S101 - as asked for above
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(charge.to_line())
            ready, _, _ = select.select([process.stdout], [], [], _START_S)
            said = os.read(process.stdout.fileno(), 1) if ready else b""
        except OSError as error:
            said = str(error).encode()
        if said != READY:
            process.kill()
            process.communicate()
            raise UnsafeBenchError(
                self._profile.bench,
                "the watchdog did not start, expected it to watch within "
                f"{_START_S:g} s (exit code {process.returncode})",
                remedy="read what it printed; without a watchdog nothing is energised",
            )
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        self._process = process
        self._vigil.heard(monotonic())
        self._clock.loop.call_soon_threadsafe(self._listen, process)

    @property
    def _period_s(self) -> float:
        return min(self._profile.heartbeat_timeout_s / _BEATS_PER_TIMEOUT, _LONGEST_BEAT_S)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Begin to listen and to beat, on the loop."""
        if process is self._process and process.stdout is not None:
            self._clock.loop.add_reader(process.stdout.fileno(), lambda: self._hear(process))
            self._beat(process)

    def _beat(self, process: subprocess.Popen[bytes]) -> None:
        if process is not self._process or process.stdin is None:
            return  # another one has been started meanwhile
        self._timer = self._clock.call_later(
            self._period_s, lambda: self._beat(process), owner=self
        )
        try:
            os.write(process.stdin.fileno(), BEAT)
        except OSError as error:
            self._gone(process, f"cannot be reached: {error}")
            return
        self._hear(process)  # what it said while this loop was held up is not silence
        if process is self._process and self._vigil.expired(monotonic()):
            self._gone(process, f"has not answered for {self._vigil.silent_s:.1f} s")

    def _hear(self, process: subprocess.Popen[bytes]) -> None:
        if process is not self._process or process.stdout is None:
            return
        try:
            said = os.read(process.stdout.fileno(), 4096)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        self._vigil.heard(monotonic())
        if not said:
            self._gone(process, "ended")
        elif ACTED in said:
            self._taken(process)  # it leaves when it finds its pipe closed and everything off
            self._lost("the watchdog has switched off: it had heard nothing from the engine")

    def _gone(self, process: subprocess.Popen[bytes], why: str) -> None:
        """There is no watchdog any more."""
        if self._taken(process):
            process.kill()  # one that was stopped must not act on an engine with another
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_REAP_S)
            self._lost(f"the watchdog {why}")

    def _taken(self, process: subprocess.Popen[bytes] | None) -> bool:
        """Let go of a watchdog, if it is still the present one; it finds its pipe closed."""
        with self._lock:  # the prompt's thread may be starting another
            if process is None or process is not self._process:
                return False
            self._process = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

        def let_go() -> None:
            if process.stdout is not None and not process.stdout.closed:
                self._clock.loop.remove_reader(process.stdout.fileno())
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

        if self._clock.loop.is_running():
            self._clock.loop.call_soon_threadsafe(let_go)
        else:
            let_go()
        return True
