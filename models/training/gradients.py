"""The gradient of a contrastive loss, with the batch encoded at once or in micro-batches.

`TrainStep` (step.py) calls `of_batch`, or `of_micro_batches` where Training.micro_batches is above 1. Both call the
function that TrainStep gives them (crop, then Objective.encode) and `Objective.loss`, and differentiate the loss by the
weights.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from models import loops
from models.distribution.collectives import Collectives
from models.objectives.objective import Batch, Encoded, Metrics, Objective

Encode = Callable[[Batch], Encoded]


def of_batch(
    objective: Objective, encode: Encode, batch: Batch, variables: Sequence[tf.Variable], collectives: Collectives
) -> tuple[tf.Tensor, Metrics, list[tf.Tensor], Encoded]:
    """This replica's share of loss and gradients, with its rows encoded at once.

    Args:
      objective: computes the loss.
      encode: encodes rows.
      batch: this replica's rows.
      variables: weights to differentiate the loss by.
      collectives: passed to the loss.

    Returns:
      This replica's share of the loss, metrics, one dense gradient for each variable, and the encoded rows.
    """
    with tf.GradientTape() as tape:
        encoded = encode(batch)
        loss, metrics = objective.loss(encoded, collectives)
    return loss, metrics, _dense(tape.gradient(loss, variables, unconnected_gradients="zero")), encoded


def of_micro_batches(
    objective: Objective,
    encode: Encode,
    batch: Batch,
    variables: Sequence[tf.Variable],
    collectives: Collectives,
    count: int,
) -> tuple[tf.Tensor, Metrics, list[tf.Tensor], Encoded]:
    """Computes what `of_batch` does, to rounding, in the memory of the activations of one of `count` micro-batches.

    Usual gradient accumulation takes the mean of the micro-batches' gradients. For a contrastive loss, which compares
    every pair with every other, that is the gradient of a smaller batch. This function follows arXiv 2101.06983: a
    first pass encodes all micro-batches; the loss compares all rows and is differentiated by the encoded rows; a second
    pass encodes each micro-batch again and propagates that gradient to the weights.
    """
    micro = {name: tf.reshape(value, [count, -1, *value.shape[1:]]) for name, value in batch.items()}
    micro = {
        name: tf.ensure_shape(v, [count, batch[name].shape[0] // count, *v.shape[2:]]) for name, v in micro.items()
    }

    def piece(k: tf.Tensor) -> Batch:
        return {name: value[k] for name, value in micro.items()}

    first = encode(piece(tf.constant(0)))
    arrays = {name: tf.TensorArray(v.dtype, count, element_shape=v.shape).write(0, v) for name, v in first.items()}

    def forward(k: tf.Tensor, arrays: dict[str, tf.TensorArray]) -> tuple[object, ...]:
        encoded = encode(piece(k))
        return k + 1, {name: array.write(k, encoded[name]) for name, array in arrays.items()}

    (arrays,) = loops.counted(count, forward, arrays, first=1)
    stacked = {name: array.stack() for name, array in arrays.items()}
    whole = {name: tf.reshape(v, [count * first[name].shape[0], *v.shape[2:]]) for name, v in stacked.items()}

    names = sorted(name for name, value in whole.items() if value.dtype.is_floating)
    learned = {name: whole[name] for name in names}
    with tf.GradientTape() as tape:
        tape.watch(learned)
        loss, metrics = objective.loss(whole, collectives)
    by_encoded, direct = tape.gradient(loss, (learned, list(variables)), unconnected_gradients="zero")
    upstream = {name: tf.reshape(by_encoded[name], stacked[name].shape) for name in names}

    def backward(k: tf.Tensor, sums: list[tf.Tensor]) -> tuple[object, ...]:
        with tf.GradientTape() as tape:
            encoded = encode(piece(k))
            outputs = [encoded[name] for name in names]
        added = tape.gradient(
            outputs, variables, output_gradients=[upstream[name][k] for name in names], unconnected_gradients="zero"
        )
        return k + 1, [total + new for total, new in zip(sums, _dense(added), strict=True)]

    (sums,) = loops.counted(count, backward, _dense(direct))
    return loss, metrics, sums, whole


def _dense(gradients: Sequence[tf.Tensor | tf.IndexedSlices]) -> list[tf.Tensor]:
    """Makes gradients dense: the norm of a sparse one would count the gradients of a repeated word separately."""
    return [tf.convert_to_tensor(gradient) for gradient in gradients]
