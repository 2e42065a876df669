"""Checkpoints: the state of a training run on disk, written in the background and checked before use.

A checkpoint is a folder such as `step-00000500`. It holds a TensorFlow bundle of all variables and `progress.json`,
which is written last. A folder without `progress.json` was left by a killed process; the next process removes it.
"""

import dataclasses
import json
import os
import re
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from models import files

_PROGRESS_FILE, _STATE = "progress.json", "state"
_SCORE = "score"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or used; the message says which one, why, and what to do."""


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """The state of a run other than its variables; `progress.json` holds it.

    Attributes:
      step: steps done.
      positions: position in the data of each host that reads (models.inputs.batches). Seed and positions are also the
        random state: every random draw derives from them.
      log: rows of the log so far.
      score: score of the weights on the held-out rows; None if they were not scored at this step.
    """

    step: int = 0
    positions: list[list[int]] = dataclasses.field(default_factory=list)
    log: list[dict[str, float]] = dataclasses.field(default_factory=list)
    score: float | None = None


class Checkpoints:
    """All checkpoints of one run, in one folder."""

    def __init__(self, folder: str, variables: Mapping[str, tf.Variable], keep: int, writes: bool = True) -> None:
        """Removes unfinished checkpoints of killed processes, unless this process only reads.

        Args:
          folder: folder of this run only.
          variables: all variables to save, by names that are the same in every process.
          keep: number of newest checkpoints to keep, in addition to the best one.
          writes: whether this process writes checkpoints. One worker writes; the others only read.
        """
        self.folder, self._variables, self._keep = folder, dict(variables), keep
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        for name in self._folders() if writes else []:
            if not self._is_whole(name):
                tf.io.gfile.rmtree(os.path.join(folder, name))

    @property
    def steps(self) -> list[int]:
        """Steps of the whole checkpoints, oldest first."""
        return [int(name.removeprefix("step-")) for name in self._folders() if self._is_whole(name)]

    def restore(self) -> TrainingState:
        """Sets all variables to the newest checkpoint, and returns its state; without a checkpoint, returns step 0.

        Raises:
          CheckpointError: the checkpoint holds other variables or shapes, or cannot be read.
        """
        if not self.steps:
            return TrainingState()
        folder = self._path(self.steps[-1])
        try:
            progress = TrainingState(**self._progress(self.steps[-1]))
            reader = tf.train.load_checkpoint(os.path.join(folder, _STATE))
            self._require_same(folder, reader.get_variable_to_shape_map())
            for name, variable in self._variables.items():
                variable.assign(reader.get_tensor(name))
        except (OSError, ValueError, TypeError, RuntimeError, tf.errors.OpError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(
                f"checkpoint {folder} cannot be read ({type(error).__name__}: {error}); "
                "remove this folder to go on from the one before it"
            ) from error
        return progress

    def save(self, progress: TrainingState) -> None:
        """Copies all variables to this machine's memory, and writes them in the background.

        Raises:
          CheckpointError: the previous save has failed.
        """
        self.wait()
        arrays = {name: np.array(variable.numpy()) for name, variable in self._variables.items()}
        self._thread = threading.Thread(target=self._write, args=(progress, arrays), name="checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Waits until the background write has ended; raises CheckpointError if it has failed."""
        if self._thread:
            self._thread.join()
            self._thread = None
        if self._error:
            error, self._error = self._error, None
            before = f"the last good one is of step {self.steps[-1]}" if self.steps else "there is no earlier one"
            raise CheckpointError(
                f"a checkpoint could not be written to {self.folder} ({type(error).__name__}: {error}); {before}. "
                "Free some space, or lower Checkpoint.keep, and run the same command again"
            ) from error

    def _write(self, progress: TrainingState, arrays: Mapping[str, np.ndarray]) -> None:
        folder = self._path(progress.step)
        try:
            files.make_folder(folder)
            with tf.device("CPU:0"):
                tf.raw_ops.SaveV2(
                    prefix=os.path.join(folder, _STATE),
                    tensor_names=list(arrays),
                    shape_and_slices=[""] * len(arrays),
                    tensors=[tf.constant(array) for array in arrays.values()],
                )
            files.sync(folder)  # before progress.json, so that a power loss leaves no checkpoint that looks whole
            text = json.dumps(dataclasses.asdict(progress))
            files.write_text(os.path.join(folder, _PROGRESS_FILE), text)
            self._prune()
        except BaseException as error:  # raised again by wait(), in the thread that trains
            self._error = error
            if tf.io.gfile.exists(folder) and not self._progress(progress.step):
                tf.io.gfile.rmtree(folder)

    def _prune(self) -> None:
        scores = {step: self._progress(step).get(_SCORE) for step in self.steps}
        scored = {step: score for step, score in scores.items() if score is not None}
        kept = set(self.steps[-self._keep :])
        if scored:
            kept.add(max(scored, key=lambda step: (scored[step], step)))
        for step in self.steps:
            if step not in kept:
                # First, so that a process that is killed here leaves an unfinished checkpoint.
                tf.io.gfile.remove(os.path.join(self._path(step), _PROGRESS_FILE))
                tf.io.gfile.rmtree(self._path(step))

    def _progress(self, step: int) -> dict[str, Any]:
        path = os.path.join(self._path(step), _PROGRESS_FILE)
        if not tf.io.gfile.exists(path):
            return {}
        with tf.io.gfile.GFile(path) as file:
            return json.load(file)

    def _require_same(self, folder: str, shapes: Mapping[str, list[int]]) -> None:
        ours = {name: variable.shape.as_list() for name, variable in self._variables.items()}
        differ = [
            f"{name} is {shapes.get(name, 'missing')} in the checkpoint and {ours.get(name, 'missing')} in the model"
            for name in sorted({*shapes, *ours})
            if shapes.get(name) != ours.get(name)
        ]
        if differ:
            raise CheckpointError(
                f"checkpoint {folder} is of another model or optimiser: {'; '.join(differ[:3])}"
                f"{f'; and {len(differ) - 3} more' if len(differ) > 3 else ''}. "
                "Use the settings that it was made with, or another folder"
            )

    def _is_whole(self, name: str) -> bool:
        return bool(tf.io.gfile.exists(os.path.join(self.folder, name, _PROGRESS_FILE)))

    def _path(self, step: int) -> str:
        return os.path.join(self.folder, f"step-{step:08d}")

    def _folders(self) -> list[str]:
        if not tf.io.gfile.isdir(self.folder):
            return []
        names = (name.rstrip("/") for name in tf.io.gfile.listdir(self.folder))
        return sorted(name for name in names if re.fullmatch(r"step-\d{8,}", name))
