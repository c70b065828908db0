"""Simulated benches: the only package that knows the simulation.

A bench profile says of each device whether its resource is simulated (``sim://...``); this package
builds what answers there, around one sample, and the time in which it all happens. New samples go
into `samples.SAMPLES`, new simulated instruments into `instruments.INSTRUMENTS`.
"""

from orchestrator.laboratory.samples import DEFAULT_SAMPLE, Surroundings
from orchestrator.laboratory.serving import ServedLaboratory, over_tcp, serve_laboratory
from orchestrator.laboratory.simulated import Laboratory
from orchestrator.laboratory.timebase import TimeBase, time_base

__all__ = [
    "DEFAULT_SAMPLE",
    "Laboratory",
    "ServedLaboratory",
    "Surroundings",
    "TimeBase",
    "over_tcp",
    "serve_laboratory",
    "time_base",
]
