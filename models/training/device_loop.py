"""Several steps in one call: the loop around `strategy.run` that keeps the host out of the devices' way."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from models.distribution.strategies import Distribution
from models.inputs.batches import POSITION, START
from models.training.step import BAD_PART, HEALTHY, TrainStep


def steps_on_devices(
    step: TrainStep, distribution: Distribution
) -> Callable[[Iterator[Any], tf.Tensor], dict[str, Any]]:
    """Makes the function that runs several steps: a loop on the host around `strategy.run`.

    Returns:
      (iterator, count) -> "scalars" of the last step, "waited" seconds for batches, "positions" of local replicas,
      int64 [local replicas, 3], "bad": int32 [2], the first step (from 0) and part that went wrong, or (-1, -1), and
      "bad_loss", that step's.
    """
    strategy = distribution.strategy
    replica_step = distribution.replica_function(step.__call__)

    def one(iterator: Iterator[Any]) -> dict[str, Any]:
        before = _now()
        with tf.control_dependencies([before]):
            batch = dict(next(iterator))
        with tf.control_dependencies(strategy.experimental_local_results(batch[POSITION])):
            waited = _now() - before
        local_positions = strategy.experimental_local_results(batch.pop(POSITION))
        positions = tf.stack([tf.ensure_shape(position, [len(START)]) for position in local_positions])
        scalars = strategy.run(replica_step, args=(batch,))
        local = {name: strategy.experimental_local_results(value)[0] for name, value in scalars.items()}
        return {"scalars": local, "waited": waited, "positions": positions}

    one_step = tf.function(one, autograph=False)

    @tf.function(autograph=False)
    def several(iterator: Iterator[Any], count: tf.Tensor) -> dict[str, Any]:
        shapes = one_step.get_concrete_function(iterator).structured_outputs
        start = tf.nest.map_structure(lambda spec: tf.zeros(spec.shape, spec.dtype), shapes)
        healthy = tf.constant([HEALTHY, HEALTHY])

        def body(k: tf.Tensor, bad: tf.Tensor, bad_loss: tf.Tensor, waited: tf.Tensor, _: Any) -> tuple[Any, ...]:
            result = one_step(iterator)
            now, loss = tf.stack([k, result["scalars"][BAD_PART]]), result["scalars"]["loss"]
            first = tf.logical_and(bad[1] == HEALTHY, now[1] != HEALTHY)
            bad, bad_loss = tf.where(first, now, bad), tf.where(first, loss, bad_loss)
            return k + 1, bad, bad_loss, waited + result["waited"], result

        state = (tf.constant(0), healthy, start["scalars"]["loss"], tf.constant(0.0, tf.float64), start)
        _, bad, loss, waited, last = tf.while_loop(lambda k, *_: k < count, body, state, maximum_iterations=count)
        return {**last, "waited": waited, "bad": bad, "bad_loss": loss}

    return several


def _now() -> tf.Tensor:
    """Seconds of this host's clock when the graph comes to it; tf.timestamp is refused under op determinism."""
    seconds = tf.numpy_function(time.monotonic, [], tf.float64)
    return tf.ensure_shape(seconds, [])
