"""The simulated MRI console: its states, its trigger, its clock and its images."""

import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.clock import EPOCH_S
from sim.errors import UnknownCommand
from sim.instruments.mri_console import SimulatedMriConsole
from sim.world import World


class Layers:
    """A sample whose layers hold the mean time of the interval that is asked for."""

    def __init__(self):
        self.asked = []

    def mean_layers_umol_per_cm2(self, t0_s, t1_s):
        self.asked.append((t0_s, t1_s))
        return np.full(4, (t0_s + t1_s) / 2)


class Flat:
    """Frames whose first number is the layers' mean and whose second is the frame's number."""

    def __init__(self, settings):
        nuclei = [settings.get("points"), 2]
        self.shape = settings.get("matrix", nuclei)[::-1]
        self.axes = [{"name": "any"} for _ in self.shape]

    def acquire(self, sample, t0_s, t1_s, index):
        image = np.zeros(self.shape, np.float32)
        image.flat[:2] = sample.mean_layers_umol_per_cm2(t0_s, t1_s).mean(), index
        return image


class Bench:
    """A console, its world and a clock that the test sets."""

    def __init__(self, **options):
        self.now_s = 0.0
        self.sample = Layers()
        self.world = World(self.sample, lambda: self.now_s)
        self.console = SimulatedMriConsole(self.world, Flat, **options)

    def say(self, line):
        reply = self.console.answer(line.encode())
        return None if reply is None else reply.decode("ascii", "replace")

    def status(self):
        return json.loads(self.say("ACQ:STAT?"))

    def error(self):
        return self.say("SYST:ERR?")

    def image(self):
        reply = self.console.answer(b"ACQ:IMAG?")
        assert reply.startswith(b"#"), reply
        digits = int(reply[1:2])
        length = int(reply[2 : 2 + digits])
        assert len(reply) == 2 + digits + length
        return np.frombuffer(reply[2 + digits :], "<f4")

    def take(self, *, duration_s):
        """Arm, trigger now and wait until the frame is there."""
        self.say("ACQ:ARM")
        self.world.pulse("ttl", self.now_s)
        self.now_s += duration_s + 2.0


SMALL = 'ACQ:CONF {"averages": 2, "matrix": [8, 5], "tr_s": 0.5}'  # 5 s


@pytest.fixture
def bench():
    result = Bench()
    result.say(SMALL)
    return result


def test_the_published_2d_frame_takes_4_437_hours():
    assert float(Bench().say("ACQ:DUR?")) == pytest.approx(15_974.4, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "expected_s"),
    [
        ({"averages": 1}, 0.3 * 52),
        ({"averages": 2, "repetitions": 3}, 0.3 * 52 * 6),
        ({"averages": 1, "dummy_scans": 10}, 0.3 * 62),
        ({"averages": 1, "matrix": [52, 81]}, 0.3 * 81),
        ({"averages": 4, "tr_s": 1.0}, 52 * 4),
    ],
)
def test_duration_is_tr_times_phase_lines_averages_repetitions_plus_dummies(changes, expected_s):
    bench = Bench()
    bench.say("ACQ:CONF " + json.dumps(changes))
    assert float(bench.say("ACQ:DUR?")) == pytest.approx(expected_s)
    assert bench.error() == '0,"No error"'


def test_a_published_volume_takes_28_44_hours_and_not_the_26_4_that_were_published():
    bench = Bench()
    bench.say('ACQ:CONF {"method": "gradient_echo_3d"}')
    assert float(bench.say("ACQ:DUR?")) == pytest.approx(102_400.0)
    bench.say('ACQ:CONF {"averages": 2, "repetitions": 3, "dummy_scans": 10}')
    assert float(bench.say("ACQ:DUR?")) == pytest.approx(0.25 * (3200 * 6 + 10))


def test_spectra_of_one_nucleus_are_taken_after_those_of_the_other():
    bench = Bench()
    bench.say('ACQ:CONF {"method": "single_pulse", "scans": [30, 7]}')
    assert float(bench.say("ACQ:DUR?")) == pytest.approx(30 * 10.0 + 7 * 2.0)
    bench.now_s = 50.0
    bench.take(duration_s=314.0)
    assert bench.image()[1] == 0
    assert bench.sample.asked == [(50.0, 364.0)]


