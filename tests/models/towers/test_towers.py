"""The towers have the published sizes, and their parts work as documented."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from models import objectives, settings
from models.towers.image_tower import ImageTower
from models.towers.text_tower import TextTower
from models.towers.transformer import MlpBlock

TINY_IMAGE = settings.ImageTowerSettings(size=32, patch=8, width=16, depth=2, heads=2, mlp_dim=32)
TINY_TEXT = settings.TextTowerSettings(length=6, width=16, depth=2, heads=2, mlp_dim=32)


def count(variables: list[tf.Variable]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)


def test_base_model_has_the_published_number_of_parameters():
    config = settings.SiglipSettings(settings.ImageTowerSettings(), settings.TextTowerSettings())
    objective = objectives.create(config, vocabulary_size=32_000)
    # KerasHub counts the integers 0..L-1 of its position ids as weights too: 196 of the image's, 64 of the text's.
    assert count(objective.image_tower.trainable_variables) + 196 == 92_884_420
    assert count(objective.text_tower.trainable_variables) + 64 == 110_271_808
    assert count(objective.trainable_variables) + 196 + 64 == 203_156_230  # includes t' and b


def test_no_two_kernels_start_equal():
    tower = ImageTower(TINY_IMAGE)
    tower(tf.zeros([1, 32, 32, 3]))
    kernels = [v.numpy().ravel()[:16].tolist() for v in tower.trainable_variables if "kernel" in v.name]
    assert len({tuple(kernel) for kernel in kernels}) == len(kernels)


def test_embeddings_do_not_depend_on_the_rest_of_the_batch():
    objective = objectives.create(settings.SiglipSettings(TINY_IMAGE, TINY_TEXT), vocabulary_size=50)
    images = tf.random.stateless_uniform([4, 32, 32, 3], [0, 1], -1, 1)
    tokens = tf.constant(np.arange(24).reshape(4, 6) % 50, tf.int32)
    for embed, batch in ((objective.embed_image, images), (objective.embed_text, tokens)):
        whole = embed(batch).numpy()
        np.testing.assert_allclose(embed(batch[2:3]).numpy()[0], whole[2], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1.0, atol=1e-6)


def test_text_tower_sees_every_position_and_is_not_causal():
    tower = TextTower(TINY_TEXT, vocabulary_size=50, embedding_dim=16)
    tokens = np.array([[3, 4, 5, 6, 0, 1]], np.int32)
    base = tower(tf.constant(tokens)).numpy()
    for position in range(6):
        changed = tokens.copy()
        changed[0, position] = 9
        assert np.abs(tower(tf.constant(changed)).numpy() - base).max() > 1e-4
    swapped = tokens[:, [1, 0, 2, 3, 4, 5]]
    assert np.abs(tower(tf.constant(swapped)).numpy() - base).max() > 1e-4


@pytest.mark.parametrize("pooling", ["map", "gap", "cls"])
def test_every_image_pooling_sees_every_patch(pooling):
    tower = ImageTower(dataclasses.replace(TINY_IMAGE, pooling=pooling))
    images = np.random.default_rng(0).uniform(-1, 1, [1, 32, 32, 3]).astype(np.float32)
    base = tower(tf.constant(images)).numpy()
    assert base.shape == (1, 16)
    for row in range(0, 32, 8):
        changed = images.copy()
        changed[0, row, row] *= -1
        assert np.abs(tower(tf.constant(changed)).numpy() - base).max() > 1e-6


def test_a_causal_tower_ignores_tokens_after_the_end_of_sentence():
    tower = TextTower(dataclasses.replace(TINY_TEXT, causal=True, pooling="eos"), 50, 16)
    base = tower(tf.constant([[3, 4, 5, 0, 1, 1]])).numpy()
    np.testing.assert_array_equal(tower(tf.constant([[3, 4, 5, 0, 9, 8]])).numpy(), base)
    assert np.abs(tower(tf.constant([[3, 9, 5, 0, 1, 1]])).numpy() - base).max() > 1e-4


def test_a_causal_tower_pooled_at_its_last_position_sees_every_token():
    tower = TextTower(dataclasses.replace(TINY_TEXT, causal=True), 50, 16)
    base = tower(tf.constant([[3, 4, 5, 0, 1, 1]])).numpy()
    assert np.abs(tower(tf.constant([[9, 4, 5, 0, 1, 1]])).numpy() - base).max() > 1e-4


def test_a_bottleneck_saves_parameters():
    plain, narrow = TextTower(TINY_TEXT, 1000, 16), TextTower(dataclasses.replace(TINY_TEXT, bottleneck=4), 1000, 16)
    for tower in (plain, narrow):
        assert tower(tf.constant([[3, 4, 5, 0, 1, 1]])).shape == (1, 16)
    saved = count(plain.trainable_variables) - count(narrow.trainable_variables)
    assert saved == 1000 * 16 - (1000 * 4 + 4 * 16)


@pytest.mark.parametrize("activation", ["gelu_tanh", "gelu", "quick_gelu"])
def test_activations_equal_their_formulas(activation):
    reference = {
        "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        "gelu": lambda x: x * np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x]),
        "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    }
    block = MlpBlock(4, 8, activation)
    inputs = np.linspace(-4, 4, 33)
    np.testing.assert_allclose(block.activation(tf.constant(inputs)), reference[activation](inputs), atol=1e-8)


def test_a_whole_number_becomes_a_float_in_a_float_setting():
    assert isinstance(settings.AdamWSettings(clip_norm=2).clip_norm, float)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: settings.ImageTowerSettings(size=50, patch=16), r"ImageTower.size is 50, .*multiple.*\(16\); try 48"),
        (lambda: settings.ImageTowerSettings(width=100, heads=3), "ImageTower.width is 100"),
        (lambda: settings.ImageTowerSettings(pooling="max"), "ImageTower.pooling is 'max', but must be one of map"),
        (lambda: settings.TextTowerSettings(activation="relu"), "TextTower.activation is 'relu', but must be one of"),
        (lambda: settings.TextTowerSettings(length=0), "TextTower.length is 0, but must be a number above 0"),
        (lambda: settings.TrainingSettings(steps=-1), "Training.steps is -1"),
        (lambda: settings.TrainingSettings(steps="ten"), "Training.steps is 'ten', but must be of type int"),
        (lambda: settings.TrainingSettings(steps=1.5), "Training.steps is 1.5, but must be of type int"),
        (lambda: settings.TrainingSettings(cache=1), "Training.cache is 1, but must be of type bool"),
        (
            lambda: settings.TrainingSettings(optimizer=3),
            "Training.optimizer is 3, but must be of type Optim",
        ),
        (lambda: settings.AugmentationSettings(min_crop=0.0), "Augmentation.min_crop is 0.0"),
        (lambda: settings.AdamWSettings(weight_decay=-1), "AdamW.weight_decay is -1"),
    ],
)
def test_invalid_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
