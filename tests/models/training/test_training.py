"""Training learns, gives the same weights for the same seed, and stops when it diverges."""

import dataclasses
import json
import math
import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from models import optimizers, run_fn, settings
from models.objectives.two_towers import TwoTowers
from models.training import log as training_log
from models.training.checkpoints import CheckpointError
from models.training.divergence import Diverged
from tests.models.training.shapes import CONFIG, EXAMPLES, OBJECTIVE, fit, weights, write_codebook, write_shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    return write_shards(tmp_path_factory.mktemp("shards"), 3)


@pytest.fixture(scope="module")
def reference(vocabulary, shards, tmp_path_factory):
    """The weights of a whole run, and its folder."""
    folder = tmp_path_factory.mktemp("reference")
    return weights(fit(vocabulary, shards, folder, CONFIG)), folder


@pytest.fixture(scope="module")
def other_seed(vocabulary, shards, tmp_path_factory):
    """The weights of a whole run that differs by its seed, and its folder; it profiles its last steps."""
    folder = tmp_path_factory.mktemp("other")
    other = dataclasses.replace(CONFIG, seed=1, profile_steps=(CONFIG.steps - 5, CONFIG.steps + 20))
    return weights(fit(vocabulary, shards, folder, other)), folder


def rows(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log" / training_log.LOG_FILE).read_text().splitlines()]


def same(one: dict, other: dict) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.slow  # the test of steps_per_loop compares two runs of one seed, too
def test_the_same_seed_gives_equal_weights_bit_for_bit(vocabulary, shards, reference, tmp_path):
    assert same(reference[0], weights(fit(vocabulary, shards, tmp_path, CONFIG)))


def test_control_another_seed_gives_other_weights(reference, other_seed):
    assert not same(reference[0], other_seed[0])


def test_steps_per_loop_does_not_change_the_weights(vocabulary, shards, reference, tmp_path):
    looped = dataclasses.replace(CONFIG, runtime=settings.RuntimeSettings(steps_per_loop=7))
    assert same(reference[0], weights(fit(vocabulary, shards, tmp_path, looped)))


@pytest.mark.slow  # tests of objectives compare the gradients of micro-batches
def test_micro_batches_give_the_weights_of_the_whole_batch(vocabulary, shards, reference, tmp_path):
    micro = weights(fit(vocabulary, shards, tmp_path, dataclasses.replace(CONFIG, micro_batches=4)))
    for name, value in reference[0].items():
        np.testing.assert_allclose(micro[name], value, atol=3e-4, err_msg=name)  # rounding, through 30 steps of Adam


@pytest.mark.slow  # XLA compiles the whole step; tests/models/towers/test_rematerialization.py compares towers
@pytest.mark.parametrize("remat", ["scan", "attention", "block", "pieces"])
def test_remat_gives_the_same_weights(vocabulary, shards, reference, tmp_path, remat):
    remat = dataclasses.replace(CONFIG, runtime=settings.RuntimeSettings(remat=remat))
    for name, value in weights(fit(vocabulary, shards, tmp_path, remat)).items():
        np.testing.assert_allclose(value, reference[0][name], atol=3e-4, err_msg=name)


@pytest.mark.slow
def test_bfloat16_keeps_float32_weights_and_reaches_the_same_loss(vocabulary, shards, reference, tmp_path):
    mixed = dataclasses.replace(CONFIG, runtime=settings.RuntimeSettings(compute_dtype="bfloat16"))
    found = weights(fit(vocabulary, shards, tmp_path, mixed))
    assert {value.dtype for value in found.values()} == {np.dtype("float32")}
    assert rows(tmp_path)[-1]["loss"] == pytest.approx(rows(reference[1])[-1]["loss"], rel=0.02)
    assert not same(found, reference[0])


def test_the_log_has_the_documented_scalars(reference):
    log = rows(reference[1])
    assert [row["step"] for row in log] == [0, 9, 10, 19, 20, 29]
    assert log[-1]["loss"] < 0.6 * log[0]["loss"]
    assert log[0]["logit_scale"] == pytest.approx(10.0)
    assert log[0]["logit_bias"] == pytest.approx(-10.0)
    last = log[-1]
    for name in ("gradient_norm", "update_norm", "weight_norm", "positive_logit", "negative_logit", "step_seconds",
                 "examples_per_second", "flops_per_second", "held_out_image_to_text_recall_at_5"):  # fmt: skip
        assert last[name] == last[name]
    assert 0 <= last["input_wait_share"] <= 1
    assert "mfu" not in last  # the peak of a CPU is unknown
    tags = set()
    for path in (reference[1] / "log").glob("events.*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            tags |= {value.tag for value in event.summary.value}
    assert {"gin", "loss", "held_out/positive_logits", "held_out/text_to_image_recall_at_1"} <= tags


@pytest.mark.slow  # two runs
def test_a_model_without_b_never_gets_one(vocabulary, shards, tmp_path):
    """Siglip.logit_bias = 0.0 and AdamW.multipliers = {'^bias$': 0.0} freeze b alone, at 0."""
    objective = dataclasses.replace(OBJECTIVE, logit_bias=0.0)
    frozen = dataclasses.replace(CONFIG.optimizer, multipliers={"^bias$": 0.0})
    few = dataclasses.replace(CONFIG, objective=objective, steps=8)
    without = fit(vocabulary, shards, tmp_path / "without", dataclasses.replace(few, optimizer=frozen))
    assert float(without.bias) == 0.0
    assert {row["logit_bias"] for row in rows(tmp_path / "without")} == {0.0}
    with_b = fit(vocabulary, shards, tmp_path / "with", few)
    assert float(with_b.bias) < -1e-3  # control: b falls at once, since most pairs are negatives
    left = {variable.name for variable in optimizers.trainable(frozen, without.trainable_variables)}
    assert {variable.name for variable in without.trainable_variables} - left == {without.bias.name}
    assert float(without.log_scale) != pytest.approx(math.log(10.0), abs=1e-4)


@pytest.mark.slow
def test_mfu_is_relative_to_the_peak_of_all_devices(vocabulary, shards, tmp_path):
    known = dataclasses.replace(CONFIG, steps=12, runtime=settings.RuntimeSettings(peak_flops=1e12))
    fit(vocabulary, shards, tmp_path, known)
    last = rows(tmp_path)[-1]
    assert last["mfu"] == pytest.approx(last["flops_per_second"] / 1e12)


def test_profile_steps_write_a_profile(reference, other_seed):
    assert list((other_seed[1] / "log").rglob("*.xplane.pb"))
    assert not list((reference[1] / "log").rglob("*.xplane.pb"))  # control: its profile_steps are empty


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"objective": dataclasses.replace(OBJECTIVE, logit_bias=float("nan"))},
            r"the loss is NaN at step 0.*last good",
        ),
        (
            {"max_loss": 6.0},
            r"exploded: it is above Training.max_loss \(6\) at step 0.*lower AdamW",
        ),
    ],
)
def test_a_diverged_loss_stops_training_and_names_step_part_and_fix(vocabulary, shards, tmp_path, changes, message):
    with pytest.raises(Diverged, match=message):
        fit(vocabulary, shards, tmp_path, dataclasses.replace(CONFIG, **changes))


