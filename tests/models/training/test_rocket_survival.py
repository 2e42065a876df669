"""A ClipRocket run that was killed ends with the weights, momentum copy and statistics of an unbroken run."""

import json
import random

import pytest

from tests.models.training.test_survival import Run, same

ROCKET = ("objective='rocket'", "steps=100", "checkpoint.every=10", "logging.every=10", "logging.held_out_every=50")


@pytest.mark.slow
def test_a_run_killed_five_times_ends_with_the_state_of_an_unbroken_run(vocabulary, tmp_path):
    unbroken, run = (Run(tmp_path / name, vocabulary) for name in ("unbroken", "killed"))
    unbroken.finish(*ROCKET)
    run.finish_after_kills(random.Random(3), *ROCKET)
    names = set(unbroken.weights())
    for part in ("running_mean", "byolip_momentum_image_tower", "byolip_text_momentum_projector", "ensemble_weight"):
        assert any(part in name for name in names), part
    assert same(run, unbroken)
    assert [(row["step"], row["loss"]) for row in run.log()] == [(row["step"], row["loss"]) for row in unbroken.log()]
    last = unbroken.log()[-1]
    assert len([key for key in last if key.startswith("mean_recall_at_weight_")]) == 11
    assert last["ensemble_weight"] == pytest.approx(float(unbroken.weights()["ensemble_weight:0"]))
    assert {key: last[key] for key in last if "weight" in key} == {
        key: value for key, value in run.log()[-1].items() if "weight" in key
    }


@pytest.mark.slow
def test_control_resuming_at_other_rows_gives_other_weights(vocabulary, tmp_path):
    whole, run = Run(tmp_path / "whole", vocabulary), Run(tmp_path / "resumed", vocabulary)
    short = [*ROCKET[:1], "steps=20", *ROCKET[2:], "schedule.kind='constant'"]
    whole.finish(*short)
    process = run.start(*short)
    run.wait_for(process, 10)
    process.kill()
    process.wait()
    progress = next((run.folder / "checkpoints").glob("step-00000010/progress.json"))
    progress.write_text(json.dumps({**json.loads(progress.read_text()), "positions": [[0, 0, 0]]}))
    run.finish(*short)
    assert not same(run, whole)
