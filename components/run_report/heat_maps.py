"""Pictures with the heat of a text on them, right and wrong ones: where a model with `localize` looks."""

import base64
import dataclasses
import io
import os
from collections.abc import Iterable, Iterator, Sequence

import matplotlib
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from beam import image_codec
from beam.exported_model import ExportedModel
from beam.records import ImageText
from models.inputs import tfrecords
from models.serving import pointing

_SIDE = 224  # pixels
_BATCH = 64
_STRENGTH = 0.55  # of the heat's colour where it is largest
_COLOURS = "inferno"


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """A picture with the heat of a text on it.

    Attributes:
      image: data: URL of a PNG.
      text: the words asked.
      right: whether the largest heat lies in the box.
    """

    image: str
    text: str
    right: bool


def of_splits(model: ExportedModel, splits: Iterable[str], count: int, max_rows: int) -> list[HeatMap]:
    """At most `count` rows with a box in the splits' folders: half of them right and half wrong ones, if there are.

    They are the first ones in hash order. A model without `localize` has none. Pictures that are not square are left
    out, because a model may see a part of them only.
    """
    if pointing.SIGNATURE not in model.signatures:
        return []
    found: dict[bool, list[ImageText]] = {True: [], False: []}
    for row, pointed in _pointed(model, splits, max_rows):
        if len(found[pointed]) < count and _is_square(row.image):
            found[pointed].append(row)
        if min(map(len, found.values())) >= count:
            break
    half = count // 2
    right = found[True][: max(half, count - len(found[False]))]
    chosen = [*((row, True) for row in right), *((row, False) for row in found[False][: count - len(right)])]
    if not chosen:
        return []
    images, texts = [row.image for row, _ in chosen], [row.caption.encode() for row, _ in chosen]
    heat = model.call(pointing.SIGNATURE, image_bytes=images, text=texts)[pointing.HEAT]
    return [
        HeatMap(drawn(row.image, one, row.boxes), row.caption, right)
        for (row, right), one in zip(chosen, heat, strict=True)
    ]


def _pointed(model: ExportedModel, splits: Iterable[str], max_rows: int) -> Iterator[tuple[ImageText, bool]]:
    """The rows with a box, and whether the model points into it."""
    for split in splits:
        for examples in tfrecords.read_shards([os.path.join(split, "*")]).take(max_rows).batch(_BATCH):
            boxed = tf.boolean_mask(examples, ~tf.math.is_nan(tfrecords.parse_boxes(examples)[:, 0]))
            if len(boxed):
                answer = model.call("evaluate", examples=boxed)[pointing.POINTED]
                for example, pointed in zip(boxed.numpy(), answer, strict=True):
                    yield ImageText.from_example(example, split), bool(pointed)


def drawn(picture: bytes, heat: np.ndarray, box: Sequence[float] = ()) -> str:
    """An encoded picture with its heat and its box, as the data: URL of a PNG.

    Args:
      picture: the encoded picture, which is squashed to a square.
      heat: float [g, h]; its smallest value gets no colour and its largest one the strongest.
      box: top, left, bottom and right in [0, 1], or ().
    """
    shown = image_codec.on_white(picture).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    low, high = float(np.min(heat)), float(np.max(heat))
    levels = (heat - low) / (high - low) if high > low else np.zeros_like(heat)
    grey: np.ndarray = np.asarray(255 * levels, np.uint8)
    smooth = Image.fromarray(grey).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    strength: np.ndarray = np.asarray(smooth, np.float64) / 255
    colours = matplotlib.colormaps[_COLOURS](strength)[..., :3] * 255
    weight = _STRENGTH * strength[..., None]
    mixed: np.ndarray = np.asarray((1 - weight) * np.asarray(shown) + weight * colours, np.uint8)
    blended = Image.fromarray(mixed)
    if box:
        top, left, bottom, right = (_SIDE * side for side in box)
        ImageDraw.Draw(blended).rectangle([left, top, right - 1, bottom - 1], outline="#2457a6", width=2)
    row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
    y, x = (int(row) + 0.5) * _SIDE / heat.shape[0], (int(column) + 0.5) * _SIDE / heat.shape[1]
    ImageDraw.Draw(blended).ellipse([x - 4, y - 4, x + 4, y + 4], fill="white", outline="black")
    encoded = io.BytesIO()
    blended.save(encoded, "PNG")
    return "data:image/png;base64," + base64.b64encode(encoded.getvalue()).decode()


def _is_square(picture: bytes) -> bool:
    with Image.open(io.BytesIO(picture)) as opened:
        return opened.width == opened.height
