"""Opens and closes the run around a protocol, and leaves the cell off on every way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import FailedStatus, MsgGenerator

from plans.conditions import Condition, derived_of
from plans.environment import Environment
from plans.imaging import Capture
from plans.keeping import Place, engine_keeper
from plans.protocol import Cycling, run_protocol
from plans.steps import FrameStep
from plans.trip import INTERLOCK


def run_with_images(
    cycling: Cycling,
    captures: Sequence[Capture] = (),
    conditions: Sequence[Condition] = (),
    environment: Environment | None = None,
    *,
    md: Mapping[str, Any],
) -> MsgGenerator[str]:
    """One run: configure, stage, open, `run_protocol`, close, unstage.

    Args:
        cycling: What is done to the cell.
        captures: Images and spectra to take meanwhile; the potentiostat stages its spectra.
        conditions: End the run when met.
        environment: What is to surround the cell and what measures it.
        md: Metadata of the start document.

    Returns:
        The stop reason, which is also the `reason` of the stop document.
    """
    frames = [one for one in (*cycling.before, *cycling.after) if isinstance(one, FrameStep)]
    series = [capture for capture in captures if capture.collects is None]
    images: dict[int, Capture | FrameStep] = {id(one.device): one for one in frames}
    # series may share a device; spectra belong to the potentiostat
    images |= {id(one.device): one for one in series}
    around = environment.devices if environment is not None else ()
    triggers = [capture.on for capture in captures if capture.on is not None]
    devices = [
        cycling.potentiostat,
        *around,
        *(capture.device for capture in images.values()),
        *derived_of([*conditions, *triggers]),
    ]

    def inner() -> MsgGenerator[str]:
        keeper = yield from engine_keeper()
        if keeper is not None and keeper.place is not None:
            spectra = [one.device for one in captures if one.collects is not None]
            _adopt([*(one.device for one in images.values()), *spectra], keeper.place)
            _adopt_chamber(environment, keeper.place)
        for capture in images.values():
            yield from bps.configure(capture.device, dict(capture.settings))
        for device in devices:
            yield from bps.stage(device)
        yield from bps.open_run(md=dict(md))
        try:
            reason = yield from run_protocol(
                cycling, captures, conditions, environment, keeper=keeper
            )
        except FailedStatus as failed:  # what failed says more than that a status did
            raise (failed.__cause__ or failed) from None
        status = "fail" if reason == INTERLOCK else "success"
        yield from bps.close_run(exit_status=status, reason=reason)
        return str(reason)

    def unstage() -> MsgGenerator[None]:
        for device in reversed(devices):
            yield from bps.unstage(device)

    # A rewind would repeat charge; every message is instead safe to go on from.
    reason = yield from bpp.rewindable_wrapper(
        bpp.finalize_wrapper(inner(), unstage()), rewindable=False
    )
    return str(reason)


def _adopt(devices: Sequence[Any], place: Place) -> None:
    """Look for frames that were being taken in an interrupted run, before anything else is asked.

    Nothing is begun. A frame that is found is that of the next trigger.
    """
    for device in devices:
        kept = place.state["devices"].get(device.name)
        if kept is not None:
            if device.name in place.pending and "experiment" in kept:  # fetched, not yet recorded
                kept = {**kept, "taking": True}
            found = device.adopt(kept, place.recorded.get(device.name, 0))
            place.adopted[device.name] = found.found


def _adopt_chamber(environment: Environment | None, place: Place) -> None:
    """Read what became of the temperature; sent there again in the same way, it joins the ramp."""
    chamber = None if environment is None else environment.chamber
    kept = None if chamber is None else place.state["devices"].get(chamber.name)
    if chamber is not None and kept is not None:
        chamber.adopt(kept)
