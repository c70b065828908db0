"""Images and spectra taken while the protocol runs: when, and with which settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidatorFunctionWrapHandler, WrapValidator
from pydantic import model_validator as _model_validator
from pydantic_core import PydanticCustomError

from orchestrator.experiment.conditions import Condition
from orchestrator.experiment.mri_settings import MRI_METHODS, MriSettings
from orchestrator.experiment.nmr_settings import NMR_METHODS, SpectrumSettings
from orchestrator.experiment.protocol import Impedance
from orchestrator.experiment.sem_settings import SEM_METHODS, SemSettings
from orchestrator.inputs.fields import Choice, Quantity, Text, at, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import described, key_remedy, listed

CELL_DURING_EXPOSURE = ("keep", "rest", "open")
"""What the cell may do during an exposure."""

CELL_DURING_SPECTRUM = ("keep", "rest")
"""What it may do while a spectrum is taken: one that is open cannot be measured."""

ON_PAUSE = ("continue", "restart", "drop")
"""What a pause may do to a frame."""

MOMENTS = ("start", "step_start", "step_end", "cycle_end", "end")
"""Moments of a protocol at which an image or spectrum may be taken."""


class BackToBack(StrictModel):
    """One exposure after the other, from start to end."""

    back_to_back: Annotated[Literal[True], Choice("the word", (True,))]


class EverySeconds(StrictModel):
    """At multiples of a period since the start, s."""

    every_s: Annotated[float, Quantity("a period", "s", gt=0, le=1e8)]


class AtMoments(StrictModel):
    """At named moments of the protocol."""

    at: tuple[Annotated[str, Choice("a moment", MOMENTS)], ...] = Field(
        description=f"a list of moments: {listed(MOMENTS)}", min_length=1
    )

    @_model_validator(mode="after")
    def _once_each(self) -> Self:
        if len(set(self.at)) != len(self.at):
            raise problem(f"got {', '.join(self.at)}, expected each moment once", "remove one")
        return self


class EveryCharge(StrictModel):
    """Each time this much charge, both directions added, has passed, mAh/cm2."""

    every_mah_per_cm2: Annotated[float, Quantity("a charge", "mAh/cm2", gt=0)]


class OnCondition(StrictModel):
    """When a condition begins to hold."""

    on: Condition


WHENS: dict[str, type[StrictModel]] = {
    "back_to_back": BackToBack,
    "every_s": EverySeconds,
    "at": AtMoments,
    "every_mah_per_cm2": EveryCharge,
    "on": OnCondition,
}
"""Every form of `when`, by its only key."""


def _when_tag(value: Any) -> str:
    if isinstance(value, dict):
        return f"when:{next(iter(value))}"
    return next((f"when:{name}" for name, form in WHENS.items() if isinstance(value, form)), "")


def _one_form(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Refuse what is not exactly one known form."""
    if isinstance(value, StrictModel):
        return handler(value)
    if not isinstance(value, dict) or len(value) != 1:
        got = " and ".join(value) if isinstance(value, dict) and value else described(value)
        what = f"got {got}, expected exactly one of {listed(WHENS)}"
        raise problem(what, "write for example `when: {back_to_back: true}`")
    (name,) = value
    if name not in WHENS:
        what = f"got {described(name)}, expected {listed(WHENS)}"
        raise problem(what, key_remedy(name, WHENS))
    return handler(value)


When = Annotated[
    Annotated[BackToBack, Tag("when:back_to_back")]
    | Annotated[EverySeconds, Tag("when:every_s")]
    | Annotated[AtMoments, Tag("when:at")]
    | Annotated[EveryCharge, Tag("when:every_mah_per_cm2")]
    | Annotated[OnCondition, Tag("when:on")],
    Discriminator(_when_tag),
    WrapValidator(_one_form),
]


