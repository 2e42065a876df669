"""The redundancy reduction loss of Barlow Twins (arXiv 2103.03230, equation 1), over all replicas."""

import tensorflow as tf

from models.distribution.collectives import Collectives, OneDevice


def redundancy_loss(
    image: tf.Tensor, text: tf.Tensor, redundancy: float, collectives: Collectives | None = None
) -> tf.Tensor:
    """Computes this replica's share of the global batch's loss: [b, D], [b, D] -> scalar.

    L = sum_k (C_kk - 1)^2 + r * sum_{k != l} C_kl^2, with C = (1/|B|) * sum_i x_i y_i^T over the rows of all replicas.

    Each replica computes L whole; its share is L / N. The gradients by the rows of all replicas are those of L. Only
    first derivatives are defined.

    Args:
      image: x, this replica's projected pictures, float32 or float64; the projector has normalised each channel over
        the batch; b must be static.
      text: y, its projected texts.
      redundancy: r, the weight of the entries off the diagonal.
      collectives: how replicas exchange tensors; None means one device.
    """
    collectives = collectives or OneDevice()
    count = collectives.num_replicas * image.shape[0]

    @tf.custom_gradient
    def loss_of(image: tf.Tensor, text: tf.Tensor) -> tuple[tf.Tensor, object]:
        (summed,) = collectives.all_reduce([tf.matmul(image, text, transpose_a=True)])
        correlation = summed / count
        diagonal = tf.linalg.diag_part(correlation)
        everything = tf.reduce_sum(tf.square(correlation)) - tf.reduce_sum(tf.square(diagonal))
        loss = tf.reduce_sum(tf.square(diagonal - 1.0)) + redundancy * everything
        by_correlation = tf.linalg.set_diag(2.0 * redundancy * correlation, 2.0 * (diagonal - 1.0))
        by_image = tf.matmul(text, by_correlation, transpose_b=True) / count
        by_text = tf.matmul(image, by_correlation) / count

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return upstream * by_image, upstream * by_text

        return loss / collectives.num_replicas, gradient

    return loss_of(image, text)
