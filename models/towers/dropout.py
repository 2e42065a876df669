"""Dropout of the token stream (arXiv 1207.0580), drawn from the seed of each row."""

from collections.abc import Callable

import tensorflow as tf

from models import draws

Drop = Callable[[int | tf.Tensor, tf.Tensor], tf.Tensor]
"""(number of the block, its input) -> the input with some values 0."""


def of_rows(probability: float, seeds: tf.Tensor) -> Drop:
    """Makes a function that drops values of the input of each block, [N, L, width].

    A value becomes 0 with this probability, and is divided by 1 - probability otherwise. Each row draws from its own
    seed and the number of the block, so that neither other rows nor a restart change a draw.

    Args:
      probability: in [0, 1).
      seeds: int32 [N, 2].
    """

    def drop(block: int | tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        shape = hidden.shape[1:]

        def kept(seed: tf.Tensor) -> tf.Tensor:
            return draws.coins(draws.stream(seed, block), shape, 1.0 - probability)

        keep = draws.for_rows(kept, seeds, tf.TensorSpec(shape, tf.bool))
        return tf.where(keep, hidden * tf.cast(1.0 / (1.0 - probability), hidden.dtype), tf.zeros([], hidden.dtype))

    return drop


def nothing(_: int | tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
    """Drops nothing."""
    return hidden
