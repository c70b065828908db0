"""A plain aurora-unicycler protocol file in the place of `protocol`.

It is taken as aurora-unicycler 0.4 itself would read it: an empty text is nothing, a number may be
written as a text, a C-rate goes before a current, an end at 0 s is none, a loop without `loop_to`
goes back to the first step.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import Any

from orchestrator.inputs.problems import Finding, InvalidInput, Problem, described
from orchestrator.inputs.source import Source, is_readable_file, read_source, top_mapping

_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")
_TEXTS = ("step", "tag", "id", "loop_to")
"""Keys of a step whose texts are texts."""

_FIRST = (("rate_C", "current_mA"), ("until_rate_C", "until_current_mA"))
"""Where both are given, aurora-unicycler takes the first."""

_GROUPS = (
    ("rate_C", "current_mA"),
    ("until_time_s", "until_voltage_V", "until_rate_C", "until_current_mA"),
)
"""Keys of a step of which one that is 0 is as good as none, if another of the group is given."""

_BESIDE = "give a file in the experiment file's folder, or below it"


def graft_protocol(source: Source, folder: Path) -> list[Problem]:
    """Put the protocol file that a source names into its place.

    Args:
        source: An experiment file whose `protocol` is a text; changed in place.
        folder: Folder of the experiment file.

    Returns:
        What is wrong; then `source` is as it was.
    """
    name = source.data["protocol"]
    found = _name_findings(name, folder)
    if found:
        return [source.place(one) for one in found]
    path = folder / name
    try:
        other = read_source(path)
        data = top_mapping(other, "an aurora-unicycler protocol")
    except InvalidInput as error:
        if is_readable_file(path):
            return list(error.problems)
        first = error.problems[0].finding
        what = f"{described(name)} {first.what}"
        return [source.place(Finding(("protocol",), what, first.remedy))]
    data.pop("unicycler", None)  # the version that wrote the file
    given = data.pop("sample", None)
    capacity = given.get("capacity_mAh") if isinstance(given, dict) else None
    sample = source.data.get("sample")
    if capacity is not None and isinstance(sample, dict) and "capacity_mAh" not in sample:
        sample["capacity_mAh"] = _number(capacity)
        place = other.values[("sample", "capacity_mAh")]
        source.values[("sample", "capacity_mAh")] = place
        source.keys[("sample", "capacity_mAh")] = place
    _as_it_is_read(data)
    source.graft(("protocol",), other)
    return []


def _name_findings(name: str, folder: Path) -> list[Finding]:
    """Names that lead out of the folder, or to what is no file: a device or a pipe."""
    parts = PurePath(name)
    try:
        target = (folder / parts).resolve()
        inside = not parts.is_absolute() and target.is_relative_to(folder.resolve())
        odd = target.exists() and not target.is_file()
    except (OSError, ValueError, RuntimeError):
        return []  # no file has this name: reading says so
    if not inside:
        what = f"got {described(name)}, expected a file beside the experiment file"
        return [Finding(("protocol",), what, _BESIDE)]
    if odd:
        what = f"got {described(name)}, which is no file, expected an aurora-unicycler protocol"
        return [Finding(("protocol",), what, _BESIDE)]
    return []


def _as_it_is_read(data: dict[str, Any]) -> None:
    """Texts that are numbers, and what aurora-unicycler takes for nothing."""
    for key in ("record", "safety"):
        if isinstance(data.get(key), dict):
            data[key] = {k: _number(v) for k, v in data[key].items()}
    steps = data.get("method")
    for step in steps if isinstance(steps, list) else []:
        if isinstance(step, dict):
            _step_as_it_is_read(step)


def _step_as_it_is_read(step: dict[str, Any]) -> None:
    for key in step:
        if key not in _TEXTS:
            step[key] = _number(step[key])
    for key in [key for key in step if _is_nothing(step, key)]:
        del step[key]
    for first, second in _FIRST:
        if first in step:
            step.pop(second, None)
    if step.get("step") == "loop":
        step.setdefault("loop_to", 1)


def _is_nothing(step: dict[str, Any], key: str) -> bool:
    """Whether aurora-unicycler takes a value for none; an end at 0 V is one for us."""
    if step[key] is None or step[key] != 0 or key == "until_voltage_V":
        return step[key] is None
    return any(key in group and any(step.get(one) for one in group) for group in _GROUPS)


def _number(value: Any) -> Any:
    """A number that is written as a text; None for an empty text."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    return float(value) if len(value) < 64 and _NUMBER.fullmatch(value) else value
