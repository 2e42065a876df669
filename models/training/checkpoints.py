"""The state of a training run on disk: whole or not at all, written beside the training, never trusted blindly.

A checkpoint is a folder `step-00000500` with a TensorFlow bundle of all variables and, written last, `progress.json`. A
folder without it is what a killed process has left; it is removed.
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

from models.files import WholeFile

_PROGRESS_FILE, _STATE = "progress.json", "state"
_SCORE = "score"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or used; the message says which, why and what to do."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands, besides its variables.

    Attributes:
      step: steps done. Every random draw derives from the seed and the step, so this is the random state too.
      positions: of each reader of the data, as models.inputs.batches counts.
      log: rows of the log so far.
      score: of the held-out rows, for the best checkpoint; None where they were not looked at.
    """

    step: int = 0
    positions: list[list[int]] = dataclasses.field(default_factory=list)
    log: list[dict[str, float]] = dataclasses.field(default_factory=list)
    score: float | None = None


class Checkpoints:
    """All checkpoints of one run, in one folder."""

    def __init__(self, folder: str, variables: Mapping[str, tf.Variable], keep: int, writes: bool = True) -> None:
        """Removes what a killed process has left unfinished, if it is this process that writes.

        Args:
          folder: of this run alone.
          variables: all state, by a name that stays the same from process to process.
          keep: newest checkpoints kept, besides the best one.
          writes: False for all workers but the one that saves; they read only.
        """
        self.folder, self._variables, self._keep = folder, dict(variables), keep
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        for name in self._folders() if writes else []:
            if not self._is_whole(name):
                tf.io.gfile.rmtree(os.path.join(folder, name))

    @property
    def steps(self) -> list[int]:
        """Steps that can be gone back to, oldest first."""
        return [int(name.removeprefix("step-")) for name in self._folders() if self._is_whole(name)]

    def restore(self) -> Progress:
        """Sets all variables to the newest checkpoint; a run that has none starts at step 0.

        Raises:
          CheckpointError: it holds other variables or shapes, or cannot be read.
        """
        if not self.steps:
            return Progress()
        folder = self._path(self.steps[-1])
        try:
            progress = Progress(**self._progress(self.steps[-1]))
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

    def save(self, progress: Progress) -> None:
        """Copies all variables to this machine's memory, and writes them while training goes on.

        Raises:
          CheckpointError: the save before this one has failed.
        """
        self.wait()
        arrays = {name: np.array(variable.numpy()) for name, variable in self._variables.items()}
        self._thread = threading.Thread(target=self._write, args=(progress, arrays), name="checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Returns when nothing is being written any more; raises CheckpointError where writing has failed."""
        if self._thread:
            self._thread.join()
            self._thread = None
        if self._error:
            error, self._error = self._error, None
            before = f"the last good one is of step {self.steps[-1]}" if self.steps else "there is none before it"
            raise CheckpointError(
                f"a checkpoint could not be written to {self.folder} ({type(error).__name__}: {error}); {before}. "
                "Free some space, or lower Checkpoint.keep, and run the same command again"
            ) from error

    def _write(self, progress: Progress, arrays: Mapping[str, np.ndarray]) -> None:
        folder = self._path(progress.step)
        try:
            tf.io.gfile.makedirs(folder)
            with tf.device("CPU:0"):
                tf.raw_ops.SaveV2(
                    prefix=os.path.join(folder, _STATE),
                    tensor_names=list(arrays),
                    shape_and_slices=[""] * len(arrays),
                    tensors=[tf.constant(array) for array in arrays.values()],
                )
            path = os.path.join(folder, _PROGRESS_FILE)
            with WholeFile(path, f"{path}.unfinished") as unfinished, tf.io.gfile.GFile(unfinished, "w") as file:
                file.write(json.dumps(dataclasses.asdict(progress)))
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
            f"{name} is {shapes.get(name, 'missing')} there and {ours.get(name, 'missing')} here"
            for name in sorted({*shapes, *ours})
            if shapes.get(name) != ours.get(name)
        ]
        if differ:
            raise CheckpointError(
                f"checkpoint {folder} is of another model or optimiser: {'; '.join(differ[:3])}"
                f"{f'; and {len(differ) - 3} more' if len(differ) > 3 else ''}. "
                "Go back to the settings it was made with, or name another folder"
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
