"""The watchdog process: listens to the engine's heartbeat and switches off when it stops.

It reads one line of JSON (`Charge`) and then heartbeats from its standard input, answers each on
its standard output, and acts when the engine says nothing for too long, when its end of the pipe
closes without a farewell, or when its process is gone. It keeps no connection to the instruments:
some take only one, which is the engine's. When a hung engine holds that one, the engine is killed,
since nothing else lets go of it; a run that hangs is not worth an energised cell.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from devices.clock import monotonic, pause, wall_time
from orchestrator.errors import RecordError
from orchestrator.profile.models import BenchProfile
from orchestrator.registered import forget_abandoned
from orchestrator.safe_off import OffReport, switch_off
from orchestrator.telling import Severity, Tell, Telling, tell
from orchestrator.watchdog.latch import Latch
from orchestrator.watchdog.vigil import Vigil

BEAT, FAREWELL, READY, ECHO, ACTED = b"b", b"q", b"r", b"e", b"!"
"""What goes through the pipes, one byte each: the engine's first two, the watchdog's last three."""

TICK_S = 0.1
"""Longest time between two looks, s."""

_TRIES = 3
_AGAIN_S = 2.0
_LOOK_AFTER_S = 600.0
"""How long a bench that has been switched off is looked after while its engine still lives, s."""


@dataclass(frozen=True)
class Charge:
    """What a watchdog is told once.

    Attributes:
        profile: The bench, as a document.
        pid: Process whose engine it watches.
        timeout_s: Silence after which it acts, s.
        log: File that its lines are appended to.
    """

    profile: dict[str, Any]
    pid: int
    timeout_s: float
    log: str

    def to_line(self) -> bytes:
        """As the first line of the standard input."""
        return json.dumps(asdict(self)).encode() + b"\n"


class Guardian:
    """Watches one engine.

    Args:
        charge: What it was told.
        ears: File descriptor of the heartbeats.
        say: Sends a byte to the engine.
        off: Switches a bench off.
        now: Monotonic seconds.
        wait: Lets time pass, s.
        tell: Tells people that it has acted.
    """

    def __init__(
        self,
        charge: Charge,
        ears: int,
        say: Callable[[bytes], None],
        *,
        off: Callable[[BenchProfile], OffReport] = switch_off,
        now: Callable[[], float] = monotonic,
        wait: Callable[[float], None] = pause,
        tell: Tell = tell,
    ) -> None:
        self.profile = BenchProfile.model_validate(charge.profile)
        self._charge, self._ears, self._say = charge, ears, say
        self._off, self._now, self._wait, self._tell = off, now, wait, tell
        self._owner = _Owner(charge.pid)
        self._leave = False

    def serve(self) -> None:
        """Watch until the engine takes its leave, or is gone and everything is off."""
        self.log("watching", pid=self._charge.pid, timeout_s=self._charge.timeout_s)
        self._say(READY)
        reason, silent_s = self._listen()
        if not reason:
            self.log("farewell")
            return
        self._act(reason, silent_s)

    def ask_to_leave(self) -> None:
        """Somebody ends the watchdog: it switches off first, and the engine goes safe with it."""
        self._leave = True

    # --- inside ---------------------------------------------------------------------------------

    def _listen(self) -> tuple[str, float]:
        """Listen until there is a reason to act; returns it and the silence before, s."""
        vigil = Vigil(self._charge.timeout_s, TICK_S, self._now())
        while True:
            ready, _, _ = select.select([self._ears, *self._owner.handles], [], [], TICK_S)
            if self._ears in ready:  # what came while nobody looked counts as heard now
                heard = os.read(self._ears, 4096)
                if FAREWELL in heard:
                    return "", 0.0
                if not heard:
                    return "the engine's process ended", vigil.silent_s
                vigil.heard(self._now())
                self._say(ECHO)
            elif self._owner.gone(ready):
                return "the engine's process ended", vigil.silent_s
            if vigil.expired(self._now()):
                return f"no heartbeat for {vigil.silent_s:.1f} s", vigil.silent_s
            if self._leave:
                return "the watchdog was told to end", vigil.silent_s

    def _act(self, reason: str, silent_s: float) -> None:
        """Switch off until it is off; look after it while the engine may come back to life."""
        began_s = self._now()
        report = self._until_off(reason)
        self._say(ACTED)
        self._tell(telling_of(self.profile, reason, report, data=Path(self._charge.log).parent))
        self.log(
            "acted",
            reason=reason,
            silent_s=round(silent_s, 3),
            took_s=round(self._now() - began_s, 3),
            off=list(report.off),
            unsafe=dict(report.unsafe),
        )
        end_s = self._now() + _LOOK_AFTER_S
        while self._now() < end_s and not (report.ok and self._engine_left()):
            select.select([], [], [], _AGAIN_S)
            former, report = report, self._off(self.profile)  # it may have switched on again
            if report.ok and not former.ok:
                self._tell(_after_all(self.profile, report, data=Path(self._charge.log).parent))
        if report.ok:
            with contextlib.suppress(OSError, RecordError):  # it is switched off once more, then
                forget_abandoned(self.profile)

    def _engine_left(self) -> bool:
        """Whether the engine is gone, or alive after all and has let go of this watchdog."""
        ready, _, _ = select.select([self._ears], [], [], 0.0)
        heard = os.read(self._ears, 4096) if ready else BEAT
        return not heard or FAREWELL in heard or self._owner.gone()

    def _until_off(self, reason: str) -> OffReport:
        """Try, make room, try again; what stays on is latched as UNSAFE."""
        report = self._off(self.profile)
        for attempt in range(1, _TRIES + 1):
            if report.ok:
                return report
            self.log("not off", attempt=attempt, unsafe=dict(report.unsafe))
            if not self._leave and self._owner.kill():
                self.log("killed the engine to free its connections", pid=self._charge.pid)
            self._wait(TICK_S)
            report = self._off(self.profile)
        if not report.ok:
            Latch(self.profile.bench).set(report.unsafe, reason)
            self.log("UNSAFE", unsafe=dict(report.unsafe))
        return report

    def log(self, what: str, **more: Any) -> None:
        """Append a line to the watchdog's log; a disk that is full keeps nobody from acting."""
        line = json.dumps({"time": wall_time(), "bench": self.profile.bench, "what": what, **more})
        with contextlib.suppress(OSError):
            path = Path(self._charge.log)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def telling_of(profile: BenchProfile, reason: str, report: OffReport, *, data: Path) -> Telling:
    """What people are told when a watchdog has acted on a bench, and why."""
    bench, unsafe = profile.bench, dict(report.unsafe)
    off = f"off, verified ({', '.join(report.off)})"
    not_off = "; ".join(f"{name}: {why}" for name, why in unsafe.items())
    return Telling(
        "unsafe" if unsafe else "watchdog",
        Severity.UNSAFE if unsafe else Severity.FAILURE,
        f"the watchdog {'could not switch off' if unsafe else 'has switched off'}: {reason}",
        bench=bench,
        cell=f"NOT KNOWN TO BE OFF: {not_off}" if unsafe else off,
        remedy=(
            f"disconnect the cell by hand; then `operando off {bench} --acknowledge`"
            if unsafe
            else "look at what has become of its run; `operando recover`"
        ),
        data=str(data.resolve()),
        simulated=profile.any_simulated,
    )


