"""BattINFO JSON-LD of a protocol."""

from __future__ import annotations

import json
from typing import Any

import aurora_unicycler as unicycler


def written(protocol: unicycler.CyclingProtocol) -> str:
    """The protocol as the task of a BattINFO test, JSON-LD.

    aurora-unicycler 0.4.6 repeats the body of a loop once more after it if the loop goes back to
    the very first step (`_group_iterative_tasks` takes index 0 for none). A step is put before
    all others and taken away again.
    """
    first = unicycler.OpenCircuitVoltage(until_time_s=1.0)
    method = [first, *(_shifted(step) for step in protocol.method)]
    document = protocol.model_copy(update={"method": method}).to_battinfo_jsonld()
    context = {"@context": document["@context"]}
    task: dict[str, Any] = document["hasNext"]
    return json.dumps({**context, **task}, indent=2, ensure_ascii=False) + "\n"


def _shifted(step: unicycler.Step) -> unicycler.Step:
    """A step that follows one more than before."""
    if isinstance(step, unicycler.Loop) and isinstance(step.loop_to, int):
        return step.model_copy(update={"loop_to": step.loop_to + 1})
    return step
