"""The sigmoid loss over a part of the negative pairs, for SigLIP's study of negatives (arXiv 2303.15343).

[P] The paper keeps random, hard or easy negatives of a batch. [ours] It does not say how it chooses them. Here, the
choice is over all pairs of the global batch, so that any number of negatives a positive is possible, such as 1.6.

Each replica holds b x |B| logits, since the choice needs them all. To keep all negatives, use `sigmoid_loss`.
"""

from collections.abc import Callable

import tensorflow as tf

from models import draws, settings
from models.distribution.collectives import Collectives, OneDevice

Metrics = dict[str, tf.Tensor]
_INTEGERS = {tf.float32: tf.int32, tf.float64: tf.int64}
_DIGIT = 4  # bits of the threshold that a round finds


def masked_sigmoid_loss(
    image: tf.Tensor,
    text: tf.Tensor,
    log_scale: tf.Tensor,
    bias: tf.Tensor,
    negatives: settings.NegativesSettings,
    seeds: tf.Tensor | None = None,
    collectives: Collectives | None = None,
) -> tuple[tf.Tensor, Metrics]:
    """Computes this replica's share of the global batch's loss: [b, D], [b, D], scalar, scalar -> scalar.

    L = (1/|B|) * (sum_i softplus(-l_ii) + sum_K softplus(l_ij)), with l_ij = exp(t') * x_i . y_j + b. K is a part of
    the |B|^2 - |B| negative pairs. With r = `negatives.per_positive`:

    - "hard" keeps the round(r |B|) negatives with the largest logits, "easy" those with the smallest. Equal logits at
      the border share the places that are left there: each counts as a fraction, so that the sum is right.
    - "random" keeps each negative with probability r / (|B| - 1).

    The loss is not weighted anew, and the choice has no gradient. The shares of all replicas add up to the loss, and
    their gradients to its gradients. Only first derivatives are defined.

    Args:
      image: x, unit-norm image embeddings of this replica, float32 or float64; b must be static.
      text: y, unit-norm text embeddings; row i belongs to row i of `image`.
      log_scale: t', the logarithm of the logit scale.
      bias: b, the logit bias.
      negatives: which negatives to keep.
      seeds: int32 [b, 2], different for each row of the global batch; only "random" reads them.
      collectives: how replicas exchange tensors; None means one device.

    Returns:
      The share, in the embeddings' dtype, and scalars of the whole batch: `kept_negatives`, those a positive, and
      `kept_negative_logit`, their mean logit (0 if there are none).

    Raises:
      ValueError: `negatives` is "random", and there are no seeds.
    """
    collectives = collectives or OneDevice()
    if negatives.kind == "random" and seeds is None:
        raise ValueError("Negatives.kind is 'random', but there are no seeds; the objective's Views must ask for them")
    rows = image.shape[0]
    pairs = collectives.num_replicas * rows
    own = collectives.replica_id() * rows + tf.range(rows)
    positive = own[:, None] == tf.range(pairs)[None, :]

    @tf.custom_gradient
    def sums_of(
        image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, ...], Callable[..., list[tf.Tensor]]]:
        scale, texts = tf.exp(log_scale), collectives.all_gather(text)
        similarity = tf.matmul(image, texts, transpose_b=True)
        logits = scale * similarity + bias
        if negatives.kind == "random":
            kept = tf.where(positive, tf.zeros_like(logits), _drawn(seeds, pairs, negatives, logits.dtype))
        else:
            order = -logits if negatives.kind == "hard" else logits
            kept = _lowest(order, positive, round(negatives.per_positive * pairs), collectives)
        margin = tf.where(positive, logits, -logits)
        weight = tf.where(positive, tf.ones_like(kept), kept)
        slope = weight * tf.sigmoid(-margin)  # the derivative of softplus(-margin) by -margin
        by_logit = tf.where(positive, -slope, slope)
        (by_texts,) = collectives.all_reduce([scale * tf.matmul(by_logit, image, transpose_a=True)])
        by_text = tf.reshape(by_texts, [collectives.num_replicas, *text.shape])[collectives.replica_id()]
        by_scale = scale * tf.reduce_sum(by_logit * similarity)
        gradients = (scale * tf.matmul(by_logit, texts), by_text, by_scale, tf.reduce_sum(by_logit))

        def gradient(upstream: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor]:
            return [upstream / pairs * g for g in gradients]

        loss = tf.reduce_sum(weight * tf.nn.softplus(-margin))
        return (loss / pairs, tf.reduce_sum(kept), tf.reduce_sum(kept * logits)), gradient

    share, *sums = sums_of(image, text, tf.cast(log_scale, image.dtype), tf.cast(bias, image.dtype))
    count, logit = collectives.all_reduce(sums)
    return share, {"kept_negatives": count / pairs, "kept_negative_logit": tf.math.divide_no_nan(logit, count)}


