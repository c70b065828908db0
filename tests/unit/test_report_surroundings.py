"""The report's figure of temperature and stack pressure."""

import numpy as np

from orchestrator.report.surroundings import draw_surroundings, find_surroundings

TIMES = [100.0, 160.0, 220.0]
OVEN = {"t_temperature_celsius": [25.0, 40.0, 60.0], "t_air_celsius": [30.0, 60.0, 60.0]}
PRESS = {
    "p_pressure_mpa": [1.5, 1.4, 1.2],
    "p_pressure_error_mpa": [0.01, 0.01, 0.01],
    "p_drift_alarm": [0, 0, 1],
}
ECHEM = {"time": [100.0], "pstat_voltage_v": [0.1], "pstat_current_ma": [0.0]}


def columns(**more):
    return {key: np.array(values) for key, values in {"time": TIMES, **more}.items()}


def test_readings_are_found_whatever_the_devices_are_called():
    found = find_surroundings({"echem": ECHEM, "environment": columns(**OVEN, **PRESS)}, 100.0)
    assert found.time_s.tolist() == [0.0, 60.0, 120.0]
    assert found.temperature_celsius.tolist() == [25.0, 40.0, 60.0]
    assert found.air_celsius[-1] == 60.0
    assert found.pressure_mpa.tolist() == [1.5, 1.4, 1.2]
    assert found.drifted.tolist() == [0.0, 0.0, 1.0]


def test_a_run_without_them_has_none():
    assert find_surroundings({"echem": ECHEM}, 100.0) is None
    assert find_surroundings({"environment": {"time": np.array([])}}, 0.0) is None


def test_each_has_a_panel_if_it_is_there():
    for more, titles in (
        ({**OVEN, **PRESS}, ["a  Temperature", "b  Stack pressure"]),
        (OVEN, ["a  Temperature"]),
        (PRESS, ["a  Stack pressure"]),
    ):
        found = find_surroundings({"environment": columns(**more)}, 0.0)
        figure = draw_surroundings("simulated", found)
        assert [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes] == titles


def test_a_drift_is_marked():
    found = find_surroundings({"environment": columns(**PRESS)}, 0.0)
    (axes,) = draw_surroundings("measured", found).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["drift alarm"]
    (marked,) = [line for line in axes.lines if line.get_label() == "drift alarm"]
    assert marked.get_ydata().tolist() == [1.2]
