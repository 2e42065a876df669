"""The train loop: short, ours, seeded, and able to go on from where it was stopped or killed."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from models import optimizers, settings
from models.batches import POSITION, START, Batches, Reader
from models.checkpoints import Checkpoints, Progress
from models.checks import label
from models.distribution import Distribution
from models.held_out import HeldOut
from models.interruption import Interrupted, StopSignals
from models.objectives import Objective
from models.optimizers import parameters
from models.train_step import HEALTHY, LOSS_PART, TrainStep
from models.training_log import TrainingLog

BAD_PART = "bad_part"


class Diverged(FloatingPointError):
    """Loss or gradients are not finite, or the loss has exploded; nothing is exported."""


def train(
    objective: Objective,
    batches: Batches,
    held_out: HeldOut | None,
    distribution: Distribution,
    config: settings.TrainingSettings,
    log_dir: str,
    checkpoint_dir: str,
) -> None:
    """Trains until `config.steps` steps are done, counting those that earlier processes did.

    Args:
      objective: updated in place; made in the scope of the distribution's strategy.
      batches: where rows come from.
      held_out: rows to look at now and then, or None.
      distribution: the devices.
      config: everything else.
      log_dir: for TensorBoard events and training_log.jsonl.
      checkpoint_dir: of this run alone; a run with other settings or data needs another.

    Raises:
      Diverged: the loss or a gradient is not finite, or the loss is above `config.max_loss`.
      Interrupted: the process was asked to stop, and the state is saved.
      CheckpointError: a checkpoint cannot be written, or the one found is of another model.
    """
    with distribution.strategy.scope():
        variables = optimizers.trainable(config.optimizer, objective.trainable_variables)
        optimizer = optimizers.create(config.optimizer, config.schedule, config.steps, variables)
    state = {f"weights/{parameters.name(variable)}": variable for variable in objective.trainable_variables}
    state |= {f"optimizer/{name}": variable for name, variable in optimizer.state().items()}
    checkpoints = Checkpoints(checkpoint_dir, state, config.checkpoint.keep)
    progress = checkpoints.restore()
    if progress.step and distribution.is_chief:
        print(f"      going on from step {progress.step} of {config.steps} ({checkpoint_dir})", flush=True)

    step = TrainStep(objective, optimizer, distribution.collectives, config, distribution.compiles_towers)
    flops, devices = objective.step_flops(config.batch_size), distribution.collectives.num_replicas
    with TrainingLog(log_dir, config, flops, devices, progress.log) as log, StopSignals() as signals:
        _Run(step, batches, held_out, distribution, config, checkpoints, log, signals, log_dir).go_on(progress)


class _Run:
    """One process's part of a training run."""

    def __init__(
        self,
        step: TrainStep,
        batches: Batches,
        held_out: HeldOut | None,
        distribution: Distribution,
        config: settings.TrainingSettings,
        checkpoints: Checkpoints,
        log: TrainingLog,
        signals: StopSignals,
        log_dir: str,
    ) -> None:
        self._step, self._batches, self._held_out, self._distribution = step, batches, held_out, distribution
        self._config, self._checkpoints, self._log = config, checkpoints, log
        self._signals, self._log_dir = signals, log_dir
        self._waited = 0.0
        self._profiling = False

    def go_on(self, progress: Progress) -> None:
        """Runs the steps that are left."""
        done = progress.step
        positions = progress.positions or [list(START)] * self._distribution.readers
        if done >= self._config.steps:
            return
        iterator = self._iterate(positions)
        steps = steps_on_devices(self._step, self._distribution)
        while done < self._config.steps:
            stop = self._next_stop(done)
            self._profile(done)
            result = steps(iterator, tf.constant(stop - done))
            positions, self._waited = self._positions(result), self._waited + float(result["waited"])
            self._require_healthy(done, result)
            done = stop
            score = self._record(done, result["scalars"])
            stopping = self._distribution.agree(self._signals.received is not None)
            due = stopping or self._due(done, self._config.checkpoint.every) or done == self._config.steps
            if due and self._distribution.is_chief:
                self._checkpoints.save(Progress(done, positions, list(self._log.rows), score))
            if stopping:
                self._checkpoints.wait()
                name = self._signals.received.name if self._signals.received else "a signal to another worker"
                print(f"      stopped by {name} at step {done}; saved. Run the same command to go on", flush=True)
                raise Interrupted(self._signals.exit_code)
        self._profile(done)
        self._checkpoints.wait()

    def _iterate(self, positions: list[list[int]]) -> Iterator[Any]:
        rows = self._config.batch_size // self._distribution.collectives.num_replicas

        def read(context: tf.distribute.InputContext) -> tf.data.Dataset:
            index = context.input_pipeline_id
            return self._batches.read(rows, Reader(index, context.num_input_pipelines), positions[index])

        return iter(self._distribution.strategy.distribute_datasets_from_function(read))

    def _positions(self, result: dict[str, Any]) -> list[list[int]]:
        """Of each reader: where the last of its replicas' batches ended."""
        positions = self._distribution.gather(result["positions"])
        each = len(positions) // self._distribution.readers
        return [[int(number) for number in positions[last]] for last in range(each - 1, len(positions), each)]

    def _due(self, done: int, every: int) -> bool:
        return bool(every) and done % every == 0

    def _next_stop(self, done: int) -> int:
        """The step count at which the host next has something to do."""
        config = self._config
        stops = [done + config.runtime.steps_per_loop, config.steps]
        # Rows of the log are of step 0, `every`, 2 x `every`, ...: one step further.
        stops.append((done + config.logging.every - 1) // config.logging.every * config.logging.every + 1)
        for every in (config.checkpoint.every, config.logging.held_out_every):
            if every:
                stops.append(done // every * every + every)
        stops += [edge for edge in self._profile_edges() if edge > done]
        return min(stops)

    def _profile_edges(self) -> tuple[int, ...]:
        steps = self._config.profile_steps
        return (steps[0], steps[1] + 1) if steps else ()

    def _profile(self, done: int) -> None:
        """Starts the profiler before the first of its steps; stops it after the last, or where training ends."""
        if not self._config.profile_steps or not self._distribution.is_chief:
            return
        first, end = self._profile_edges()
        if self._profiling and done >= min(end, self._config.steps):
            tf.profiler.experimental.stop()
            self._profiling = False
        elif not self._profiling and first <= done < end and done < self._config.steps:
            tf.profiler.experimental.start(self._log_dir)
            self._profiling = True

    def _record(self, done: int, scalars: dict[str, tf.Tensor]) -> float | None:
        """Writes a row of the log where one is due; gives the held-out rows' score where they were looked at."""
        logging, last = self._config.logging, done == self._config.steps
        # Also where a checkpoint is due, so that the best one is chosen by its own weights.
        looks = last or self._due(done, logging.held_out_every) or self._due(done, self._config.checkpoint.every)
        held_out = self._held_out if looks else None
        if not (held_out or last or (done - 1) % logging.every == 0):
            return None
        seen = held_out.look() if held_out else None
        values = {name: float(value) for name, value in scalars.items() if name != BAD_PART}
        if self._distribution.is_chief:
            self._log.write(done, values, self._waited, seen)
        return seen.score if seen else None

    def _require_healthy(self, done: int, result: dict[str, Any]) -> None:
        offset, part = (int(number) for number in result["bad"])
        if part == HEALTHY:
            return
        step, what = done + offset, self._step.parts[part]
        self._checkpoints.wait()
        steps, name = self._checkpoints.steps, label(self._config.optimizer, "learning_rate")
        loss = float(result["scalars"]["loss"])
        how = f"has exploded: it is above Training.max_loss ({self._config.max_loss:g})" if loss == loss else "is NaN"
        fault = f"{what} {how}" if part == LOSS_PART else f"{what} is not finite"
        last_good = f"of step {steps[-1]}, in {self._checkpoints.folder}" if steps else "none"
        raise Diverged(
            f"{fault} at step {step}, so training stops and nothing is exported (loss {loss:g}; last good checkpoint: "
            f"{last_good}); lower {name}, or raise Schedule.warmup_steps"
        )


def steps_on_devices(
    step: TrainStep, distribution: Distribution
) -> Callable[[Iterator[Any], tf.Tensor], dict[str, Any]]:
    """Makes the function that runs several steps: a loop on the host around `strategy.run`.

    Returns:
      (iterator, count) -> "scalars" of the last step, "waited" seconds for batches, "positions" of local replicas,
      int64 [local replicas, 3], and "bad": int32 [2], the first step (from 0) and part that went wrong, or (-1, -1).
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

        def body(k: tf.Tensor, bad: tf.Tensor, waited: tf.Tensor, _: dict[str, Any]) -> tuple[Any, ...]:
            result = one_step(iterator)
            now = tf.stack([k, result["scalars"][BAD_PART]])
            first = tf.logical_and(bad[1] == HEALTHY, now[1] != HEALTHY)
            return k + 1, tf.where(first, now, bad), waited + result["waited"], result

        state = (tf.constant(0), healthy, tf.constant(0.0, tf.float64), start)
        _, bad, waited, last = tf.while_loop(lambda k, *_: k < count, body, state, maximum_iterations=count)
        return {**last, "waited": waited, "bad": bad}

    return several


def _now() -> tf.Tensor:
    """Seconds of this host's clock when the graph comes to it; tf.timestamp is refused under op determinism."""
    seconds = tf.numpy_function(time.monotonic, [], tf.float64)
    return tf.ensure_shape(seconds, [])