def _drawn(seeds: tf.Tensor, pairs: int, negatives: settings.NegativesSettings, dtype: tf.DType) -> tf.Tensor:
    """[b, pairs], 1 with probability r / (|B| - 1), else 0. A row's draws depend on its own seed only."""

    def of_row(seed: tf.Tensor) -> tf.Tensor:
        return draws.coins(seed, [pairs], negatives.per_positive / (pairs - 1))

    return tf.cast(draws.for_rows(of_row, seeds, tf.TensorSpec([pairs], tf.bool)), dtype)


def _lowest(values: tf.Tensor, positive: tf.Tensor, count: int, collectives: Collectives) -> tf.Tensor:
    """Weights [b, |B|] that choose the `count` lowest values of all replicas' negatives; they add up to `count`.

    The weight is 1 below the threshold and 0 above. Values equal to the threshold share what is left to `count`.
    """
    keys = _in_order(values)
    keys = tf.where(positive, keys.dtype.max, keys)
    threshold = _threshold(keys, count, collectives)
    below, equal = keys < threshold, keys == threshold
    (counts,) = collectives.all_reduce([tf.stack([_count(below), _count(equal)])])  # MirroredStrategy sums one int32
    taken, tied = tf.unstack(tf.cast(counts, values.dtype))
    share = tf.math.divide_no_nan(count - taken, tied)
    return tf.cast(below, values.dtype) + share * tf.cast(equal, values.dtype)


def _in_order(values: tf.Tensor) -> tf.Tensor:
    """Integers that compare as the floats do: the bits of a float grow with it, those of a negative one fall."""
    bits = tf.bitcast(values, _INTEGERS[values.dtype])
    return tf.where(bits < 0, tf.bitwise.bitwise_xor(bits, bits.dtype.max), bits)


def _threshold(keys: tf.Tensor, count: int, collectives: Collectives) -> tf.Tensor:
    """The least integer that at least `count` keys of all replicas do not exceed.

    Bisection, but into 16 parts: a round counts the keys below each border, and the replicas add up their counts. So a
    round finds four bits of the threshold, from the highest to the lowest, and eight rounds find an int32.
    """
    parts, digits = 2**_DIGIT, 8 * keys.dtype.size // _DIGIT

    def narrow(low: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
        def border(part: tf.Tensor) -> tf.Tensor:
            return tf.bitwise.bitwise_xor(low, tf.bitwise.left_shift(part, shift))  # the bits of `low` from here are 0

        counts = [_count(keys < border(tf.constant(part, keys.dtype))) for part in range(1, parts)]
        (below,) = collectives.all_reduce([tf.stack(counts)])
        return border(tf.cast(_count(below < count), keys.dtype))

    shifts = tf.constant([_DIGIT * digit for digit in reversed(range(digits))], keys.dtype)
    low = tf.constant(keys.dtype.min, keys.dtype)
    if collectives.form == "loop":
        state = (tf.constant(0), low)
        _, low = tf.while_loop(
            lambda k, _: k < digits, lambda k, low: (k + 1, narrow(low, shifts[k])), state, maximum_iterations=digits
        )
    else:  # the other strategies do not sum over replicas inside a loop
        for k in range(digits):
            low = narrow(low, shifts[k])
    return low


def _count(found: tf.Tensor) -> tf.Tensor:
    return tf.math.count_nonzero(found, dtype=tf.int32)
