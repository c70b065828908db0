"""What a job was asked for with: SHA-256 of its files and of this software."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from orchestrator.experiment import load_campaign
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


def differences(asked: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Names of what is not as it was when the job was asked for."""
    return sorted(name for name in asked if found.get(name) != asked[name])


def hashes_of(experiment: str | Path, bench: str | Path | None) -> dict[str, str]:
    """What an experiment file, its bench and this software are now.

    Raises:
        ExperimentError: The file cannot be run on that bench.
        ProfileError: The profile cannot be used.
    """
    campaign = load_campaign(experiment, bench=bench)
    points = "".join(point.experiment.experiment_hash for point in campaign.points)
    profile = campaign.profile
    return {
        "experiment": hashlib.sha256(points.encode()).hexdigest(),
        "profile": "" if profile is None else profile.profile_hash,
        "software": software_hash(),
    }
