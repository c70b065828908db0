"""Faults as people write them, turned into those of the simulation and put into place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import ProfileError
from orchestrator.experiment.fault_kinds import FAULTS
from orchestrator.experiment.faults import Fault
from sim.errors import SimulationError
from sim.faults.cell import CellFault
from sim.faults.faulty_sample import FaultySample
from sim.faults.upsets import Upset, Upsettable
from sim.wire.faults import Fault as WireFault
from sim.wire.faults import FaultyInstrument

_VALUES: Mapping[str, type[Any]] = {
    "wire": WireFault,
    "cell": CellFault,
    "imager": Upset,
    "meter": Upset,
}


def simulated_fault(fault: Fault) -> WireFault | CellFault | Upset:
    """The value that the simulation has for a fault."""
    make = _VALUES[FAULTS[fault.kind].where]
    end_s = math.inf if fault.end_s is None else fault.end_s
    made: WireFault | CellFault | Upset = make(fault.kind, fault.start_s, end_s, **fault.options)
    return made


def put(fault: Fault, sample: FaultySample, wire: FaultyInstrument | None, instrument: Any) -> None:
    """Let a fault happen.

    Args:
        fault: The fault.
        sample: The cell.
        wire: What carries the instrument's bytes; None for a fault of the cell.
        instrument: The instrument behind it.

    Raises:
        ProfileError: The instrument cannot have it, or it would change the past.
    """
    value = simulated_fault(fault)
    if isinstance(value, CellFault):
        try:
            sample.add(value)
        except SimulationError as error:
            raise ProfileError(f"fault {fault}", str(error), remedy="let it begin later") from None
    elif isinstance(value, WireFault) and wire is not None:
        wire.add(value)
    elif isinstance(value, Upset):
        if not isinstance(instrument, Upsettable) or value.kind not in instrument.upset_kinds:
            raise ProfileError(
                f"fault {fault}",
                f"{fault.device} cannot have the fault {fault.kind}",
                remedy=f"{fault.kind}: {FAULTS[fault.kind].text}",
            )
        instrument.upsets.add(value)
