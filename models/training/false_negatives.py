"""Counts the false negatives of a batch: texts that the loss takes for wrong, although they fit the picture."""

import tensorflow as tf

from models.distribution.collectives import Collectives


def per_row(class_ids: tf.Tensor, collectives: Collectives) -> tf.Tensor:
    """The mean number of other rows of the batch that share a row's class.

    It is sum_c n_c (n_c - 1) / |B| for n_c rows of class c. Rows without a class count as rows that share none. [ours]

    Args:
      class_ids: int32 [b], of this replica's rows; -1 for no class.
      collectives: for the rows of the other replicas.

    Returns:
      float32 scalar, the same on every replica.
    """
    of_batch = collectives.all_gather(class_ids)
    classified = tf.cast(class_ids >= 0, tf.float32)
    same = tf.cast(tf.equal(class_ids[:, None], of_batch[None, :]), tf.float32)
    others = tf.reduce_sum(same, axis=1) - 1.0  # without the row itself
    (total,) = collectives.all_reduce([tf.reduce_sum(others * classified)])
    return total / tf.cast(tf.size(of_batch), tf.float32)
