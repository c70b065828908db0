"""JSON schemas of the files that people write, for editors and for other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from orchestrator.alerts.model import Alerts
from orchestrator.experiment.campaign import OwnKeys
from orchestrator.experiment.model import Experiment
from orchestrator.experiment.reference_schema import with_references
from orchestrator.profile.models import BenchProfile

_FAULT = "^[a-z_]+:[^:]+:[^:]+:[^:]+(:.+)?$"
"""A fault as one text."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def experiment_schema() -> dict[str, Any]:
    """JSON schema of an experiment file, 2020-12."""
    schema = _schema(Experiment, "An experiment file")
    protocol = schema["properties"]["protocol"]
    schema["properties"]["protocol"] = {
        "description": "What the potentiostat does; or the name of an aurora-unicycler JSON file.",
        "anyOf": [{"$ref": protocol["$ref"]}, {"type": "string", "minLength": 1}],
    }
    faults = schema["$defs"]["SimulateAs"]["properties"]["faults"]
    faults["items"] = {"anyOf": [faults["items"], {"type": "string", "pattern": _FAULT}]}
    schema = with_references(schema)
    own = _plain(OwnKeys.model_json_schema(mode="validation"))
    schema["properties"] |= own["properties"]
    schema["$defs"] |= own["$defs"]
    return schema


def profile_schema() -> dict[str, Any]:
    """JSON schema of a bench profile, 2020-12."""
    return _schema(BenchProfile, "A bench profile")


def alerts_schema() -> dict[str, Any]:
    """JSON schema of a file of alerts, 2020-12."""
    return _schema(Alerts, "A file of alerts")


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "experiment": experiment_schema,
    "bench-profile": profile_schema,
    "alerts": alerts_schema,
}
"""Every schema by the name of its file, ``NAME.schema.json``."""


def schema_text(name: str) -> str:
    """A schema as it is kept in a file."""
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    found = _plain(model.model_json_schema(mode="validation"))
    return {"$schema": DIALECT, "title": title, **found}


def _plain(schema: Any) -> Any:
    """A schema without pydantic's titles, and with the first sentence of each description."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            plain[key] = {name: _plain(inner) for name, inner in value.items()}
        elif key == "description":
            plain[key] = value.split("\n\n")[0].replace("\n", " ")
        elif key not in ("title", "default", "enum", "const", "examples"):
            plain[key] = _plain(value)
        elif key != "title":
            plain[key] = value
    return plain
