"""Random draws of the training step: each row draws from its own seed, and gets the same on every device.

The seed of a row is in the batch (models.objectives.objective.SEEDS), so neither the number of replicas nor a restart
changes a draw. All draws are integers: with one seed, TensorFlow draws the same integers with XLA and without it, but
may round floats in another way.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

_FINE = 2**30  # a probability is rounded to a multiple of 1 / _FINE


def for_rows(function: Callable[[tf.Tensor], tf.Tensor], seeds: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    """Calls a function of one seed, int32 [2], for each of `seeds`, int32 [N, 2]; its result has this spec."""
    return tf.map_fn(function, seeds, fn_output_signature=spec)


def stream(seed: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    """The seed of a row's draws for one purpose, int32 [2]; other numbers give independent draws."""
    return tf.random.experimental.stateless_fold_in(seed, number, alg="philox")


def streams(seeds: tf.Tensor, number: int) -> tf.Tensor:
    """The seeds of the draws of all rows for one purpose, int32 [N, 2]."""

    def of_row(seed: tf.Tensor) -> tf.Tensor:
        return stream(seed, number)

    return for_rows(of_row, seeds, tf.TensorSpec([2], tf.int32))


def integers(seed: tf.Tensor, shape: Sequence[int], low: int, high: int) -> tf.Tensor:
    """int32, uniform in [low, high)."""
    return tf.random.stateless_uniform(shape, seed, low, high, tf.int32, alg="philox")


def coins(seed: tf.Tensor, shape: Sequence[int], probability: float) -> tf.Tensor:
    """bool, each True with this probability; always for 1, never for 0."""
    return integers(seed, shape, 0, _FINE) < round(probability * _FINE)
