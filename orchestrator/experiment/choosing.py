"""Which step a mapping means: the one that its key `step` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidatorFunctionWrapHandler

from orchestrator.experiment.steps import Step
from orchestrator.inputs.fields import at, problem
from orchestrator.inputs.problems import described, listed, name_remedy


def step_tag(value: Any) -> str:
    """Tag of the union's branch."""
    name = value.get("step") if isinstance(value, dict) else getattr(value, "step", "")
    return f"step:{name}"


def known_step(
    steps: Mapping[str, type[Step]], elsewhere: Mapping[str, str] | None = None
) -> Callable[[Any, ValidatorFunctionWrapHandler], Any]:
    """Refuses what is no step of a list, with the nearest name.

    Args:
        steps: The steps that there may be, by name.
        elsewhere: What to do about steps that belong somewhere else, by name.
    """

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, Step):
            return handler(value)
        if not isinstance(value, dict):
            example = f"{{step: {next(iter(steps))}, ...}}"
            what = f"got {described(value)}, expected a step such as {example}"
            raise problem(what, "write each step as a mapping with the key `step`")
        name = value.get("step")
        if isinstance(name, str) and name in steps:
            return handler(value)
        if name is None:
            what, remedy = f"is missing, expected {listed(steps)}", "add `step: ...`"
        else:
            what = f"got {described(name)}, expected a step"
            remedy = (elsewhere or {}).get(str(name)) or name_remedy(str(name), steps)
        raise at(("step",), problem(what, remedy))

    return check
