"""An Oner run that was killed ends with the weights, momentum copy and count of steps of an unbroken run."""

import json
import random

import numpy as np
import pytest

from models.training.log import LOG_FILE
from tests.models.training.shapes import ONER as OBJECTIVE
from tests.models.training.shapes import momenta
from tests.models.training.test_survival import Run, same

ONER = ("objective='oner'", "steps=100", "checkpoint.every=10", "logging.every=10", "logging.held_out_every=50")


@pytest.mark.slow
def test_a_run_killed_five_times_ends_with_the_state_of_an_unbroken_run(vocabulary, tmp_path):
    """So its masks, which the seeds of rows decide, are those of the unbroken run."""
    unbroken, run = (Run(tmp_path / one, vocabulary) for one in ("unbroken", "killed"))
    unbroken.finish(*ONER)
    run.finish_after_kills(random.Random(3), *ONER)
    weights = unbroken.weights()
    for part in ("momentum_tower", "momentum_steps/count", "word_head", "patch_head", "predictor"):
        assert any(part in name for name in weights), part
    assert int(next(value for name, value in weights.items() if "momentum_steps" in name)) == 100
    assert same(run, unbroken)
    for one in (run, unbroken):
        found, expected = momenta(one.folder / "log" / LOG_FILE, OBJECTIVE.momentum, steps=100)
        assert len(found) >= 10
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-7)
    assert [(row["step"], row["loss"]) for row in run.log()] == [(row["step"], row["loss"]) for row in unbroken.log()]


@pytest.mark.slow
def test_control_resuming_at_other_rows_gives_other_weights(vocabulary, tmp_path):
    whole, run = Run(tmp_path / "whole", vocabulary), Run(tmp_path / "resumed", vocabulary)
    short = [*ONER[:1], "steps=20", *ONER[2:], "schedule.kind='constant'"]
    whole.finish(*short)
    process = run.start(*short)
    run.wait_for(process, 10)
    process.kill()
    process.wait()
    progress = next((run.folder / "checkpoints").glob("step-00000010/progress.json"))
    progress.write_text(json.dumps({**json.loads(progress.read_text()), "positions": [[0, 0, 0]]}))
    run.finish(*short)
    assert not same(run, whole)