def _after_all(profile: BenchProfile, report: OffReport, *, data: Path) -> Telling:
    """What people are told when a bench that was UNSAFE reads back as off."""
    return Telling(
        "unsafe",
        Severity.DECISION,
        "reads back as off after all; it stays UNSAFE until somebody has looked",
        bench=profile.bench,
        cell=f"off, verified ({', '.join(report.off)})",
        remedy=f"look at the cell, then `operando off {profile.bench} --acknowledge`",
        data=str(data.resolve()),
        simulated=profile.any_simulated,
    )


class _Owner:
    """The watched process, told apart from a later one with the same number.

    Args:
        pid: Its number.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        try:
            self._handle: int | None = os.pidfd_open(pid)
        except (AttributeError, OSError):  # not Linux, or an old kernel: the pipe alone tells
            self._handle = None

    @property
    def handles(self) -> list[int]:
        """Readable when the process has ended."""
        return [] if self._handle is None else [self._handle]

    def gone(self, ready: list[int] | None = None) -> bool:
        """Whether it has ended."""
        if self._handle is None:
            return False
        seen = select.select([self._handle], [], [], 0.0)[0] if ready is None else ready
        return self._handle in seen

    def kill(self) -> bool:
        """End it at once; returns whether there was anything to end."""
        if self._handle is None or self.gone():
            return False
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        return True


def _say_to(out: int) -> Callable[[bytes], None]:
    def say(byte: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            os.write(out, byte)

    return say


def main() -> int:
    """Run as ``python -m orchestrator.watchdog``; the engine starts it."""
    line = bytearray()
    while not line.endswith(b"\n"):  # unbuffered: heartbeats follow
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            return 0
        line += byte
    guardian = Guardian(Charge(**json.loads(line)), sys.stdin.fileno(), _say_to(1))
    os.set_blocking(1, False)  # an engine that hangs does not read
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the engine, which says what it does
    signal.signal(signal.SIGTERM, lambda *_: guardian.ask_to_leave())
    guardian.serve()
    return 0
