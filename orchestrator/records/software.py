"""Which software made a record: the versions that it names, and a hash of all of ours."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

PACKAGES = (
    "operando-orchestrator",
    "aurora-unicycler",
    "bluesky",
    "databroker",
    "numpy",
    "ophyd",
    "pymeasure",
    "pyvisa",
    "tiled",
)
"""Distributions whose versions every start document names."""

_OURS = ("devices", "orchestrator", "plans", "sim")


def versions() -> dict[str, str]:
    """Versions of Python and of what a run's records depend on."""
    return {"python": platform.python_version()} | {
        name.replace("-", "_"): version(name) for name in PACKAGES
    }


@cache
def software_hash() -> str:
    """Hash of every module of ours and of the versions that a run's records name."""
    digest = hashlib.sha256(repr(sorted(versions().items())).encode())
    for package in _OURS:
        spec = find_spec(package)
        root = Path(str(spec.origin)).parent if spec is not None else Path()
        for file in sorted(root.rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
