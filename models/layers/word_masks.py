"""Masks words for a model to predict (BERT, arXiv 1810.04805, section 3.1), each row by its own seed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models import draws

_COINS, _KINDS, _OTHERS = range(3)  # streams below that of the mask


class MaskedWords(NamedTuple):
    """Texts with masked words, [N, L] each.

    Attributes:
      token_ids: int32; another piece in a tenth of the masked places.
      hidden: bool, True where the model sees its mask token in place of the piece: in four fifths of the masked places.
      places: bool, True where the model must predict the original piece. A tenth of them still shows it.
    """

    token_ids: tf.Tensor
    hidden: tf.Tensor
    places: tf.Tensor


class WordMasks:
    """Draws masks. Only pieces that texts consist of are masked: no padding, no end of sentence, no control piece."""

    def __init__(self, text_ids: Sequence[int] | np.ndarray, vocabulary_size: int, share: float) -> None:
        """Makes the tables; draws nothing.

        Args:
          text_ids: ids of the pieces that texts consist of (Tokenizer.text_ids).
          vocabulary_size: number of all pieces.
          share: probability that a piece is masked.

        Raises:
          ValueError: there are fewer than two such pieces, so that no piece has another.
        """
        if len(text_ids) < 2:
            raise ValueError(
                f"the vocabulary has {len(text_ids)} pieces that texts consist of, but masking words needs 2 or more; "
                "train a larger vocabulary"
            )
        self._share = share
        self._pieces = np.asarray(text_ids, np.int32)
        self._rank: np.ndarray = np.full([vocabulary_size], -1, np.int32)
        self._rank[self._pieces] = np.arange(len(self._pieces))

    def draw(self, token_ids: tf.Tensor, seeds: tf.Tensor, stream: int) -> MaskedWords:
        """Masks words: int32 [N, L], with the rows' seeds, int32 [N, 2].

        Args:
          token_ids: the texts.
          seeds: of the rows (models.objectives.objective.SEEDS).
          stream: number of the row's stream of draws (models.draws.stream); other numbers give independent masks.
        """
        length, count = token_ids.shape[1], len(self._pieces)

        def drawn(seed: tf.Tensor) -> tf.Tensor:
            own = draws.stream(seed, stream)
            coins = draws.coins(draws.stream(own, _COINS), [length], self._share)
            kinds = draws.integers(draws.stream(own, _KINDS), [length], 0, 10)
            others = draws.integers(draws.stream(own, _OTHERS), [length], 1, count)
            return tf.stack([tf.cast(coins, tf.int32), kinds, others])

        spec = tf.TensorSpec([3, length], tf.int32)
        coins, kinds, others = tf.unstack(draws.for_rows(drawn, seeds, spec), axis=1)
        rank = tf.gather(self._rank, token_ids)
        places = tf.logical_and(coins > 0, rank >= 0)
        other = tf.gather(self._pieces, (rank + others) % count)  # never the piece itself
        ids = tf.where(tf.logical_and(places, kinds == 8), other, token_ids)
        return MaskedWords(ids, tf.logical_and(places, kinds < 8), places)
