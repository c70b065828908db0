"""What to do, in what order: bluesky plans that name roles, never instruments.

Unlike those of the other packages these names are imported at once: `in_situ_mri` is a plan and
the module it lives in, and only a name bound after that module's import is always the plan.
"""

from plans.conditions import Condition, condition
from plans.environment import Environment
from plans.imaging import Capture
from plans.in_situ_mri import in_situ_mri
from plans.protocol import Cycling, run_protocol
from plans.runs import run_with_images

__all__ = [
    "Capture",
    "Condition",
    "Cycling",
    "Environment",
    "condition",
    "in_situ_mri",
    "run_protocol",
    "run_with_images",
]
