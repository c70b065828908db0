"""The experiment file: models, loading with file:line:column errors, lowering."""

from orchestrator.experiment.loading import bench_of, load_experiment, read_experiment
from orchestrator.experiment.model import Experiment

__all__ = ["Experiment", "bench_of", "load_experiment", "read_experiment"]
