"""Reads an experiment file, with every error at its line, and checks it against its bench."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from orchestrator.errors import ExperimentError
from orchestrator.experiment.bench_checks import Request, bench_findings, conditions_of
from orchestrator.experiment.blocks import BlockStep
from orchestrator.experiment.campaign import Campaign, Point
from orchestrator.experiment.checks import Parts, consistency
from orchestrator.experiment.conditions import Condition
from orchestrator.experiment.expanding import Run, gathered, runs_of
from orchestrator.experiment.imaging import ImageSeries, SpectrumSeries
from orchestrator.experiment.model import Experiment
from orchestrator.experiment.preflight import Preflight
from orchestrator.experiment.protocol import AnyStep, Record, Safety, Step
from orchestrator.experiment.protocol_file import graft_protocol
from orchestrator.experiment.sample import Environment, Sample
from orchestrator.inputs.invalid import ExperimentFileError, ProfileFileError
from orchestrator.inputs.models import validated
from orchestrator.inputs.problems import Finding, InvalidInput, Problem, sorted_problems
from orchestrator.inputs.problems import Path as KeyPath
from orchestrator.inputs.source import is_readable_file, printable_path, read_source, top_mapping
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile

BENCH_VARIABLE = "OPERANDO_BENCH"
"""Environment variable with the bench to use where neither option nor file names one."""

Part = TypeVar("Part", bound=BaseModel)
_STEP: TypeAdapter[Any] = TypeAdapter(AnyStep)
_BLOCK_STEP: TypeAdapter[Any] = TypeAdapter(BlockStep)


def load_campaign(
    path: str | Path,
    *,
    bench: str | Path | None = None,
    profile: BenchProfile | None = None,
    environ: Mapping[str, str] | None = None,
) -> Campaign:
    """Read an experiment file, with or without a `sweep`, and check every run of it.

    Args:
        path: The YAML file.
        bench: As for `load_experiment`.
        profile: As for `load_experiment`.
        environ: As for `load_experiment`.

    Raises:
        ExperimentError: With every error of the file and of each of its runs; one that only some
            runs have names the first of them.
    """
    runs = _read(Path(path))
    if profile is None:
        told = len(runs[0].problems)
        profile = runs[0].resolve(bench, os.environ if environ is None else environ)
        for other in runs[1:]:  # what is wrong with the bench is wrong for all
            other.problems += runs[0].problems[told:]
    return _campaign(runs, profile)


def read_campaign(path: str | Path) -> Campaign:
    """Read an experiment file, with or without a `sweep`, without a bench.

    Raises:
        ExperimentError: With every error that the file has by itself.
    """
    return _campaign(_read(Path(path)), None)


def place_findings(
    path: str | Path, findings: Iterable[Finding], *, number: int = 1
) -> list[Problem]:
    """Findings about a run of a file at their lines and columns, in order.

    Args:
        path: The experiment file, which has been read without an error.
        findings: At paths of that run's content.
        number: The run, from 1.
    """
    reading = _read(Path(path))[number - 1]
    return list(sorted_problems(reading.source.place(one) for one in findings))


def load_experiment(
    path: str | Path,
    *,
    bench: str | Path | None = None,
    profile: BenchProfile | None = None,
    environ: Mapping[str, str] | None = None,
) -> Experiment:
    """Read an experiment file and check it against the bench it will run on.

    The result names a device of that bench for every role and every series of images.

    Args:
        path: The YAML file.
        bench: Name or path of a bench profile; wins over the file's `bench`, which wins over
            $OPERANDO_BENCH. There is no other default.
        profile: The bench's profile where it is loaded already; then `bench` is not looked at.
        environ: Environment; None is the process's.

    Raises:
        ExperimentError: With every error of the file, of the protocol file it names, and of the
            bench profile, one ``file:line:column: path: what (remedy)`` per line. A file with a
            `sweep` is not one experiment: see `load_campaign`.
    """
    return _only(load_campaign(path, bench=bench, profile=profile, environ=environ), path)


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment file without a bench, for looking at it or exporting its protocol.

    Raises:
        ExperimentError: With every error that the file has by itself.
    """
    return _only(read_campaign(path), path)


