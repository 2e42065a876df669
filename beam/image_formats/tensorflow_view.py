"""A picture's pixels as training and serving decode them."""

import numpy as np
import tensorflow as tf

# These are the ops that models.inputs.images calls; the wrapper tf.io.decode_image takes as long as a small picture.
# The default of acceptable_fraction, a whole number, would send each call the slow way through Python (25 us).
_ALL = 1.0


def decode(image: bytes) -> np.ndarray | None:
    """Encoded picture -> uint8 [H, W, 1 to 4] of the first frame, or None if TensorFlow refuses it."""
    content = tf.convert_to_tensor(image)
    try:
        if image.startswith(b"\xff\xd8\xff"):
            return tf.raw_ops.DecodeJpeg(
                contents=content, dct_method="INTEGER_ACCURATE", acceptable_fraction=_ALL
            ).numpy()
        return tf.raw_ops.DecodeImage(contents=content, channels=0, dtype=tf.uint8, expand_animations=False).numpy()
    except tf.errors.OpError:
        return None


def decode_eighth(jpeg: bytes) -> np.ndarray | None:
    """JPEG -> uint8 [H / 8, W / 8, 1 or 3], or None if TensorFlow refuses it.

    It reads all data, so it refuses the files that `decode` refuses, and takes two thirds of the time.
    """
    try:
        return tf.raw_ops.DecodeJpeg(contents=tf.convert_to_tensor(jpeg), ratio=8, acceptable_fraction=_ALL).numpy()
    except tf.errors.OpError:
        return None
