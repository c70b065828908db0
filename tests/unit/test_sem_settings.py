"""A microscope's settings in experiment files: refusals, warnings, size, time and dose."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from pydantic import ValidationError

from devices.sem_settings import SETTINGS, frame_shape
from orchestrator.estimate import frames
from orchestrator.experiment import load_experiment
from orchestrator.experiment.sem_settings import (
    SemSettings,
    frame_dose_uc_per_cm2,
    sem_warnings,
)
from sim.instruments import sem_settings as simulated
from tests.command import EXAMPLES


def asked(**changes):
    return SemSettings.model_validate({"method": "image", **changes})


shares = st.tuples(
    st.floats(0.0, 0.5), st.floats(0.0, 0.5), st.floats(0.2, 0.5), st.floats(0.2, 0.5)
)


@profile(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(["image", "eds_line"]),
    resolution=st.tuples(st.integers(16, 900), st.integers(16, 900)),
    area=shares,
    channels=st.sampled_from([("SE",), ("SE", "EBIC")]),
    visits=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dwell_s=st.floats(1e-7, 1e-3),
    current_na=st.floats(0.01, 10.0),
    points=st.integers(2, 500),
)
def test_file_device_and_microscope_agree(
    method, resolution, area, channels, visits, dwell_s, current_na, points
):
    """Size, time and dose are worked out three times; a frame has one of each."""
    settings = asked(
        method=method,
        resolution_px=list(resolution),
        reduced_area=list(area),
        channels=list(channels),
        frame_integration=visits[0],
        line_integration=visits[1],
        dwell_time_s=dwell_s,
        current_na=current_na,
        line_points=points,
    )
    held = simulated.updated(simulated.PUBLISHED_OPERANDO, settings.to_device())
    shape = simulated.shape(held)
    assert frame_shape(held) == shape
    size = 1
    for side in shape:
        size *= side
    assert settings.values == size
    assert settings.exposure_s == pytest.approx(simulated.duration_s(held))
    dose = frame_dose_uc_per_cm2(settings)
    assert dose == pytest.approx(simulated.dose_uc_per_cm2(held))


def test_the_device_knows_every_setting_of_a_file_and_of_the_microscope():
    assert set(SemSettings.model_fields) == set(SETTINGS)
    assert set(simulated.PUBLISHED_OPERANDO) == set(SETTINGS) == set(simulated.CHECKS)
    for name, (value, _units) in SETTINGS.items():
        assert simulated.PUBLISHED_OPERANDO[name] == value, name


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": ["EBIC"]}, r"expected \[SE\] or \[SE, EBIC\]"),
        ({"channels": ["EBIC", "SE"]}, "got channels .'EBIC', 'SE'."),
        ({"reduced_area": [0.5, 0, 0.6, 1]}, "expected it within the frame"),
        ({"resolution_px": [8000, 8000]}, "expected at most 16777216"),
        ({"resolution_px": [1600]}, "resolution_px"),
        ({"dwell_time_s": 0}, "a dwell time"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_settings_are_refused(changes, says):
    with pytest.raises(ValidationError, match=says):
        asked(**changes)


def test_what_is_left_out_is_left_as_the_microscope_has_it():
    sent = asked().to_device()
    assert not {"current_na", "voltage_kv", "stage_um", "ebic_gain_v_per_a"} & set(sent)
    assert frame_dose_uc_per_cm2(asked()) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"channels": ["SE", "EBIC"], "ebic_time_constant_s": 1e-6, "dwell_time_s": 2e-6},
            "dwell_time_s is 2 time constants.*trail to the right by 0.5 pixels",
        ),
        ({"current_na": 100.0, "dwell_time_s": 1e-4}, r"1e\+05 uC/cm2.*the beam changes lithium"),
        ({"autocontrast": True}, "autocontrast stretches"),
        ({"blank_between_frames": False}, "the beam stays on the specimen"),
    ],
)
def test_what_is_probably_not_meant_is_warned_of(changes, says):
    assert sem_warnings(asked()) == []
    (text,) = sem_warnings(asked(**changes))
    assert re.search(says, text), text


def test_three_time_constants_are_enough_and_one_channel_needs_none():
    assert not sem_warnings(
        asked(channels=["SE", "EBIC"], ebic_time_constant_s=1e-6, dwell_time_s=3e-6)
    )
    assert not sem_warnings(asked(ebic_time_constant_s=1e-3, dwell_time_s=1e-6))


def test_an_experiment_warns_with_the_place_of_the_series(tmp_path):
    text = (EXAMPLES / "ebic_map.yaml").read_text(encoding="utf-8")
    path = tmp_path / "smeared.yaml"
    path.write_text(text.replace("ebic_time_constant_s: 1.0e-6", "ebic_time_constant_s: 1.0e-5"))
    (warning,) = load_experiment(path, environ={}).warnings()
    assert warning.startswith("images[0].settings: dwell_time_s is 1 time constants")
    assert load_experiment(EXAMPLES / "in_situ_mri.yaml", environ={}).warnings() == []


def test_frames_by_charge_and_by_moment_are_estimated():
    experiment = load_experiment(EXAMPLES / "operando_sem.yaml", environ={})
    by_charge, by_moment = experiment.images
    assert frames(by_moment, experiment) == 2
    assert 12 <= frames(by_charge, experiment) <= 15
