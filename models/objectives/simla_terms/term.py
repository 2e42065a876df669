"""The base class of terms: what Simla knows of a term, and what a term knows of Simla."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from models import settings
from models.distribution.collectives import Collectives
from models.layers.queues import Queues
from models.layers.word_masks import WordMasks
from models.objectives.objective import IMAGES, TOKEN_IDS, Batch, Encoded
from models.objectives.two_towers import at_least_float32
from models.towers.fusion import Fusion
from models.towers.image_tower import ImageTower

IMAGE, TEXT = "image", "text"
MODALITIES = (IMAGE, TEXT)
WORDS, BLOCKS, PICTURE, CAPTION = range(4)  # streams of a row's draws


@dataclasses.dataclass(frozen=True)
class Parts:
    """Layers that have a momentum copy, or the copies themselves.

    Attributes:
      image_tower: with pooling "cls".
      fusion: encodes texts, and texts with pictures.
      projections: {IMAGE or TEXT: class output -> embedding}.
      heads: {name of a term: layer on tokens}.
    """

    image_tower: ImageTower
    fusion: Fusion
    projections: Mapping[str, keras.layers.Dense]
    heads: Mapping[str, keras.layers.Dense]

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """All layers, in an order that is the same for the copies."""
        return [self.image_tower, self.fusion, *self.projections.values(), *self.heads.values()]


@dataclasses.dataclass
class Aids:
    """What only training needs.

    Attributes:
      alpha: gives the share of the momentum copy's predictions in the targets of this step.
      temperature: divides similarities; learned.
      mask_vectors: {IMAGE or TEXT: [width]}, learned, in place of masked patches and words.
      queues: keys of former batches.
      centres: those of the visual codes, [K, D]; None without mim.
      words: draws masks of words; None until Simla.prepare is called.
      is_word: bool [vocabulary size], which pieces texts consist of; None until then.
    """

    alpha: Callable[[], tf.Tensor]
    temperature: tf.Variable
    mask_vectors: Mapping[str, tf.Variable]
    queues: Queues | None = None
    centres: tf.Variable | None = None
    words: WordMasks | None = None
    is_word: np.ndarray | None = None


class Seen:
    """A batch and its passes, each computed once, when a term first asks for it.

    Attributes:
      batch: the views.
      token_ids: int32 [N, length].
      own: the trained layers.
      copy: their momentum copies, whose outputs get no gradient.
      alpha: share of the copy's predictions in the targets.
    """

    def __init__(self, batch: Batch, own: Parts, copy: Parts, alpha: tf.Tensor) -> None:
        self.batch, self.own, self.copy, self.alpha = batch, own, copy, alpha
        self.token_ids = batch[TOKEN_IDS]

    @functools.cached_property
    def image_tokens(self) -> tf.Tensor:
        """[N, 1 + patches, width]."""
        return self.own.image_tower.tokens(self.batch[IMAGES], training=True)

    @functools.cached_property
    def copied_image_tokens(self) -> tf.Tensor:
        """The same of the copy."""
        return tf.stop_gradient(self.copy.image_tower.tokens(self.batch[IMAGES]))

    @functools.cached_property
    def shown(self) -> tf.Tensor:
        """Bool [N, 1 + length], False at padding."""
        return self.own.fusion.seen(self.token_ids)


class Term:
    """A part of the loss.

    Attributes:
      name: of the term, its setting and its metrics.
    """

    name = "term"

    def __init__(self, config: settings.SimlaSettings, aids: Aids) -> None:
        self.config, self.aids = config, aids

    @property
    def weight(self) -> float:
        """Factor in the loss."""
        return float(getattr(self.config, self.name))

    def head(self, name: str, vocabulary_size: int) -> keras.layers.Dense | None:
        """Makes the term's layer on tokens, if it has one."""
        return None

    def encode(self, seen: Seen) -> Encoded:
        """What the term needs of each row, by names that begin with the term's."""
        raise NotImplementedError

    def loss(self, encoded: Encoded, collectives: Collectives) -> tf.Tensor:
        """This replica's share of the term, before its weight: here, the mean of numbers that `encode` gave a row."""
        rows = encoded[self.name]
        return tf.reduce_sum(rows) / (collectives.num_replicas * rows.shape[0])


def mixed(hard: tf.Tensor, soft: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """(1 - alpha) hard + alpha soft, without gradient."""
    alpha = tf.cast(alpha, soft.dtype)
    return tf.stop_gradient((1.0 - alpha) * tf.cast(hard, soft.dtype) + alpha * soft)


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor, predicted: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Cross-entropy with (1 - alpha) one-hot + alpha softmax(predicted): [..., K] -> [...].

    Args:
      logits: [..., K].
      labels: int32 [...].
      predicted: logits of the momentum copy, [..., K].
      alpha: scalar.
    """
    logits, predicted = at_least_float32(logits), at_least_float32(predicted)
    hard = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    targets = mixed(hard, tf.nn.softmax(predicted), alpha)
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)