@pytest.mark.slow
def test_weights_that_overflow_are_reported_and_never_saved(vocabulary, shards, tmp_path):
    """The learning rate is so high that the first update overflows; loss and gradients of that step are finite."""
    wild = dataclasses.replace(
        CONFIG,
        optimizer=settings.AdamWSettings(learning_rate=1e37, clip_norm=0.0, weight_decay=0.0),
        schedule=settings.ScheduleSettings(warmup_steps=0, kind="constant"),
        checkpoint=settings.CheckpointSettings(every=1),
        runtime=settings.RuntimeSettings(steps_per_loop=5),
        max_loss=1e30,
    )
    with pytest.raises(Diverged, match=r"norm of the weights after the step is not finite at step 0.*checkpoint: none"):
        fit(vocabulary, shards, tmp_path, wild)
    assert not list((tmp_path / "checkpoints").glob("step-*"))


def test_a_gradient_that_is_not_finite_is_reported_with_the_loss_of_its_step(vocabulary, shards, tmp_path, monkeypatch):
    """It occurs inside a call of several steps; all later steps of the call are NaN."""
    whole = TwoTowers.encode

    def encode(self, batch):
        found, moved = whole(self, batch), tf.not_equal(self.bias, -10.0)

        @tf.custom_gradient
        def broken_once_the_bias_has_moved(text):
            return tf.identity(text), lambda upstream: tf.where(moved, float("nan"), upstream)

        return {**found, "text": broken_once_the_bias_has_moved(found["text"])}

    monkeypatch.setattr(TwoTowers, "encode", encode)
    looped = dataclasses.replace(CONFIG, runtime=settings.RuntimeSettings(steps_per_loop=5), max_loss=50.0)
    with pytest.raises(Diverged) as raised:
        fit(vocabulary, shards, tmp_path, looped)
    assert re.search(
        r"^the gradient of text_tower/\S+ is not finite at step [12], .*\(loss \d+\.\d+; last good .* none",
        str(raised.value),
    )


