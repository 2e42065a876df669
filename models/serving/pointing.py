"""Whether a model points at what a text names: the largest heat of its signature `localize` lies in the row's box."""

from collections.abc import Callable

import tensorflow as tf

from models import settings
from models.inputs import images

SIGNATURE, HEAT = "localize", "heat"
POINTED, AREA = "pointed", "box_area"


def outputs(
    boxes: tf.Tensor, image_bytes: tf.Tensor, prepared: settings.ImageInput, heat: Callable[[tf.Tensor], tf.Tensor]
) -> dict[str, tf.Tensor]:
    """AREA and POINTED of rows, float32 [N], NaN for rows without a box. Only rows with a box are computed.

    Args:
      boxes: top, left, bottom and right, float32 [N, 4] in [0, 1] of the stored picture; NaN for none.
      image_bytes: string [N].
      prepared: how pictures are resized.
      heat: numbers of rows, int32 [B] -> their heat, float32 [B, g, g].
    """
    rows = tf.where(~tf.math.is_nan(boxes[:, 0]))[:, 0]
    nothing = tf.zeros([0], tf.float32)

    def of_rows() -> tuple[tf.Tensor, tf.Tensor]:
        seen = images.placed(tf.gather(boxes, rows), tf.gather(image_bytes, rows), prepared)
        return area(seen), pointed(heat(rows), seen)

    found = tf.cond(tf.size(rows) > 0, of_rows, lambda: (nothing, nothing))
    return {
        name: tf.tensor_scatter_nd_update(unknown(boxes), rows[:, None], value)
        for name, value in zip((AREA, POINTED), found, strict=True)
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


def area(boxes: tf.Tensor) -> tf.Tensor:
    """float32 [N], the share of the picture that each box [N, 4] covers: the chance of a random place."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def unknown(boxes: tf.Tensor) -> tf.Tensor:
    """NaN for each row, float32 [N]."""
    return tf.fill(tf.shape(boxes)[:1], float("nan"))
