"""Simulated benches: the only package that knows the simulation.

A bench profile says of each device whether its resource is simulated (``sim://...``); this package
builds what answers there, around one sample, and the time in which it all happens. New samples go
into `samples.SAMPLES`, new simulated instruments into `instruments.INSTRUMENTS`.
"""

from orchestrator.laboratory.address import LaboratoryAddress, read_address, readdressed
from orchestrator.laboratory.attached import AttachedLaboratory, attach, laboratory_of
from orchestrator.laboratory.instruments import INSTRUMENTS
from orchestrator.laboratory.samples import (
    DEFAULT_SAMPLE,
    LINEAR_CELL,
    MICROSCOPE_SAMPLE,
    Surroundings,
    sample_area_cm2,
)
from orchestrator.laboratory.serving import ServedLaboratory, over_tcp, serve_laboratory
from orchestrator.laboratory.simulated import Laboratory, simulated_resource
from orchestrator.laboratory.timebase import TimeBase, time_base

SIMULATED_DRIVERS = frozenset(INSTRUMENTS)
"""Drivers to which a simulated instrument answers."""

__all__ = [
    "DEFAULT_SAMPLE",
    "LINEAR_CELL",
    "MICROSCOPE_SAMPLE",
    "SIMULATED_DRIVERS",
    "AttachedLaboratory",
    "Laboratory",
    "LaboratoryAddress",
    "ServedLaboratory",
    "Surroundings",
    "TimeBase",
    "attach",
    "laboratory_of",
    "over_tcp",
    "read_address",
    "readdressed",
    "sample_area_cm2",
    "serve_laboratory",
    "simulated_resource",
    "time_base",
]
