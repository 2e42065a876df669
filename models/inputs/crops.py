"""Random crops and mirroring: the input pipeline draws boxes, and the training step cuts them out."""

import math

import tensorflow as tf

from models import settings

WHITE = 1.0  # the value, in [-1, 1], of pixels outside a picture


def draws_boxes(config: settings.AugmentationSettings) -> bool:
    """Whether pictures are cropped or mirrored at all."""
    return config.flip or config.min_area < 1 or (config.min_crop, config.max_crop) != (1.0, 1.0)


def random_box(config: settings.AugmentationSettings, seed: tf.Tensor) -> tf.Tensor:
    """Draws the box that a picture is cropped to: float32 [4], top, left, bottom, right, as fractions of its sides.

    In a mirrored box, left is greater than right.

    Args:
      config: bounds of the box.
      seed: int64 [2]; the same seed gives the same box.
    """
    draws = tf.random.stateless_uniform([3], seed, alg="philox")
    more = tf.random.stateless_uniform([2], seed + tf.constant([2**60, 0], tf.int64), alg="philox")
    if config.min_area < 1:
        area = config.min_area + (1.0 - config.min_area) * draws[0]
        longest = tf.minimum(math.log(config.max_aspect), -tf.math.log(area))  # so that the box fits into the picture
        ratio = tf.exp(longest * (2.0 * more[0] - 1.0))
        sides = tf.minimum(tf.sqrt(area * tf.stack([1.0 / ratio, ratio])), 1.0)
    else:
        sides = tf.fill([2], config.min_crop + (config.max_crop - config.min_crop) * draws[0])
    corner = draws[1:] * (1.0 - sides)
    box = tf.concat([corner, corner + sides], axis=0)
    mirrored = tf.gather(box, [0, 3, 2, 1])
    return tf.where(more[1] < 0.5, mirrored, box) if config.flip else box


def crop(images: tf.Tensor, boxes: tf.Tensor, size: int | None = None) -> tf.Tensor:
    """Cuts the box out of each picture, and resizes it: float32 [N, H, H, 3] in [-1, 1] -> [N, size, size, 3].

    Pixels outside the picture are white. The resize is bilinear and antialiased: if a box has more pixels than the
    result, each pixel is the mean of the pixels that fall into it. Otherwise, the result equals
    tf.image.crop_and_resize inside a picture. XLA does not compile that op for every device; it compiles the two matrix
    products here.

    Args:
      images: the pictures.
      boxes: float32 [N, 4], see `random_box`.
      size: side of the result; None keeps the side of the pictures.
    """
    side = images.shape[1]
    size = size or side
    rows, rows_inside = _bilinear_weights(boxes[:, 0], boxes[:, 2], side, size)
    columns, columns_inside = _bilinear_weights(boxes[:, 1], boxes[:, 3], side, size)
    cropped = tf.einsum("nyi,nijc->nyjc", rows, images)
    cropped = tf.einsum("nxj,nyjc->nyxc", columns, cropped)
    inside = rows_inside[:, :, None] * columns_inside[:, None, :]
    return cropped + WHITE * (1.0 - inside[..., None])


def _bilinear_weights(start: tf.Tensor, end: tf.Tensor, side: int, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The weights of `side` source pixels for `size` target pixels, [N, size, side]; and [N, size], 1 for inside."""
    steps = tf.range(size, dtype=tf.float32) / max(size - 1, 1)
    source = (start[:, None] + (end - start)[:, None] * steps) * (side - 1)
    inside = tf.cast(tf.logical_and(source >= 0, source <= side - 1), tf.float32)
    distance = tf.abs(source[:, :, None] - tf.range(side, dtype=tf.float32))
    spacing = tf.abs(end - start) * ((side - 1) / max(size - 1, 1))  # of target pixels, in source pixels
    weights = tf.maximum(1.0 - distance / tf.maximum(spacing, 1.0)[:, None, None], 0.0)
    weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=2, keepdims=True))
    return weights * inside[:, :, None], inside
