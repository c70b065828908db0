"""The experiment file: models, loading with file:line:column errors, lowering."""

from orchestrator.experiment.campaign import Campaign, Point
from orchestrator.experiment.loading import (
    bench_of,
    load_campaign,
    load_experiment,
    place_findings,
    read_campaign,
    read_experiment,
)
from orchestrator.experiment.model import Experiment

__all__ = [
    "Campaign",
    "Experiment",
    "Point",
    "bench_of",
    "load_campaign",
    "load_experiment",
    "place_findings",
    "read_campaign",
    "read_experiment",
]
