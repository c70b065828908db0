"""What to do, in what order: bluesky plans that name roles, never instruments.

Unlike those of the other packages these names are imported at once: `in_situ_mri` is a plan and
the module it lives in, and only a name bound after that module's import is always the plan.
"""

from devices.roles import CellLimits
from plans.battery import full_cell_cycling, rate_test
from plans.cell import Cell
from plans.conditions import Condition, condition
from plans.environment import Environment
from plans.errors import PlanError
from plans.imaging import Capture
from plans.in_situ_mri import in_situ_mri
from plans.magnet import mri_3d, tracer_exchange
from plans.microscope import ebic_map, operando_sem, strip_and_plate
from plans.named import named
from plans.pellets import critical_current, iv_curve
from plans.pressure import pressure_series
from plans.protocol import Cycling, StepPolicy, run_protocol
from plans.reversal import cycle
from plans.runs import run_with_images
from plans.spectra import electronic_conductivity, geis_plating, impedance_sweep
from plans.steps import FrameStep, PressureStep, TemperatureStep, VoltageCheck
from plans.waiting import wait_until

PLANS = {
    plan.__name__: plan
    for plan in (
        *(cycle, in_situ_mri, mri_3d, tracer_exchange, operando_sem, strip_and_plate),
        *(pressure_series, critical_current, geis_plating, impedance_sweep),
        *(electronic_conductivity, iv_curve, ebic_map, full_cell_cycling, rate_test),
    )
}
"""The named plans, each with an example file of its name."""

__all__ = [
    "PLANS",
    "Capture",
    "Cell",
    "CellLimits",
    "Condition",
    "Cycling",
    "Environment",
    "FrameStep",
    "PlanError",
    "PressureStep",
    "StepPolicy",
    "TemperatureStep",
    "VoltageCheck",
    "condition",
    "critical_current",
    "cycle",
    "ebic_map",
    "electronic_conductivity",
    "full_cell_cycling",
    "geis_plating",
    "impedance_sweep",
    "in_situ_mri",
    "iv_curve",
    "mri_3d",
    "named",
    "operando_sem",
    "pressure_series",
    "rate_test",
    "run_protocol",
    "run_with_images",
    "strip_and_plate",
    "tracer_exchange",
    "wait_until",
]


def __dir__() -> list[str]:
    """For completion at the prompt: plans and their pieces, not the modules they live in."""
    return sorted(__all__)
