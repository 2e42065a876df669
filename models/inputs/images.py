"""Turns encoded pictures into pixels; training, evaluation and serving share this one path.

It decodes a picture (only the first frame), composites it on white if it has alpha, and resizes it to a square of
bytes: squashed, as SigLIP does (arXiv 2303.15343, section 4), cropped or letterboxed.
"""

import tensorflow as tf

from models import settings

_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}  # those of tf.image.resize


def decode_and_resize(image_bytes: tf.Tensor, prepared: settings.ImageInput) -> tf.Tensor:
    """String [] (JPEG, PNG, GIF or BMP) -> uint8 [S, S, 3], where S is `prepared.size`.

    Raises:
      InvalidArgumentError: the bytes cannot be decoded.
    """
    return resize(decode(image_bytes), prepared, prepared.size)


def resize(pixels: tf.Tensor, prepared: settings.ImageInput, size: int) -> tf.Tensor:
    """uint8 [H, W, 1 to 4] -> uint8 [size, size, 3]; `prepared` says how, and its own size does not count."""
    resized = _RESIZES[prepared.resize](_composite_on_white(pixels), prepared, size)
    pixels = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    return tf.ensure_shape(pixels, [size, size, 3])


def decode(image_bytes: tf.Tensor) -> tf.Tensor:
    """String [] (JPEG, PNG, GIF or BMP) -> uint8 [H, W, 1 to 4] of the first frame.

    Raises:
      InvalidArgumentError: the bytes cannot be decoded.
    """
    # TensorFlow 2.21 decodes WebP and 2.16 does not, so that a model would answer differently on the two.
    is_webp = tf.equal(tf.strings.substr(image_bytes, 0, 4), b"RIFF")
    image_bytes = tf.where(is_webp, b"", image_bytes)
    return tf.cond(
        tf.io.is_jpeg(image_bytes),
        # decode_image takes the fast DCT, whose pixels differ by up to 80 of 255 from those of other decoders.
        lambda: tf.io.decode_jpeg(image_bytes, channels=0, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(image_bytes, channels=0, expand_animations=False),
    )


def _squash(pixels: tf.Tensor, prepared: settings.ImageInput, size: int) -> tf.Tensor:
    return tf.image.resize(pixels, [size, size], method=prepared.interpolation, antialias=prepared.antialias)


def _crop(pixels: tf.Tensor, prepared: settings.ImageInput, size: int) -> tf.Tensor:
    """Scales the shorter side to `size` and keeps the middle of the longer one; computes no pixel outside of it."""
    sides = tf.cast(tf.shape(pixels)[:2], tf.float32)
    scale = size / tf.reduce_min(sides)
    return tf.raw_ops.ScaleAndTranslate(
        images=pixels[None],
        size=[size, size],
        scale=tf.fill([2], scale),
        translation=(size - sides * scale) / 2,
        kernel_type=_KERNELS[prepared.interpolation],
        antialias=prepared.antialias,
    )[0]


def _letterbox(pixels: tf.Tensor, prepared: settings.ImageInput, size: int) -> tf.Tensor:
    """Scales the longer side to `size`, and centres the picture on white."""
    sides = tf.cast(tf.shape(pixels)[:2], tf.float32)
    inner = tf.maximum(tf.cast(tf.round(sides * size / tf.reduce_max(sides)), tf.int32), 1)
    resized = tf.image.resize(pixels, inner, method=prepared.interpolation, antialias=prepared.antialias)
    before = (size - inner) // 2
    margins = tf.stack([before, size - inner - before], axis=1)
    return tf.pad(resized, tf.concat([margins, [[0, 0]]], axis=0), constant_values=255.0)


def placed(boxes: tf.Tensor, image_bytes: tf.Tensor, prepared: settings.ImageInput) -> tf.Tensor:
    """Moves boxes from pictures to the pixels that `decode_and_resize` makes of them.

    Args:
      boxes: top, left, bottom and right, float32 [N, 4] in [0, 1] of a picture's height and width.
      image_bytes: string [N].
      prepared: how pictures are resized.

    Returns:
      float32 [N, 4], cut to [0, 1]; a box outside of a crop has no area.
    """
    if prepared.resize == "squash":
        return boxes
    sides = tf.map_fn(lambda one: tf.shape(decode(one))[:2], image_bytes, fn_output_signature=tf.int32)
    sides = tf.cast(tf.ensure_shape(sides, [None, 2]), tf.float32)
    if prepared.resize == "crop":
        inner = prepared.size * sides / tf.reduce_min(sides, axis=1, keepdims=True)
        before = (prepared.size - inner) / 2
    else:
        inner = tf.maximum(tf.round(prepared.size * sides / tf.reduce_max(sides, axis=1, keepdims=True)), 1.0)
        before = tf.floor((prepared.size - inner) / 2)
    moved = (boxes * tf.tile(inner, [1, 2]) + tf.tile(before, [1, 2])) / prepared.size
    return tf.clip_by_value(moved, 0.0, 1.0)


_RESIZES = {"squash": _squash, "crop": _crop, "letterbox": _letterbox}


def to_unit_range(pixels: tf.Tensor) -> tf.Tensor:
    """uint8 in [0, 255] -> float32 in [-1, 1], any shape."""
    return tf.cast(pixels, tf.float32) / 127.5 - 1.0


@tf.function(autograph=False)
def decode_batch(image_bytes: tf.Tensor, prepared: settings.ImageInput) -> tf.Tensor:
    """String [N] -> float32 [N, S, S, 3] in [-1, 1], for serving.

    Raises:
      InvalidArgumentError: some rows are not pictures; the message lists them, and no row gets a result.
    """
    count = tf.size(image_bytes, out_type=tf.int64)
    rows = tf.data.Dataset.range(count).map(
        lambda row: (row, decode_and_resize(image_bytes[row], prepared)), num_parallel_calls=tf.data.AUTOTUNE
    )
    # A decoder's error does not name the row. So broken rows are left out, and the row numbers that are then missing
    # are the broken ones. All rows are taken as one batch, since a loop over a dataset costs fifty times as much as
    # decoding a small picture. An extra last row keeps the batch from being empty.
    side = prepared.size
    last = tf.data.Dataset.from_tensors((count, tf.zeros([side, side, 3], tf.uint8)))
    found = rows.ignore_errors().concatenate(last).batch(count + 1).get_single_element()
    decoded_rows, decoded_pixels = found[0][:-1], found[1][:-1]
    broken = tf.sparse.to_dense(tf.sets.difference([tf.range(count)], [decoded_rows]))[0]
    complete = tf.debugging.Assert(
        tf.equal(tf.size(broken), 0),
        ["image_bytes: these rows (from 0) are not pictures in JPEG, PNG, GIF or BMP:", broken, "of", count],
        summarize=20,
    )
    with tf.control_dependencies([complete]):
        return to_unit_range(decoded_pixels)


def _composite_on_white(image: tf.Tensor) -> tf.Tensor:
    """uint8 [H, W, 1 to 4] -> float32 [H, W, 3] in [0, 255]; the last of 2 or of 4 channels is alpha."""
    is_rgb = tf.equal(tf.shape(image)[-1], 3)
    pixels = tf.cond(is_rgb, lambda: tf.cast(image, tf.float32), lambda: _blended(tf.cast(image, tf.float32)))
    return tf.ensure_shape(pixels, [None, None, 3])


def _blended(pixels: tf.Tensor) -> tf.Tensor:
    channels = tf.shape(pixels)[-1]
    has_alpha = tf.logical_or(tf.equal(channels, 2), tf.equal(channels, 4))
    alpha = tf.where(has_alpha, pixels[..., -1:] / 255.0, 1.0)
    # Repeats grey three times, and leaves out alpha.
    colour = tf.gather(pixels, tf.where(channels < 3, [0, 0, 0], [0, 1, 2]), axis=-1)
    return colour * alpha + 255.0 * (1.0 - alpha)
