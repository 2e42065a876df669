"""The pairwise sigmoid loss of SigLIP (arXiv 2303.15343, Algorithm 1), chunked over replicas (section 3.3).

Each replica keeps its image embeddings and sends its text embeddings round a ring. At each hop, a replica scores its
images against the texts that it holds, adds to the gradients of both, and sends the texts and their gradient on. After
N hops, texts and gradients are back at their own replica. So one pass gives the loss and every gradient, and only one
b x b block of logits is alive at a time. Plain autodiff of the same forward pass would keep all N blocks, b x |B|
numbers a replica; chunking exists to avoid this.
"""

from typing import NamedTuple

import tensorflow as tf

from models import loops
from models.distribution.collectives import Collectives, OneDevice


class _Hop(NamedTuple):
    """Sums over the pairs of one block: the loss, and its gradients by image embeddings, log scale and bias."""

    loss: tf.Tensor
    image: tf.Tensor
    log_scale: tf.Tensor
    bias: tf.Tensor


def sigmoid_loss(
    image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, collectives: Collectives | None = None
) -> tf.Tensor:
    """Computes this replica's share of the global batch's loss: [b, D], [b, D], scalar, scalar -> scalar.

    L = (1/|B|) * sum_ij softplus(-z_ij * (exp(t') * x_i . y_j + b)), with z_ij = +1 where i = j and -1 elsewhere.
    The formula printed in section 3.2 flips the sign of b against Algorithm 1; this code follows Algorithm 1.

    The share is the sum over this replica's b x |B| pairs, divided by |B| = N * b. The shares of all replicas add
    up to the loss, and their gradients to its gradients. Only first derivatives are defined.

    Args:
      image: x, unit-norm image embeddings of this replica, float32 or float64; b must be static.
      text: y, unit-norm text embeddings; row i belongs to row i of `image`.
      log_scale: t', the logarithm of the logit scale (the paper starts it at log 10).
      bias: b, the logit bias (the paper starts it at -10, since all but one of |B| pairs are negatives).
      collectives: how replicas exchange tensors; None means one device.

    Returns:
      The share, in the embeddings' dtype.
    """
    collectives = collectives or OneDevice()

    @tf.custom_gradient
    def loss_of(image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, object]:
        walk = {"loop": _loop, "unrolled": _unrolled, "gathered": _gathered}[collectives.form]
        total, text_gradient = walk(image, text, log_scale, bias, collectives)
        pairs = tf.cast(collectives.num_replicas * tf.shape(image)[0], image.dtype)

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            return [upstream / pairs * g for g in (total.image, text_gradient, total.log_scale, total.bias)]

        return total.loss / pairs, gradient

    return loss_of(image, text, tf.cast(log_scale, image.dtype), tf.cast(bias, image.dtype))


def _block(
    image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, home: tf.Tensor | bool
) -> tuple[_Hop, tf.Tensor]:
    """Returns the sums of one b x b block, and the gradient by its texts.

    `home` says that the texts are this replica's own, so that the diagonal holds the positive pairs.
    """
    scale = tf.exp(log_scale)
    similarity = tf.matmul(image, text, transpose_b=True)
    rows = tf.range(tf.shape(image)[0])
    positive = tf.logical_and(rows[:, None] == rows[None, :], home)
    logits = similarity * scale + bias
    margin = tf.where(positive, logits, -logits)
    slope = tf.sigmoid(-margin)  # the derivative of softplus(-margin) by -margin
    by_logit = tf.where(positive, -slope, slope)
    sums = _Hop(
        loss=tf.reduce_sum(tf.nn.softplus(-margin)),
        image=scale * tf.matmul(by_logit, text),
        log_scale=scale * tf.reduce_sum(by_logit * similarity),
        bias=tf.reduce_sum(by_logit),
    )
    return sums, scale * tf.matmul(by_logit, image, transpose_a=True)


def _add(total: _Hop, block: _Hop) -> _Hop:
    return _Hop(*(a + b for a, b in zip(total, block, strict=True)))


def _unrolled(
    image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, collectives: Collectives
) -> tuple[_Hop, tf.Tensor]:
    """Unrolls the N hops into the program: 2 N - 1 permutes. A single replica sends nothing."""
    total, text_gradient = _block(image, text, log_scale, bias, home=True)
    for _ in range(1, collectives.num_replicas):
        text, text_gradient = collectives.permute(text), collectives.permute(text_gradient)
        block, added = _block(image, text, log_scale, bias, home=False)
        total, text_gradient = _add(total, block), text_gradient + added
    if collectives.num_replicas > 1:
        text_gradient = collectives.permute(text_gradient)  # the last hop brings each gradient to its own replica
    return total, text_gradient


def _loop(
    image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, collectives: Collectives
) -> tuple[_Hop, tf.Tensor]:
    """Runs the N hops in a loop with 2 permutes, one hop at a time; neither the program nor its memory grows with N."""
    zero = tf.zeros([], image.dtype)
    start = _Hop(zero, tf.zeros_like(image), zero, zero)

    def hop(k: tf.Tensor, text: tf.Tensor, text_gradient: tf.Tensor, total: _Hop) -> tuple[object, ...]:
        block, added = _block(image, text, log_scale, bias, home=tf.equal(k, 0))
        text_gradient = collectives.permute(text_gradient + added)
        return k + 1, collectives.permute(text), text_gradient, _add(total, block)

    _, text_gradient, total = loops.counted(collectives.num_replicas, hop, text, tf.zeros_like(text), start)
    return total, text_gradient


def _gathered(
    image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, collectives: Collectives
) -> tuple[_Hop, tf.Tensor]:
    """Gathers all texts, |B| x D, for replicas that cannot permute; still computes one b x b block at a time."""
    count, rows = collectives.num_replicas, tf.shape(image)[0]
    blocks = tf.reshape(collectives.all_gather(text), [count, rows, image.shape[1]])
    replica = collectives.replica_id()

    def hop(k: tf.Tensor, total: _Hop, gradients: tf.TensorArray) -> tuple[object, ...]:
        block, added = _block(image, blocks[k], log_scale, bias, home=tf.equal(k, replica))
        return k + 1, _add(total, block), gradients.write(k, added)

    zero = tf.zeros([], image.dtype)
    gradients = tf.TensorArray(image.dtype, size=count, element_shape=image.shape)
    total, gradients = loops.counted(count, hop, _Hop(zero, tf.zeros_like(image), zero, zero), gradients)
    (summed,) = collectives.all_reduce([gradients.stack()])
    return total, summed[replica]
