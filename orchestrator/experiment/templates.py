"""The example files that ship with the program, to start from."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from orchestrator.errors import ExperimentError
from orchestrator.inputs.problems import name_remedy, printable

SUFFIX = ".yaml"

_SCHEMA_COMMENT = "# yaml-language-server: $schema="
_SCHEMA_IN_CHECKOUT = "../docs/reference/experiment.schema.json"


def example_folder() -> Path:
    """Folder of the examples: beside the packages in a checkout, else where pip put them.

    Raises:
        ExperimentError: They are in neither place.
    """
    checkout = Path(__file__).parents[2]
    installed = Path(sysconfig.get_path("data")) / "share" / "operando"
    for root in (checkout, installed):
        if (root / "examples" / f"in_situ_mri{SUFFIX}").is_file():
            return root / "examples"
    raise ExperimentError(
        "examples",
        f"expected them in {checkout} or {installed}, found none",
        remedy="install the program again",
    )


def example_names() -> list[str]:
    """Names of the examples, without suffix."""
    return sorted(path.stem for path in example_folder().glob(f"*{SUFFIX}"))


def example_path(name: str) -> Path:
    """The file of an example.

    Raises:
        ExperimentError: There is no such example.
    """
    names = example_names()
    if name not in names:
        raise ExperimentError(
            "examples",
            f"got '{printable(name)}', expected an example that ships with the program",
            remedy=name_remedy(name, names),
        )
    return example_folder() / f"{name}{SUFFIX}"


def example_text(name: str, schema: str) -> str:
    """An example's text, pointing editors to a JSON schema at `schema`."""
    text = example_path(name).read_text(encoding="utf-8")
    return text.replace(_SCHEMA_COMMENT + _SCHEMA_IN_CHECKOUT, _SCHEMA_COMMENT + schema)
