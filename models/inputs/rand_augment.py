"""RandAugment (arXiv 1909.13719): applies a few operations, drawn at random from sixteen, to one picture.

Magnitude 10 is the end of AutoAugment's range of each operation. Pixels from outside the picture are white. Each
operation equals Pillow's.
"""

import math
from collections.abc import Callable

import tensorflow as tf

Operation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""(uint8 [S, S, 3], strength in [0, 1], two draws in [0, 1) for a sign or a place) -> uint8 [S, S, 3]."""

# At strength 1; the last two are fractions of the side.
_DEGREES, _SHEAR, _TRANSLATION, _CUTOUT = 30.0, 0.3, 100 / 224, 40 / 224
_WHITE = 255


def rand_augment(pixels: tf.Tensor, layers: int, magnitude: float, seed: tf.Tensor) -> tf.Tensor:
    """Applies random operations to a picture: uint8 [S, S, 3] -> uint8 [S, S, 3].

    Args:
      pixels: one picture.
      layers: how many operations to apply, one after the other.
      magnitude: strength of the operations, from 0 to 10.
      seed: int64 [2]; the same seed gives the same operations.
    """
    which = tf.random.stateless_uniform([layers], seed, 0, len(OPERATIONS), tf.int32, alg="philox")
    draws = tf.random.stateless_uniform([layers, 2], seed + tf.constant([1, 0], tf.int64), alg="philox")
    strength = tf.constant(magnitude / 10.0)
    for layer in range(layers):
        branches = [_bound(operation, pixels, strength, draws[layer]) for operation in OPERATIONS.values()]
        pixels = tf.ensure_shape(tf.switch_case(which[layer], branches), pixels.shape)
    return pixels


def _bound(operation: Operation, pixels: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> Callable[[], tf.Tensor]:
    return lambda: operation(pixels, strength, draws)


def _sign(draws: tf.Tensor) -> tf.Tensor:
    return tf.where(draws[0] < 0.5, -1.0, 1.0)


def _to_bytes(values: tf.Tensor) -> tf.Tensor:
    """Converts to bytes as Pillow does: clips, and drops the fraction."""
    return tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.uint8)


def _per_channel(pixels: tf.Tensor, table_of: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Maps each channel by its own table of 256 values, which `table_of` makes from the channel, [S, S]."""
    channels = [tf.gather(table_of(channel), tf.cast(channel, tf.int32)) for channel in tf.unstack(pixels, axis=-1)]
    return tf.cast(tf.stack(channels, axis=-1), tf.uint8)


def _autocontrast_table(channel: tf.Tensor) -> tf.Tensor:
    low, high = (tf.cast(reduce(channel), tf.float32) for reduce in (tf.reduce_min, tf.reduce_max))
    levels = tf.range(256, dtype=tf.float32)
    stretched = (levels - low) * (255.0 / tf.maximum(high - low, 1.0))
    return tf.cast(_to_bytes(tf.where(high > low, stretched, levels)), tf.int32)


