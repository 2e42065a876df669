"""From encoded pictures to pixels: the one path that training, evaluation and serving share.

A picture is decoded (at most its first frame), composited on white where it has alpha, and squash-resized with
antialiasing to a square of bytes, as SigLIP does (arXiv 2303.15343, section 4); the aspect ratio is not kept.
"""

import tensorflow as tf

WHITE = 1.0  # of pixels in [-1, 1]


def decode_and_resize(image_bytes: tf.Tensor, size: int) -> tf.Tensor:
    """String [] (JPEG, PNG, GIF or BMP) -> uint8 [size, size, 3]; InvalidArgumentError where it cannot be decoded."""
    decoded = tf.io.decode_image(image_bytes, channels=0, expand_animations=False)
    resized = tf.image.resize(_composite_on_white(decoded), [size, size], method="bilinear", antialias=True)
    pixels = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    return tf.ensure_shape(pixels, [size, size, 3])


def to_unit_range(pixels: tf.Tensor) -> tf.Tensor:
    """uint8 in [0, 255] -> float32 in [-1, 1], any shape."""
    return tf.cast(pixels, tf.float32) / 127.5 - 1.0


@tf.function
def decode_batch(image_bytes: tf.Tensor, size: int) -> tf.Tensor:
    """String [N] -> float32 [N, size, size, 3] in [-1, 1], for serving.

    Raises:
      InvalidArgumentError: some rows are no pictures; the message lists them, and no row is answered.
    """
    count = tf.size(image_bytes, out_type=tf.int64)
    rows = tf.data.Dataset.range(count).map(
        lambda row: (row, decode_and_resize(image_bytes[row], size)), num_parallel_calls=tf.data.AUTOTUNE
    )
    # A decoder's own error names no row. Leaving broken rows out, then asking which are missing, does.
    rows = rows.ignore_errors()
    decoded_rows = tf.TensorArray(tf.int64, size=0, dynamic_size=True, element_shape=[])
    decoded_pixels = tf.TensorArray(tf.uint8, size=0, dynamic_size=True, element_shape=[size, size, 3])
    for row, pixels in rows:
        decoded_rows = decoded_rows.write(decoded_rows.size(), row)
        decoded_pixels = decoded_pixels.write(decoded_pixels.size(), pixels)
    broken = tf.sparse.to_dense(tf.sets.difference([tf.range(count)], [decoded_rows.stack()]))[0]
    complete = tf.debugging.Assert(
        tf.equal(tf.size(broken), 0),
        ["image_bytes: these rows (from 0) are not pictures in JPEG, PNG, GIF or BMP:", broken, "of", count],
        summarize=20,
    )
    with tf.control_dependencies([complete]):
        return to_unit_range(decoded_pixels.stack())


def random_box(min_crop: float, max_crop: float, seed: tf.Tensor) -> tf.Tensor:
    """A random square, float32 [4] as top, left, bottom, right, in units of the picture's side.

    Args:
      min_crop: its smallest side.
      max_crop: its largest side; above 1 it sticks out of the picture.
      seed: int64 [2]; the same seed gives the same square.
    """
    draws = tf.random.stateless_uniform([3], seed, alg="philox")
    side = min_crop + (max_crop - min_crop) * draws[0]
    corner = draws[1:] * (1.0 - side)
    return tf.concat([corner, corner + side], axis=0)


def crop(images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Each image's box, resized back bilinearly; float32 [N, S, S, 3] in [-1, 1] -> the same shape; white outside.

    Two matrix products, which XLA compiles for every device; tf.image.crop_and_resize, which this equals, it does not.
    """
    size = images.shape[1]
    rows, rows_inside = _bilinear_weights(boxes[:, 0], boxes[:, 2], size)
    columns, columns_inside = _bilinear_weights(boxes[:, 1], boxes[:, 3], size)
    cropped = tf.einsum("nyi,nijc->nyjc", rows, images)
    cropped = tf.einsum("nxj,nyjc->nyxc", columns, cropped)
    inside = rows_inside[:, :, None] * columns_inside[:, None, :]
    return cropped + WHITE * (1.0 - inside[..., None])


def _bilinear_weights(start: tf.Tensor, end: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Weights [N, size, size] of the source pixels for each target pixel, zero outside, and [N, size] where inside."""
    steps = tf.range(size, dtype=tf.float32) / max(size - 1, 1)
    source = (start[:, None] + (end - start)[:, None] * steps) * (size - 1)
    inside = tf.cast(tf.logical_and(source >= 0, source <= size - 1), tf.float32)
    distance = tf.abs(source[:, :, None] - tf.range(size, dtype=tf.float32))
    return tf.maximum(1.0 - distance, 0.0) * inside[:, :, None], inside


def _composite_on_white(image: tf.Tensor) -> tf.Tensor:
    """uint8 [H, W, 1 to 4] -> float32 [H, W, 3] in [0, 255]; the 2nd of 2 and the 4th of 4 are alpha."""
    pixels = tf.cast(image, tf.float32)
    channels = tf.shape(image)[-1]
    has_alpha = tf.logical_or(tf.equal(channels, 2), tf.equal(channels, 4))
    alpha = tf.where(has_alpha, pixels[..., -1:] / 255.0, 1.0)
    # Grey is repeated; of two or four channels the last is alpha and is left out.
    colour = tf.gather(pixels, tf.where(channels < 3, [0, 0, 0], [0, 1, 2]), axis=-1)
    return colour * alpha + 255.0 * (1.0 - alpha)
