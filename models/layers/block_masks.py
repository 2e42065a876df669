"""Block masks of picture patches, as in BEiT (arXiv 2106.08254, algorithm 1): rectangles until enough patches are hit.

BEiT's sampler stops when ten rectangles in a row do not fit, so that a mask may be short of patches. [ours]: single
patches, drawn at random, fill it up, because a graph needs a fixed number. All draws are integers (models/draws.py).
"""

import math

import tensorflow as tf

from models import draws

LEAST_ASPECT = 0.3
TRIES = 10  # rectangles in a row that may fail
PROPOSALS = 60  # rectangles that a row tries at most

_BITS = 30  # of a draw
_ASPECTS, _ASPECT_UNIT, _AREA_UNIT = 256, 2**12, 2**6  # aspects to draw from, and 1 in fixed-point numbers
_BLOCKS, _FILL = 0, 1  # streams


def block_masks(seeds: tf.Tensor, side: int, count: int, smallest: int) -> tf.Tensor:
    """Draws a mask for each row: bool [N, side * side], True in exactly `count` places.

    Args:
      seeds: int32 [N, 2]; a row's mask depends on its own seed only.
      side: patches of a side of the picture, g; at least 2.
      count: patches to mask, in [1, g * g].
      smallest: patches of the smallest rectangle that is tried, before the shape is rounded.
    """
    masked = blocks(seeds, side, count, smallest)
    cells = side * side

    def order(seed: tf.Tensor) -> tf.Tensor:
        return draws.integers(draws.stream(seed, _FILL), [cells], 0, 2**_BITS)

    keys = tf.where(masked, 2**_BITS, draws.for_rows(order, seeds, tf.TensorSpec([cells], tf.int32)))
    rank = tf.argsort(tf.argsort(keys, axis=1, stable=True), axis=1)
    missing = count - tf.reduce_sum(tf.cast(masked, tf.int32), axis=1)
    return tf.logical_or(masked, rank < missing[:, None])


def blocks(seeds: tf.Tensor, side: int, count: int, smallest: int, proposals: int = PROPOSALS) -> tf.Tensor:
    """The rectangles alone: bool [N, side * side], True in at most `count` places.

    A rectangle has an area of `smallest` up to the patches that are left, an aspect of .3 to 1 / .3, uniform in its
    logarithm, and a place anywhere in the picture. It counts if it is smaller than the picture in both directions, and
    hits one new patch or more, but not more than are left.
    """

    def draw(seed: tf.Tensor) -> tf.Tensor:
        return draws.integers(draws.stream(seed, _BLOCKS), [proposals, 4], 0, 2**_BITS)

    drawn = draws.for_rows(draw, seeds, tf.TensorSpec([proposals, 4], tf.int32))
    drawn = tf.transpose(tf.cast(drawn, tf.int64), [1, 2, 0])

    def attempt(k: tf.Tensor, masked: tf.Tensor, failed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        left = count - tf.reduce_sum(tf.cast(masked, tf.int32), axis=[1, 2])
        block = _rectangle(drawn[k], left, side, smallest)
        new = tf.reduce_sum(tf.cast(tf.logical_and(block, tf.logical_not(masked)), tf.int32), axis=[1, 2])
        fits = tf.logical_and(tf.logical_and(new > 0, new <= left), failed < TRIES)
        masked = tf.logical_or(masked, tf.logical_and(block, fits[:, None, None]))
        return k + 1, masked, tf.where(fits, 0, failed + 1)

    def go_on(_: tf.Tensor, masked: tf.Tensor, failed: tf.Tensor) -> tf.Tensor:
        short = tf.reduce_sum(tf.cast(masked, tf.int32), axis=[1, 2]) < count
        return tf.reduce_any(tf.logical_and(short, failed < TRIES))

    rows = seeds.shape[0]
    state = (tf.constant(0), tf.zeros([rows, side, side], tf.bool), tf.zeros([rows], tf.int32))
    _, masked, _ = tf.while_loop(go_on, attempt, state, maximum_iterations=proposals)
    return tf.reshape(masked, [rows, side * side])


def _rectangle(drawn: tf.Tensor, left: tf.Tensor, side: int, smallest: int) -> tf.Tensor:
    """Returns bool [N, side, side] of one rectangle a row; nothing, if it is as long as the picture.

    Args:
      drawn: int64 [4, N], uniform in [0, 2^30): for the area, the aspect, the top and the left.
      left: int32 [N], patches that are still to be masked.
      side: patches of a side.
      smallest: see `block_masks`.
    """
    span = tf.cast(left - smallest, tf.int64) * _AREA_UNIT
    area = smallest * _AREA_UNIT + tf.bitwise.right_shift(drawn[0] * span, _BITS)
    place = tf.cast(_below(drawn[1], _ASPECTS), tf.int32)
    # round(sqrt(area * aspect)) is the number of k >= 1 with (k - 1/2)^2 <= area * aspect: no rounding of floats.
    squares = tf.constant([(2 * k - 1) ** 2 * (_AREA_UNIT * _ASPECT_UNIT // 4) for k in range(1, side + 1)], tf.int64)
    height, width = (
        tf.reduce_sum(tf.cast(squares <= (area * tf.gather(_aspects(), at))[:, None], tf.int64), axis=1)
        for at in (place, _ASPECTS - 1 - place)
    )
    inside = tf.range(side, dtype=tf.int64)
    spans = []
    for length, draw in ((height, drawn[2]), (width, drawn[3])):
        start = _below(draw, side - length + 1)[:, None]
        within = tf.logical_and(inside >= start, inside < start + length[:, None])
        spans.append(tf.logical_and(within, (length < side)[:, None]))
    return tf.logical_and(spans[0][:, :, None], spans[1][:, None, :])


def _below(drawn: tf.Tensor, limit: tf.Tensor | int) -> tf.Tensor:
    """A draw in [0, 2^30) as one in [0, limit), int64."""
    return tf.bitwise.right_shift(drawn * limit, tf.constant(_BITS, tf.int64))


def _aspects() -> tf.Tensor:
    """Aspects in fixed-point numbers, int64 [256]; the one at 255 - k is 1 over the one at k."""
    reach = -math.log(LEAST_ASPECT)
    logs = [reach * (2 * (k + 0.5) / _ASPECTS - 1) for k in range(_ASPECTS)]
    return tf.constant([round(math.exp(one) * _ASPECT_UNIT) for one in logs], tf.int64)
