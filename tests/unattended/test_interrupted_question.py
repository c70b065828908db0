"""A second Ctrl-C while a paused run waits for its answer; a frame that comes after the end."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest

from orchestrator.bench import open_bench
from orchestrator.errors import RecordError
from orchestrator.experiment import load_experiment
from orchestrator.records.reading import read_journal
from orchestrator.records.runs import find_run
from orchestrator.running import run_experiment
from tests.command import EXAMPLES


def paused_after(bench, messages):
    """Pause the run that comes after so many messages."""
    seen = []

    def hook(_msg):
        seen.append(1)
        if len(seen) == messages:
            bench.time.loop.create_task(bench.RE._request_pause_coro())

    bench.RE.msg_hook = hook


@pytest.mark.parametrize("messages", [12, 20, 40])
def test_ctrl_c_instead_of_an_answer_aborts_the_run_in_order(tmp_path, messages):
    experiment = load_experiment(EXAMPLES / "quick_look.yaml")
    recipe = experiment.sample.simulate_as
    sample = recipe.model_dump(exclude_none=True)

    def ask(_bench):
        raise KeyboardInterrupt  # wherever in the question it comes

    with open_bench("sim-mri", data=tmp_path, sample=sample) as bench:
        paused_after(bench, messages)
        result = run_experiment(experiment, bench, speak=io.StringIO(), on_pause=ask)
        assert not bench.RE.energised
    assert (result.exit_status, result.stop_reason) == ("abort", "aborted")
    read = read_journal(find_run(tmp_path, "-1"))
    assert read.documents[-1][1]["reason"] == "aborted at the prompt"


def test_a_frame_fetched_after_the_files_are_closed_fails_only_itself(tmp_path, caplog):
    """It used to fail the whole bench: a callback of the clock raised."""
    with open_bench("sim-mri", data=tmp_path) as bench:
        mri, failures = bench.mri, []
        bench.time.clock.on_failure = lambda owner, error: failures.append(error)
        shape = mri.image_shape()

        class Frames:
            """The run ends between the write and the question where the frame is."""

            def write(self, stream, image, scalars):
                return 0

            def asset_documents(self, stream, index):
                raise RecordError("frames", "has no frame 0", remedy="write it first")

        class Ready:
            def read_image(self):
                return np.zeros(shape, "<f4"), {}

        class AtOnce:
            def submit(self, work, then, *, owner):
                try:
                    result, error = work(), None
                except RecordError as raised:
                    result, error = None, raised
                then(result, error)

        status = mri.trigger()
        running = mri._imager.status()
        mri._cancel_timer()
        mri._imager, mri._frames, mri._worker, kept = Ready(), Frames(), AtOnce(), mri._imager
        with caplog.at_level(logging.ERROR):
            mri._fetch(running)
        mri._imager = kept
        with pytest.raises(RecordError, match="write it first"):
            status.wait(5)
        assert not failures
        assert not caplog.records