IMAGE_METHODS: dict[str, type[MriSettings | SpectrumSettings | SemSettings]] = {
    **dict.fromkeys(MRI_METHODS, MriSettings),
    **dict.fromkeys(NMR_METHODS, SpectrumSettings),
    **dict.fromkeys(SEM_METHODS, SemSettings),
}
"""Every `method` that an image's settings may name, and the settings it takes."""


def _known_method(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Refuse what names no method, with the nearest; the method decides about the rest."""
    if isinstance(value, StrictModel):
        return handler(value)
    if not isinstance(value, dict):
        what = f"got {described(value)}, expected settings such as {{method: flash2d, ...}}"
        raise problem(what, "write them as a mapping with the key `method`")
    method = Choice("an imaging method", tuple(IMAGE_METHODS))
    if "method" not in value:
        missing = problem(f"is missing, expected {method.words}", "add `method: ...`")
        raise at(("method",), missing)
    try:
        method.check(value["method"])
    except PydanticCustomError as error:
        raise at(("method",), error) from None
    return handler(value)


def _settings_tag(value: Any) -> str:
    """The name of the settings' class, for which a dictionary's `method` stands."""
    found = IMAGE_METHODS.get(str(value.get("method"))) if isinstance(value, dict) else type(value)
    return f"kind:{getattr(found, '__name__', '')}"


ImageSettings = Annotated[
    Annotated[MriSettings, Tag("kind:MriSettings")]
    | Annotated[SpectrumSettings, Tag("kind:SpectrumSettings")]
    | Annotated[SemSettings, Tag("kind:SemSettings")],
    Discriminator(_settings_tag),
    WrapValidator(_known_method),
]
"""Settings of an image: which they are says `method`."""


class ImageSeries(StrictModel):
    """Images of one device.

    Attributes:
        device: Role (`mri`) or name of an imaging device of the bench.
        when: When an exposure begins.
        settings: How it is acquired.
        cell: What the cell does during the exposure: `keep` goes on with the protocol; `rest`
            (connected and recorded, no current) and `open` (output off) suspend the step.
        on_pause: What a pause does to a frame: it goes on, begins again, or is dropped.
    """

    device: Annotated[str, Text("the role or name of an imaging device")]
    when: When = Field(description="when to take them, for example {back_to_back: true}")
    settings: ImageSettings = Field(description="the settings of the acquisition")
    cell: Annotated[
        Literal["keep", "rest", "open"], Choice("what the cell does", CELL_DURING_EXPOSURE)
    ] = "keep"
    on_pause: Annotated[
        Literal["continue", "restart", "drop"], Choice("what a pause does to a frame", ON_PAUSE)
    ] = "continue"

    @_model_validator(mode="after")
    def _cell_gets_on(self) -> Self:
        _not_back_to_back(self.when, self.cell)
        return self


class SpectrumSeries(StrictModel):
    """Impedance spectra taken by the potentiostat between or within the steps.

    Attributes:
        when: When a spectrum begins.
        settings: Amplitude and frequencies.
        cell: What the cell does meanwhile: `keep` goes on with the step, whose current or voltage
            the spectrum is taken about; `rest` suspends the step.
    """

    when: When = Field(description="when to take them, for example {at: [start, end]}")
    settings: Impedance = Field(description="amplitude and frequencies")
    cell: Annotated[Literal["keep", "rest"], Choice("what the cell does", CELL_DURING_SPECTRUM)] = (
        "keep"
    )

    @_model_validator(mode="after")
    def _cell_gets_on(self) -> Self:
        _not_back_to_back(self.when, self.cell)
        return self


def _not_back_to_back(when: StrictModel, cell: str) -> None:
    """A protocol that stands still during each of a gapless series would never go on."""
    if cell != "keep" and isinstance(when, BackToBack):
        what = f"got {cell} for a back-to-back series, expected keep: the step would never go on"
        raise at(("cell",), problem(what, "use every_s, every_mah_per_cm2 or at"))
