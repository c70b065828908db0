"""IPython's magics for a bench: bluesky's names on this bench's engine, devices and clock.

`bluesky.magics` has `%mov`, `%movr`, `%ct` and `%wa`, but runs them on an engine of its own that it
makes when it is imported (with a thread, wall time and no records), aborts what was paused, and
finds devices by labels. These run on the bench's engine: virtual time passes, a pause can be
resumed, a count is a recorded run.
"""

from __future__ import annotations

from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
from bluesky.utils import MsgGenerator, RunEngineInterrupted
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class

from devices.at_prompt import shown
from orchestrator.bench import Bench
from orchestrator.session.screen import PARTS, Screen
from orchestrator.session.table import NOT_SHOWN

NAMES = ("%mov", "%movr", "%ct", "%wa", "%live")


@magics_class
class BenchMagics(Magics):
    """The magics; see `%mov?`, `%movr?`, `%ct?`, `%wa?`, `%live?`.

    Args:
        shell: IPython.
        bench: Whose engine and devices they use.
        screen: What `%live` switches.
    """

    def __init__(self, shell: Any, bench: Bench, screen: Screen) -> None:
        super().__init__(shell)
        self._shell, self._bench, self._screen = shell, bench, screen

    @line_magic
    def mov(self, line: str) -> None:
        """Move devices and wait until all are there: ``%mov DEVICE VALUE [DEVICE VALUE ...]``.

        Values are in the device's unit and may be any expression without spaces. Ctrl-C pauses;
        the device goes on. What was moved stays there until the next run, or `bench.off()`.

        Example:
            %mov oven 40
        """
        pairs = self._pairs(line, "mov")
        arguments = [one for pair in pairs for one in pair]
        self._run(bps.mv(*arguments))
        self._say_where(pairs)

    @line_magic
    def movr(self, line: str) -> None:
        """Move devices by a distance from where they are: ``%movr DEVICE BY [DEVICE BY ...]``.

        The device is read first.

        Example:
            %movr oven -5
        """
        pairs = self._pairs(line, "movr")

        def plan() -> MsgGenerator[None]:
            for device, _ in pairs:
                if hasattr(device, "trigger"):
                    yield from bps.trigger(device, wait=True)
            targets = [(device, device.position + by) for device, by in pairs]
            yield from bps.mv(*(one for target in targets for one in target))

        self._run(plan())
        self._say_where(pairs)

    @line_magic
    def ct(self, line: str) -> None:
        """Take one reading of each device, the cell off: ``%ct [DEVICE ...]``.

        Without names: every device that is quickly read. Unlike bluesky's, the reading is a run:
        it is recorded and ``db[-1]`` finds it.

        Example:
            %ct oven press
        """
        devices = [self._device(word, "ct") for word in line.split()] or self._quick()
        result = self._run(bp.count(devices))
        if result is None or result.exit_status != "success":
            return
        for device in devices:
            for name, signal in _readings(device):
                print(f"{name:<40} {shown(signal)}")

    @line_magic
    def wa(self, line: str) -> None:
        """Where all devices are, as last read: ``%wa [DEVICE ...]``. Nothing is asked for.

        Example:
            %wa oven
        """
        named = [self._device(word, "wa") for word in line.split()]
        for device in named or self._bench.devices.values():
            print(repr(device).strip("<>"))
            for name, signal in _readings(device):
                print(f"    {name.removeprefix(device.name + '_'):<32} {shown(signal)}")
            if hasattr(device, "set") and hasattr(device, "limits"):
                low, high = device.limits
                print(f"    {'can be moved, %mov':<32} {low:g} to {high:g}")

    @line_magic
    def live(self, line: str) -> None:
        """What is shown while a plan runs: ``%live [table|line|plot|all] [on|off]``.

        Example:
            %live table off
        """
        words = line.split() or ["", ""]
        if words == ["", ""]:
            print("  ".join(f"{part} {'on' if on else 'off'}" for part, on in self._what()))
            return
        if len(words) != 2 or words[0] not in (*PARTS, "all") or words[1] not in ("on", "off"):
            raise UsageError(f"%live: got {line!r}, expected e.g. `%live table off`")
        for part in PARTS if words[0] == "all" else (words[0],):
            self._screen.on[part] = words[1] == "on"
        if self._screen.on["plot"] and not self._screen.can_plot:
            self._screen.on["plot"] = False
            print("no plot: there is no display (DISPLAY is not set)")

    # --- inside ---

    def _what(self) -> list[tuple[str, bool]]:
        return list(self._screen.on.items())

    def _run(self, plan: Any) -> Any:
        try:
            return self._bench.RE(plan)
        except RunEngineInterrupted:
            if str(self._bench.RE.state) == "paused":
                raise
            return None

    def _device(self, word: str, magic: str) -> Any:
        found = self._bench.devices.get(word)
        if found is None:
            found = self._shell.user_ns.get(word)
        if not hasattr(found, "read"):
            known = ", ".join(self._bench.devices)
            raise UsageError(f"%{magic}: got {word!r}, expected a device (of this bench: {known})")
        return found

    def _pairs(self, line: str, magic: str) -> list[tuple[Any, Any]]:
        words = line.split()
        if not words or len(words) % 2:
            raise UsageError(f"%{magic}: got {line!r}, expected DEVICE VALUE, e.g. `oven 40`")
        pairs = []
        for name, value in zip(words[::2], words[1::2], strict=True):
            device = self._device(name, magic)
            if not hasattr(device, "set"):
                raise UsageError(f"%{magic}: {name} cannot be moved")
            pairs.append((device, self._shell.ev(value)))
        return pairs

    def _quick(self) -> list[Any]:
        found = [
            device
            for device in self._bench.devices.values()
            if not hasattr(device, "kickoff") and not hasattr(device, "expected_duration_s")
        ]
        if not found:
            known = ", ".join(self._bench.devices)
            raise UsageError(f"%ct: nothing here is quickly read; name devices (of {known})")
        return found

    def _say_where(self, pairs: list[tuple[Any, Any]]) -> None:
        for device, _ in pairs:
            print(repr(device).strip("<>"))


def _readings(device: Any) -> list[tuple[str, Any]]:
    return [
        (signal.name, signal)
        for name in getattr(device, "read_attrs", [])
        if not hasattr(signal := getattr(device, name), "component_names")
        and not name.endswith(NOT_SHOWN)
    ]
