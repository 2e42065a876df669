"""Balanced soft assignments by Sinkhorn's algorithm (SwAV, arXiv 2006.09882, section 3.1), over all replicas."""

import tensorflow as tf

from models.distribution.collectives import Collectives, OneDevice


def sinkhorn(
    similarity: tf.Tensor, temperature: float, rounds: int, collectives: Collectives | None = None
) -> tf.Tensor:
    """Assigns each row softly to columns, so that all columns get alike: [..., b, K] -> [..., b, K], without gradient.

    It starts from exp(similarity / temperature). A round scales each column to a total of 1 / K over the rows of all
    replicas, and then each row to 1 / |B|. At the end, rows are multiplied by |B|: each is a distribution.

    Args:
      similarity: cosine similarities of this replica's rows to all K columns, float32 or float64; b must be static.
      temperature: divides the similarities.
      rounds: number of rounds.
      collectives: for the sums over the rows of all replicas; None means one device.
    """
    collectives = collectives or OneDevice()
    rows = collectives.num_replicas * similarity.shape[-2]
    columns = similarity.shape[-1]
    assigned = tf.exp(tf.stop_gradient(similarity) / temperature)
    for _ in range(rounds):
        (totals,) = collectives.all_reduce([tf.reduce_sum(assigned, axis=-2, keepdims=True)])
        assigned = assigned / (totals * columns)
        assigned = assigned / (tf.reduce_sum(assigned, axis=-1, keepdims=True) * rows)
    return tf.stop_gradient(assigned * rows)
