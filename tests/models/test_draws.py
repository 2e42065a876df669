"""Draws are equal with and without XLA, uniform, and independent between streams."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from models import draws

SEEDS = tf.constant(np.random.default_rng(0).integers(-(2**31), 2**31, (20, 2)), tf.int32)


def all_draws(seeds: tf.Tensor) -> list[tf.Tensor]:
    def of_row(seed: tf.Tensor) -> tf.Tensor:
        return draws.integers(draws.stream(seed, 3), [50], 0, 937)

    def coins(seed: tf.Tensor) -> tf.Tensor:
        return draws.coins(seed, [50], 0.3)

    return [
        draws.for_rows(of_row, seeds, tf.TensorSpec([50], tf.int32)),
        draws.for_rows(coins, seeds, tf.TensorSpec([50], tf.bool)),
    ]


def test_xla_draws_the_same():
    for plain, compiled in zip(all_draws(SEEDS), tf.function(all_draws, jit_compile=True)(SEEDS), strict=True):
        np.testing.assert_array_equal(plain, compiled)


def test_control_xla_draws_other_floats():
    """The reason why all draws are integers."""

    def floats(seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform([50], seed, alg="philox")

    assert not np.array_equal(floats(SEEDS[0]), tf.function(floats, jit_compile=True)(SEEDS[0]))


def test_a_row_draws_from_its_own_seed_only():
    for whole, half in zip(all_draws(SEEDS), all_draws(SEEDS[10:]), strict=True):
        np.testing.assert_array_equal(whole[10:], half)


@pytest.mark.parametrize("probability", [0.0, 1e-3, 0.3, 1.0])
def test_coins_have_their_probability(probability):
    hits = int(tf.math.count_nonzero(draws.coins(SEEDS[0], [100_000], probability)))
    low, high = scipy.stats.binom.interval(1 - 1e-6, 100_000, probability)
    assert (low <= hits <= high) if 0 < probability < 1 else hits == 100_000 * probability


def test_streams_are_independent():
    one, other = (draws.integers(draws.stream(SEEDS[0], number), [100_000], 0, 8).numpy() for number in (0, 1))
    pairs = np.bincount(8 * one + other, minlength=64)
    assert scipy.stats.chisquare(pairs).pvalue > 1e-6
    np.testing.assert_array_equal(one, draws.integers(draws.stream(SEEDS[0], 0), [100_000], 0, 8))
