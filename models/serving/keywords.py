"""Keywords of pictures beside the words of their captions, for `models.evaluation.keywords`."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from models.objectives.signatures import PROBABILITY

SIGNATURE, PIECES = "keywords", "pieces"
KEYWORDS, WORDS = "keywords", "words"
_NONE = -1


def outputs(
    told: Mapping[str, tf.Tensor], token_ids: tf.Tensor, text_ids: np.ndarray, size: int
) -> dict[str, tf.Tensor]:
    """KEYWORDS, int32 [N, K], and WORDS, int32 [N, L]; -1 for none, and for a keyword whose probability is NaN.

    Args:
      told: what the function of the signature `keywords` gives: PIECES, int32 [N, K], and PROBABILITY.
      token_ids: of the captions, int32 [N, L].
      text_ids: ids that texts consist of.
      size: of the vocabulary.
    """
    is_word = tf.gather(np.isin(np.arange(size), text_ids), token_ids)
    known = tf.math.is_finite(told[PROBABILITY])
    return {
        KEYWORDS: tf.where(known, tf.cast(told[PIECES], tf.int32), _NONE),
        WORDS: tf.where(is_word, token_ids, _NONE),
    }
