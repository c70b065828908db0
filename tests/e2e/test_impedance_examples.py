"""Impedance through the installed command: examples run, and their spectra give the cell back."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from orchestrator.analysis.impedance import classify, fit_two_arc
from orchestrator.analysis.transport import ohmic_resistance_ohm
from orchestrator.records.runs import find_run, load_run
from orchestrator.records.store import open_store
from tests.command import EXAMPLES, only_object, operando

AREA_CM2 = np.pi * 0.1**2
"""Disc of 2 mm diameter of the simulated pellet; the file's 0.0314 cm2 is rounded."""

ELECTROLYTE_OHM_CM2 = 120.0


class Ran:
    """One example after its run."""

    def __init__(self, name: str, folder: Path) -> None:
        self.data = folder / "data"
        done = operando(
            "run", EXAMPLES / f"{name}.yaml", "--json", "--data", "data",
            cwd=folder, timeout_s=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.result = only_object(done.stdout)
        self.streams = load_run(find_run(self.data, self.result["uid"])).streams

    def spectra(self):
        """Frequencies, impedances and charges of each spectrum, in order."""
        eis = self.streams["eis"]
        for number in range(eis["pstat_eis_spectrum"].max() + 1):
            rows = eis["pstat_eis_spectrum"] == number
            z_ohm = eis["pstat_eis_z_real_ohm"][rows] + 1j * eis["pstat_eis_z_imag_ohm"][rows]
            charge_mah_per_cm2 = eis["pstat_eis_charge_mah"][rows] / AREA_CM2
            yield eis["pstat_eis_frequency_hz"][rows], z_ohm, charge_mah_per_cm2


def interface_ohm_cm2(charge_mah_per_cm2):
    """What the pellet's interface resistance follows, physics of the lithiophobic preset."""
    return 500.0 + 1500.0 * np.exp(-charge_mah_per_cm2 / 0.02)


@pytest.fixture(scope="module")
def plating(tmp_path_factory):
    return Ran("geis_plating", tmp_path_factory.mktemp("plating"))


def test_the_report_shows_spectra_resistances_the_short_and_large_amplitudes(plating):
    page = Path(plating.result["report"])
    text = page.read_text(encoding="utf-8")
    count = len(list(plating.spectra()))
    assert plating.result["spectra"] == count
    assert "<h2>Impedance</h2>" in text
    assert (page.parent / "impedance.png").is_file()
    assert f"<td>{count}; impedance at 73 frequencies" in text
    assert "The cell shorted between" in text
    assert f"The amplitude was not small in {count - 1} of {count} spectra" in text
    assert "four layers" not in text


def test_spectra_within_the_plating_step_follow_the_interface_to_the_short(plating):
    assert plating.result["stop_reason"] == "hard_short"
    taken = list(plating.spectra())
    assert len(taken) >= 25
    assert all(len(hertz) == 73 for hertz, _, _ in taken)
    found = [
        fit_two_arc(hertz, z, area_cm2=AREA_CM2, electrolyte_ohm_cm2=ELECTROLYTE_OHM_CM2)
        for hertz, z, _ in taken
    ]
    assert {fit.state for fit in found[:-1]} == {"cell"}
    assert found[-1].state == "short"
    for fit, (hertz, _, charges) in zip(found[:-1], taken[:-1], strict=True):
        at_peak = charges[np.argmin(np.abs(hertz - fit.interface.peak_hz))]
        assert fit.interface.ohm_cm2 == pytest.approx(interface_ohm_cm2(at_peak), rel=0.01)
    assert found[0].interface.ohm_cm2 == pytest.approx(2000, rel=0.01)
    bulk = [fit.bulk.ohm_cm2 for fit in found[:-1]]
    assert bulk[0] == pytest.approx(120, rel=0.01)
    assert bulk[-1] < 75  # the dendrite shortens the electrolyte's path


def test_the_steps_charge_is_whole_and_agrees_with_the_instruments_counter(plating):
    echem, result = plating.streams["echem"], plating.result
    passed_s = result["stopped_at_s"] - 9.789  # the first spectrum finds no step
    expected_mah = 0.5 * 0.0314 * passed_s / 3600
    assert result["charge_mah"] == pytest.approx(expected_mah, rel=2e-4)
    assert abs(result["closure_error"]) < 5e-4
    assert np.all(np.diff(echem["time"]) >= 0)


def test_the_large_amplitude_is_said(plating):
    events = plating.streams["events"]
    remarks = events["event_text"][events["event_kind"] == "spectrum_quality"]
    assert len(remarks) == 1
    assert "106 mV" in remarks[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_databroker_reads_the_spectra(plating):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries' own, while they are imported
        store = open_store(plating.data, say=lambda _text: None)
        try:
            store.wait_uploaded()
            table = store.db[-1].table("eis")
        finally:
            store.close()
    eis = plating.streams["eis"]
    assert len(table) == len(eis["time"])
    assert np.array_equal(table["pstat_eis_z_real_ohm"], eis["pstat_eis_z_real_ohm"])
    assert table["pstat_eis_spectrum"].max() == eis["pstat_eis_spectrum"].max()


def test_spectra_as_steps_before_and_after_plating(tmp_path):
    ran = Ran("impedance_sweep", tmp_path)
    before, after = (
        fit_two_arc(hertz, z, area_cm2=AREA_CM2, electrolyte_ohm_cm2=ELECTROLYTE_OHM_CM2)
        for hertz, z, _ in ran.spectra()
    )
    assert len(next(iter(ran.spectra()))[0]) == 67  # 3.7 MHz to 1 Hz, 10 per decade
    assert before.interface.ohm_cm2 == pytest.approx(2000, rel=0.01)
    assert after.interface.ohm_cm2 == pytest.approx(interface_ohm_cm2(0.02), rel=0.01)  # 1052
    assert np.allclose(ran.streams["eis"]["pstat_eis_amplitude_v"], 0.01)
    assert ran.result["stop_reason"] == "completed"
    assert "spectrum_quality" not in ran.streams["events"]["event_kind"]


def test_a_scan_of_a_shorted_cell_is_ohmic(tmp_path):
    echem = Ran("iv_curve", tmp_path).streams["echem"]
    scan = echem["pstat_step_index"] >= 2
    volts, milliamps = echem["pstat_voltage_v"][scan], echem["pstat_current_ma"][scan]
    assert [volts.min(), volts.max()] == pytest.approx([-0.02, 0.02], abs=1e-4)
    found = ohmic_resistance_ohm(volts, milliamps)
    assert found.value == pytest.approx(487, rel=0.02)  # published; 499 ohm beside the ions' path
    spectrum = np.array([found.value + 0j])
    assert classify(np.array([1.0]), spectrum, area_cm2=AREA_CM2,
                    electrolyte_ohm_cm2=ELECTROLYTE_OHM_CM2) == "short"  # fmt: skip