def _equalize_table(channel: tf.Tensor) -> tf.Tensor:
    counts = tf.math.bincount(tf.reshape(tf.cast(channel, tf.int32), [-1]), minlength=256, maxlength=256)
    last = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0))
    step = (tf.reduce_sum(counts) - counts[last]) // 255
    table = (step // 2 + tf.cumsum(counts, exclusive=True)) // tf.maximum(step, 1)
    return tf.where(step > 0, tf.clip_by_value(table, 0, 255), tf.range(256))


def _autocontrast(pixels: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return _per_channel(pixels, _autocontrast_table)


def _equalize(pixels: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return _per_channel(pixels, _equalize_table)


def _invert(pixels: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return 255 - pixels


def _posterize(pixels: tf.Tensor, strength: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    """Keeps 8 bits at strength 0, 4 at 1."""
    dropped = tf.cast(tf.round(strength * 4.0), tf.uint8)
    return tf.bitwise.left_shift(tf.bitwise.right_shift(pixels, dropped), dropped)


def _solarize(pixels: tf.Tensor, strength: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    """Inverts pixels at or above a threshold: none at strength 0, all at strength 1."""
    return tf.where(tf.cast(pixels, tf.float32) >= 256.0 * (1.0 - strength), 255 - pixels, pixels)


def _solarize_add(pixels: tf.Tensor, strength: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    """Adds up to 110 to pixels below 128."""
    return tf.where(pixels < 128, _to_bytes(tf.cast(pixels, tf.float32) + tf.floor(110.0 * strength)), pixels)


def _blend(pixels: tf.Tensor, other: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Moves the picture towards `other`, a degraded version of it, or away from it; by up to 0.9 of the difference."""
    factor = 1.0 + 0.9 * strength * _sign(draws)
    values = tf.cast(pixels, tf.float32)
    return _to_bytes(other + factor * (values - other))


def _grey(pixels: tf.Tensor) -> tf.Tensor:
    """float32 [S, S, 1]: the luma of ITU-R 601, in whole numbers."""
    weights = tf.constant([19595, 38470, 7471])
    sums = tf.reduce_sum(tf.cast(pixels, tf.int32) * weights, axis=-1, keepdims=True)
    return tf.cast((sums + 0x8000) // 0x10000, tf.float32)


def _color(pixels: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    return _blend(pixels, _grey(pixels), strength, draws)


def _contrast(pixels: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    return _blend(pixels, tf.floor(tf.reduce_mean(_grey(pixels)) + 0.5), strength, draws)


def _brightness(pixels: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    return _blend(pixels, tf.constant(0.0), strength, draws)


def _sharpness(pixels: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """The degraded version is smoothed by a 3 x 3 kernel of ones with 5 in the middle; its edge stays unchanged."""
    kernel = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13.0
    values = tf.cast(pixels, tf.float32)
    smooth = tf.nn.depthwise_conv2d(values[None], tf.tile(kernel[:, :, None, None], [1, 1, 3, 1]), [1] * 4, "VALID")[0]
    inside = tf.pad(tf.ones_like(smooth), [[1, 1], [1, 1], [0, 0]])
    smooth = tf.pad(tf.floor(smooth + 0.5), [[1, 1], [1, 1], [0, 0]])
    return _blend(pixels, tf.where(inside > 0, smooth, values), strength, draws)


def _transform(pixels: tf.Tensor, matrix: list[tf.Tensor | float]) -> tf.Tensor:
    """Applies a bilinear affine transform. `matrix` maps output to input coordinates, row by row, about the centre."""
    middle = (pixels.shape[0] - 1) / 2.0
    a, b, c, d, e, f = (tf.convert_to_tensor(value, tf.float32) for value in matrix)
    c, f = c + middle - a * middle - b * middle, f + middle - d * middle - e * middle
    zero = tf.constant(0.0)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pixels, tf.float32)[None],
        transforms=tf.stack([a, b, c, d, e, f, zero, zero])[None],
        output_shape=pixels.shape[:2],
        fill_value=float(_WHITE),
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return _to_bytes(tf.round(moved[0]))


def _rotate(pixels: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    angle = math.radians(_DEGREES) * strength * _sign(draws)
    return _transform(pixels, [tf.cos(angle), -tf.sin(angle), 0.0, tf.sin(angle), tf.cos(angle), 0.0])


def _shear_x(pixels: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    return _transform(pixels, [1.0, _SHEAR * strength * _sign(draws), 0.0, 0.0, 1.0, 0.0])


def _shear_y(pixels: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    return _transform(pixels, [1.0, 0.0, 0.0, _SHEAR * strength * _sign(draws), 1.0, 0.0])


def _translate_x(pixels: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    return _transform(pixels, [1.0, 0.0, _TRANSLATION * pixels.shape[0] * strength * _sign(draws), 0.0, 1.0, 0.0])


def _translate_y(pixels: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    return _transform(pixels, [1.0, 0.0, 0.0, 0.0, 1.0, _TRANSLATION * pixels.shape[0] * strength * _sign(draws)])


def _cutout(pixels: tf.Tensor, strength: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Covers the surroundings of a random point with a white square."""
    side = pixels.shape[0]
    half, places = _CUTOUT * side * strength, tf.range(side, dtype=tf.float32) + 0.5
    rows, columns = (tf.abs(places - side * draw) < half for draw in tf.unstack(draws))
    return tf.where((rows[:, None] & columns[None, :])[..., None], tf.constant(_WHITE, tf.uint8), pixels)


OPERATIONS: dict[str, Operation] = {
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "invert": _invert,
    "rotate": _rotate,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "color": _color,
    "contrast": _contrast,
    "brightness": _brightness,
    "sharpness": _sharpness,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
    "cutout": _cutout,
}
