"""Changes variables that no optimiser moves, on all replicas alike."""

from collections.abc import Sequence

import tensorflow as tf


def assign(changes: Sequence[tuple[tf.Variable, tf.Tensor]]) -> None:
    """Sets each variable to its value; call it in replica context, outside of loops and of functions that XLA compiles.

    Args:
      changes: (variable, value); every replica must pass equal values.
    """
    variables = [variable for variable, _ in changes]

    def assign_all(strategy: tf.distribute.Strategy, values: Sequence[tf.Tensor]) -> None:
        for variable, value in zip(variables, values, strict=True):
            strategy.extended.update(variable, _assign, args=(value,), group=False)

    values = tuple(value for _, value in changes)
    tf.distribute.get_replica_context().merge_call(assign_all, args=(values,))


def move(changes: Sequence[tuple[tf.Variable, tf.Tensor]], decay: float | tf.Tensor) -> None:
    """Moves each variable towards its value: variable <- decay * variable + (1 - decay) * value. See `assign`."""
    assign([(variable, decay * variable.read_value() + (1.0 - decay) * value) for variable, value in changes])


def _assign(variable: tf.Variable, value: tf.Tensor) -> None:
    variable.assign(value)
