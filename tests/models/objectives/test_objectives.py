"""Objectives can have a locked tower, stored embeddings in place of pictures, and state that follows the weights."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from models import objectives, optimizers, settings
from models.distribution import collectives
from models.features import IMAGE_EMBEDDING
from models.objectives.siglip import Siglip
from models.training.step import TrainStep
from tests.models.training.shapes import CONFIG, OBJECTIVE, fit, interrupted, write_shards

VOCABULARY = 64
ROWS = 8
LOCKED = settings.SiglitSettings(OBJECTIVE.image_tower, OBJECTIVE.text_tower)
PRETRAINED = settings.PretrainedSettings("made by the test", ("image_tower",))


def batch() -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    return {
        "images": tf.constant(rng.integers(0, 256, (ROWS, 24, 24, 3)), tf.uint8),
        "token_ids": tf.constant(rng.integers(0, VOCABULARY, (ROWS, 12)), tf.int32),
    }


def step_of(config: settings.ObjectiveSettings, micro_batches: int = 1):
    """The step as XLA compiles it for an accelerator, which takes seconds."""
    objective, optimizer, step = _step_of(config, micro_batches)
    return objective, optimizer, tf.function(step, jit_compile=True, autograph=False)


def untraced_step_of(config: settings.ObjectiveSettings):
    objective, _, step = _step_of(config, micro_batches=1)
    return objective, step


def _step_of(config: settings.ObjectiveSettings, micro_batches: int = 1):
    keras.utils.set_random_seed(0)
    objective = objectives.create(config, VOCABULARY)
    training = dataclasses.replace(
        CONFIG, objective=config, pretrained=PRETRAINED, augmentation=settings.AugmentationSettings(),
        batch_size=ROWS, micro_batches=micro_batches,
    )  # fmt: skip
    optimizer = optimizers.create(training.optimizer, training.schedule, 30, objective.trainable_variables)
    return objective, optimizer, TrainStep(objective, optimizer, collectives.OneDevice(), training)


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_a_locked_tower_has_no_optimiser_state_and_never_changes(micro_batches):
    objective, optimizer, step = (step_of if micro_batches == 1 else _step_of)(LOCKED, micro_batches)
    before = {v.name: v.numpy() for v in objective.variables}
    for _ in range(3):
        step(batch())
    moved = {v.name for v in objective.variables if not np.array_equal(before[v.name], v.numpy())}
    assert moved
    assert not any(name.startswith("image_tower") for name in moved)
    assert not any("image_tower" in name for name in optimizer.state())
    assert any("text_tower" in name for name in optimizer.state())


@pytest.mark.slow
def test_control_an_unlocked_tower_changes():
    objective, _, step = step_of(OBJECTIVE)
    before = objective.image_tower.variables[0].numpy()
    step(batch())
    assert not np.array_equal(before, objective.image_tower.variables[0].numpy())


def test_precomputed_embeddings_give_the_same_losses_as_a_tower_in_the_step():
    objective, _, step = _step_of(LOCKED)
    whole = batch()
    stored = objective.embed_image(tf.cast(whole["images"], tf.float32) / 127.5 - 1)
    losses = [float(step(whole)["loss"]) for _ in range(5)]
    _, _, other = _step_of(dataclasses.replace(LOCKED, precomputed=True))
    given = {IMAGE_EMBEDDING: stored, "token_ids": whole["token_ids"]}
    assert [float(other(given)["loss"]) for _ in range(5)] == pytest.approx(losses, rel=1e-5)
    wrong = {**given, IMAGE_EMBEDDING: tf.roll(stored, 1, axis=0)}
    _, _, fresh = _step_of(dataclasses.replace(LOCKED, precomputed=True))
    assert float(fresh(wrong)["loss"]) != pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("kind", ["random", "hard"])
@pytest.mark.parametrize("config", [OBJECTIVE, LOCKED], ids=["siglip", "siglit"])
def test_an_objective_may_keep_a_part_of_the_negatives(config, kind):
    objective, _, step = _step_of(dataclasses.replace(config, negatives=settings.NegativesSettings(kind, 4.0)))
    assert objective.views.seeds == (kind == "random")
    seeds = tf.constant(np.random.default_rng(0).integers(0, 2**31, (ROWS, 2)), tf.int32)
    first, second = ({name: float(value) for name, value in step({**batch(), "seeds": seeds}).items()} for _ in "12")
    assert second["loss"] < first["loss"]
    assert second["kept_negatives"] == first["kept_negatives"]
    assert 0 < first["kept_negatives"] < ROWS - 1
    assert kind == "random" or first["kept_negatives"] == 4.0
    assert kind == "random" or first["kept_negative_logit"] > first["negative_logit"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"objective": LOCKED},
            r"Pretrained.parts is \(\), but must be with image_tower, because Siglit never trains it",
        ),
        (
            {"objective": dataclasses.replace(LOCKED, precomputed=True), "pretrained": PRETRAINED},
            r"Training.augmentation is .*, but must be off, because embeddings are of whole pictures; "
            "set Siglit.precomputed",
        ),
    ],
)
def test_settings_that_do_not_fit_a_locked_tower_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **changes)


@dataclasses.dataclass(frozen=True)
class RememberingSettings(settings.SiglipSettings):
    """Settings of an objective with a momentum copy of the bias and a queue of embeddings."""


class Remembering(Siglip):
    """A small objective with the kinds of state that OneR (a momentum copy) and SIMLA (queues) have."""

    def build(self, input_shape=None):
        super().build(input_shape)
        self.momentum = self.add_weight("momentum", (), tf.float32, "zeros", trainable=False)
        self.queue = self.add_weight("queue", (2 * CONFIG.batch_size, 32), tf.float32, "zeros", trainable=False)

    @property
    def state(self):
        return [self.momentum, self.queue]

    def after_update(self, encoded, collectives):  # noqa: ARG002
        self.momentum.assign(0.9 * self.momentum + 0.1 * self.bias)
        self.queue.assign(tf.concat([encoded["image"], self.queue[: -encoded["image"].shape[0]]], axis=0))


objectives.register(RememberingSettings, Remembering)


@pytest.mark.slow
def test_state_follows_the_weights_and_resumes_bit_for_bit(vocabulary, tmp_path):
    shards = write_shards(tmp_path, 3)
    config = dataclasses.replace(CONFIG, objective=RememberingSettings(OBJECTIVE.image_tower, OBJECTIVE.text_tower))
    whole = fit(vocabulary, shards, tmp_path / "whole", config)
    assert float(whole.momentum) < -1.0
    assert np.linalg.norm(whole.queue.numpy(), axis=1) == pytest.approx(np.ones(2 * CONFIG.batch_size), rel=1e-4)

    with interrupted(21):
        fit(vocabulary, shards, tmp_path / "broken", config)
    again = fit(vocabulary, shards, tmp_path / "broken", config)
    assert [v.numpy().tolist() for v in again.state] == [v.numpy().tolist() for v in whole.state]
    assert float(again.bias) == float(whole.bias)
