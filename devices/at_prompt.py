"""What a person at the prompt gets of a device: ``device?`` with units, values and examples."""

from __future__ import annotations

import inspect
import math
import textwrap
from typing import Any, ClassVar

from ophyd import Kind

from devices.clock import Clock
from devices.exposure import Exposures

_COLUMNS, _NAME = 78, 28


class Described:
    """A device that describes itself: IPython shows `getdoc` for ``device?``.

    Attributes:
        EXAMPLES: What to type, one line each; ``{name}`` stands for the device's name.
    """

    EXAMPLES: ClassVar[tuple[str, ...]] = ()

    def getdoc(self) -> str:
        """What it is, its readings and settings with units as last read, and examples."""
        device: Any = self
        about = (inspect.getdoc(type(self)) or "").split("\nArgs:")[0].strip()
        first, *more = (textwrap.fill(part, _COLUMNS) for part in about.split("\n\n"))
        parts = [first]
        if self.EXAMPLES:
            examples = (f"    {line.format(name=device.name)}" for line in self.EXAMPLES)
            parts.append("\n".join(["Examples:", *examples]))
        signals = {name: getattr(device, name) for name in device.component_names}
        groups = {"Readings, as last read": False, "Settings": True}
        for title, settings in groups.items():
            lines = [
                _line(name, signal)
                for name, signal in signals.items()
                if (signal.kind == Kind.config) is settings
            ]
            if lines:
                parts.append("\n".join([f"{title}:", *lines]))
        return "\n\n".join([*parts, *more])


class TakesTime:
    """A device whose frames take a known time, for those who show how far one is."""

    clock: Clock
    expected_duration_s: Any
    _scan: str
    _exposures: Exposures

    @property
    def under_way(self) -> tuple[float, float] | None:
        """How long the frame has been taken, and how long it should take, s; None: no frame."""
        if self._scan == "idle":
            return None
        return self.clock.time() - self._exposures.begun_s, float(self.expected_duration_s.get())


def shown(signal: Any) -> str:
    """The value of a signal with its unit, as last read; nothing is asked of the instrument."""
    value, units = signal.get(), getattr(signal, "units", "")
    if isinstance(value, float) and math.isnan(value):
        return f"not known ({units})" if units else "not known"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"{text} {units}".strip()


def _line(name: str, signal: Any) -> str:
    return f"    {name:<{_NAME}} {shown(signal)}"


def taking_said(duration_s: float) -> str:
    """How long a frame takes, as a person says it."""
    return "duration not known" if math.isnan(duration_s) else f"{duration_s:.6g} s a frame"


def frames_said(last: int) -> str:
    """How many frames there are, from the number of the last."""
    return "no frame yet" if last < 0 else f"last frame {last}"