def test_another_method_begins_with_its_own_settings_and_keeps_the_trigger():
    bench = Bench()
    bench.say('ACQ:CONF {"averages": 7, "trigger_mode": "off"}')
    bench.say('ACQ:CONF {"points": 512, "method": "single_pulse"}')
    held = json.loads(bench.say("ACQ:CONF?"))
    assert (held["points"], held["mas_khz"], held["trigger_mode"]) == (512, [14.0, 13.0], "off")
    assert {"tr_s", "matrix", "averages"} & set(held) == set()
    bench.say('ACQ:CONF {"method": "flash2d"}')
    held = json.loads(bench.say("ACQ:CONF?"))
    assert (held["averages"], held["trigger_mode"]) == (1024, "off")
    assert "points" not in held


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ('{"method": "single_pulse", "tr_s": 0.3}', -224),
        ('{"points": 512}', -224),
        ('{"method": "gradient_echo_3d", "matrix": [100, 100]}', -104),
        ('{"method": "gradient_echo_3d", "matrix": [256, 256, 256]}', -222),
        ('{"method": "gradient_echo_3d", "slice_thickness_mm": 1}', -222),
        ('{"method": "single_pulse", "nuclei": ["7Li", "6Li"]}', -224),
        ('{"method": "single_pulse", "mas_khz": [14]}', -104),
        ('{"method": "single_pulse", "mas_khz": [14, 0]}', -222),
        ('{"method": "single_pulse", "scans": [1.5, 2]}', -104),
    ],
)
def test_what_a_method_does_not_have_is_refused_and_changes_nothing(changes, code):
    bench = Bench()
    before = bench.say("ACQ:CONF?")
    bench.say(f"ACQ:CONF {changes}")
    assert bench.error().startswith(f"{code},")
    assert bench.say("ACQ:CONF?") == before


def test_a_triggered_scan_goes_through_every_state_in_time(bench):
    bench = Bench(preparation_s=1.0, reconstruction_s=2.0)
    bench.say(SMALL)
    bench.say("ACQ:ARM")
    seen = [(0.0, bench.status()["state"])]
    for t_s in (0.9, 1.0, 50.0):
        bench.now_s = t_s
        seen.append((t_s, bench.status()["state"]))
    bench.world.pulse("ttl", 50.0)
    for t_s in (50.0, 54.9, 55.0, 56.9, 57.0):
        bench.now_s = t_s
        seen.append((t_s, bench.status()["state"]))
    assert seen == [
        (0.0, "armed"),
        (0.9, "armed"),
        (1.0, "waiting_trigger"),
        (50.0, "waiting_trigger"),
        (50.0, "acquiring"),
        (54.9, "acquiring"),
        (55.0, "reconstructing"),
        (56.9, "reconstructing"),
        (57.0, "idle"),
    ]
    status = bench.status()
    assert status["t_start_s"] == EPOCH_S + 50.0
    assert status["t_end_s"] == EPOCH_S + 55.0
    assert (status["outcome"], status["progress"]) == ("complete", 1.0)


def test_progress_counts_from_the_trigger(bench):
    bench.say("ACQ:ARM")
    bench.now_s = 100.0
    assert bench.status()["progress"] == 0.0
    bench.world.pulse("ttl", 100.0)
    bench.now_s = 102.0
    assert bench.status()["progress"] == pytest.approx(0.4)


def test_without_a_trigger_mode_arming_starts_the_scan(bench):
    bench.say('ACQ:CONF {"trigger_mode": "off"}')
    bench.now_s = 10.0
    bench.say("ACQ:ARM")
    assert bench.status()["state"] == "acquiring"
    bench.world.pulse("ttl", 10.0)
    bench.now_s = 17.0
    status = bench.status()
    assert status["t_start_s"] == EPOCH_S + 10.0
    assert (status["triggers_accepted"], status["triggers_ignored"]) == (0, 1)


def test_pulses_that_nothing_waits_for_are_counted_and_ignored(bench):
    bench.world.pulse("ttl", 0.0)
    bench.say("ACQ:ARM")
    bench.world.pulse("ttl", 1.0)
    bench.world.pulse("ttl", 2.0)
    bench.world.pulse("ttl", 6.5)
    bench.now_s = 20.0
    status = bench.status()
    assert status["t_start_s"] == EPOCH_S + 1.0
    assert (status["triggers_accepted"], status["triggers_ignored"]) == (1, 3)


def test_a_pulse_while_the_console_prepares_is_lost():
    bench = Bench(preparation_s=1.0)
    bench.say("ACQ:ARM")
    bench.world.pulse("ttl", 0.5)
    bench.now_s = 5.0
    assert bench.status()["state"] == "waiting_trigger"


def test_the_image_is_of_the_mean_over_the_acquisition_however_late_it_is_read(bench):
    bench.now_s = 100.0
    bench.take(duration_s=5.0)
    bench.now_s = 1e6
    assert bench.image()[0] == pytest.approx(102.5)
    assert bench.sample.asked == [(100.0, 105.0)]
    header = json.loads(bench.say("ACQ:IMAG:HEAD?"))
    assert header["shape"] == [5, 8]
    assert header["nbytes"] == 5 * 8 * 4
    assert header["crc32"] == zlib.crc32(bench.image().tobytes())
    assert header["t_end_s"] - header["t_start_s"] == pytest.approx(5.0)


def test_dummy_scans_are_no_part_of_the_image(bench):
    bench.say('ACQ:CONF {"dummy_scans": 20}')  # 10 s before 5 s of data
    bench.take(duration_s=15.0)
    bench.image()
    assert bench.sample.asked == [(10.0, 15.0)]


def test_the_last_of_several_repetitions_is_delivered_and_all_are_counted(bench):
    bench.say('ACQ:CONF {"repetitions": 3}')
    bench.take(duration_s=15.0)
    assert bench.image()[1] == 2
    assert bench.sample.asked == [(10.0, 15.0)]
    bench.take(duration_s=15.0)
    assert bench.image()[1] == 5


