"""Advice on images and spectra: signal, duration against the protocol, what the beam does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aurora_unicycler import ConstantCurrent

from orchestrator.analysis.flash import METAL_T1_S, ernst_angle_deg, signal_lost
from orchestrator.experiment.advice import Advice
from orchestrator.experiment.mri_settings import MriSettings
from orchestrator.experiment.sem_settings import SemSettings
from orchestrator.inputs.problems import Path
from plans.schedule import RUNNABLE, step_duration_s

if TYPE_CHECKING:
    from orchestrator.experiment.imaging import ImageSeries
    from orchestrator.experiment.model import Experiment
    from orchestrator.profile.models import BenchProfile

LOST_WORTH_A_WORD, LOST_WORTH_A_WARNING = 0.1, 0.5
"""Part of the signal that a flip angle costs: a word in a rehearsal, a warning before every run.
The 30 degrees of Liu et al. 2025 cost 44 %."""

SHORTEST_DWELL_S = 0.3e-6
"""Dwell time from which voids of micrographs are found reliably; at 0.1 us a fixed threshold
finds none of 23 (measured on simulated micrographs of 4e7 counts/s)."""

_S_PER_H = 3600.0


def image_advice(experiment: Experiment, profile: BenchProfile | None) -> list[Advice]:
    """What can be said of the images."""
    del profile
    found: list[Advice] = []
    for index, series in enumerate(experiment.images):
        path: Path = ("images", index)
        settings = series.settings
        if isinstance(settings, MriSettings):
            found += _ernst(settings, (*path, "settings", "flip_angle_deg"))
        else:
            found += [_told(text, (*path, "settings")) for text in settings.warnings()]
        if isinstance(settings, SemSettings):
            found += _dwell(settings, (*path, "settings", "dwell_time_s"))
        found += _too_often(series, path)
        found += _longer_than_steps(series, experiment, path)
    return found


def _told(text: str, path: Path) -> Advice:
    """A sentence of the settings themselves, which ends with its remedy in parentheses."""
    what, _, remedy = text.removesuffix(")").rpartition(" (")
    return Advice("settings", path, what, remedy)


def _ernst(settings: MriSettings, path: Path) -> Iterator[Advice]:
    """A flip angle far from the Ernst angle of lithium metal.

    T1 of the metal is Korringa relaxation, 0.15 s in any field (handbook); nothing is said where
    LLZO's line is selected.
    """
    if settings.line == "LLZO":
        return
    lost = signal_lost(settings.tr_s, settings.flip_angle_deg)
    if lost <= LOST_WORTH_A_WORD:
        return
    best_deg = ernst_angle_deg(settings.tr_s)
    longer = 1.0 / (1.0 - lost) ** 2
    yield Advice(
        "ernst_angle",
        path,
        f"a flip angle of {settings.flip_angle_deg:g} degree gives up {100 * lost:.0f} % of the "
        f"metal's signal at TR {settings.tr_s:g} s and T1 {METAL_T1_S:g} s: the same signal to "
        f"noise takes {longer:.2g} times as long",
        f"the most is at {best_deg:.0f} degree",
        value=settings.flip_angle_deg,
        expected=best_deg,
        unit="degree",
        minor=lost <= LOST_WORTH_A_WARNING,
    )


def _dwell(settings: SemSettings, path: Path) -> Iterator[Advice]:
    whole_s = settings.dwell_time_s * settings.frame_integration * settings.line_integration
    if settings.method == "image" and whole_s < SHORTEST_DWELL_S:
        yield Advice(
            "dwell_time",
            path,
            f"{1e6 * whole_s:.2g} us per pixel leave too few counts to find voids, expected at "
            f"least {1e6 * SHORTEST_DWELL_S:g} us",
            "dwell longer, or integrate frames",
            value=1e6 * whole_s,
            expected=1e6 * SHORTEST_DWELL_S,
            unit="us",
        )


def _too_often(series: ImageSeries, path: Path) -> Iterator[Advice]:
    every_s = getattr(series.when, "every_s", None)
    exposure_s = series.settings.exposure_s
    if every_s is not None and exposure_s > every_s:
        every = math.ceil(exposure_s / every_s)
        yield Advice(
            "frames_overlap",
            (*path, "when"),
            f"a frame takes {exposure_s:.6g} s and one is asked for every {every_s:g} s: only "
            f"every {_nth(every)} is taken",
            f"write every_s: {math.ceil(exposure_s)} or more, or back_to_back: true",
            value=exposure_s,
            expected=every_s,
            unit="s",
        )


def _nth(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def _longer_than_steps(series: ImageSeries, experiment: Experiment, path: Path) -> Iterator[Advice]:
    """A frame that outlasts a half cycle shows the mean of both directions."""
    if series.cell != "keep":
        return
    method = experiment.lower().method
    exposure_s = series.settings.exposure_s
    moments = set(getattr(series.when, "at", ()))
    if moments & {"step_start", "step_end"}:
        shortest_s = min(step_duration_s(one) for one in method if isinstance(one, RUNNABLE))
        if exposure_s > shortest_s:
            yield Advice(
                "frame_outlasts_step",
                (*path, "when"),
                f"a frame takes {exposure_s:.6g} s and the shortest step {shortest_s:g} s: it shows"
                " the steps after it too, and moments that come meanwhile get no frame",
                "use fewer averages, or take frames at cycle_end or every_s",
                value=exposure_s,
                expected=shortest_s,
                unit="s",
            )
        return
    if moments or not _reverses(method):
        return
    half_s = max(_one_way_s(method), default=math.inf)
    if exposure_s > half_s:
        yield Advice(
            "frame_outlasts_half_cycle",
            (*path, "settings"),
            f"a frame of {exposure_s / _S_PER_H:.3g} h averages over {exposure_s / half_s:.2g} "
            f"half cycles of {half_s / _S_PER_H:.3g} h: it shows no direction by "
            "itself",
            "fewer averages, or longer half cycles, if one direction is to be seen",
            value=exposure_s / _S_PER_H,
            expected=half_s / _S_PER_H,
            unit="h",
            minor=True,
        )


def _reverses(method: list[Any]) -> bool:
    signs = {math.copysign(1.0, s.current_mA) for s in method if isinstance(s, ConstantCurrent)}
    return len(signs) > 1


def _one_way_s(method: list[Any]) -> Iterator[float]:
    """Durations of currents in one direction; those without an end in time are left out."""
    for step in method:
        if isinstance(step, ConstantCurrent) and step.until_time_s:
            yield float(step.until_time_s)
