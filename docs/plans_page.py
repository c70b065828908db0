"""Writes docs/reference/plans.md from the docstrings of the named plans.

python docs/plans_page.py
"""

import inspect
import re
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import plans
from plans.arguments import Bound

PAGE = Path(__file__).parent / "reference" / "plans.md"

COMMON = (
    "potentiostat",
    "area_cm2",
    "limits",
    "max_capacity_mah",
    "record_s",
    "stop_when",
    "environment",
    "md",
)

DEVICES = {"potentiostat": "pstat", "mri": "mri", "sem": "sem"}

HEAD = """# Plans

<!-- Written by docs/plans_page.py from the docstrings; a test compares. -->

Each experiment of the three papers is a function in `plans`, and at the same time the experiment
file of the same name in `examples`: both give the engine the same messages, and a test asserts it.
The full description of a plan is its docstring: `help(plans.in_situ_mri)`, or
`plans.in_situ_mri?` at the prompt. To compose your own from the same pieces, see
[write a plan](../how-to/write-a-plan.md).

```python
import plans
from orchestrator import open_bench

limits = plans.CellLimits(
    min_voltage_v=-5, max_voltage_v=5, min_current_ma=-0.1, max_current_ma=0.1
)
sample = {"model": "llzto_pellet", "preset": "lithiophobic"}
cell = {"area_cm2": 0.0314, "limits": limits, "max_capacity_mah": 0.1}
with open_bench("sim-eis", data="operando-data", sample=sample) as bench:
    plan = plans.impedance_sweep(bench.pstat, **cell, charges_mah_per_cm2=[0.02])
    print(bench.RE(plan).plan_result)
```

Of every plan:

- Arguments are checked before its first message: `PlanError` (a `ValueError`) or `LimitError` says
  who, what and the remedy, and nothing was touched. A step outside the limits is refused then too.
- Limits have no default: give all four of `limits`, and `max_capacity_mah`. Other defaults are
  those of the paper that the plan names.
- Arguments are JSON but for the devices: `limits` may be a mapping with the four keys. They stand
  in the start document as `plan_args`, with `plan_name`.
- `stop_when` takes conditions on the cell's records by their [names](conditions.md), and any other
  [condition](../how-to/stop-or-image-on-what-you-see.md) made for this run:
  `condition("contact_loss_above", derive(sem)["contact_loss"], value=0.9)`.
- It may be paused at any message, and repeats neither charge nor a frame; it is never rewound.
- However it ends, the cell is off.
- It returns the stop reason: `completed`, `limit`, or the name of the condition that was met;
  `pressure_series` a list of them. `RE(...).plan_result` has it.

## Arguments of every plan

"""


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page."""
    head = HEAD + table(plans.cycle, COMMON, own=("record_s", "stop_when"))
    return "\n".join([head, *(section(plan) for plan in plans.PLANS.values())])


def section(plan) -> str:
    """One plan: summary, source, call, own arguments."""
    text = inspect.getdoc(plan)
    summary, about = text.split("\n\n")[:2]
    own = [name for name in inspect.signature(plan).parameters if name not in COMMON]
    parameters = inspect.signature(plan).parameters
    record, stops = parameters["record_s"].default, parameters["stop_when"].default
    ends = f"; ends at {shown(stops)}" if stops else ""
    lines = [
        f"## {plan.__name__}\n",
        f"{summary} {' '.join(about.split())} Records every {record:g} s{ends}.\n",
        f"```python\n{call(plan)}\n```\n",
    ]
    return "\n".join(lines) + "\n" + table(plan, own)


def call(plan) -> str:
    """The plan with every argument that it needs."""
    given = []
    for name, one in inspect.signature(plan).parameters.items():
        if name in DEVICES:
            given.append(DEVICES[name])
        elif one.default is one.empty:
            given.append(f"{name}=...")
    line = f"RE(plans.{plan.__name__}({', '.join(given)}))"
    if len(line) <= 98:
        return line
    arguments = "".join(f"        {one},\n" for one in given)
    return f"RE(\n    plans.{plan.__name__}(\n{arguments}    )\n)"


def table(plan, names, own=()) -> str:
    """Arguments with default, what they may be, and meaning; `own` has the plan's own defaults."""
    meanings = described(plan)
    hints = get_type_hints(plan, include_extras=True)
    rows = ["| argument | default | may be | meaning |", "|---|---|---|---|"]
    for name in names:
        one = inspect.signature(plan).parameters[name]
        default = "required" if one.default is one.empty else shown(one.default)
        default = "see the plan" if name in own else default
        rows.append(f"| `{name}` | {default} | {may_be(hints[name])} | {meanings[name]} |")
    return "\n".join(rows) + "\n"


def described(plan) -> dict[str, str]:
    """Arguments and what the docstring says of them."""
    found = re.search(r"\nArgs:\n(.*?)\n\n", inspect.getdoc(plan) + "\n\n", re.DOTALL)
    entries = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", found[1], re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def shown(default) -> str:
    """A default as a reader would write it."""
    if default is None or default == ():
        return "none"
    if isinstance(default, tuple):
        return ", ".join(map(shown, default))
    if isinstance(default, dict):
        return f"`{constant(default)}`"
    if isinstance(default, bool):
        return str(default)
    return f"{default:g}" if isinstance(default, float | int) else f"`{default}`"


def constant(value) -> str:
    """Name of the constant that a default is."""
    modules = [module for name, module in sys.modules.items() if name.startswith("plans.")]
    return next(
        f"{module.__name__}.{name}"
        for module in modules
        for name, one in vars(module).items()
        if one is value and name.isupper()
    )


def may_be(hint) -> str:
    """What an annotation says, in words."""
    bound = next((one for one in get_args(hint) if isinstance(one, Bound)), None)
    if bound is not None:
        return bound.words
    if hint == plans.arguments.Limits:
        return "`CellLimits`, or a mapping"
    inner = [one for one in get_args(hint) if one is not type(None)]
    if len(inner) == 1 and len(get_args(hint)) == 2:
        return may_be(inner[0])
    if str(hint).startswith("collections.abc.Sequence"):
        return f"a list, each {may_be(inner[0])}"
    if hint == plans.arguments.Stop:
        return "a name, or `{name: value}`, or a `Condition`"
    if str(hint).startswith(("collections.abc.Mapping", "dict")):
        return "a mapping"
    if str(hint).startswith("typing.Literal"):
        return "a moment"
    return {bool: "true or false"}.get(hint, f"`{getattr(hint, '__name__', hint)}`")


if __name__ == "__main__":
    main()
