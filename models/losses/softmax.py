"""Softmax losses over all replicas: CLIP's of two modalities (arXiv 2103.00020), and one direction of it alone.

Unlike the sigmoid loss, a softmax normalises each row over the whole batch. So every replica gathers all embeddings and
computes blocks of b x |B| logits. Both losses define their own gradient, so that no block outlives the forward pass.
"""

import tensorflow as tf

from models.distribution.collectives import Collectives, OneDevice


def softmax_loss(
    image: tf.Tensor,
    text: tf.Tensor,
    log_scale: tf.Tensor,
    collectives: Collectives | None = None,
    label_smoothing: float = 0.0,
) -> tf.Tensor:
    """Computes this replica's share of the global batch's loss: [b, D], [b, D], scalar -> scalar.

    L = -(1 / 2|B|) * sum_ij T_ij (log softmax_j(t x_i . y_j) + log softmax_j(t x_j . y_i)), t = exp(t'), with
    T_ij = 1 - e + e / |B| where i = j, and e / |B| elsewhere (arXiv 1512.00567, section 7). Without smoothing, e = 0,
    this is CLIP's loss, the baseline of the SigLIP paper (section 3.1).

    The share is the sum over this replica's rows and columns. The shares of all replicas add up to the loss, and their
    gradients to its gradients. Only first derivatives are defined.

    Args:
      image: x, unit-norm image embeddings of this replica, float32 or float64; b must be static.
      text: y, unit-norm text embeddings; row i belongs to row i of `image`.
      log_scale: t', the logarithm of the logit scale.
      collectives: how replicas exchange tensors; None means one device.
      label_smoothing: e, the share of the target that all |B| candidates get alike.

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
        # What each embedding is drawn to: its partner and, with smoothing, the mean of all candidates.
        to_text, to_image = _mixed(text, all_text, label_smoothing), _mixed(image, all_image, label_smoothing)
        similarity = tf.reduce_sum(image * to_text, axis=1)
        if label_smoothing:
            similarity = (similarity + tf.reduce_sum(text * to_image, axis=1)) / 2
        count = tf.cast(2 * collectives.num_replicas * tf.shape(image)[0], image.dtype)
        loss = tf.reduce_sum(row_sum + column_sum - 2 * scale * similarity) / count

        # Each logit lies in a row softmax and in a column softmax; its gradient adds the probabilities of both.
        all_row_sum, all_column_sum = collectives.all_gather(row_sum), collectives.all_gather(column_sum)
        by_row = tf.exp(rows - row_sum[:, None])
        by_row_and_column = by_row + tf.exp(rows - all_column_sum[None, :])
        by_column = tf.exp(columns - column_sum[:, None])
        by_column_and_row = by_column + tf.exp(columns - all_row_sum[None, :])
        image_gradient = scale * (tf.matmul(by_row_and_column, all_text) - 2 * to_text)
        text_gradient = scale * (tf.matmul(by_column_and_row, all_image) - 2 * to_image)
        scale_gradient = tf.reduce_sum(by_row * rows) + tf.reduce_sum(by_column * columns)
        scale_gradient -= 2 * scale * tf.reduce_sum(similarity)

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            return [upstream / count * g for g in (image_gradient, text_gradient, scale_gradient)]

        return loss, gradient

    return loss_of(image, text, tf.cast(log_scale, image.dtype))


def one_way_softmax_loss(
    queries: tf.Tensor,
    keys: tf.Tensor,
    log_scale: tf.Tensor,
    collectives: Collectives | None = None,
    *,
    label_smoothing: float = 0.0,
    targets: tf.Tensor | None = None,
    queue: tf.Tensor | None = None,
    keys_learn: bool = True,
) -> tf.Tensor:
    """Computes this replica's share of the loss of queries among keys: [b, D], [b, D], scalar -> scalar.

    L = -(1/|B|) * sum_ij T_ij log softmax_j(t q_i . k_j), where j runs over the |B| keys of all replicas, and then over
    the queue: K = |B| + Q keys. `softmax_loss` is the mean of both directions of this loss.

    The shares of all replicas add up to the loss, and their gradients to its gradients. Only first derivatives are
    defined. `targets` and `queue` get no gradient.

    Args:
      queries: q, unit-norm rows of this replica, float32 or float64; b must be static.
      keys: k, unit-norm rows of this replica; row i belongs to row i of `queries`.
      log_scale: t', the logarithm of the logit scale t.
      collectives: how replicas exchange tensors; None means one device.
      label_smoothing: e. Without `targets`, T_ij is 1 - e + e / K for a query's own key, and e / K for other keys.
      targets: T, soft targets [b, K]: the keys in the order of replicas, then the queue.
      queue: further keys [Q, D], unit norm, the same on every replica.
      keys_learn: whether keys get a gradient. False for keys of a momentum copy; it saves a sum of [|B|, D] over the
        replicas.

    Returns:
      The share, in the embeddings' dtype.

    Raises:
      ValueError: both targets and smoothing are given.
    """
    if targets is not None and label_smoothing:
        raise ValueError(f"label_smoothing is {label_smoothing}, but must be 0 with targets; smooth the targets")
    collectives = collectives or OneDevice()

    @tf.custom_gradient
    def loss_of(queries: tf.Tensor, keys: tf.Tensor, log_scale: tf.Tensor) -> tuple[tf.Tensor, object]:
        scale = tf.exp(log_scale)
        batch_keys = collectives.all_gather(keys)
        every_key = batch_keys if queue is None else tf.concat([batch_keys, queue], axis=0)
        batch_size = collectives.num_replicas * queries.shape[0]
        key_count = batch_size + (0 if queue is None else queue.shape[0])
        logits = scale * tf.matmul(queries, every_key, transpose_b=True)
        row_sum = tf.reduce_logsumexp(logits, axis=1)
        probabilities = tf.exp(logits - row_sum[:, None])
        if targets is None:
            to_keys = _mixed(keys, every_key, label_smoothing)
        else:
            to_keys, weight = tf.matmul(targets, every_key), tf.reduce_sum(targets, axis=1)
            row_sum, probabilities = weight * row_sum, weight[:, None] * probabilities
        drawn = tf.reduce_sum(queries * to_keys, axis=1)
        loss = tf.reduce_sum(row_sum - scale * drawn) / batch_size

        query_gradient = scale * (tf.matmul(probabilities, every_key) - to_keys)
        scale_gradient = tf.reduce_sum(probabilities * logits) - scale * tf.reduce_sum(drawn)
        key_gradient = None
        if keys_learn:
            by_logit = probabilities - (label_smoothing / key_count if targets is None else targets)
            by_key = tf.matmul(by_logit[:, :batch_size], queries, transpose_a=True)
            own = _own_rows(by_key, collectives)
            key_gradient = scale * (own - (1 - label_smoothing) * queries if targets is None else own)

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor | None]:
            gradients = (query_gradient, key_gradient, scale_gradient)
            return [None if g is None else upstream / batch_size * g for g in gradients]

        return loss, gradient

    return loss_of(queries, keys, tf.cast(log_scale, queries.dtype))


def _mixed(own: tf.Tensor, candidates: tf.Tensor, label_smoothing: float) -> tf.Tensor:
    """sum_j T_ij y_j over all candidates y, for each row i of `own`: [b, D], [K, D] -> [b, D]."""
    if not label_smoothing:
        return own
    return (1 - label_smoothing) * own + label_smoothing * tf.reduce_mean(candidates, axis=0)


def _own_rows(rows: tf.Tensor, collectives: Collectives) -> tf.Tensor:
    """Sums [|B|, D] over the replicas, and returns the b rows of this replica."""
    (summed,) = collectives.all_reduce([rows])
    return tf.reshape(summed, [collectives.num_replicas, -1, rows.shape[1]])[collectives.replica_id()]
