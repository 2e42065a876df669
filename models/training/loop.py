"""The train loop: short, seeded, and able to go on from where a run was stopped or killed.

`fit` calls `train`, which makes optimiser, step, checkpoints and log, and calls `_Run.go_on`. That calls
`DeviceLoop.run` (device_loop.py) for some steps at a time; for each step, every replica calls `TrainStep` (step.py).
Between two calls of `DeviceLoop.run` the host profiles (profiler.py), logs and scores (recorder.py), and saves
(checkpoints.py); stops.py says when.
"""

import functools
import os
import time
from collections.abc import Callable

import tensorflow as tf

from models import optimizers, settings
from models.distribution.strategies import Distribution
from models.inputs.batches import Batches
from models.objectives import Objective
from models.optimizers import Optimizer, parameters
from models.training.announcement import announced
from models.training.checkpoints import CheckpointError, Checkpoints, TrainingState
from models.training.corruption import Corruption
from models.training.device_loop import DeviceLoop
from models.training.divergence import diverged
from models.training.held_out import HeldOut
from models.training.interruption import Interrupted, StopSignals
from models.training.log import TrainingLog
from models.training.profiler import Profiler
from models.training.recorder import RunRecorder
from models.training.step import TrainStep
from models.training.stops import Stops


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
      objective: trained in place; made in the scope of the distribution's strategy.
      batches: source of the rows.
      held_out: held-out rows that score the weights; None if Logging.held_out_every is 0 and the objective's `finish`
        looks at none.
      distribution: the devices.
      config: settings of the run.
      log_dir: folder of TensorBoard events and training_log.jsonl.
      checkpoint_dir: folder of this run only; a run with other settings or data needs another one.

    Raises:
      Diverged: the loss, a gradient or the weights are not finite, or the loss is above `config.max_loss`.
      Interrupted: a signal asked the process to stop, and the state is saved.
      CheckpointError: a checkpoint cannot be written or read, or belongs to another model.
    """
    with distribution.strategy.scope():
        variables = optimizers.trainable(config.optimizer, objective.trainable_variables)
        optimizer = optimizers.create(config.optimizer, config.schedule, config.steps, variables)
    state = _variables_to_save(objective, optimizer)
    checkpoints = Checkpoints(checkpoint_dir, state, config.checkpoint.keep, writes=distribution.is_chief)
    start = _restore(checkpoints, distribution, config.steps)
    collectives, noise = distribution.collectives, config.corruption
    corrupt = Corruption(noise, objective.views, batches.tokenizer, collectives) if noise else None
    step = TrainStep(objective, optimizer, collectives, config, distribution.compiles == "towers", corrupt)
    flops, replicas = objective.step_flops(config.batch_size), collectives.num_replicas
    # Every worker writes a log of its own. The chief's lies in the folder where people look.
    log_dir = log_dir if distribution.is_chief else os.path.join(log_dir, f"worker_{distribution.process}")
    profiled = config.profile_steps if distribution.is_chief else ()
    with (
        TrainingLog(log_dir, config, flops, replicas, start.log, prints=distribution.is_chief) as log,
        StopSignals() as signals,
        Profiler(profiled, log_dir) as profiler,
    ):
        if start.step < config.steps:
            device_loop = DeviceLoop(step, batches, distribution, start.positions)
            scored = held_out if config.logging.held_out_every else None
            finish = functools.partial(objective.finish, held_out) if held_out and objective.finishes else None
            recorder = RunRecorder(Stops(config), log, scored, finish)
            run = _Run(config, distribution, device_loop, recorder, checkpoints)
            run.go_on(start.step, profiler.before_step, signals)


def _variables_to_save(objective: Objective, optimizer: Optimizer) -> dict[str, tf.Variable]:
    """All state of a run, by its name in checkpoints."""
    kept = [*objective.trainable_variables, *objective.state]
    weights = {f"weights/{parameters.name(variable)}": variable for variable in kept}
    return weights | {f"optimizer/{name}": variable for name, variable in optimizer.state().items()}


def _restore(checkpoints: Checkpoints, distribution: Distribution, steps: int) -> TrainingState:
    start = checkpoints.restore()
    if start.step and len(start.positions) != distribution.readers:
        raise CheckpointError(
            f"the checkpoint of step {start.step} in {checkpoints.folder} has positions of {len(start.positions)} "
            f"hosts that read data, but this run has {distribution.readers}; run on as many hosts as before, or remove "
            "that folder to start anew"
        )
    if start.step and distribution.is_chief:
        print(f"      going on from step {start.step} of {steps} ({checkpoints.folder})", flush=True)
    return start


class _Run:
    """One process's part of a training run."""

    def __init__(
        self,
        config: settings.TrainingSettings,
        distribution: Distribution,
        device_loop: DeviceLoop,
        recorder: RunRecorder,
        checkpoints: Checkpoints,
    ) -> None:
        self._config, self._stops, self._distribution = config, Stops(config), distribution
        self._device_loop, self._recorder, self._checkpoints = device_loop, recorder, checkpoints

    def go_on(self, done: int, profile: Callable[[int], None], signals: StopSignals) -> None:
        """Runs the steps that are left.

        Args:
          done: steps that are done already.
          profile: called with the next step, before it runs.
          signals: whether this process was asked to stop.
        """
        first, saved = done, 0.0
        while done < self._config.steps:
            profile(done)
            stop = self._stops.after(done)
            tells = self._distribution.is_chief and done == first
            with announced("tracing and compiling the first step", prints=tells):
                result = self._device_loop.run(stop - done)
            if result.fault:
                self._checkpoints.wait()
                raise diverged(result.fault, done, self._config, self._checkpoints)
            done = stop
            score = self._recorder.record(done, result.scalars, self._device_loop.waited, saved)
            stopping = self._distribution.agree(signals.received is not None)
            if (stopping or self._stops.saves(done)) and self._distribution.is_chief:
                start = time.monotonic()
                self._checkpoints.save(TrainingState(done, self._device_loop.positions, self._recorder.rows, score))
                saved += time.monotonic() - start
            if stopping:
                self._checkpoints.wait()
                name = signals.received.name if signals.received else "a signal to another worker"
                print(f"      stopped by {name} at step {done}; saved. Run the same command to go on", flush=True)
                raise Interrupted(signals.exit_code)
        self._checkpoints.wait()
