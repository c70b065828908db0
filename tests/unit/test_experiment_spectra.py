"""Spectra in an experiment file: what is refused, where, before anything runs."""

from __future__ import annotations

import pytest

from orchestrator.errors import ExperimentError
from orchestrator.experiment import load_experiment
from tests.command import EXAMPLES

PLATING = (EXAMPLES / "geis_plating.yaml").read_text(encoding="utf-8")
SWEEP = (EXAMPLES / "impedance_sweep.yaml").read_text(encoding="utf-8")
AMPLITUDE = "amplitude_mA_per_cm2: 0.05"


def problems(folder, text):
    path = folder / "file.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExperimentError) as caught:
        load_experiment(path)
    return str(caught.value)


@pytest.mark.parametrize("name", ["geis_plating", "impedance_sweep", "iv_curve"])
def test_the_examples_are_valid_for_their_bench(name):
    experiment = load_experiment(EXAMPLES / f"{name}.yaml")
    assert experiment.device_of("potentiostat") == "pstat"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (AMPLITUDE, "amplitude_mA_per_cm2: 5",
         r"spectra[0].settings.amplitude_mA_per_cm2: got +-0.157 mA, expected within safety, -0.1"),
        (AMPLITUDE, "amplitude_mA: 0.2", "spectra[0].settings.amplitude_mA: got +-0.2 mA"),
        (AMPLITUDE, "amplitude_V: 6", "spectra[0].settings.amplitude_V: got +-6 V"),
        (AMPLITUDE, f"{AMPLITUDE}, drift_correction: true",
         "spectra[0].settings.drift_correction: got true, and pstat (potentiostat_bridge)"),
        (AMPLITUDE, f"{AMPLITUDE}, amplitude_V: 0.01", "spectra[0].settings"),
        ("bench: sim-eis", "bench: sim-cycler",
         "got spectra, which pstat (keithley_2450) cannot take"),
    ],
)  # fmt: skip
def test_what_is_refused_beside_the_protocol(tmp_path, old, new, says):
    assert says in problems(tmp_path, PLATING.replace(old, new, 1))


def test_what_is_refused_as_a_step(tmp_path):
    large = problems(tmp_path, SWEEP.replace("amplitude_V: 0.01", "amplitude_V: 7", 1))
    assert "protocol.method[1].amplitude_V: got +-7 V" in large
    drift = SWEEP.replace("amplitude_V: 0.01", "amplitude_V: 0.01, drift_correction: true", 1)
    assert "protocol.method[1].drift_correction: got true" in problems(tmp_path, drift)