def bench_of(
    path: str | Path,
    *,
    bench: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> BenchProfile:
    """The profile of the bench that an experiment file would run on; see `load_experiment`.

    Raises:
        ExperimentError: No bench is named, or its profile cannot be used.
    """
    first = _read(Path(path))[0]
    profile = first.resolve(bench, os.environ if environ is None else environ)
    if profile is None:
        raise ExperimentFileError(first.problems)
    return profile


def placed(path: str | Path, findings: Iterable[Finding], *, run: int = 0) -> list[Problem]:
    """Findings about a file that could be read, each at its line and column.

    Args:
        path: The experiment file.
        findings: What is said of it, in any order.
        run: Which run of its sweep they are about, from 0.
    """
    read = _read(Path(path))[run]
    return [read.source.place(finding) for finding in findings]


class _Reading:
    """One run of a file being read: what it says, what is valid of it, and what is wrong."""

    def __init__(self, path: Path, run: Run) -> None:
        self.path, self.source, self.values = path, run.source, run.values
        self.data: dict[str, Any] = run.source.data
        self.problems: list[Problem] = list(run.problems)
        self.experiment: Experiment | None = None
        self.sweep = run.sweep
        self.told: set[KeyPath] = set(run.unknown)

    def note(self, *findings: Finding) -> None:
        """Keep what is wrong, at its place, unless that part is known to be wrong already."""
        for one in findings:
            if not any(one.path[: k + 1] in self.told for k in range(len(one.path))):
                self.problems.append(self.source.place(one))

    def validate(self) -> None:
        """Validate the whole; where it fails, check what its valid parts say together."""
        self.experiment, found = validated(Experiment, self.data)
        self.note(*found)
        if self.experiment is None:
            protocol = _mapping(self.data.get("protocol"))
            sample = _part(Sample, self.data.get("sample"))
            safety = _part(Safety, protocol.get("safety"))
            steps = [_step(one) for one in _items(protocol.get("method"))]
            images = [_part(ImageSeries, one) for one in _items(self.data.get("images"))]
            spectra = [_part(SpectrumSeries, one) for one in _items(self.data.get("spectra"))]
            blocks = (_block(self.data.get("before")), _block(self.data.get("after")))
            conditions = self._conditions(images, spectra)
            preflight = _part(Preflight, self.data.get("preflight"))
            parts = Parts(
                sample,
                safety,
                steps,
                images,
                spectra,
                *blocks,
                preflight=preflight,
                conditions=conditions,
            )
            self.note(*consistency(parts))

    def request(self) -> Request:
        """What the file asks of a bench, as far as it is valid."""
        protocol = _mapping(self.data.get("protocol"))
        images = [_part(ImageSeries, one) for one in _items(self.data.get("images"))]
        spectra = [_part(SpectrumSeries, one) for one in _items(self.data.get("spectra"))]
        roles = _mapping(self.data.get("roles"))
        return Request(
            roles={k: v for k, v in roles.items() if isinstance(v, str)},
            sample=_part(Sample, self.data.get("sample")),
            record=_part(Record, protocol.get("record")),
            limits=_limits(_mapping(protocol.get("safety"))),
            steps=[_step(one) for one in _items(protocol.get("method"))],
            image_devices=[
                (index, one["device"])
                for index, one in enumerate(_items(self.data.get("images")))
                if isinstance(one, dict) and isinstance(one.get("device"), str)
            ],
            image_kinds={
                index: one.settings.device_kind
                for index, one in enumerate(images)
                if one is not None
            },
            spectra=spectra,
            environment=_part(Environment, self.data.get("environment")),
            before=_block(self.data.get("before")),
            after=_block(self.data.get("after")),
            conditions=self._conditions(images, spectra),
        )

    def _conditions(
        self, images: Sequence[ImageSeries | None], spectra: Sequence[SpectrumSeries | None]
    ) -> list[tuple[KeyPath, Condition]]:
        """Every valid condition with its place."""
        series: list[tuple[str, int, ImageSeries | SpectrumSeries | None]] = [
            *(("images", i, one) for i, one in enumerate(images)),
            *(("spectra", i, one) for i, one in enumerate(spectra)),
        ]
        stop_when = [_part(Condition, one) for one in _items(self.data.get("stop_when"))]
        return conditions_of(stop_when, series)

    def resolve(self, bench: str | Path | None, environ: Mapping[str, str]) -> BenchProfile | None:
        """The bench's profile; None, with the problem kept, if there is none to use."""
        own = self.data.get("bench")
        try:
            if bench is not None:
                return load_profile(bench, environ=environ)
            if isinstance(own, str) and own.strip():
                return load_profile(own, beside=self.path.parent, environ=environ)
            if own is None and environ.get(BENCH_VARIABLE):
                return load_profile(environ[BENCH_VARIABLE], environ=environ)
        except ProfileFileError as error:
            self.problems += self._at_bench(error, own=bench is None and isinstance(own, str))
            return None
        if own is None:
            what = "is missing, expected the bench to run on"
            self.note(Finding(("bench",), what, f"add `bench: ...`, use --bench or {_VARIABLE}"))
        return None

    def _at_bench(self, error: ProfileFileError, *, own: bool) -> list[Problem]:
        """A profile that cannot be found is a problem of the line that names it."""
        return [
            self.source.place(Finding(("bench",), one.finding.what, one.finding.remedy))
            if own and not is_readable_file(Path(one.file))
            else one
            for one in error.problems
        ]

    def finish(self, profile: BenchProfile | None) -> Experiment | None:
        """The experiment; None, with the problems kept, if anything is wrong."""
        if profile is not None:
            self.note(*bench_findings(self.request(), profile))
        if self.experiment is None or self.problems:
            return None
        return self.experiment if profile is None else self.experiment.bound_to(profile)


_VARIABLE = f"${BENCH_VARIABLE}"


def _read(path: Path) -> list[_Reading]:
    """Every run of a file, validated; at least one."""
    try:
        source = read_source(path)
        top_mapping(source, "an experiment")
    except InvalidInput as error:
        raise ExperimentFileError(error.problems) from None
    readings = [_Reading(path, run) for run in runs_of(source)]
    for reading in readings:
        if isinstance(reading.data.get("protocol"), str):
            wrong = graft_protocol(reading.source, path.parent)
            reading.problems += wrong
            reading.told |= {("protocol",)} if wrong else set()
        reading.validate()
    return readings


def _campaign(readings: list[_Reading], profile: BenchProfile | None) -> Campaign:
    """The runs as experiments, or everything that is wrong with any of them."""
    points = [
        Point(number, one.values, experiment)
        for number, one in enumerate(readings, 1)
        if (experiment := one.finish(profile)) is not None
    ]
    if len(points) < len(readings):
        raise ExperimentFileError(gathered([(one.values, one.problems) for one in readings]))
    file = str(readings[0].path.resolve())
    return Campaign(tuple(points), profile, readings[0].sweep, file)


def _only(campaign: Campaign, path: str | Path) -> Experiment:
    """The experiment of a file without a sweep."""
    if campaign.sweep is not None:
        raise ExperimentError(
            printable_path(Path(path)),
            f"has a sweep of {len(campaign.points)} runs, expected one experiment",
            remedy="use load_campaign, or `operando run`",
        )
    return campaign.points[0].experiment


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _part(model: type[Part], data: Any) -> Part | None:
    return validated(model, data)[0]


def _limits(safety: dict[str, Any]) -> dict[str, float]:
    """Those limits that are numbers."""
    return {
        key: float(value)
        for key, value in safety.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _block(data: Any) -> list[Step | None]:
    return [_step(one, _BLOCK_STEP) for one in _items(data)]


def _step(data: Any, adapter: TypeAdapter[Any] = _STEP) -> Step | None:
    try:
        step = adapter.validate_python(data)
    except ValidationError:
        return None
    return step if isinstance(step, Step) else None
