"""Random draws of the training step: each row draws from its own seed, and gets the same on every device.

The seed of a row is in the batch (models.objectives.objective.SEEDS), so neither the number of replicas nor a restart
changes a draw. All draws are integers: with one seed, TensorFlow draws the same integers with XLA and without it, but
may round floats in another way. `choices` compares floats, so it is the same but for ties within rounding.
"""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

_FINE = 2**30  # a probability is rounded to a multiple of 1 / _FINE
_COARSE = 2**23  # (k + 1/2) / _COARSE is exact in float32


def for_rows(function: Callable[[tf.Tensor], tf.Tensor], seeds: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    """Calls a function of one seed, int32 [2], for each of `seeds`, int32 [N, 2]; its result has this spec."""
    return tf.map_fn(function, seeds, fn_output_signature=spec)


def stream(seed: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    """The seed of a row's draws for one purpose, int32 [2]; other numbers give independent draws."""
    return tf.random.experimental.stateless_fold_in(seed, number, alg="philox")


def streams(seeds: tf.Tensor, number: int) -> tf.Tensor:
    """The seeds of the rows' draws for one purpose: int32 [N, 2] -> int32 [N, 2]; see `stream`."""
    return for_rows(functools.partial(stream, number=number), seeds, tf.TensorSpec([2], seeds.dtype))


def integers(seed: tf.Tensor, shape: Sequence[int], low: int, high: int) -> tf.Tensor:
    """int32, uniform in [low, high)."""
    return tf.random.stateless_uniform(shape, seed, low, high, tf.int32, alg="philox")


def coins(seed: tf.Tensor, shape: Sequence[int], probability: float) -> tf.Tensor:
    """bool, each True with this probability; always for 1, never for 0."""
    return integers(seed, shape, 0, _FINE) < round(probability * _FINE)


def choices(seeds: tf.Tensor, logits: tf.Tensor, allowed: tf.Tensor) -> tf.Tensor:
    """Draws one of K for each row, with the probabilities softmax(logits) among the allowed ones: int32 [N].

    The largest logit after Gumbel noise wins (arXiv 1411.0030), so a place that is not allowed is never drawn. The
    result is 0 in a row where none is allowed. Probabilities below 2^-23 are not resolved.

    Args:
      seeds: int32 [N, 2].
      logits: [N, K], floating; gets no gradient.
      allowed: bool [N, K].
    """
    count = logits.shape[1]

    def draw(seed: tf.Tensor) -> tf.Tensor:
        return integers(seed, [count], 0, _COARSE)

    drawn = tf.cast(for_rows(draw, seeds, tf.TensorSpec([count], tf.int32)), logits.dtype)
    noise = -tf.math.log(-tf.math.log((drawn + 0.5) / _COARSE))  # exact up to here, and never 0 or 1
    noisy = tf.where(allowed, tf.stop_gradient(logits) + noise, -float("inf"))
    return tf.argmax(noisy, axis=1, output_type=tf.int32)
