"""Changes of colour and sharpness: the input pipeline draws them, and the training step applies them to a batch.

The order is that of CLIP-rocket (arXiv 2305.08675): jitter, grey, blur, solarise [P]. A jitter changes brightness,
contrast, saturation and hue in this order [ours]. Mirroring commutes with all of them, so the crop before them does it.
"""

import tensorflow as tf

from models import settings
from models.compilation import part

DRAWS = 8  # numbers of a row: brightness, contrast, saturation, hue, whether jittered, grey, sigma, whether solarised
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
_LIGHT = 128 / 127.5 - 1  # the byte 128 in [-1, 1]
_NO_BLUR = 1e-3  # pixels; the weights of all neighbours are 0
_SIDE_OF_SIGMA = 224


def draws_colours(config: settings.AugmentationSettings) -> bool:
    """Whether the colours of pictures change at all."""
    return any(getattr(config, name) > 0 for name in settings.COLOUR_PROBABILITIES)


def random_colours(config: settings.AugmentationSettings, seed: tf.Tensor, size: int) -> tf.Tensor:
    """Draws the changes of one picture: float32 [DRAWS].

    Args:
      config: strengths and probabilities.
      seed: int64 [2]; the same seed gives the same changes.
      size: side of the picture that the tower sees; sigma is scaled to it.
    """
    coins = tf.random.stateless_uniform([4], seed, alg="philox")
    draws = tf.random.stateless_uniform([5], seed + tf.constant([2**60, 0], tf.int64), alg="philox")
    strength = tf.constant(config.jitter)
    factors = 1.0 + strength[:3] * (2.0 * draws[:3] - 1.0)
    turn = strength[3] * (2.0 * draws[3] - 1.0)
    probabilities = [getattr(config, name) for name in settings.COLOUR_PROBABILITIES]
    jittered, grey, blurred, solarised = tf.unstack(tf.cast(coins < tf.constant(probabilities), tf.float32))
    low, high = config.blur_sigma
    sigma = blurred * (low + (high - low) * draws[4]) * (size / _SIDE_OF_SIGMA)
    return tf.concat([factors, tf.stack([turn, jittered, grey, sigma, solarised])], axis=0)


def recolour(images: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
    """Applies drawn changes: float32 [N, S, S, 3] in [-1, 1], float32 [N, DRAWS] -> the same shape and range."""
    return _solarised(_blurred(_coloured(images, colours), colours), colours)


def blur(images: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Gaussian blur with a sigma (pixels) for each picture, [N]; 0 changes nothing.

    The weight of a pixel at distance d is exp(-d^2 / 2 sigma^2). The weights of the pixels inside the picture add up to
    1, so the border does not darken. XLA compiles two matrix products.
    """
    places = tf.range(images.shape[1], dtype=tf.float32)
    distance = tf.square(places[:, None] - places[None, :])
    weights = tf.exp(-distance / (2.0 * tf.square(tf.maximum(sigma, _NO_BLUR)))[:, None, None])
    weights /= tf.reduce_sum(weights, axis=2, keepdims=True)
    blurred = tf.einsum("nyi,nijc->nyjc", weights, images)
    return tf.einsum("nxj,nyjc->nyxc", weights, blurred)


def _blurred(images: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
    return blur(images, colours[:, 6])


@part
def _coloured(images: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
    """Jitter and grey."""
    column = [draw[:, None, None, None] for draw in tf.unstack(colours, DRAWS, axis=1)]
    jittered = _hue(_saturation(_contrast(_brightness(images, column[0]), column[1]), column[2]), column[3])
    images = tf.where(column[4] > 0, jittered, images)
    return tf.where(column[5] > 0, _grey(images), images)


@part
def _solarised(images: tf.Tensor, colours: tf.Tensor) -> tf.Tensor:
    return tf.where((colours[:, 7, None, None, None] > 0) & (images >= _LIGHT), -images, images)


def _blend(images: tf.Tensor, other: tf.Tensor | float, factor: tf.Tensor) -> tf.Tensor:
    """Moves pictures away from `other` (factor above 1) or towards it; clips to [-1, 1]."""
    return tf.clip_by_value(other + factor * (images - other), -1.0, 1.0)


def _brightness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return _blend(images, -1.0, factor)


def _contrast(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return _blend(images, tf.reduce_mean(_luma(images), axis=[1, 2], keepdims=True), factor)


def _saturation(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return _blend(images, _luma(images), factor)


def _grey(images: tf.Tensor) -> tf.Tensor:
    return tf.broadcast_to(_luma(images), tf.shape(images))


def _luma(images: tf.Tensor) -> tf.Tensor:
    """[N, S, S, 1]."""
    return tf.reduce_sum(images * tf.constant(_LUMA), axis=-1, keepdims=True)


def _hue(images: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turns the hue of HSV by a share of the circle; the largest and smallest value of a pixel stay."""
    red, green, blue = tf.unstack(images[..., None, :], axis=-1)
    value = tf.reduce_max(images, axis=-1, keepdims=True)
    chroma = value - tf.reduce_min(images, axis=-1, keepdims=True)
    sixths = tf.where(
        red == value,
        tf.math.divide_no_nan(green - blue, chroma),
        tf.where(
            green == value,
            2.0 + tf.math.divide_no_nan(blue - red, chroma),
            4.0 + tf.math.divide_no_nan(red - green, chroma),
        ),
    )
    return tf.concat([_channel(value, chroma, sixths + 6.0 * turn, start) for start in (5.0, 3.0, 1.0)], axis=-1)


def _channel(value: tf.Tensor, chroma: tf.Tensor, sixths: tf.Tensor, start: float) -> tf.Tensor:
    """A channel of HSV: red, green or blue for a start of 5, 3 or 1 sixths of the circle."""
    place = tf.math.floormod(start + sixths, 6.0)
    return value - chroma * tf.clip_by_value(tf.minimum(place, 4.0 - place), 0.0, 1.0)
