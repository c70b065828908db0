"""What a job was asked for with: SHA-256 of its files and of this software."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from orchestrator.experiment import load_campaign
from orchestrator.records.software import software_hash


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
