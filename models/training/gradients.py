"""The gradient of a contrastive loss, with the batch encoded at once or in micro-batches.

`TrainStep` (step.py) calls `of_batch`, or `of_micro_batches` where Training.micro_batches is above 1. Both call the
function that TrainStep gives them (crop, then Objective.encode) and `Objective.loss`, and differentiate the loss by the
weights.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from models.distribution.collectives import Collectives
from models.objectives.objective import Batch, Features, Metrics, Objective

Embed = Callable[[Batch], Features]


def of_batch(
    objective: Objective, embed: Embed, batch: Batch, variables: Sequence[tf.Variable], collectives: Collectives
) -> tuple[tf.Tensor, Metrics, list[tf.Tensor], Features]:
    """This replica's share of loss and gradients, the batch embedded at once.

    Args:
      objective: gives the loss.
      embed: batch -> features.
      batch: this replica's rows.
      variables: what to differentiate by.
      collectives: for the loss.

    Returns:
      Loss, metrics, a dense gradient a variable, and the features.
    """
    with tf.GradientTape() as tape:
        features = embed(batch)
        loss, metrics = objective.loss(features, collectives)
    return loss, metrics, _dense(tape.gradient(loss, variables, unconnected_gradients="zero")), features


def of_micro_batches(
    objective: Objective,
    embed: Embed,
    batch: Batch,
    variables: Sequence[tf.Variable],
    collectives: Collectives,
    count: int,
) -> tuple[tf.Tensor, Metrics, list[tf.Tensor], Features]:
    """The same as `of_batch`, to rounding, with the activations of one of `count` micro-batches alive at a time.

    A contrastive loss compares every pair with every other, so that the mean of micro-batches' gradients, which is what
    accumulation usually means, is another gradient: that of a smaller batch. Here a first pass embeds all
    micro-batches, the loss sees all embeddings and gives its gradient by each, and a second pass carries it back (as
    in arXiv 2101.06983).
    """
    micro = {name: tf.reshape(value, [count, -1, *value.shape[1:]]) for name, value in batch.items()}
    micro = {
        name: tf.ensure_shape(v, [count, batch[name].shape[0] // count, *v.shape[2:]]) for name, v in micro.items()
    }

    def piece(k: tf.Tensor) -> Batch:
        return {name: value[k] for name, value in micro.items()}

    first = embed(piece(tf.constant(0)))
    arrays = {name: tf.TensorArray(v.dtype, count, element_shape=v.shape).write(0, v) for name, v in first.items()}

    def forward(k: tf.Tensor, arrays: dict[str, tf.TensorArray]) -> tuple[object, ...]:
        embedded = embed(piece(k))
        return k + 1, {name: array.write(k, embedded[name]) for name, array in arrays.items()}

    _, arrays = tf.while_loop(lambda k, _: k < count, forward, (tf.constant(1), arrays), maximum_iterations=count)
    stacked = {name: array.stack() for name, array in arrays.items()}
    features = {name: tf.reshape(v, [count * first[name].shape[0], *v.shape[2:]]) for name, v in stacked.items()}

    names = sorted(name for name, value in features.items() if value.dtype.is_floating)
    learned = {name: features[name] for name in names}
    with tf.GradientTape() as tape:
        tape.watch(learned)
        loss, metrics = objective.loss(features, collectives)
    by_feature, direct = tape.gradient(loss, (learned, list(variables)), unconnected_gradients="zero")
    upstream = {name: tf.reshape(by_feature[name], stacked[name].shape) for name in names}

    def backward(k: tf.Tensor, sums: list[tf.Tensor]) -> tuple[object, ...]:
        with tf.GradientTape() as tape:
            embedded = embed(piece(k))
            outputs = [embedded[name] for name in names]
        added = tape.gradient(
            outputs, variables, output_gradients=[upstream[name][k] for name in names], unconnected_gradients="zero"
        )
        return k + 1, [total + new for total, new in zip(sums, _dense(added), strict=True)]

    state = (tf.constant(0), _dense(direct))
    _, sums = tf.while_loop(lambda k, _: k < count, backward, state, maximum_iterations=count)
    return loss, metrics, sums, features


def _dense(gradients: Sequence[tf.Tensor | tf.IndexedSlices]) -> list[tf.Tensor]:
    """Dense, since the norm of a sparse gradient would count a word that occurs twice as two."""
    return [tf.convert_to_tensor(gradient) for gradient in gradients]
