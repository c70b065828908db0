"""Volumes and spectra in experiment files: what is accepted, refused, warned of, and its time."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from orchestrator.errors import ExperimentError
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.mri_settings import MRI_METHODS, MriSettings
from orchestrator.experiment.nmr_settings import NMR_METHODS, NUCLEI, SpectrumSettings
from orchestrator.profile.loading import load_profile
from sim.images.nmr import NUCLEI as SIMULATED_NUCLEI
from sim.instruments.mri_settings import METHODS

EXAMPLES = Path(__file__).parents[2] / "examples"
VOLUME = yaml.safe_load((EXAMPLES / "mri_3d.yaml").read_text(encoding="utf-8"))
SPECTRA = yaml.safe_load((EXAMPLES / "tracer_exchange.yaml").read_text(encoding="utf-8"))
FLASH = {
    "method": "flash2d",
    "tr_s": 0.3,
    "te_s": 0.000918,
    "flip_angle_deg": 30,
    "matrix": [81, 52],
    "fov_mm": [17, 11],
}


def settings_of(document: dict, **changes):
    document = copy.deepcopy(document)
    document["images"][0]["settings"] |= changes
    return Experiment.model_validate(document).images[0].settings


def test_the_methods_are_those_of_the_simulated_console():
    assert {*MRI_METHODS, *NMR_METHODS} == set(METHODS)
    assert NUCLEI == SIMULATED_NUCLEI


def test_the_method_decides_about_the_settings_and_their_time():
    volume, spectra = settings_of(VOLUME), settings_of(SPECTRA)
    assert isinstance(volume, MriSettings)
    assert isinstance(spectra, SpectrumSettings)
    assert (volume.exposure_s, volume.values) == (pytest.approx(102_400.0), 320_000)
    assert (spectra.exposure_s, spectra.values) == (pytest.approx(10_752.0), 8192)
    assert settings_of(VOLUME, averages=2, dummy_scans=8).exposure_s == pytest.approx(1602.0)


@pytest.mark.parametrize("document", [VOLUME, SPECTRA])
def test_the_example_is_what_the_console_begins_with(document):
    """The published settings stand in the example and in the simulated console."""
    asked = settings_of(document).to_device()
    published = METHODS[asked["method"]].defaults
    for name, value in asked.items():
        assert published[name] == (pytest.approx(value) if name != "method" else value), name


def test_documents_are_read_back():
    for document in (VOLUME, SPECTRA):
        experiment = Experiment.model_validate(document)
        assert Experiment.model_validate(experiment.to_document()) == experiment


@pytest.mark.parametrize(
    ("document", "changes", "message"),
    [
        (VOLUME, {"matrix": [100, 32]}, "got 2 values for matrix, expected 3"),
        (VOLUME, {"fov_mm": [10, 3.2]}, "got 2 values for fov_mm, expected 3"),
        (VOLUME, {"slice_thickness_mm": 1}, "a volume is encoded along every axis"),
        (VOLUME, {"matrix": [1024, 1024, 32]}, "expected at most"),
        (VOLUME, {"scans": [1, 1]}, "scans"),
        (VOLUME, {"method": "gradient_echo"}, "gradient_echo"),
        (SPECTRA, {"scans": [1024]}, "got 1 values for scans, expected 2: 6Li and 7Li"),
        (SPECTRA, {"scans": [1024, 0]}, "a number of scans"),
        (SPECTRA, {"mas_khz": [14, -13]}, "a spinning rate in kHz"),
        (SPECTRA, {"mas_khz": 14}, "mas_khz"),
        (SPECTRA, {"recycle_delay_s": [10, 2, 1]}, "got 3 values for recycle_delay_s"),
        (SPECTRA, {"frequencies_mhz": [122.14]}, "got 1 values for frequencies_mhz"),
        (SPECTRA, {"points": 10}, "a number of points"),
        (SPECTRA, {"tr_s": 0.3}, "tr_s"),
    ],
)
def test_what_does_not_fit_the_method_is_refused_by_name(document, changes, message):
    with pytest.raises(ValidationError, match=message):
        settings_of(document, **changes)


def test_a_method_of_another_kind_of_device_is_refused_at_its_line(tmp_path):
    text = (EXAMPLES / "mri_3d.yaml").read_text(encoding="utf-8")
    at = text.index("    settings: {method: gradient_echo_3d")
    end = text.index("\n", at)
    path = tmp_path / "wrong.yaml"
    path.write_text(text[:at] + "    settings: {method: image}" + text[end:], encoding="utf-8")
    with pytest.raises(ExperimentError, match="got a method for a sem, but mri is a mri"):
        load_experiment(path, profile=load_profile("sim-mri"), environ={})


def test_sidebands_on_the_metal_and_wasteful_angles_are_warned_of():
    assert settings_of(VOLUME).warnings() == settings_of(SPECTRA).warnings() == []
    (text,) = settings_of(SPECTRA, mas_khz=[14, 14]).warnings()
    assert text.startswith("7Li at 14 kHz: metal and LLZO are 6.07 spinning rates apart")
    (text,) = settings_of(VOLUME, flip_angle_deg=10).warnings()
    assert text.startswith("a flip angle of 10 degree gives up 7")
    assert MriSettings.model_validate(FLASH).warnings() == [], "44 % of Liu et al. is in the report"
    assert settings_of(VOLUME, flip_angle_deg=10, line="LLZO").warnings() == []


def test_the_warning_is_that_of_the_experiment():
    document = copy.deepcopy(SPECTRA)
    document["images"][0]["settings"]["mas_khz"] = [14, 14]
    (text,) = Experiment.model_validate(document).warnings()
    assert text.startswith("images[0].settings: 7Li at 14 kHz")
