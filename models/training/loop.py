"""The train loop: short, ours, seeded, and able to go on from where it was stopped or killed."""

import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from models import optimizers, settings
from models.distribution.strategies import Distribution
from models.inputs.batches import START, Batches, Reader
from models.objectives import Objective
from models.optimizers import parameters
from models.settings.checks import label
from models.training.checkpoints import CheckpointError, Checkpoints, Progress
from models.training.device_loop import steps_on_devices
from models.training.held_out import HeldOut
from models.training.interruption import Interrupted, StopSignals
from models.training.log import TrainingLog
from models.training.step import BAD_PART, HEALTHY, LOSS_PART, TrainStep


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
    kept = [*objective.trainable_variables, *objective.state]
    state = {f"weights/{parameters.name(variable)}": variable for variable in kept}
    state |= {f"optimizer/{name}": variable for name, variable in optimizer.state().items()}
    checkpoints = Checkpoints(checkpoint_dir, state, config.checkpoint.keep, writes=distribution.is_chief)
    progress = checkpoints.restore()
    if progress.step and len(progress.positions) != distribution.readers:
        raise CheckpointError(
            f"the checkpoint of step {progress.step} in {checkpoint_dir} is of {len(progress.positions)} readers of "
            f"the data, and this run has {distribution.readers}; go on with as many hosts, or remove that folder to "
            "start anew"
        )
    if progress.step and distribution.is_chief:
        print(f"      going on from step {progress.step} of {config.steps} ({checkpoint_dir})", flush=True)

    step = TrainStep(objective, optimizer, distribution.collectives, config, distribution.compiles_towers)
    flops, devices = objective.step_flops(config.batch_size), distribution.collectives.num_replicas
    # Every worker has a log, since each is stopped and profiled by itself; only the chief's is where people look.
    log_dir = log_dir if distribution.is_chief else os.path.join(log_dir, f"worker_{distribution.process}")
    with (
        TrainingLog(log_dir, config, flops, devices, progress.log, prints=distribution.is_chief) as log,
        StopSignals() as signals,
    ):
        run = _Run(step, batches, held_out, distribution, config, checkpoints, log, signals, log_dir)
        try:
            run.go_on(progress)
        finally:
            run.stop_profiling()


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
        self._checkpoints.wait()

    def stop_profiling(self) -> None:
        """Writes the profile that is being taken, if any."""
        if self._profiling:
            tf.profiler.experimental.stop()
            self._profiling = False

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
        """Starts the profiler before the first of its steps, and stops it after the last."""
        if not self._config.profile_steps or not self._distribution.is_chief:
            return
        first, end = self._profile_edges()
        if done >= end:
            self.stop_profiling()
        elif first <= done and not self._profiling:
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
        self._log.write(done, values, self._waited, seen)
        return seen.score if seen else None

    def _require_healthy(self, done: int, result: dict[str, Any]) -> None:
        offset, part, loss = int(result["bad"][0]), int(result["bad"][1]), float(result["bad_loss"])
        if part == HEALTHY:
            return
        step, what = done + offset, self._step.parts[part]
        self._checkpoints.wait()
        steps, name = self._checkpoints.steps, label(self._config.optimizer, "learning_rate")
        how = f"has exploded: it is above Training.max_loss ({self._config.max_loss:g})" if loss == loss else "is NaN"
        fault = f"{what} {how}" if part == LOSS_PART else f"{what} is not finite"
        last_good = f"of step {steps[-1]}, in {self._checkpoints.folder}" if steps else "none"
        raise Diverged(
            f"{fault} at step {step}, so training stops and nothing is exported (loss {loss:g}; last good checkpoint: "
            f"{last_good}); lower {name}, or raise Schedule.warmup_steps"
        )
