"""The loops of a traced function."""

from collections.abc import Callable

import tensorflow as tf


def at_once(function: Callable[[], object]) -> list[int]:
    """For each loop of the function, how many iterations TensorFlow may run at once. XLA runs one."""
    graph = tf.function(function, autograph=False).get_concrete_function().graph
    return [op.get_attr("parallel_iterations") for op in graph.get_operations() if op.type.endswith("While")]
