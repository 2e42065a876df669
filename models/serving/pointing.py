"""Whether a model points at what a text names: the largest heat of its signature `localize` lies in the row's box."""

from collections.abc import Callable

import tensorflow as tf

from models import settings
from models.inputs import images

SIGNATURE, HEAT = "localize", "heat"
POINTED, PLACE, BOX = "pointed", "place", "box"


def outputs(
    boxes: tf.Tensor, image_bytes: tf.Tensor, prepared: settings.ImageInput, heat: Callable[[tf.Tensor], tf.Tensor]
) -> dict[str, tf.Tensor]:
    """What `models.evaluation.pointing.Places` needs of rows. Only rows with a box are computed; others get NaN.

    Args:
      boxes: top, left, bottom and right, float32 [N, 4] in [0, 1] of the stored picture; NaN for none.
      image_bytes: string [N].
      prepared: how pictures are resized.
      heat: numbers of rows, int32 [B] -> their heat, float32 [B, g, g].

    Returns:
      POINTED, float32 [N]; PLACE, float32 [N, 2]; BOX, float32 [N, 4] of the resized picture.
    """
    rows = tf.where(~tf.math.is_nan(boxes[:, 0]))[:, 0]

    def of_rows() -> tuple[tf.Tensor, ...]:
        seen, warm = images.placed(tf.gather(boxes, rows), tf.gather(image_bytes, rows), prepared), heat(rows)
        return pointed(warm, seen), place(warm), seen

    nothing = tuple(tf.zeros([0, *one.shape[1:]], tf.float32) for one in unknown(boxes).values())
    found = tf.cond(tf.size(rows) > 0, of_rows, lambda: nothing)
    return {
        name: tf.tensor_scatter_nd_update(empty, rows[:, None], value)
        for (name, empty), value in zip(unknown(boxes).items(), found, strict=True)
    }


def pointed(heat: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """float32 [N]: 1 if the largest heat [N, g, h] is at a place whose middle lies in the box [N, 4], else 0.

    A tie with a place outside counts against the model, and so does a NaN.
    """
    heat, boxes = tf.convert_to_tensor(heat), tf.convert_to_tensor(boxes)
    heights, widths = (
        (tf.range(count, dtype=tf.float32) + 0.5) / tf.cast(count, tf.float32)
        for count in (tf.shape(heat)[1], tf.shape(heat)[2])
    )
    top, left, bottom, right = (boxes[:, side, None] for side in range(4))
    inside = ((heights >= top) & (heights < bottom))[:, :, None] & ((widths >= left) & (widths < right))[:, None, :]
    lowest = heat.dtype.min
    best_inside = tf.reduce_max(tf.where(inside, heat, lowest), axis=[1, 2])
    best_outside = tf.reduce_max(tf.where(inside, lowest, heat), axis=[1, 2])
    finite = tf.reduce_all(tf.math.is_finite(heat), axis=[1, 2])
    return tf.cast((best_inside > best_outside) & finite, tf.float32)


def place(heat: tf.Tensor) -> tf.Tensor:
    """Row and column of the middle of the largest heat's place, the first of several: [N, g, h] -> float32 [N, 2].

    They lie in [0, 1]. A heat with NaN has NaN.
    """
    height, width = tf.shape(heat)[1], tf.shape(heat)[2]
    flat = tf.reshape(heat, [-1, height * width])
    best = tf.argmax(flat, axis=1, output_type=tf.int32)
    number = tf.cast(tf.stack([best // width, best % width], axis=1), tf.float32)
    middle = (number + 0.5) / tf.cast(tf.stack([height, width]), tf.float32)
    finite = tf.reduce_all(tf.math.is_finite(flat), axis=1, keepdims=True)
    return tf.where(finite, middle, float("nan"))


def unknown(boxes: tf.Tensor) -> dict[str, tf.Tensor]:
    """NaN for all outputs of each row."""
    nan = tf.fill(tf.shape(boxes), float("nan"))
    nan = tf.ensure_shape(nan, [None, 4])
    return {POINTED: nan[:, 0], PLACE: nan[:, :2], BOX: nan}
