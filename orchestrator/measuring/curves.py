"""Spectra, records and line scans of one file each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.analysis.current_steps import critical_current_of_steps, current_steps
from orchestrator.analysis.impedance import fit_two_arc
from orchestrator.analysis.kramers_kronig import kramers_kronig
from orchestrator.analysis.magnesium import LineProfile, interface_enrichment
from orchestrator.analysis.overpotential import overpotential_onset
from orchestrator.analysis.shorts import run_away
from orchestrator.files import read_profile, read_records, read_spectrum
from orchestrator.measuring.plain import about, number, plain, worst


def measure_impedance(
    path: str | Path, *, area_cm2: float, electrolyte_ohm_cm2: float, negated: bool = False
) -> dict[str, Any]:
    """Resistances of bulk and interface from a spectrum, unless it is that of a short.

    Args:
        path: Delimited text with frequency, real and imaginary part.
        area_cm2: Electrode area, cm2.
        electrolyte_ohm_cm2: Thickness over ionic conductivity of the electrolyte, ohm cm2.
        negated: Whether the imaginary column is -Im Z although its title does not say so.

    Raises:
        DataFileError: The file cannot be used.
    """
    spectrum = read_spectrum(path, negated=negated)
    hertz, ohm = spectrum.frequency_hz, spectrum.impedance_ohm
    with about(spectrum.path):
        test = kramers_kronig(hertz, ohm)
        fit = fit_two_arc(hertz, ohm, area_cm2=area_cm2, electrolyte_ohm_cm2=electrolyte_ohm_cm2)
    lowest = area_cm2 * np.abs(ohm[np.argsort(hertz)][:5])
    arcs = {
        f"{name}_ohm_cm2": number(arc.ohm_cm2, arc.error_ohm_cm2, fit.quality)
        for name, arc in (("bulk", fit.bulk), ("interface", fit.interface))
    }
    return {
        "kind": "impedance",
        "files": [str(spectrum.path)],
        "simulated": spectrum.simulated,
        "notes": list(spectrum.notes),
        "points": len(hertz),
        "state": fit.state,
        **arcs,
        "bulk": plain(fit.bulk),
        "interface": plain(fit.interface),
        "inductance_h": number(
            fit.inductance_h, fit.inductance_h * float(fit.log_covariance[6, 6]) ** 0.5, fit.quality
        ),
        "low_frequency_ohm_cm2": number(fit.low_frequency_ohm_cm2, 0.5 * float(np.ptp(lowest))),
        "residual": plain(fit.residual),
        "kramers_kronig": {
            "passed": test.passed,
            "elements": test.elements,
            "rms": test.rms,
            "systematic": test.systematic,
            "quality": test.quality,
        },
        "quality": fit.quality if test.passed else worst([fit.quality, test.quality]),
    }


def measure_records(
    path: str | Path, *, area_cm2: float, rest_v: float | None = None
) -> dict[str, Any]:
    """Steps of constant current, run-away, critical current and, with a rest voltage, onset.

    With a rest voltage all voltages in the result are overpotentials, the record minus it.

    Args:
        path: Delimited text with time, voltage and current.
        area_cm2: Electrode area, cm2.
        rest_v: Voltage at rest, V: then the onset of the overpotential is looked for too.

    Raises:
        DataFileError: The file cannot be used.
    """
    records = read_records(path)
    over_v = records.voltage_v - (rest_v or 0.0)
    rows = (records.time_s, over_v, records.current_ma)
    with about(records.path):
        steps = current_steps(*rows, area_cm2=area_cm2)
        found = run_away(*rows)
        critical = critical_current_of_steps(steps) if steps else None
        onset = None
        if rest_v is not None:
            passed = np.abs(records.current_ma) / area_cm2 / 3600.0
            charge = np.concatenate(
                [[0.0], np.cumsum(0.5 * (passed[1:] + passed[:-1]) * np.diff(records.time_s))]
            )
            on = np.abs(records.current_ma) > 0.5 * np.abs(records.current_ma).max()
            onset = overpotential_onset(charge[on], over_v[on])
    return {
        "kind": "records",
        "files": [str(records.path)],
        "simulated": records.simulated,
        "notes": list(records.notes),
        "rows": len(records.time_s),
        "steps": [{**plain(step), "failed": step.failed} for step in steps],
        "critical_current": plain(critical),
        "run_away": plain(found),
        "onset": plain(onset),
        "quality": worst([step.quality for step in steps]) if steps else "no current flows",
    }


def measure_magnesium(
    path: str | Path, *, near_um: float, reference_um: tuple[float, float]
) -> dict[str, Any]:
    """Mean magnesium and enrichment at the interface from a line scan.

    Without a column of errors the values are counts, and their errors those of counting.

    Args:
        path: Delimited text with depth from the interface and magnesium.
        near_um: Depth that counts as near the interface, um.
        reference_um: Range of depths that stripping leaves alone, um.

    Raises:
        DataFileError: The file cannot be used.
    """
    scan = read_profile(path)
    order = np.argsort(scan.depth_um, kind="stable")
    with about(scan.path):
        if scan.errors is None:
            profile = LineProfile.of_counts(scan.depth_um[order], scan.values[order])
        else:
            profile = LineProfile(scan.depth_um[order], scan.values[order], scan.errors[order])
        found = interface_enrichment(profile, near_um=near_um, reference_um=reference_um)
        mean = profile.mean()
    notes = list(scan.notes)
    if scan.errors is None:
        notes.append("no column of errors: values are taken as counts, errors as sqrt(counts)")
    return {
        "kind": "magnesium",
        "files": [str(scan.path)],
        "simulated": scan.simulated,
        "notes": notes,
        "points": len(scan.depth_um),
        "mean": plain(mean),
        "mean_near": plain(profile.mean(last_um=near_um)),
        "mean_reference": plain(profile.mean(*reference_um)),
        "enrichment": plain(found),
        "quality": found.quality,
    }
