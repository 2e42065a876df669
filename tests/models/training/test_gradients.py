"""Micro-batches give the gradient of the whole batch, to 1e-5; the usual mean of their gradients does not."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from models import objectives, settings
from models.distribution.collectives import OneDevice
from models.inputs import images
from models.towers import flops
from models.training import gradients
from tests import loops
from tests.models.training.shapes import OBJECTIVE

ROWS, VOCABULARY = 24, 60
SOFTMAX = settings.SoftmaxSettings(OBJECTIVE.image_tower, OBJECTIVE.text_tower)
HARD, RANDOM = (
    dataclasses.replace(OBJECTIVE, negatives=settings.NegativesSettings(kind, 4.0)) for kind in ("hard", "random")
)


@pytest.fixture(scope="module", params=[OBJECTIVE, SOFTMAX, HARD, RANDOM], ids=["siglip", "softmax", "hard", "random"])
def objective(request):
    keras.utils.set_random_seed(0)
    made = objectives.create(request.param, VOCABULARY)
    if hasattr(made, "bias"):
        made.bias.assign(0.0)  # at -10, negative pairs hardly contribute, and only they differ in the control
    return made


@pytest.fixture(scope="module")
def batch() -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    pixels = tf.constant(rng.integers(0, 256, (ROWS, 24, 24, 3)), tf.uint8)
    return {
        "images": images.to_unit_range(pixels),
        "token_ids": tf.constant(rng.integers(0, VOCABULARY, (ROWS, 12)), tf.int32),
        "seeds": tf.constant(rng.integers(0, 2**31, (ROWS, 2)), tf.int32),
    }


def concatenated(values: list[tf.Tensor]) -> np.ndarray:
    return np.concatenate([value.numpy().ravel() for value in values])


def whole(objective, batch):
    return gradients.of_batch(objective, objective.encode, batch, objective.trainable_variables, OneDevice())[:3]


@pytest.mark.parametrize("count", [1, 2, 3, 24])
def test_micro_batches_equal_the_whole_batch(objective, batch, count):
    loss, metrics, expected = whole(objective, batch)
    ours = gradients.of_micro_batches(
        objective, objective.encode, batch, objective.trainable_variables, OneDevice(), count
    )
    assert float(ours[0]) == pytest.approx(float(loss), rel=1e-5)
    for name, value in metrics.items():
        assert float(ours[1][name]) == pytest.approx(float(value), rel=1e-4, abs=1e-4), name
    expected, found = concatenated(expected), concatenated(ours[2])
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_one_micro_batch_is_encoded_at_a_time(batch):
    """By default, TensorFlow runs ten iterations of a loop at once, and so keeps their activations at once."""
    plain = objectives.create(OBJECTIVE, VOCABULARY)
    of = (plain, plain.encode, batch, plain.trainable_variables, OneDevice(), 3)
    assert loops.at_once(lambda: gradients.of_micro_batches(*of)[:3]) == [1, 1]  # encoding, and gradients


def test_control_the_mean_of_the_gradients_of_micro_batches_differs(objective, batch):
    _, _, expected = whole(objective, batch)
    naive = 0.0
    for k in range(3):
        piece = {name: value[k * 8 : (k + 1) * 8] for name, value in batch.items()}
        naive = naive + concatenated(whole(objective, piece)[2]) / 3
    expected = concatenated(expected)
    assert np.abs(naive - expected).max() > 1e-2 * np.abs(expected).max()


def test_mean_logits_equal_the_mean_over_all_pairs(objective, batch):
    _, metrics, _ = whole(objective, batch)
    encoded = objective.encode(batch)
    logits = objective.logits(encoded["image"], encoded["text"]).numpy()
    right = np.eye(ROWS, dtype=bool)
    assert float(metrics["positive_logit"]) == pytest.approx(logits[right].mean(), rel=1e-4)
    assert float(metrics["negative_logit"]) == pytest.approx(logits[~right].mean(), rel=1e-4)


def test_flops_of_base_equal_the_published_number():
    """ViT-B/16 at 224 px takes 17.5 G multiply-adds for each picture; the MAP head adds some."""
    assert flops.image_tower(settings.ImageTowerSettings()) == pytest.approx(2 * 17.5e9, rel=0.03)