def test_frames_are_numbered_by_what_was_completed_not_by_what_was_read(bench):
    bench.take(duration_s=5.0)
    bench.say("ACQ:ARM")
    bench.world.pulse("ttl", bench.now_s)
    bench.say("ACQ:ABOR")
    bench.take(duration_s=5.0)
    assert bench.image()[1] == 1
    assert json.loads(bench.say("ACQ:IMAG:HEAD?"))["experiment"] == 3


def test_polling_changes_no_image():
    images = []
    for polls in (1, 400):
        bench = Bench()
        bench.say(SMALL)
        bench.say("ACQ:ARM")
        bench.world.pulse("ttl", 0.25)
        for _ in range(polls):
            bench.now_s += 10.0 / polls
            bench.say("ACQ:STAT?")
        images.append(bench.image())
    np.testing.assert_array_equal(*images)


def test_an_aborted_scan_gives_no_image_and_says_so(bench):
    bench.take(duration_s=5.0)
    assert bench.say("ACQ:IMAG?")[0] == "#"
    bench.say("ACQ:ARM")
    bench.world.pulse("ttl", bench.now_s)
    bench.now_s += 1.0
    bench.say("ACQ:ABOR")
    bench.say("ACQ:ABOR")
    bench.now_s += 100.0
    status = bench.status()
    assert (status["state"], status["outcome"]) == ("idle", "aborted")
    assert status["t_end_s"] is None
    assert status["progress"] == pytest.approx(0.2)
    assert bench.say("ACQ:IMAG?").startswith('!-230,"Data corrupt or stale;no image: experiment 2')
    assert bench.error() == '0,"No error"'


def test_a_failed_scan_stays_an_error_until_it_is_acknowledged(bench):
    bench.say("ACQ:ARM")
    bench.world.pulse("ttl", 0.0)
    bench.now_s = 2.0
    bench.console.fail("RF amplifier tripped")
    bench.now_s = 50.0
    status = bench.status()
    assert (status["state"], status["outcome"]) == ("error", "failed")
    assert status["error"] == "experiment 1: RF amplifier tripped"
    bench.say("ACQ:ABOR")
    assert bench.status()["state"] == "idle"
    assert bench.status()["error"] == ""


@pytest.mark.parametrize("line", ["ACQ:ARM", 'ACQ:CONF {"averages": 3}'])
def test_a_busy_console_refuses(bench, line):
    bench.say("ACQ:ARM")
    bench.world.pulse("ttl", 0.0)
    bench.now_s = 1.0
    bench.say(line)
    assert bench.error().endswith('experiment 1 is acquiring, expected idle"')
    bench.now_s = 7.0
    assert bench.status()["outcome"] == "complete"


def test_the_console_has_its_own_clock():
    bench = Bench(clock_offset_s=EPOCH_S - 3.25)
    bench.now_s = 1000.0
    assert float(bench.say("SYST:TIME?")) == EPOCH_S + 1000.0 - 3.25
    bench.say('ACQ:CONF {"trigger_mode": "off"}')
    bench.say("ACQ:ARM")
    assert bench.status()["t_start_s"] == EPOCH_S + 1000.0 - 3.25


def test_an_unknown_header_fails_the_test_and_may_only_be_an_error():
    with pytest.raises(UnknownCommand, match="ACQ:STRT"):
        Bench().say("ACQ:STRT")
    lenient = Bench(strict=False)
    assert lenient.say("ACQ:STRT") is None
    assert lenient.error() == '-113,"Undefined header;ACQ:STRT"'


HEADERS = st.sampled_from(
    [b"ACQ:CONF ", b"ACQ:ARM", b"ACQ:STAT?", b"acq:imag?", b"SYST:ERR? ", b""]
)


@settings(max_examples=1000, deadline=None)
@given(HEADERS, st.one_of(st.binary(max_size=100), st.text(max_size=60).map(str.encode)))
def test_no_bytes_crash_the_console(header, rest):
    bench = Bench(strict=False)
    reply = bench.console.answer(header + rest)
    assert reply is None or isinstance(reply, bytes)
    assert bench.status()["state"] in {"idle", "waiting_trigger"}


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["tr_s", "te_s", "averages", "matrix", "fov_mm", "method", "line", "scans", "points"]
        ),
        st.recursive(
            st.one_of(
                st.none(),
                st.booleans(),
                st.integers(),
                st.floats(),
                st.text(max_size=9),
                st.sampled_from(["gradient_echo_3d", "single_pulse"]),
            ),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=4,
        ),
    )
)
def test_whatever_is_configured_the_console_can_say_what_holds(changes):
    bench = Bench(strict=False)
    bench.say("ACQ:CONF " + json.dumps(changes))
    held = json.loads(bench.say("ACQ:CONF?"))
    assert held.get("averages", 1) >= 1
    assert min(held.get("matrix", held.get("scans"))) >= 1
    assert float(bench.say("ACQ:DUR?")) > 0
