"""The pairwise sigmoid loss of SigLIP (arXiv 2303.15343, Algorithm 1)."""

import tensorflow as tf


def sigmoid_loss(image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Mean over images of the summed binary losses of their pairs; [N, D], [N, D], scalar, scalar -> scalar.

    L = (1/N) * sum_ij softplus(-z_ij * (exp(t') * x_i . y_j + b)), with z_ij = +1 where i = j and -1 elsewhere.
    The formula printed in section 3.2 flips the sign of b against Algorithm 1; Algorithm 1 is what trains.

    Args:
      image: x, unit-norm image embeddings.
      text: y, unit-norm text embeddings; row i belongs to row i of `image`.
      log_scale: t', the logarithm of the logit scale (the paper starts it at log 10).
      bias: b, the logit bias (the paper starts it at -10, since all but one of N pairs are negatives).

    Returns:
      The loss, in the embeddings' dtype.
    """
    logits = tf.matmul(image, text, transpose_b=True) * tf.exp(log_scale) + bias
    labels = 2 * tf.eye(tf.shape(logits)[0], dtype=logits.dtype) - 1
    return tf.reduce_mean(tf.reduce_sum(tf.nn.softplus(-labels * logits), axis=-1))
