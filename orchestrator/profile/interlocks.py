"""What must hold while a cell is energised, as a bench profile describes it; and the safe state."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidatorFunctionWrapHandler, WrapValidator
from pydantic import model_validator as _model_validator

from orchestrator.inputs.fields import Choice, Count, Quantity, Text, at, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import described, listed, name_remedy

NAME = r"[A-Za-z0-9][A-Za-z0-9_.\-]*"

EvidenceKind = Literal["frame", "spectrum"]

_EVERY_S = Quantity("a time between looks", "s", ge=0.1, le=86_400)
_DEVICE = Text("the name of a device")
_CONFIRM = Count("a number of readings", ge=1, le=1000)


class InterlockEntry(StrictModel):
    """What every interlock has.

    Attributes:
        name: What it is called; by default after what it looks at.
        confirm: Bad readings in a row that trip it; a reading that is missing is a bad one.
        latch: Whether a trip stays, over processes and reboots, until a person acknowledges it.
        evidence: What is taken after a trip, with the cell off: a ``frame`` of every image device
            of the run, a ``spectrum`` of each series of spectra of the run.
    """

    name: Annotated[str, Text("a name", NAME, "letters, digits, '_', '-', '.'", 64)] | None = None
    confirm: Annotated[int, _CONFIRM] = 1
    latch: Annotated[bool, Choice("whether a trip stays until acknowledged", (True, False))] = True
    evidence: tuple[Annotated[str, Choice("evidence", ("frame", "spectrum"))], ...] = ()

    WATCHES: ClassVar[str] = ""

    @property
    def label(self) -> str:
        """Its name, or what it is called where it has none."""
        return self.name or self.own_label

    @property
    def own_label(self) -> str:
        """What it is called after what it looks at."""
        raise NotImplementedError

    @property
    def expected(self) -> str:
        """What must hold, in words."""
        raise NotImplementedError


class ReadingInterlock(InterlockEntry):
    """A reading that must stay within bounds; one that is no number is outside.

    Attributes:
        kind: ``reading``; may be left out.
        device: Device by name.
        signal: Its reading; the name ends in the unit of the bounds.
        min: Lowest allowed value.
        max: Highest allowed value.
        every_s: Longest time between readings of a sensor, s; records of a potentiostat are all
            looked at, as they are polled.
    """

    kind: Literal["reading"] = "reading"
    device: Annotated[str, _DEVICE]
    signal: Annotated[str, Text("the name of a reading")]
    min: Annotated[float, Quantity("a bound", "the signal's unit")] | None = None
    max: Annotated[float, Quantity("a bound", "the signal's unit")] | None = None
    every_s: Annotated[float, _EVERY_S] | None = None

    @_model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min is None and self.max is None:
            raise problem("got no bound, expected min or max", "add `max: ...`")
        if self.min is not None and self.max is not None and self.min >= self.max:
            what = f"got min {self.min:g} and max {self.max:g}, expected min to be smaller"
            raise problem(what, "are they exchanged?")
        return self

    @property
    def own_label(self) -> str:
        """What it is called after what it looks at."""
        return f"{self.device}.{self.signal}"

    @property
    def expected(self) -> str:
        """What must hold, in words."""
        low = "" if self.min is None else f"at least {self.min:g}"
        high = "" if self.max is None else f"at most {self.max:g}"
        return " and ".join(word for word in (low, high) if word)


class PlausibleInterlock(InterlockEntry):
    """A reading that must be a number and, with `stuck_s`, must not stand still.

    Attributes:
        kind: ``plausible``.
        device: Device by name.
        signal: Its reading.
        stuck_s: Time after which a value that has not changed is stuck, s; None: not looked at.
        change: Smallest change that shows that it lives, in the signal's unit: 0 is any.
        every_s: Longest time between readings of a sensor, s.
    """

    kind: Literal["plausible"]
    device: Annotated[str, _DEVICE]
    signal: Annotated[str, Text("the name of a reading")]
    stuck_s: Annotated[float, Quantity("a time", "s", gt=0, le=1e6)] | None = None
    change: Annotated[float, Quantity("a change", "the signal's unit", ge=0)] = 0.0
    every_s: Annotated[float, _EVERY_S] | None = None
    confirm: Annotated[int, _CONFIRM] = 3

    @property
    def own_label(self) -> str:
        """What it is called after what it looks at."""
        return f"{self.device}.{self.signal}.plausible"

    @property
    def expected(self) -> str:
        """What must hold, in words."""
        moves = "" if self.stuck_s is None else f" that changes within {self.stuck_s:g} s"
        return f"a number{moves}"


class HeartbeatInterlock(InterlockEntry):
    """An instrument that must answer when it is asked for its state.

    Attributes:
        kind: ``heartbeat``.
        device: Device by name.
        every_s: Time between questions, s.
    """

    kind: Literal["heartbeat"]
    device: Annotated[str, _DEVICE]
    every_s: Annotated[float, _EVERY_S] = 30.0
    confirm: Annotated[int, _CONFIRM] = 3

    @property
    def own_label(self) -> str:
        """What it is called after what it looks at."""
        return f"{self.device}.heartbeat"

    @property
    def expected(self) -> str:
        """What must hold, in words."""
        return "an answer"


class FreeDiskInterlock(InterlockEntry):
    """Space that must be free on the disk of the data directory.

    Attributes:
        kind: ``free_disk``.
        min_gb: Least free space, GB (1e9 bytes).
        every_s: Time between looks, s.
    """

    kind: Literal["free_disk"]
    min_gb: Annotated[float, Quantity("free space", "GB", gt=0, le=1e6)]
    every_s: Annotated[float, _EVERY_S] = 60.0

    @property
    def own_label(self) -> str:
        """What it is called."""
        return "free_disk"

    @property
    def expected(self) -> str:
        """What must hold, in words."""
        return f"at least {self.min_gb:g} GB free"


class DataRateInterlock(InterlockEntry):
    """Records that must come while a potentiostat drives or watches the cell.

    Not looked at while an impedance spectrum is taken, which gives no records of its own.

    Attributes:
        kind: ``data_rate``.
        device: A potentiostat by name.
        min_records: Least number of records ...
        within_s: ... in this time, s.
    """

    kind: Literal["data_rate"]
    device: Annotated[str, _DEVICE]
    min_records: Annotated[int, Count("a number of records", ge=1, le=10**6)] = 1
    within_s: Annotated[float, Quantity("a time", "s", ge=1, le=1e6)]

    @property
    def own_label(self) -> str:
        """What it is called after what it looks at."""
        return f"{self.device}.data_rate"

    @property
    def expected(self) -> str:
        """What must hold, in words."""
        return f"at least {self.min_records} in {self.within_s:g} s"


class ImageInterlock(InterlockEntry):
    """Frames that must show something: not black, no NaN, of the shape that was asked for.

    Attributes:
        kind: ``image``.
        device: An image device by name.
        min_spread: Least difference of the 99th and the 1st percentile of a frame, in its unit: a
            real detector's black frame is noise; None: only a frame of one value is blank.
    """

    kind: Literal["image"]
    device: Annotated[str, _DEVICE]
    min_spread: Annotated[float, Quantity("a difference", "the frame's unit", gt=0)] | None = None
    confirm: Annotated[int, _CONFIRM] = 2

    @property
    def own_label(self) -> str:
        """What it is called after what it looks at."""
        return f"{self.device}.image"

    @property
    def expected(self) -> str:
        """What must hold, in words."""
        spread = (
            "" if self.min_spread is None else f" with a spread of at least {self.min_spread:g}"
        )
        return f"a frame that shows something{spread}"


KINDS: dict[str, type[InterlockEntry]] = {
    "reading": ReadingInterlock,
    "plausible": PlausibleInterlock,
    "heartbeat": HeartbeatInterlock,
    "free_disk": FreeDiskInterlock,
    "data_rate": DataRateInterlock,
    "image": ImageInterlock,
}
"""Every kind of interlock by its name."""


def _tag(value: Any) -> str:
    kind = value.get("kind", "reading") if isinstance(value, dict) else value.kind
    return f"kind:{kind}"


def _known_kind(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, StrictModel):
        return handler(value)
    if not isinstance(value, dict):
        what = f"got {described(value)}, expected an interlock"
        raise problem(what, "write {device: ..., signal: ..., max: ...}, or {kind: ...}")
    kind = value.get("kind", "reading")
    if not (isinstance(kind, str) and kind in KINDS):
        what = f"got {described(kind)}, expected a kind of interlock: {listed(KINDS)}"
        raise at(("kind",), problem(what, name_remedy(str(kind), KINDS)))
    return handler(value)


Interlock = Annotated[
    Annotated[ReadingInterlock, Tag("kind:reading")]
    | Annotated[PlausibleInterlock, Tag("kind:plausible")]
    | Annotated[HeartbeatInterlock, Tag("kind:heartbeat")]
    | Annotated[FreeDiskInterlock, Tag("kind:free_disk")]
    | Annotated[DataRateInterlock, Tag("kind:data_rate")]
    | Annotated[ImageInterlock, Tag("kind:image")],
    Discriminator(_tag),
    WrapValidator(_known_kind),
]


class SafeAction(StrictModel):
    """What one device does when the bench goes to its safe state.

    Attributes:
        device: Device by name.
        action: What it does.
        celsius: Where to, degree Celsius; with the action ``go_to`` of a chamber only.
    """

    device: Annotated[str, _DEVICE]
    action: Annotated[str, Text("what it does")]
    celsius: Annotated[float, Quantity("a temperature", "degree Celsius")] | None = Field(
        None, description="where a chamber goes with the action go_to"
    )

    @_model_validator(mode="after")
    def _with_temperature(self) -> Self:
        if (self.action == "go_to") != (self.celsius is not None):
            got = "no celsius" if self.celsius is None else f"celsius with {self.action}"
            raise problem(
                f"got {got}, expected it with go_to", "write {action: go_to, celsius: 25}"
            )
        return self
