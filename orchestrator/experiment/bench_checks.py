"""Whether a bench can carry out an experiment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.experiment.amplitudes import spectrum_settings
from orchestrator.experiment.blocks import ImageStep
from orchestrator.experiment.conditions import CONDITIONS, Condition
from orchestrator.experiment.faults import fault_findings
from orchestrator.experiment.imaging import ImageSeries, OnCondition, SpectrumSeries
from orchestrator.experiment.placed import placed
from orchestrator.experiment.protocol import CELL_STEPS, Record, Step
from orchestrator.experiment.sample import Environment, Sample
from orchestrator.experiment.surrounding_checks import surrounding_findings
from orchestrator.inputs.problems import Finding, Path, name_remedy
from orchestrator.profile.models import BenchProfile, PotentiostatEntry
from orchestrator.profile.surroundings import ChamberEntry
from orchestrator.profile.tables import kinds

ROLES = ("potentiostat", "mri", "sem")
"""Roles that an experiment may assign; each is also a kind of device."""


@dataclass(frozen=True)
class Request:
    """What an experiment asks of a bench; None where a part is not valid.

    Attributes:
        roles: Device by role, as the file assigns them.
        sample: The sample.
        record: When records are kept.
        limits: The limits by their key in `safety`, those that are valid.
        steps: The method.
        image_devices: Role or name that each series of images gives, with its index.
        image_kinds: Kind of device that the settings of each valid series are for, by index.
        spectra: Every series of spectra.
        conditions: Every condition with its place.
        environment: What is to surround the cell.
        before: Steps before the method.
        after: Steps after it.
    """

    roles: dict[str, str]
    sample: Sample | None
    record: Record | None
    limits: Mapping[str, float]
    steps: Sequence[Step | None]
    image_devices: Sequence[tuple[int, str]]
    image_kinds: Mapping[int, str]
    spectra: Sequence[SpectrumSeries | None]
    conditions: Sequence[tuple[Path, Condition]]
    environment: Environment | None = None
    before: Sequence[Step | None] = ()
    after: Sequence[Step | None] = ()

    def placed(self) -> list[tuple[Path, Step]]:
        """Every valid step with its place in the file."""
        return list(placed(self.steps, self.before, self.after))


def device_for(name: str, roles: dict[str, str], profile: BenchProfile) -> str | None:
    """The device that a role or a device's name means, None if there is none.

    A role that the file assigns comes first, then a device of that name, then the only device of
    that kind.
    """
    if name in roles:
        return roles[name] if roles[name] in profile.devices else None
    if name in profile.devices:
        return name
    only = profile.of_kind(name)
    return only[0] if len(only) == 1 else None


def conditions_of(
    stop_when: Iterable[Condition | None],
    series: Iterable[tuple[str, int, ImageSeries | SpectrumSeries | None]],
) -> list[tuple[Path, Condition]]:
    """Every condition of an experiment with its place in the file."""
    found: list[tuple[Path, Condition]] = [
        (("stop_when", index), one) for index, one in enumerate(stop_when) if one is not None
    ]
    for key, index, one in series:
        if one is not None and isinstance(one.when, OnCondition):
            found.append(((key, index, "when", "on"), one.when.on))
    return found


def bench_findings(request: Request, profile: BenchProfile) -> list[Finding]:
    """Everything that the bench cannot do, or does not allow."""
    potentiostat = device_for("potentiostat", request.roles, profile)
    found = [
        *_role_findings(request.roles, profile),
        *_image_findings(request, profile),
        *_condition_findings(request.conditions, profile),
        *_temperature_findings(request, profile),
        *surrounding_findings(
            request.placed(),
            profile,
            device_for("chamber", request.roles, profile),
            device_for("load_cell", request.roles, profile),
        ),
    ]
    recipe = None if request.sample is None else request.sample.simulate_as
    if recipe is not None and profile.any_simulated:
        found += fault_findings(recipe.faults, profile, ("sample", "simulate_as", "faults"))
    if request.sample is not None and profile.any_simulated and request.sample.simulate_as is None:
        what = (
            f"is missing, expected what stands in for the sample on the simulated {profile.bench}"
        )
        remedy = "add `simulate_as: {model: llzo_cell, preset: small_4p8, seed: 0}`"
        found.append(Finding(("sample", "simulate_as"), what, remedy))
    if potentiostat is None:
        if "potentiostat" not in request.roles:
            many = profile.of_kind("potentiostat")
            got = f"{len(many)} of them" if many else "none"
            what = f"is missing, and bench {profile.bench} has {got}, expected one potentiostat"
            remedy = f"add `potentiostat: {many[0]}`" if many else "choose another bench"
            found.append(Finding(("roles", "potentiostat"), what, remedy))
        return found
    if profile.devices[potentiostat].kind != "potentiostat":
        return found  # said of the role; what another device cannot do is no news
    return [
        *found,
        *_capability_findings(request, potentiostat, profile),
        *_drift_findings(request, potentiostat, profile),
        *_limit_findings(request.limits, potentiostat, profile),
    ]


def _role_findings(roles: dict[str, str], profile: BenchProfile) -> Iterator[Finding]:
    for role, device in roles.items():
        path = ("roles", role)
        known = profile.of_kind(role)
        if device not in profile.devices:
            what = f"got '{device}', expected a device of bench {profile.bench}"
            yield Finding(path, what, name_remedy(device, known or list(profile.devices)))
        elif profile.devices[device].kind != role:
            what = f"got '{device}', a {profile.devices[device].kind}, expected a {role}"
            yield Finding(path, what, name_remedy(device, known))


def _image_findings(request: Request, profile: BenchProfile) -> Iterator[Finding]:
    for index, asked in request.image_devices:
        kind = request.image_kinds.get(index)
        yield from _device_findings(("images", index), asked, kind, request.roles, profile)
    for path, step in request.placed():
        if isinstance(step, ImageStep):
            kind = None if step.settings is None else step.settings.device_kind
            yield from _device_findings(path, step.device, kind, request.roles, profile)


def _device_findings(
    path: Path, asked: str, kind: str | None, roles: dict[str, str], profile: BenchProfile
) -> Iterator[Finding]:
    """Frames at a place of the file: the bench has their device, and it takes such frames."""
    imaging = [name for name in profile.devices if profile.kind_of(name).takes_images]
    device = device_for(asked, roles, profile)
    if device is None and asked in roles:
        return  # said of the role
    if device is None:
        what = f"got '{asked}', expected an imaging device of bench {profile.bench}"
        yield Finding((*path, "device"), what, name_remedy(asked, imaging))
    elif device not in imaging:
        what = f"got '{asked}', a {profile.devices[device].kind}, which takes no images"
        yield Finding((*path, "device"), what, name_remedy(asked, imaging))
    elif kind not in (None, own := profile.devices[device].kind):
        what = f"got a method for a {kind}, but {asked} is a {own}"
        remedy = f"choose a method of a {own}, or another device"
        yield Finding((*path, "settings", "method"), what, remedy)


def _condition_findings(
    conditions: Iterable[tuple[Path, Condition]], profile: BenchProfile
) -> Iterator[Finding]:
    present = {device.kind for device in profile.devices.values()}
    for path, condition in conditions:
        needed = CONDITIONS[condition.name].device_kind
        if needed not in present:
            what = (
                f"got {condition.name}, which needs a device of the kind {needed}, and "
                f"bench {profile.bench} has none"
            )
            yield Finding(path, what, "remove it, or use another bench")


def _capability_findings(
    request: Request, potentiostat: str, profile: BenchProfile
) -> Iterator[Finding]:
    driver = profile.driver_of(potentiostat)
    for path, step in request.placed():
        name = getattr(step, "step", None)
        if name is None or name in driver.steps or name not in CELL_STEPS:
            continue
        reason = driver.reason.get(name, "its driver does not have this step")
        what = f"got {name}, which {potentiostat} ({driver.name}) cannot run: {reason}"
        known = ", ".join(sorted(driver.steps))
        yield Finding((*path, "step"), what, f"it runs {known}")
    if request.spectra and "impedance_spectroscopy" not in driver.steps:
        reason = driver.reason.get("impedance_spectroscopy", "its driver does not measure them")
        what = f"got spectra, which {potentiostat} ({driver.name}) cannot take: {reason}"
        yield Finding(("spectra",), what, "write `spectra: []`, or use another bench")
    if request.record is not None and not driver.records_changes:
        for key in ("current_mA", "voltage_V"):
            if getattr(request.record, key) is not None:
                what = f"got a change to record at, and {potentiostat} records by time only"
                path = ("protocol", "record", key)
                yield Finding(path, what, "remove it, and lower time_s if need be")


def _drift_findings(
    request: Request, potentiostat: str, profile: BenchProfile
) -> Iterator[Finding]:
    """No driver corrects the drift of a spectrum yet."""
    driver = profile.driver_of(potentiostat)
    for path, settings in spectrum_settings(request.placed(), request.spectra):
        if settings.drift_correction:
            what = f"got true, and {potentiostat} ({driver.name}) corrects no drift"
            yield Finding((*path, "drift_correction"), what, "leave it out")


def _limit_findings(
    limits: Mapping[str, float], potentiostat: str, profile: BenchProfile
) -> Iterator[Finding]:
    """The experiment's limits lie inside the bench's."""
    entry = profile.devices[potentiostat]
    if not isinstance(entry, PotentiostatEntry):
        return
    low_v, high_v, low_ma, high_ma = entry.limits.span
    rows = (
        ("max_voltage_V", low_v, high_v, "V"),
        ("min_voltage_V", low_v, high_v, "V"),
        ("max_current_mA", low_ma, high_ma, "mA"),
        ("min_current_mA", low_ma, high_ma, "mA"),
    )
    for key, low, high, unit in rows:
        value = limits.get(key)
        if value is not None and not low <= value <= high:
            what = (
                f"got {value:g} {unit}, expected within the limits of bench {profile.bench}, "
                f"{low:g} to {high:g} {unit}"
            )
            yield Finding(("protocol", "safety", key), what, "narrow it, or use another bench")


def _temperature_findings(request: Request, profile: BenchProfile) -> Iterator[Finding]:
    """The temperature lies within what the bench allows of its chamber."""
    chamber = device_for("chamber", request.roles, profile)
    celsius = request.environment.temperature_celsius if request.environment else None
    entry = profile.devices.get(chamber or "")
    if celsius is None or not isinstance(entry, ChamberEntry):
        return
    low, high = entry.limits.min_celsius, entry.limits.max_celsius
    if not low <= celsius <= high:
        what = (
            f"got {celsius:g} degree Celsius, expected within the limits of {chamber} on bench "
            f"{profile.bench}, {low:g} to {high:g} degree Celsius"
        )
        yield Finding(("environment", "temperature_celsius"), what, "change it")


def known_roles() -> tuple[str, ...]:
    """Roles that an experiment may assign: ours, and the kinds of other distributions."""
    return tuple(dict.fromkeys((*ROLES, *kinds())))
