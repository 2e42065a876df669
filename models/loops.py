"""A loop of the graph that runs a known number of times."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def counted(
    count: int | tf.Tensor, body: Callable[..., tuple[Any, ...]], *state: Any, first: int = 0
) -> tuple[Any, ...]:
    """Calls `body` for k = first .. count - 1, one iteration at a time.

    TensorFlow runs ten iterations of a loop at once where XLA does not compile it. The tensors of ten iterations would
    then be in memory.

    Args:
      count: the number after the last k; a number, or an int32 scalar.
      body: body(k, *state) -> (k + 1, *state); k is an int32 scalar.
      *state: nested tensors or TensorArrays, with shapes that `body` keeps.
      first: the first k.

    Returns:
      The last state.
    """
    _, *last = tf.while_loop(
        lambda k, *_: k < count,
        body,
        (tf.constant(first), *state),
        maximum_iterations=count - first,
        parallel_iterations=1,
    )
    return tuple(last)
