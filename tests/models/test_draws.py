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


def test_control_another_stream_draws_others():
    first = draws.integers(draws.stream(SEEDS[0], 0), [50], 0, 937)
    assert not np.array_equal(first, draws.integers(draws.stream(SEEDS[0], 1), [50], 0, 937))


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


choices = tf.function(draws.choices, autograph=False)  # loops over rows are slow outside of graphs


def chosen(allowed: tf.Tensor, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each of 6 was drawn in `rows` rows, and the expected numbers."""
    seeds = tf.constant(np.random.default_rng(1).integers(-(2**31), 2**31, (rows, 2)), tf.int32)
    logits = tf.constant([0.0, 1.5, -1.0, 0.5, 3.0, 0.2])
    drawn = choices(seeds, tf.tile(logits[None], [rows, 1]), tf.tile(allowed[None], [rows, 1]))
    weights = np.where(allowed, np.exp(np.float64(logits)), 0.0)  # scipy wants equal sums
    return np.bincount(drawn, minlength=6), rows * weights / weights.sum()


@pytest.mark.parametrize("left_out", [None, 4])
def test_choices_follow_the_softmax_of_what_is_allowed(left_out):
    allowed = tf.constant([place != left_out for place in range(6)])
    counted, expected = chosen(allowed, 10_000)
    kept = expected > 0
    assert scipy.stats.chisquare(counted[kept], expected[kept]).pvalue > 1e-4
    assert counted[~kept].sum() == 0
    uniform = np.full(kept.sum(), 10_000 / kept.sum())
    assert scipy.stats.chisquare(counted[kept], uniform).pvalue < 1e-9  # control


def test_choices_are_the_same_with_xla_and_depend_on_the_seed_of_the_row():
    logits = tf.random.stateless_normal([20, 30], [0, 1])
    allowed = tf.ones([20, 30], tf.bool)
    whole = choices(SEEDS, logits, allowed)
    np.testing.assert_array_equal(whole, tf.function(draws.choices, jit_compile=True)(SEEDS, logits, allowed))
    np.testing.assert_array_equal(whole[10:], choices(SEEDS[10:], logits[10:], allowed[10:]))
    assert not np.array_equal(whole, choices(SEEDS + 1, logits, allowed))
