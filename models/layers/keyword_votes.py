"""Pseudo-labels of SIMLA (arXiv 2203.14395): the words that the heads of an attention vote for."""

import tensorflow as tf


def voted(attention: tf.Tensor, may_count: tf.Tensor, per_head: int, chosen: int) -> tf.Tensor:
    """The places that most heads look at: bool [N, L], True in at most `chosen` places of a row.

    Each head votes for its `per_head` places with the largest weights [P]. The `chosen` places with the most votes are
    taken [P]; of equal votes, the larger mean weight wins, then the earlier place [ours].

    Args:
      attention: weights of one query over L places in each head, [N, heads, L].
      may_count: bool [N, L]; False for places that get no vote, such as padding.
      per_head: votes of a head.
      chosen: places to take.
    """
    length = attention.shape[-1]
    weights = tf.where(may_count[:, None], attention, -1.0)
    largest, places = tf.math.top_k(weights, min(per_head, length))
    ballots = tf.one_hot(places, length, dtype=attention.dtype) * tf.cast(largest >= 0, attention.dtype)[..., None]
    votes = tf.reduce_sum(ballots, axis=[1, 2])
    ranked = votes + 0.5 * tf.reduce_mean(attention, axis=1)  # a mean weight is at most 1
    ranked = tf.where(tf.logical_and(may_count, votes > 0), ranked, -1.0)
    values, best = tf.math.top_k(ranked, min(chosen, length))
    taken = tf.one_hot(best, length, dtype=attention.dtype) * tf.cast(values > 0, attention.dtype)[..., None]
    return tf.reduce_sum(taken, axis=1) > 0


def pieces_at(token_ids: tf.Tensor, places: tf.Tensor, vocabulary_size: int, dtype: tf.DType) -> tf.Tensor:
    """Which pieces stand at these places: [N, vocabulary_size], 1 or 0.

    Args:
      token_ids: int32 [N, L].
      places: bool [N, L].
      vocabulary_size: number of pieces.
      dtype: of the result.
    """
    rows, length = token_ids.shape
    row = tf.repeat(tf.range(rows), length)
    at = tf.stack([row, tf.reshape(token_ids, [-1])], axis=1)
    counted = tf.scatter_nd(at, tf.reshape(tf.cast(places, tf.int32), [-1]), [rows, vocabulary_size])
    return tf.cast(counted > 0, dtype)
