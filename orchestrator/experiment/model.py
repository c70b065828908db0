"""An experiment: what is done to a sample, what is imaged meanwhile, and when it ends."""

from __future__ import annotations

from typing import Annotated, Any, Self

import aurora_unicycler as unicycler
from pydantic import AfterValidator, Field, model_validator
from pydantic_core import InitErrorDetails, ValidationError

from orchestrator.experiment.advice import Advice, advice
from orchestrator.experiment.bench_checks import (
    Request,
    bench_findings,
    conditions_of,
    device_for,
    known_roles,
)
from orchestrator.experiment.binding import bound_steps
from orchestrator.experiment.blocks import BlockStep
from orchestrator.experiment.checks import Parts, consistency
from orchestrator.experiment.conditions import Condition, met_once
from orchestrator.experiment.imaging import ImageSeries, SpectrumSeries
from orchestrator.experiment.lowering import lower, protocol_findings
from orchestrator.experiment.metadata import Metadata
from orchestrator.experiment.preflight import Preflight
from orchestrator.experiment.protocol import Protocol
from orchestrator.experiment.sample import Environment, Sample
from orchestrator.inputs.fields import Choice, Text, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import Finding, Path
from orchestrator.profile.models import BenchProfile, content_hash


class _Role(Choice):
    """A role by name; what there is depends on what is installed."""

    def __init__(self) -> None:
        super().__init__("a role", known_roles())


class Experiment(StrictModel):
    """An experiment file, checked.

    Attributes:
        experiment: What the experiment is called.
        bench: The bench it is meant for, by name or path.
        sample: The sample.
        roles: Device by role, where the bench has several of a kind.
        protocol: What the potentiostat does; its `method` as written, see `lower`.
        images: Images taken meanwhile.
        spectra: Impedance spectra taken meanwhile.
        environment: What surrounds the cell.
        preflight: What is checked of the cell before anything drives it; None: nothing.
        before: Steps before anything passes a current.
        after: Steps after the protocol has ended by itself, by a condition or by a limit.
        stop_when: Conditions that end the experiment.
        md: Metadata of its author, for the start document.
    """

    experiment: Annotated[str, Text("a name for the experiment", longest=100)]
    bench: Annotated[str, Text("a bench's name or a path to its profile")] | None = None
    sample: Sample = Field(description="the sample: {name, area_cm2, ...}")
    roles: dict[Annotated[str, _Role()], Annotated[str, Text("the name of a device")]] = Field(
        default_factory=dict
    )
    protocol: Protocol = Field(description="what the potentiostat does: {record, safety, method}")
    images: tuple[ImageSeries, ...] = ()
    spectra: tuple[SpectrumSeries, ...] = ()
    environment: Environment = Environment()
    preflight: Preflight | None = None
    before: tuple[BlockStep, ...] = ()
    after: tuple[BlockStep, ...] = ()
    stop_when: tuple[Annotated[Condition, AfterValidator(met_once)], ...] = ()
    md: Annotated[dict[str, Any], Metadata()] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """Loops, limits and settings agree with one another."""
        found = consistency(
            Parts(
                sample=self.sample,
                safety=self.protocol.safety,
                steps=self.protocol.method,
                images=self.images,
                spectra=self.spectra,
                before=self.before,
                after=self.after,
                conditions=self.conditions(),
                preflight=self.preflight,
            )
        )
        found = found or protocol_findings(self.protocol, self.sample)
        if found:
            raise ValidationError.from_exception_data(
                "Experiment",
                [
                    InitErrorDetails(type=problem(f.what, f.remedy), loc=f.path, input=None)
                    for f in found
                ],
            )
        return self

    def conditions(self) -> list[tuple[Path, Condition]]:
        """Every condition with its place in the file."""
        return conditions_of(
            self.stop_when,
            [
                *(("images", i, one) for i, one in enumerate(self.images)),
                *(("spectra", i, one) for i, one in enumerate(self.spectra)),
            ],
        )

    def lower(self) -> unicycler.CyclingProtocol:
        """The protocol as aurora-unicycler's, every current in mA.

        Its `method` is the list of step models that the plans run; `record` and `safety` go
        with it, and it converts to other formats.
        """
        return lower(self.protocol, self.sample)

    def interruption_policy(self, step_index: int) -> str:
        """What becomes of a step in which the program was cut off: ``resume`` or ``hold``.

        Args:
            step_index: Its index as records have it: below 0 before the method, from its length
                on after it.
        """
        steps = (*self.before, *self.protocol.method, *self.after)
        place = step_index + len(self.before)
        own = getattr(steps[place], "on_interruption", None) if 0 <= place < len(steps) else None
        return own or self.protocol.on_interruption or "resume"

    def device_of(self, role: str) -> str:
        """Name of the device that the file assigns to a role; the role itself where it does not.

        After `bound_to` (as `load_experiment` gives it) every role is assigned.
        """
        return self.roles.get(role, role)

    def bound_to(self, profile: BenchProfile) -> Self:
        """The experiment with every role assigned and every image's device named for a bench."""
        assigned = {role: device_for(role, self.roles, profile) for role in known_roles()}
        roles = self.roles | {role: name for role, name in assigned.items() if name is not None}
        images = tuple(
            one.model_copy(update={"device": device_for(one.device, roles, profile) or one.device})
            for one in self.images
        )
        bound = self.model_copy(update={"roles": roles, "images": images})
        return bound.model_copy(update=bound_steps(bound, profile))

    def check(self, profile: BenchProfile) -> list[Finding]:
        """What a bench cannot do of this experiment or does not allow; empty if it can."""
        request = Request(
            roles=self.roles,
            sample=self.sample,
            record=self.protocol.record,
            limits=self.protocol.safety.model_dump(exclude_none=True),
            steps=self.protocol.method,
            image_devices=[(index, one.device) for index, one in enumerate(self.images)],
            image_kinds={i: one.settings.device_kind for i, one in enumerate(self.images)},
            spectra=self.spectra,
            environment=self.environment,
            before=self.before,
            after=self.after,
            conditions=self.conditions(),
        )
        return bench_findings(request, profile)

    def advice(self, profile: BenchProfile | None = None) -> list[Advice]:
        """What is allowed and probably not meant, with its place; see `experiment.advice`."""
        return advice(self, profile)

    def warnings(self, profile: BenchProfile | None = None) -> list[str]:
        """What is said of it before every run: each a sentence with its path and what to do."""
        return [str(one) for one in self.advice(profile) if not one.minor]

    def to_document(self) -> dict[str, Any]:
        """The whole file, normalised and JSON-able; `Experiment.model_validate` reads it back."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def experiment_hash(self) -> str:
        """SHA-256 of the content, independent of comments, order of keys and spelling."""
        return content_hash(self.to_document())
