"""A Simla run that was killed ends with the weights, copies, queues, pointer and step count of an unbroken run."""

import dataclasses
import random

import pytest

from models.training.checkpoints import CheckpointError
from tests.models.training.shapes import CONFIG, SIMLA, fit, write_shards
from tests.models.training.test_survival import Run, same

STEPS = ("objective='simla'", "steps=60", "checkpoint.every=6", "logging.every=6", "logging.held_out_every=30")


@pytest.mark.slow
def test_a_run_killed_five_times_ends_with_the_state_of_an_unbroken_run(vocabulary, tmp_path):
    unbroken, run = (Run(tmp_path / name, vocabulary) for name in ("unbroken", "killed"))
    unbroken.finish(*STEPS)
    run.finish_after_kills(random.Random(3), *STEPS)
    names = set(unbroken.weights())
    for part in ("momentum_fusion", "momentum_mim_head", "queues/image", "queues/text", "queues/pointer", "ramp/step"):
        assert any(part in name for name in names), part
    assert int(unbroken.weights()["ramp/step:0"]) == 60
    assert same(run, unbroken)
    assert [(row["step"], row["loss"]) for row in run.log()] == [(row["step"], row["loss"]) for row in unbroken.log()]


@pytest.mark.slow
def test_a_checkpoint_of_another_queue_size_is_refused_with_both_shapes(vocabulary, tmp_path):
    shards = write_shards(tmp_path / "shards", 2)
    config = dataclasses.replace(CONFIG, objective=SIMLA, steps=6)
    fit(vocabulary, shards, tmp_path, config)
    other = dataclasses.replace(config, objective=dataclasses.replace(SIMLA, queue_size=48), steps=8)
    with pytest.raises(CheckpointError, match=r"queues/image is \[96, 16\] in the checkpoint and \[48, 16\] in the"):
        fit(vocabulary, shards, tmp_path, other)
