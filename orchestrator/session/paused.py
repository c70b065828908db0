"""What a pause means, said on screen: what rests, what goes on, and what can be done now."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from devices.frame_device import FrameDevice
from devices.potentiostat import Potentiostat
from orchestrator.bench import Bench
from orchestrator.session.line import COLUMNS, span

_STEP = {
    "continue": "the rest of the step waits",
    "restart": "the step will begin again",
    "drop": "the rest of the step is dropped",
}
_FRAME = {
    "continue": "its frame goes on by itself",
    "restart": "its frame was ended and will begin again",
    "drop": "its frame was ended and is dropped",
}
_CHOICES = """\
  bench.resume()   go on where it stood
  bench.stop()     end the run here; it counts as a success
  bench.abort()    end the run here; it counts as aborted
  bench.note("...") writes down why; bench.status() says where the run stands"""


def paused_text(bench: Bench) -> str:
    """What rests and what goes on while a plan of this bench is paused."""
    state = bench.live.snapshot()
    under_way = state.state in ("running", "paused")
    where = f" after {span(state.elapsed_s)} of experiment time" if under_way else ""
    who = bench.RE.control.resting_for
    if bench.clock.simulated:
        time = "Virtual time stands still until you decide."
    else:
        time = "Time goes on: the cell relaxes, and a frame under way is finished."
    parts = [f"PAUSED{where}{f' by {who}' if who else ''}.", *_devices(bench), time]
    wrapped = (textwrap.fill(part, COLUMNS, subsequent_indent=" " * 10) for part in parts)
    return "\n".join(["", *wrapped, "", _CHOICES, ""])


def _devices(bench: Bench) -> Iterator[str]:
    for name, device in bench.devices.items():
        told = _told(device)
        if told:
            yield f"  {name:<6}  {told}"


def _told(device: Any) -> str:
    if isinstance(device, Potentiostat):
        if device.energised:
            return "STILL ON: disconnect the cell by hand, or bench.off()"
        technique = device.technique
        rest = f"; {_STEP[technique.on_pause]}" if technique is not None else ""
        return f"cell off, read back{rest}"
    if isinstance(device, FrameDevice) and device.under_way is not None:
        return _FRAME[device.on_pause]
    if hasattr(device, "set") and hasattr(device, "position"):
        return "stays as it is"
    return ""
