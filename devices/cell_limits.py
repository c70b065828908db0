"""Whether what is asked of a cell lies inside what is allowed there."""

from __future__ import annotations

from devices.errors import LimitError
from devices.roles import CellLimits, PotentiostatCapabilities, Sweep

_SIDES = (
    ("max_voltage_v", 1),
    ("min_voltage_v", -1),
    ("max_current_ma", 1),
    ("min_current_ma", -1),
)


def check_within(limits: CellLimits, allowed: CellLimits, *, who: str) -> None:
    """See that an experiment's limits lie inside the bench's.

    Raises:
        LimitError: They do not.
    """
    outside = [
        f"{name} {getattr(limits, name):g} (bench {getattr(allowed, name):g})"
        for name, sign in _SIDES
        if sign * (getattr(limits, name) - getattr(allowed, name)) > 0
    ]
    if outside:
        raise LimitError(
            who,
            f"the experiment's limits exceed the bench's: {', '.join(outside)}",
            remedy="lower the protocol's safety block or use another bench",
        )


def check_sweep(
    sweep: Sweep, limits: CellLimits, capabilities: PotentiostatCapabilities, *, who: str
) -> None:
    """See that an instrument can take a spectrum, and that its amplitude lies inside the limits.

    Raises:
        LimitError: It takes none, or not with these frequencies; or the amplitude is too large.
    """
    if capabilities.frequency_hz is None:
        raise LimitError(who, "takes no impedance spectra", remedy="use another potentiostat")
    low, high = capabilities.frequency_hz
    for hertz in (sweep.start_hz, sweep.end_hz):
        if not low <= hertz <= high:
            raise LimitError(
                who,
                f"got {hertz:g} Hz, expected {low:g} to {high:g} Hz",
                remedy="narrow the range of frequencies",
            )
    least, most, unit = (
        (limits.min_current_ma, limits.max_current_ma, "mA")
        if sweep.quantity == "current"
        else (limits.min_voltage_v, limits.max_voltage_v, "V")
    )
    if not least <= -sweep.amplitude <= sweep.amplitude <= most:
        raise LimitError(
            who,
            f"amplitude {sweep.amplitude:g} {unit}, limits {least:g} to {most:g} {unit}",
            remedy="lower the amplitude, or widen the protocol's safety block",
        )
