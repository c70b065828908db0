"""What is taken after an interlock has tripped: evidence, with the cell off."""

from __future__ import annotations

import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from plans.progress import Progress
from plans.stubs import note
from plans.track import Track

EVIDENCE = "evidence"
"""Kind of the event of what is taken after a trip."""


def take_evidence(progress: Progress) -> MsgGenerator[None]:
    """Take what the trips of a run ask for; nothing where none has tripped.

    One frame of every image device of the run where some trip wants frames, and one of each of its
    series of spectra where every trip allows that: a spectrum drives the cell, a little. What
    fails is noted as at any other frame.
    """
    trips = progress.control.trips
    if any("frame" in trip.evidence for trip in trips):
        devices = {id(t.device): t for t in progress.series if t.capture.collects is None}
        for track in devices.values():
            yield from _take(progress, track, "a frame after the trip, the cell is off")
    if trips and all("spectrum" in trip.evidence for trip in trips):
        yield from bpp.finalize_wrapper(_spectra(progress), progress.leave_off())


def _spectra(progress: Progress) -> MsgGenerator[None]:
    """One of each series, about the voltage of the open cell; the next trip forbids it."""
    control = progress.control
    control.taking_evidence = True
    try:
        for track in progress.series:
            if track.capture.collects is not None and control.taking_evidence:
                yield from _take(progress, track, "a spectrum of the cell at rest after the trip")
    finally:
        control.taking_evidence = False


def _take(progress: Progress, track: Track, text: str) -> MsgGenerator[None]:
    yield from note(progress.event, EVIDENCE, f"{track.device.name}: {text}")
    yield from track.take_last()
