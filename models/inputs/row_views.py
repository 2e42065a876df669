"""The views of a row: what one visit of the row shows of its picture and captions.

The input pipeline decodes a row once and draws its views at each visit. `picture` then applies what is drawn to the
pictures of a batch, on the device.
"""

import functools
from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from models import features, settings
from models.inputs import colours, crops, images, tfrecords
from models.inputs.rand_augment import rand_augment
from models.inputs.text_augmentation import TextAugmentation
from models.objectives.objective import PICTURE_IDS, SEEDS, Batch, Views, boxes_of, colours_of

CLASS_IDS = "class_ids"
CAPTIONS = "captions"
_COUNT = "count"
_BOX, _RAND_AUGMENT, _CAPTION, _SEED, _COLOURS, _WORDS = range(6)  # purposes of draws

Row = dict[str, tf.Tensor]


class SeedOf(Protocol):
    """The seeds of one visit of a row."""

    def __call__(self, purpose: int, view: int) -> tf.Tensor:
        """int64 [2], the seed of a draw for this purpose and this number of a view."""


class RowViews:
    """Decodes rows, and draws the views that an objective asks for."""

    def __init__(self, views: Views, config: settings.TrainingSettings) -> None:
        """Reads the files of synonyms.

        Args:
          views: what the objective asks for.
          config: its augmentation is that of image views without one of their own.
        """
        self._views, self._config = views, config
        self._images = {name: own or config.augmentation for name, own in views.images.items()}
        self._texts = {
            name: TextAugmentation(own) if own and own.changes_words else None for name, own in views.texts.items()
        }

    def decode(self, example: tf.Tensor) -> Row:
        """Serialized tf.Example [] -> its captions, string [n], and what else the views show, without random draws."""
        captions = tfrecords.parse_captions([example]).flat_values
        decoded = {CAPTIONS: captions, _COUNT: tf.size(captions)}
        if self._images:
            encoded = tfrecords.parse([example], (features.IMAGE,))[features.IMAGE][0]
            pixels = images.decode(encoded)
            for side in sorted({self._side(one) for one in self._images.values()}):
                decoded[_pixels(side)] = images.resize(pixels, self._config.objective.image_input, side)
        if self._views.image_embedding:
            decoded[features.IMAGE_EMBEDDING] = tfrecords.parse_embeddings([example], self._views.image_embedding)[0]
        if self._views.picture_ids:
            decoded[PICTURE_IDS] = tfrecords.parse_picture_numbers([example])[0]
        if self._config.logging.false_negatives:
            decoded[CLASS_IDS] = tfrecords.parse_class_ids([example])[0]
        return decoded

    def draw(self, row: Row, seed_of: SeedOf) -> Row:
        """The row as a visit sees it.

        Args:
          row: from `decode`; the captions may be padded at the end.
          seed_of: the seeds of this visit.

        Returns:
          {text view: string []}; for each image view NAME {NAME: uint8 [H, H, 3]}, {NAME_boxes: float32 [4]} if it is
          cropped, and {NAME_colours: float32 [DRAWS]} if its colours change; SEEDS, PICTURE_IDS, CLASS_IDS and
          the stored embedding if they are asked for.
        """
        seen = {}
        for view, (name, augment) in enumerate(self._texts.items()):
            draw = tf.random.stateless_uniform([], seed_of(_CAPTION, view), alg="philox")
            chosen = tf.cast(draw * tf.cast(row[_COUNT], tf.float32), tf.int32)
            caption = row[CAPTIONS][tf.minimum(chosen, row[_COUNT] - 1)]
            seen[name] = augment(caption, seed_of(_WORDS, view)) if augment else caption
        if self._views.seeds:
            seen[SEEDS] = tf.random.stateless_uniform([2], seed_of(_SEED, 0), None, None, tf.int32, alg="philox")
        seen |= {name: row[name] for name in (features.IMAGE_EMBEDDING, PICTURE_IDS, CLASS_IDS) if name in row}
        for view, (name, augmentation) in enumerate(self._images.items()):
            seen |= self._draw_picture(row, name, augmentation, functools.partial(seed_of, view=view))
        return seen

    def _draw_picture(
        self, row: Row, name: str, config: settings.AugmentationSettings, seed_of: Callable[[int], tf.Tensor]
    ) -> Row:
        size, side = self._config.objective.image_input.size, self._side(config)
        seen = {name: row[_pixels(side)]}
        if crops.draws_boxes(config) or side != size:
            seen[boxes_of(name)] = crops.random_box(config, seed_of(_BOX))
        if colours.draws_colours(config):
            seen[colours_of(name)] = colours.random_colours(config, seed_of(_COLOURS), size)
        if config.rand_augment_layers:
            layers, magnitude = config.rand_augment_layers, config.rand_augment_magnitude
            seen[name] = rand_augment(seen[name], layers, magnitude, seed_of(_RAND_AUGMENT))
        return seen

    def _side(self, config: settings.AugmentationSettings) -> int:
        return config.source_size or self._config.objective.image_input.size


def picture(batch: Batch, view: str, size: int) -> tf.Tensor:
    """An image view as the tower sees it: float32 [N, size, size, 3] in [-1, 1].

    Args:
      batch: has the view, uint8 [N, H, H, 3], and its boxes and colours, if they were drawn.
      view: its name.
      size: side of the tower's pictures.
    """
    pictures = images.to_unit_range(batch[view])
    if boxes_of(view) in batch:
        pictures = crops.crop(pictures, batch[boxes_of(view)], size)
    if colours_of(view) in batch:
        pictures = colours.recolour(pictures, batch[colours_of(view)])
    return pictures


def _pixels(side: int) -> str:
    return f"pixels_{side}"