def test_a_checkpoint_of_another_model_is_refused_with_names_and_shapes(vocabulary, shards, reference, tmp_path):
    shutil.copytree(reference[1] / "checkpoints", tmp_path / "checkpoints")
    tower = dataclasses.replace(OBJECTIVE.text_tower, mlp_dim=96)
    other = dataclasses.replace(CONFIG, objective=dataclasses.replace(OBJECTIVE, text_tower=tower))
    with pytest.raises(
        CheckpointError, match=r"mlp/expand/bias is \[64\] in the checkpoint and \[96\] in the model.*and \d+ more"
    ):
        fit(vocabulary, shards, tmp_path, other)


@pytest.mark.slow
def test_a_checkpoint_of_another_number_of_hosts_is_refused(vocabulary, shards, tmp_path):
    fit(vocabulary, shards, tmp_path, dataclasses.replace(CONFIG, steps=5))
    (path,) = tmp_path.glob("checkpoints/step-*/progress.json")
    progress = json.loads(path.read_text())
    path.write_text(json.dumps({**progress, "positions": progress["positions"] * 2}))
    with pytest.raises(CheckpointError, match=r"step 5 .* has positions of 2 hosts that read data, but this run has 1"):
        fit(vocabulary, shards, tmp_path, CONFIG)


@pytest.mark.slow
def test_a_run_resumed_inside_its_profile_writes_one(vocabulary, shards, tmp_path):
    profiled = dataclasses.replace(CONFIG, steps=20, profile_steps=(3, 15))
    fit(vocabulary, shards, tmp_path, dataclasses.replace(profiled, steps=10))
    for path in tmp_path.rglob("*.xplane.pb"):
        path.unlink()
    fit(vocabulary, shards, tmp_path, profiled)
    assert list((tmp_path / "log").rglob("*.xplane.pb"))


@pytest.mark.slow
def test_a_run_that_diverges_inside_its_profile_writes_it_and_the_next_run_can_profile(vocabulary, shards, tmp_path):
    wrong = dataclasses.replace(CONFIG, max_loss=6.0, profile_steps=(0, 5))
    with pytest.raises(Diverged):
        fit(vocabulary, shards, tmp_path, wrong)
    assert list((tmp_path / "log").rglob("*.xplane.pb"))
    fit(vocabulary, shards, tmp_path / "next", dataclasses.replace(CONFIG, steps=8, profile_steps=(0, 5)))
    assert list((tmp_path / "next" / "log").rglob("*.xplane.pb"))


def test_the_fingerprint_changes_with_everything_that_weights_depend_on(shards, vocabulary):
    one = run_fn.fingerprint(CONFIG, shards, vocabulary)
    alike = {"logging": settings.LoggingSettings(every=3), "checkpoint": settings.CheckpointSettings(every=3),
             "profile_steps": (1, 2), "runtime": settings.RuntimeSettings(steps_per_loop=5)}  # fmt: skip
    assert {
        run_fn.fingerprint(dataclasses.replace(CONFIG, **{k: v}), shards, vocabulary) for k, v in alike.items()
    } == {one}
    other = [dataclasses.replace(CONFIG, seed=1), dataclasses.replace(CONFIG, steps=31)]
    others = {run_fn.fingerprint(config, shards, vocabulary) for config in other}
    others.add(run_fn.fingerprint(CONFIG, shards[:2], vocabulary))
    assert len(others | {one}) == 4


def test_the_fingerprint_changes_with_the_bytes_of_the_codebook(shards, vocabulary, tmp_path):
    path = write_codebook(tmp_path)
    one = run_fn.fingerprint(CONFIG, shards, vocabulary, path)
    assert run_fn.fingerprint(CONFIG, shards, vocabulary, path) == one
    content = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # as many bytes
    assert run_fn.fingerprint(CONFIG, shards, vocabulary, path) != one
    assert run_fn.fingerprint(CONFIG, shards, vocabulary) != one


def test_the_run_makes_more_than_two_passes():
    assert CONFIG.steps * CONFIG.batch_size > 2 * len(EXAMPLES)
