"""What training sees: the first rows of the train split, in some visits of each kind of views."""

import dataclasses
import functools
import itertools

import tensorflow as tf

from beam import thumbnails
from models import features, settings
from models.inputs import colours, crops, row_views, tfrecords
from models.objectives.objective import Views

_VISITS = 3


@dataclasses.dataclass(frozen=True)
class Visit:
    """A row in one view, as one visit draws it.

    Attributes:
      kind: the kind of the view, such as "local".
      image: data: URL of the picture that the tower sees.
      caption: the text that becomes tokens.
    """

    kind: str
    image: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Seen:
    """A row as it is stored, and its visits; `image` is a data: URL."""

    image: str
    caption: str
    visits: list[Visit]


def sheet(training: settings.TrainingSettings, split: str, count: int) -> list[Seen]:
    """Draws the views of the first `count` rows, in the order of their hash; [] if training changes no row.

    Args:
      training: settings of the run.
      split: folder of the shards of the train split.
      count: number of rows.
    """
    if not _changes(training):
        return []
    objective = training.objective
    kinds = {**objective.image_views, **objective.text_views}
    names = {f"{kind}_{number}": kind for kind in kinds for number in range(_VISITS)}
    views = Views(
        {name: objective.image_views.get(kind) for name, kind in names.items()},
        {f"text_{name}": objective.text_views.get(kind) for name, kind in names.items()},
    )
    drawn = row_views.RowViews(views, dataclasses.replace(training, logging=settings.LoggingSettings()))
    examples = itertools.islice(tfrecords.read_shards([f"{split}/*"]).as_numpy_iterator(), count)
    return [_seen(drawn, example, number, names, training) for number, example in enumerate(examples)]


def _changes(training: settings.TrainingSettings) -> bool:
    pictures = [own or training.augmentation for own in training.objective.image_views.values()]
    texts = [own for own in training.objective.text_views.values() if own and own.changes_words]
    changed = (crops.draws_boxes(one) or colours.draws_colours(one) or one.rand_augment_layers for one in pictures)
    return bool(texts) or any(changed)


def _seen(
    drawn: row_views.RowViews, example: bytes, number: int, names: dict[str, str], training: settings.TrainingSettings
) -> Seen:
    row = drawn.decode(tf.constant(example))
    seen = drawn.draw(row, functools.partial(_seed, training.seed, number))
    batch = {name: value[None] for name, value in seen.items()}
    size = training.objective.image_input.size
    visits = [
        Visit(kind, _address(row_views.picture(batch, name, size)[0]), seen[f"text_{name}"].numpy().decode())
        for name, kind in names.items()
    ]
    stored = tfrecords.parse(tf.constant([example]), (features.IMAGE, features.CAPTION))
    image, caption = (stored[name][0].numpy() for name in (features.IMAGE, features.CAPTION))
    return Seen(thumbnails.data_address(image), caption.decode(), visits)


def _seed(seed: int, number: int, purpose: int, view: int) -> tf.Tensor:
    return tf.constant([(seed * 2**8 + purpose) * 2**8 + view, number], tf.int64)


def _address(picture: tf.Tensor) -> str:
    pixels = tf.cast(tf.round((picture + 1.0) * 127.5), tf.uint8)
    return thumbnails.data_address(tf.io.encode_png(pixels).numpy())
