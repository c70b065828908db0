"""The named plans as the tests call them: as their example file says, and cut short."""

from __future__ import annotations

from typing import Any

from devices.roles import CellLimits

SMALL = {"area_cm2": 0.1257, "limits": CellLimits(-5, 5, -1, 1), "max_capacity_mah": 10}
LLZTO = {"area_cm2": 0.0314, "limits": CellLimits(-5, 5, -0.1, 0.1)}
OPERANDO = {"area_cm2": 0.09, "limits": CellLimits(-2, 2, -0.2, 0.2)}
FULL_CELL = {"area_cm2": 1.267, "limits": CellLimits(2.0, 4.4, -3, 3), "max_capacity_mah": 4}

AS_IN_THE_EXAMPLE: dict[str, dict[str, Any]] = {
    "cycle": {**SMALL, "cycles": 41},
    "in_situ_mri": SMALL,
    "mri_3d": SMALL,
    "tracer_exchange": {
        **SMALL,
        "area_cm2": 0.6044,
        "every_mah_per_cm2": 2.33,
        "until_mah_per_cm2": 28.04,
    },
    "operando_sem": {
        **OPERANDO,
        "max_capacity_mah": 0.3,
        "charge_mah_per_cm2": 1.5,
        "until_voltage_v": 0.5,
    },
    "strip_and_plate": {
        **OPERANDO,
        "limits": CellLimits(-5, 5, -0.2, 0.2),
        "max_capacity_mah": 0.5,
        "strip_mah_per_cm2": 1.25,
        "plate_mah_per_cm2": 1.5,
    },
    "critical_current": {
        **LLZTO,
        "limits": CellLimits(-5, 5, -0.5, 0.5),
        "max_capacity_mah": 0.2,
        "currents_ma_per_cm2": [5],
    },
    "geis_plating": {
        **LLZTO,
        "max_capacity_mah": 0.2,
        "charge_mah_per_cm2": 2.0,
        "every_s": 240,
    },
    "impedance_sweep": {**LLZTO, "max_capacity_mah": 0.1, "charges_mah_per_cm2": [0.02]},
    "electronic_conductivity": {
        "area_cm2": 0.031416,
        "limits": CellLimits(-1.5, 1.5, -0.001, 0.001),
        "max_capacity_mah": 0.01,
        "voltage_v": 1,
        "hold_s": 3600,
    },
    "iv_curve": {
        **LLZTO,
        "limits": CellLimits(-5, 5, -0.2, 0.2),
        "max_capacity_mah": 0.2,
        "span_v": 0.02,
        "scan_rate_mv_per_s": 1,
        "plate_mah_per_cm2": 1.25,
    },
    "ebic_map": {
        "area_cm2": 0.031416,
        "limits": CellLimits(-1, 1, -0.2, 0.2),
        "max_capacity_mah": 0.01,
        "currents_ma": [-0.1, -0.05, 0.05, 0.1],
    },
    "full_cell_cycling": {**FULL_CELL, "cycles": 30},
    "rate_test": {**FULL_CELL, "capacity_mah": 2.534},
}
"""Arguments with which each plan is its example file."""

PRESSURE_SERIES: dict[str, Any] = {
    "area_cm2": 1.267,
    "limits": CellLimits(-4, 4, -10, 10),
    "max_capacity_mah": 10,
    "pressures_mpa": [0.2, 1, 1.5, 7],
}
"""The same for the one plan that is a campaign: a run for each pressure."""

_MRI = {"tr_s": 0.05, "averages": 4, "matrix": [81, 52], "fov_mm": [17, 11]}  # 10.4 s a frame
_VOLUME = {
    "method": "gradient_echo_3d",
    "tr_s": 0.05,
    "averages": 1,
    "matrix": [10, 10, 20],
    "fov_mm": [10, 10, 3.2],
}  # 10 s a volume
_NMR = {
    "method": "single_pulse",
    "scans": [4, 4],
    "recycle_delay_s": [1, 1],
    "mas_khz": [14, 13],
    "points": 64,
}  # 8 s a pair
_SEM = {"method": "image", "resolution_px": [64, 32], "hfw_um": 160, "dwell_time_s": 1e-3}
_EBIC = {**_SEM, "channels": ["SE", "EBIC"], "ebic_time_constant_s": 1e-6}
_REVERSAL = {"half_cycle_s": 30, "idle_s": 10, "record_s": 5}
_Q = 0.5 * 30 / 3600  # what 0.5 mA/cm2 pass in 30 s, mAh/cm2

SHORT: dict[str, dict[str, Any]] = {
    "cycle": {"cycles": 2, **_REVERSAL},
    "in_situ_mri": {"cycles": 1, "settings": _MRI, **_REVERSAL},
    "mri_3d": {"cycles": 1, "settings": _VOLUME, "rest_s": 15, **_REVERSAL},
    "tracer_exchange": {
        "cycles": 1,
        "settings": _NMR,
        "every_mah_per_cm2": 0.1 * 24 / 3600,
        **_REVERSAL,
    },
    "operando_sem": {
        "charge_mah_per_cm2": 2 * _Q,
        "every_mah_per_cm2": 0.8 * _Q,
        "rest_s": 10,
        "settings": _SEM,
    },
    "strip_and_plate": {
        "strip_mah_per_cm2": _Q,
        "plate_mah_per_cm2": _Q,
        "every_mah_per_cm2": 0.8 * _Q,
        "rest_s": 10,
        "settings": _SEM,
    },
    "pressure_series": {
        **PRESSURE_SERIES,
        "pressures_mpa": [0.2, 1],
        "charge_mah_per_cm2": _Q,
        "rest_s": 10,
        "pause_between": False,
    },
    "critical_current": {
        "currents_ma_per_cm2": [0.5, 1.0],
        "charge_mah_per_cm2": _Q,
        "rest_s": 10,
        "at": ["start", "step_end", "end"],
        "settings": _SEM,
    },
    "geis_plating": {"charge_mah_per_cm2": 2 * _Q, "every_s": 25, "end_frequency_hz": 10},
    "impedance_sweep": {"charges_mah_per_cm2": [_Q], "rest_s": 10},
    "electronic_conductivity": {"hold_s": 60},
    "iv_curve": {"plate_mah_per_cm2": _Q, "rest_s": 10},
    "ebic_map": {"settings": _EBIC},
    "full_cell_cycling": {
        "cycles": 2,
        "longest_half_cycle_s": 30,
        "record_s": 5,
        "discharge_to_v": 2.1,  # not reached: the same charge every time
    },
    "rate_test": {"rates_per_h": [1.0], "capacity_mah": 2.534 / 240, "record_s": 60},
}
"""What is short where a plan is run: a minute or two, with every kind of message of the plan."""


def short(name: str) -> dict[str, Any]:
    """Arguments of a short run of a plan."""
    return {**AS_IN_THE_EXAMPLE.get(name, {}), **SHORT[name]}
