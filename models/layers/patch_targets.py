"""Patches of pictures as targets of a prediction, and which of them are masked (MAE, arXiv 2111.06377, section 3)."""

import tensorflow as tf

from models import draws

_EPSILON = 1e-6


def normalized_patches(images: tf.Tensor, patch: int) -> tf.Tensor:
    """[N, S, S, 3] -> [N, (S / patch)^2, patch^2 * 3]: pixels of each patch, to mean 0 and variance 1.

    Patches come row by row, as those of a convolution with this stride; pixels of a patch come in the same order. A
    patch of one colour becomes 0.
    """
    size, channels = images.shape[1], images.shape[3]
    grid = size // patch
    cut = tf.reshape(images, [-1, grid, patch, grid, patch, channels])
    pixels = tf.reshape(tf.transpose(cut, [0, 1, 3, 2, 4, 5]), [-1, grid * grid, patch * patch * channels])
    centred = pixels - tf.reduce_mean(pixels, axis=-1, keepdims=True)
    return centred * tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True) + _EPSILON)


def patch_masks(seeds: tf.Tensor, count: int, share: float, stream: int) -> tf.Tensor:
    """Draws which patches are masked: bool [N, count], each True with probability `share`.

    Args:
      seeds: of the rows, int32 [N, 2] (models.objectives.objective.SEEDS).
      count: patches of a picture.
      share: probability that a patch is masked.
      stream: number of the row's stream of draws (models.draws.stream).
    """

    def drawn(seed: tf.Tensor) -> tf.Tensor:
        return draws.coins(draws.stream(seed, stream), [count], share)

    return draws.for_rows(drawn, seeds, tf.TensorSpec([count], tf.bool))
