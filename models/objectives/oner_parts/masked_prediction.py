"""The masked terms of Oner: words and patches that the tower must predict from the rest [T]."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras as keras

from models import settings
from models.distribution.collectives import Collectives
from models.layers.patch_targets import normalized_patches, patch_masks
from models.layers.word_masks import MaskedWords, WordMasks
from models.objectives.objective import IMAGES, SEEDS, TOKEN_IDS, Batch, Encoded
from models.settings.oner import MASKED
from models.towers.one_tower import OneTower

_PATCHES, _WORDS, _PAIR_PATCHES, _PAIR_WORDS = range(16, 20)  # streams of a row's draws


class MaskedPrediction:
    """The terms mim, mlm and mmm. One head predicts words, another pixels, in all of them [ours].

    mim: mean squared error of masked patches, each target patch to mean 0 and variance 1 [ours].
    mlm: cross-entropy of masked words [T]; 80 % show the mask token, 10 % another piece, 10 % the piece itself.
    mmm: both, from picture and text in one sequence [T].

    A sum over masked places is divided by their number in the whole batch. A row without any adds 0.
    """

    def __init__(self, config: settings.OnerSettings, vocabulary_size: int) -> None:
        self._config, self._vocabulary_size = config, vocabulary_size
        self._word_masks: WordMasks | None = None
        width, patch = config.tower.width, config.tower.patch
        sizes = {"word_head": vocabulary_size, "patch_head": patch * patch * 3}
        used = {"word_head": config.mlm or config.mmm, "patch_head": config.mim or config.mmm}
        self._heads = {
            name: keras.layers.Dense(
                size, kernel_initializer=keras.initializers.RandomNormal(stddev=width**-0.5), name=name
            )
            for name, size in sizes.items()
            if used[name]
        }

    @property
    def heads(self) -> Sequence[keras.layers.Layer]:
        """The layers that only training needs."""
        return tuple(self._heads.values())

    def build(self) -> None:
        """Makes the variables of the heads."""
        for name, head in self._heads.items():
            with tf.name_scope(name):
                head.build((None, self._config.tower.width))

    def prepare(self, text_ids: np.ndarray) -> None:
        """Takes the ids of the pieces that may be masked; ValueError if there are fewer than two."""
        self._word_masks = WordMasks(text_ids, self._vocabulary_size, self._config.masked_words)

    def flops(self) -> float:
        """Floating-point operations of the heads in the forward pass of one row."""
        config, tower = self._config, self._config.tower
        words = bool(config.mlm) + bool(config.mmm)
        patches = bool(config.mim) + bool(config.mmm)
        columns = words * tower.length * self._vocabulary_size + patches * tower.patches * tower.patch**2 * 3
        return 2.0 * tower.width * columns

    def encode(self, tower: OneTower, batch: Batch) -> Encoded:
        """For each kind of masked places in a term, the sum of a row's errors and their number, [N] each."""
        config, images, token_ids = self._config, batch[IMAGES], batch[TOKEN_IDS]
        if SEEDS not in batch:
            weights = {f"Oner.{term}": str(getattr(config, term)) for term in MASKED if getattr(config, term)}
            raise ValueError(
                f"{', '.join(weights)} is {', '.join(weights.values())}, but must be 0 for rows without {SEEDS!r}, "
                "which decide the masks; set it to 0, or train on pictures and captions"
            )
        found: Encoded = {}
        if config.mim:
            masked = self._drawn_patches(batch, _PATCHES)
            outputs = tower.image(images, masked, training=True).tokens
            found |= _named("mim_patches", self._patch_errors(outputs, images), masked)
        if config.mlm:
            words = self._drawn_words(batch, _WORDS)
            outputs = tower.text(words.token_ids, words.hidden, training=True).tokens
            found |= _named("mlm_words", self._word_errors(outputs, token_ids), words.places)
        if config.mmm:
            masked, words = self._drawn_patches(batch, _PAIR_PATCHES), self._drawn_words(batch, _PAIR_WORDS)
            outputs = tower.pair(images, words.token_ids, masked, words.hidden, training=True).tokens
            patches = config.tower.patches
            found |= _named("mmm_patches", self._patch_errors(outputs[:, :patches], images), masked)
            found |= _named("mmm_words", self._word_errors(outputs[:, patches:], token_ids), words.places)
        return found

    def losses(self, encoded: Encoded, collectives: Collectives) -> dict[str, tf.Tensor]:
        """This replica's share of each term, before its weight: {term: scalar}."""
        kinds = {"mim": ("mim_patches",), "mlm": ("mlm_words",), "mmm": ("mmm_patches", "mmm_words")}
        found = {}
        for term, names in kinds.items():
            if getattr(self._config, term):
                shares = [_share(encoded, name, collectives) for name in names]
                found[term] = shares[0] if len(shares) == 1 else shares[0] + shares[1]
        return found

    def _drawn_patches(self, batch: Batch, stream: int) -> tf.Tensor:
        return patch_masks(batch[SEEDS], self._config.tower.patches, self._config.masked_patches, stream)

    def _drawn_words(self, batch: Batch, stream: int) -> MaskedWords:
        if self._word_masks is None:
            raise RuntimeError(
                "the words that Oner may mask depend on the vocabulary, which it was not told; "
                "give models.objectives.create a Run"
            )
        return self._word_masks.draw(batch[TOKEN_IDS], batch[SEEDS], stream)

    def _word_errors(self, outputs: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
        """[N, L, width], [N, L] -> [N, L], the cross-entropy of each word."""
        logits = _at_least_float32(self._heads["word_head"](outputs))
        return tf.nn.sparse_softmax_cross_entropy_with_logits(token_ids, logits)

    def _patch_errors(self, outputs: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """[N, P, width], [N, S, S, 3] -> [N, P], the mean squared error of each patch."""
        predicted = _at_least_float32(self._heads["patch_head"](outputs))
        targets = tf.cast(normalized_patches(images, self._config.tower.patch), predicted.dtype)
        return tf.reduce_mean(tf.square(predicted - targets), axis=-1)


def _named(name: str, errors: tf.Tensor, places: tf.Tensor) -> Encoded:
    weights = tf.cast(places, errors.dtype)
    return {f"{name}_error": tf.reduce_sum(errors * weights, axis=1), f"{name}_count": tf.reduce_sum(weights, axis=1)}


def _share(encoded: Encoded, name: str, collectives: Collectives) -> tf.Tensor:
    (count,) = collectives.all_reduce([tf.reduce_sum(tf.stop_gradient(encoded[f"{name}_count"]))])
    return tf.reduce_sum(encoded[f"{name}_error"]) / tf.maximum(count, 1.0)


def _at_least_float32(tensor: tf.Tensor) -> tf.Tensor:
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)
