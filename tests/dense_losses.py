"""Reference losses: over the whole batch at once, differentiated by TensorFlow."""

import tensorflow as tf


def dense_sigmoid_loss(
    image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, _: object = None
) -> tf.Tensor:
    """Algorithm 1 of the SigLIP paper; the last argument, unused, lets it replace `sigmoid_loss`."""
    labels = 2 * tf.eye(image.shape[0], dtype=image.dtype) - 1
    logits = tf.matmul(image, text, transpose_b=True) * tf.exp(log_scale) + bias
    return tf.reduce_mean(tf.reduce_sum(tf.nn.softplus(-labels * logits), axis=-1))


def dense_softmax_loss(image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """CLIP's loss, which has no bias: the gradient of `bias` is 0."""
    logits = tf.matmul(image, text, transpose_b=True) * tf.exp(log_scale)
    rows, columns = (tf.linalg.diag_part(tf.nn.log_softmax(logits, axis)) for axis in (1, 0))
    return -tf.reduce_mean(rows + columns) / 2 + 0 * bias
