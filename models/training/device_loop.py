"""Runs several steps in one call, so that the devices need not wait for the host between steps."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import config

from models import loops
from models.distribution.strategies import Distribution
from models.inputs.batches import POSITION, START, Batches, InputPipeline
from models.training.divergence import Fault
from models.training.step import BAD_PART, HEALTHY, TrainStep


@dataclasses.dataclass(frozen=True)
class StepsResult:
    """The result of several steps.

    Attributes:
      scalars: of the last step, see TrainStep.
      fault: the first step that diverged, or None.
    """

    scalars: dict[str, tf.Tensor]
    fault: Fault | None


class DeviceLoop:
    """Runs steps of a run, and counts what they have read.

    Attributes:
      positions: position in the data of each host that reads, after the last step (models.inputs.batches).
      waited: seconds that this process has waited for batches so far.
    """

    def __init__(
        self, step: TrainStep, batches: Batches, distribution: Distribution, positions: list[list[int]]
    ) -> None:
        """Opens the data; nothing runs.

        Args:
          step: what every replica runs.
          batches: where its rows come from.
          distribution: the devices.
          positions: where each host goes on reading; [] starts from the first row.
        """
        self.positions = positions or [list(START)] * distribution.readers
        self.waited = 0.0
        self._distribution, self._parts = distribution, step.parts
        self._steps = _steps_on_devices(step, distribution)
        first = self.positions

        def read(context: tf.distribute.InputContext) -> tf.data.Dataset:
            index = context.input_pipeline_id
            return batches.read(step.rows, InputPipeline(index, context.num_input_pipelines), first[index])

        with _reading_ahead():
            self._iterator = iter(distribution.strategy.distribute_datasets_from_function(read))

    def run(self, count: int) -> StepsResult:
        """Runs `count` steps."""
        result = self._steps(self._iterator, tf.constant(count))
        self.positions = self._last_positions(result["positions"])
        self.waited += float(result["waited"])
        offset, part = (int(number) for number in result["bad"])
        fault = None if part == HEALTHY else Fault(offset, part, self._parts[part], float(result["bad_loss"]))
        return StepsResult(result["scalars"], fault)

    def _last_positions(self, local: tf.Tensor) -> list[list[int]]:
        """For each host that reads: where the batch of its last replica ended."""
        positions = self._distribution.gather(local)
        each = len(positions) // self._distribution.readers
        return [[int(number) for number in positions[last]] for last in range(each - 1, len(positions), each)]


@contextlib.contextmanager
def _reading_ahead() -> Iterator[None]:
    """Iterators made here read the next batches during a step, also where op determinism is enabled.

    Op determinism takes prefetching and parallel calls away from a dataset that has a stateful op, and the op of the
    tokenizer counts as one. It need not: the tokenizer has no state that changes, and `Batches` decides every draw and
    the order of rows by seeds. (Here, TensorFlow does not refuse a draw without a seed.)
    """
    enabled = config.is_op_determinism_enabled()
    config.disable_op_determinism()
    try:
        yield
    finally:
        if enabled:
            config.enable_op_determinism()


def _steps_on_devices(
    step: TrainStep, distribution: Distribution
) -> Callable[[Iterator[Any], tf.Tensor], dict[str, Any]]:
    """Makes the function that runs several steps: a loop around `strategy.run`, in a graph on the host.

    Returns:
      A function (iterator, count) -> {"scalars": those of the last step, "waited": seconds waited for batches,
      "positions": int64 [local replicas, 3] after the last step, "bad": int32 [2], the number (from 0) and the part of
      the first step that diverged, or (-1, -1), "bad_loss": the loss of that step}.
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
        # On one CPU, ops of the step that need no batch would run before it, and count as waiting.
        with tf.control_dependencies([waited] if distribution.compiles == "parts" else []):
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

        zero = tf.constant(0.0, tf.float64)
        bad, loss, waited, last = loops.counted(count, body, healthy, start["scalars"]["loss"], zero, start)
        return {**last, "waited": waited, "bad": bad, "bad_loss": loss}

    return several


def _now() -> tf.Tensor:
    """Seconds of this host's clock when the graph runs this op; op determinism forbids tf.timestamp."""
    seconds = tf.numpy_function(time.monotonic, [], tf.float64)
    return tf.ensure_shape(seconds, [])
