"""What happens when a step fails, as the file says it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import GetJsonSchemaHandler, model_serializer, model_validator
from pydantic_core import core_schema

from orchestrator.inputs.fields import Choice, Count, Quantity, problem
from orchestrator.inputs.models import StrictModel

WORDS = ("safe_state", "skip")
"""What may be written alone, and as `then`."""

_FORMS = {
    "retry": "write `{retry: 3, wait_s: 60}`",
    "rest": "write `{rest_s: 600}`: how long it rests",
}


class OnFailure(StrictModel):
    """What happens when a step fails: ``skip``, ``{rest_s: 600}``, ``{retry: 3, then: skip}``.

    Attributes:
        retry: How often it is tried again; what was energised is read first, and only what is
            left of the step is run.
        wait_s: Time before each try, s; None: 10 s.
        then: What happens after the last try: the run ends in its safe state (None), or the rest
            of the step is skipped.
        rest_s: Or the cell rests for this time, off, and then the rest of the step is skipped, s.
    """

    retry: Annotated[int, Count("a number of tries", ge=1, le=1000)] | None = None
    wait_s: Annotated[float, Quantity("a time", "s", ge=0, le=1e6)] | None = None
    then: Annotated[Literal["safe_state", "skip"], Choice("what happens then", WORDS)] | None = None
    rest_s: Annotated[float, Quantity("a time", "s", gt=0, le=1e9)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _word(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        if data in _FORMS:
            raise problem(f"got '{data}' alone, expected its number", _FORMS[data])
        return {"then": Choice("what happens, or a mapping", WORDS).check(data)}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not self.model_dump_plain():
            what = "got nothing, expected retry, then or rest_s"
            raise problem(what, "write `skip`, `{rest_s: 600}` or `{retry: 3}`")
        if self.then is not None and self.rest_s is not None:
            what = f"got then: {self.then} and rest_s, expected one of them"
            raise problem(what, "rest_s means: rest, then skip what is left")
        if self.wait_s is not None and self.retry is None:
            what = "got wait_s without retry, expected both"
            raise problem(what, "add `retry: 3`, or write rest_s")
        return self

    def model_dump_plain(self) -> dict[str, Any]:
        """The keys that were given."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if value is not None}

    @model_serializer(mode="plain")
    def _write(self) -> Any:
        given = self.model_dump_plain()
        return given["then"] if set(given) == {"then"} else given

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the words beside the mapping."""
        words = {"enum": list(WORDS), "description": "What happens when the step fails."}
        return {"anyOf": [words, handler(core)]}
