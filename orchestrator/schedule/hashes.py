"""What a job was asked for with: SHA-256 of its files and of this software."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from orchestrator.running import versions

_PACKAGES = ("devices", "orchestrator", "plans", "sim")


@cache
def software_hash() -> str:
    """Hash of every module of ours and of the versions that a run's records name."""
    digest = hashlib.sha256(repr(sorted(versions().items())).encode())
    for package in _PACKAGES:
        spec = find_spec(package)
        root = Path(str(spec.origin)).parent if spec is not None else Path()
        for file in sorted(root.rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def differences(asked: dict[str, str], found: dict[str, str]) -> list[str]:
    """Names of what is not as it was when the job was asked for."""
    return sorted(name for name in asked if found.get(name) != asked[name])
