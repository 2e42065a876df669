"""CLIP's softmax loss (arXiv 2103.00020), the baseline of the SigLIP paper (section 3.1), over all replicas.

Unlike the sigmoid loss, it normalises each row over the whole batch. So every replica gathers all embeddings and
computes two blocks of b x |B| logits.
"""

import tensorflow as tf

from models.distribution.collectives import Collectives, OneDevice


def softmax_loss(
    image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, collectives: Collectives | None = None
) -> tf.Tensor:
    """Computes this replica's share of the global batch's loss: [b, D], [b, D], scalar -> scalar.

    L = -(1 / 2|B|) * sum_i (log softmax_j(t x_i . y_j)[i] + log softmax_j(t x_j . y_i)[i]), t = exp(t').

    The share is the sum over this replica's rows and columns. The shares of all replicas add up to the loss, and their
    gradients to its gradients. Only first derivatives are defined.

    Args:
      image: x, unit-norm image embeddings of this replica, float32 or float64; b must be static.
      text: y, unit-norm text embeddings; row i belongs to row i of `image`.
      log_scale: t', the logarithm of the logit scale.
      collectives: how replicas exchange tensors; None means one device.

    Returns:
      The share, in the embeddings' dtype.
    """
    collectives = collectives or OneDevice()

    @tf.custom_gradient
    def loss_of(image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor) -> tuple[tf.Tensor, object]:
        scale = tf.exp(log_scale)
        all_image, all_text = collectives.all_gather(image), collectives.all_gather(text)
        rows = scale * tf.matmul(image, all_text, transpose_b=True)  # this replica's images, all texts
        columns = scale * tf.matmul(text, all_image, transpose_b=True)  # this replica's texts, all images
        row_sum, column_sum = tf.reduce_logsumexp(rows, axis=1), tf.reduce_logsumexp(columns, axis=1)
        similarity = tf.reduce_sum(image * text, axis=1)
        count = tf.cast(2 * collectives.num_replicas * tf.shape(image)[0], image.dtype)
        loss = tf.reduce_sum(row_sum + column_sum - 2 * scale * similarity) / count

        # Each logit lies in a row softmax and in a column softmax; its gradient adds the probabilities of both.
        all_row_sum, all_column_sum = collectives.all_gather(row_sum), collectives.all_gather(column_sum)
        by_row = tf.exp(rows - row_sum[:, None])
        by_row_and_column = by_row + tf.exp(rows - all_column_sum[None, :])
        by_column = tf.exp(columns - column_sum[:, None])
        by_column_and_row = by_column + tf.exp(columns - all_row_sum[None, :])
        image_gradient = scale * (tf.matmul(by_row_and_column, all_text) - 2 * text)
        text_gradient = scale * (tf.matmul(by_column_and_row, all_image) - 2 * image)
        scale_gradient = tf.reduce_sum(by_row * rows) + tf.reduce_sum(by_column * columns)
        scale_gradient -= 2 * scale * tf.reduce_sum(similarity)

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            return [upstream / count * g for g in (image_gradient, text_gradient, scale_gradient)]

        return loss, gradient

    return loss_of(image, text, tf.cast(log_scale, image.dtype))
