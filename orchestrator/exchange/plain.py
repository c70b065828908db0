"""An experiment's protocol as aurora-unicycler's, as close as it can be: C-rates stay C-rates."""

from __future__ import annotations

import aurora_unicycler as unicycler

from orchestrator.experiment import Experiment
from orchestrator.experiment.lowering import lower_step

WORDS = frozenset(
    {
        "tag",
        "loop",
        "open_circuit_voltage",
        "constant_current",
        "constant_voltage",
        "voltage_scan",
        "impedance_spectroscopy",
    }
)
"""Steps that aurora-unicycler has; every other is ours."""


def plain_protocol(experiment: Experiment) -> unicycler.CyclingProtocol:
    """The protocol with every step at its index.

    A step that aurora-unicycler does not have is the rest at open circuit that it is for the cell.

    Args:
        experiment: The validated file.
    """
    protocol, sample = experiment.protocol, experiment.sample
    return unicycler.CyclingProtocol(
        sample={"name": sample.name, "capacity_mAh": sample.capacity_mAh},
        record=protocol.record.model_dump(),
        safety=protocol.safety.model_dump(),
        method=[_with_rate(step, lower_step(step, sample)) for step in protocol.method],
    )


def _with_rate(ours: object, step: unicycler.Step) -> unicycler.Step:
    """The step with the C-rate that was written, where one was."""
    for rate, current in (("rate_C", "current_mA"), ("until_rate_C", "until_current_mA")):
        value = getattr(ours, rate, None)
        if value is not None:
            # aurora-unicycler keeps the sign out of an end of a constant voltage
            value = abs(value) if rate == "until_rate_C" else value
            return step.model_copy(update={rate: value, current: None})
    return step
