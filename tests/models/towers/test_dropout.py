"""Dropout is drawn from each row's seed, in training alone, and with the same values however the tower is computed."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tf_keras as keras

from models import settings
from models.distribution.collectives import OneDevice
from models.objectives.objective import SEEDS
from models.towers import dropout
from models.towers.text_tower import TextTower
from models.training import gradients
from tests.models.objectives import rockets

P = 0.2
TOWER = settings.TextTowerSettings(length=4, width=8, depth=2, heads=2, mlp_dim=8, dropout=P)
TOKENS = tf.constant(np.random.default_rng(0).integers(0, 16, (6, 4)), tf.int32)
SEED_ROWS = tf.constant(np.random.default_rng(1).integers(-(2**31), 2**31, (6, 2)), tf.int32)


def tower(remat: str = "nothing") -> TextTower:
    keras.utils.set_random_seed(0)
    made = TextTower(TOWER, 16, 8, remat)
    made(TOKENS)
    return made


@pytest.fixture(scope="module")
def plain() -> TextTower:
    return tower()


def test_values_are_dropped_with_the_probability_and_others_are_scaled():
    seeds = tf.stack([tf.range(100), tf.zeros([100], tf.int32)], axis=1)
    drop = dropout.of_rows(P, seeds)
    ones = tf.ones([100, 10, 10])
    first, other = drop(0, ones).numpy(), drop(1, ones).numpy()
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / (1 - P))}
    zeros = int((first == 0).sum())
    assert scipy.stats.binomtest(zeros, 10_000, P).pvalue > 1e-4
    assert scipy.stats.binomtest(zeros, 10_000, P + 0.05).pvalue < 1e-6  # control
    both = int(((first == 0) & (other == 0)).sum())  # blocks draw independently
    assert scipy.stats.binomtest(both, 10_000, P * P).pvalue > 1e-4
    assert len({row.tobytes() for row in first}) == 100


def test_a_row_draws_from_its_own_seed_only(plain):
    whole = plain(TOKENS, training=True, seeds=SEED_ROWS).numpy()
    part = plain(TOKENS[2:4], training=True, seeds=SEED_ROWS[2:4]).numpy()
    np.testing.assert_allclose(part, whole[2:4], rtol=1e-5, atol=1e-6)
    other = plain(TOKENS, training=True, seeds=SEED_ROWS[::-1]).numpy()
    assert np.abs(other - whole).max() > 0.1


def test_nothing_drops_in_evaluation_or_without_seeds(plain):
    usual = plain(TOKENS).numpy()
    np.testing.assert_array_equal(plain(TOKENS, seeds=SEED_ROWS), usual)
    np.testing.assert_array_equal(plain(TOKENS, training=True), usual)
    assert np.abs(plain(TOKENS, training=True, seeds=SEED_ROWS).numpy() - usual).max() > 0.1


@pytest.mark.parametrize("remat", [pytest.param("block", marks=pytest.mark.slow), "scan"])
def test_rematerialisation_drops_the_same_values(plain, remat):
    def outputs(made: TextTower) -> list[np.ndarray]:
        @tf.function(jit_compile=True, autograph=False)
        def run() -> tuple[tf.Tensor, list[tf.Tensor]]:
            with tf.GradientTape() as tape:
                encoded = made(TOKENS, training=True, seeds=SEED_ROWS)
                loss = tf.reduce_sum(tf.sin(encoded))
            return encoded, [tf.convert_to_tensor(one) for one in tape.gradient(loss, made.trainable_variables)]

        encoded, by_weights = run()
        return [encoded.numpy(), *(one.numpy() for one in by_weights)]

    for found, expected in zip(outputs(tower(remat)), outputs(plain), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def with_dropout(probability: float = P) -> settings.ClipRocketSettings:
    text = settings.TextTowerSettings(length=4, width=8, depth=1, heads=2, mlp_dim=8, dropout=probability)
    drops = settings.TextAugmentationSettings(dropout=True)
    return settings.ClipRocketSettings(rockets.IMAGE_TOWER, text, projection_dim=3, local_hidden=5, local_texts=drops)


@pytest.fixture(scope="module")
def rocket():
    objective = rockets.made(with_dropout())
    return objective, {**rockets.batch(objective, 6), SEEDS: SEED_ROWS}


def test_only_views_that_ask_drop_out(rocket):
    objective, batch = rocket
    assert objective.views.seeds
    assert not rockets.made(with_dropout(0.0)).views.seeds
    texts = dict.fromkeys(objective.views.texts, batch["token_ids"])  # the same text in all views
    first, second = (objective.encode({**batch, **texts, SEEDS: seeds}) for seeds in (SEED_ROWS, SEED_ROWS[::-1]))
    for name in ("image", "text", "local_image"):
        np.testing.assert_array_equal(first[name], second[name])
    assert np.abs(first["local_text"] - second["local_text"]).max() > 0.1
    views = first["local_text"].numpy()
    assert np.abs(views[:, 0] - views[:, 1]).max() > 0.1  # each view draws anew
    assert np.abs(views[:, 0] - first["text"].numpy()).max() > 0.1
    np.testing.assert_array_equal(objective.embed_text(batch["token_ids"]), objective.embed_text(batch["token_ids"]))


@pytest.mark.slow
def test_micro_batches_drop_the_same_values(rocket):
    objective, batch = rocket
    variables = objective.trainable_variables
    common = (objective, objective.encode, batch, variables, OneDevice())
    loss, _, by_weights, _ = gradients.of_batch(*common)
    again, _, in_parts, _ = tf.function(lambda: gradients.of_micro_batches(*common, 3), autograph=False)()
    assert float(again) == pytest.approx(float(loss), rel=1e-5)
    largest = max(float(tf.reduce_max(tf.abs(one))) for one in by_weights)
    for found, expected in zip(in_parts, by_weights, strict=True):
        assert float(tf.reduce_max(tf.abs(found - expected))) < 2e-5 * largest


def test_a_dropout_that_no_view_asks_for_is_refused():
    siglip = settings.SiglipSettings(text_tower=settings.TextTowerSettings(dropout=0.1))
    with pytest.raises(
        ValueError, match=r"TextTower.dropout is 0.1, but must be 0, unless a view of texts asks for it"
    ):
        settings.TrainingSettings(objective=siglip)
    for wrong in (1.0, -0.1):
        with pytest.raises(ValueError, match=rf"TextTower.dropout is {wrong}, but must be in \[0, 1\); use 0 for none"):
            settings.TextTowerSettings(dropout=wrong)
    settings.TrainingSettings(objective=with_dropout())
