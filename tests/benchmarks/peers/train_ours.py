"""This project's step, called as a training run calls it: with op determinism, and by `DeviceLoop`."""

import os
import pathlib
import sys

import numpy as np
import protocol

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))

import tensorflow as tf
import tf_keras as keras

from models import objectives, optimizers, settings
from models.distribution import strategies
from models.inputs.batches import POSITION, START, InputPipeline
from models.training.device_loop import DeviceLoop
from models.training.step import TrainStep


class _InMemory:
    """Batches from memory, in place of models.inputs.batches.Batches."""

    def __init__(self, batches: list[tuple[np.ndarray, np.ndarray]]) -> None:
        self._batches = batches

    def read(self, rows: int, reader: InputPipeline, start: object) -> tf.data.Dataset:  # noqa: ARG002
        pictures, tokens = (np.stack(column) for column in zip(*self._batches, strict=True))
        positions = np.full((len(self._batches), len(START)), START, np.int64)
        columns = {"images": pictures, "token_ids": tokens, POSITION: positions}
        return tf.data.Dataset.from_tensor_slices(columns).repeat().prefetch(2)


def main() -> None:
    work = protocol.case()
    config = _settings(work)
    tf.config.threading.set_intra_op_parallelism_threads(work.threads)
    devices = strategies.create(config.runtime)
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    objective = objectives.create(config.objective, work.vocabulary, config.runtime)
    variables = objective.trainable_variables
    optimizer = optimizers.create(config.optimizer, config.schedule, 1000, variables)
    train_step = TrainStep(objective, optimizer, devices.collectives, config, devices.compiles == "towers")
    device_loop = DeviceLoop(train_step, _InMemory(protocol.batches(work)), devices, [])

    def step(pictures: np.ndarray, tokens: np.ndarray) -> float:
        return float(device_loop.run(1).scalars["loss"])

    parameters = sum(int(variable.shape.num_elements()) for variable in variables)
    protocol.run(work, step, parameters, f"ours on TensorFlow {tf.__version__}")


def _settings(work: protocol.Case) -> settings.TrainingSettings:
    towers = {
        "image_tower": settings.ImageTowerSettings(
            size=work.image_size,
            patch=work.patch,
            width=work.image_width,
            depth=work.image_depth,
            heads=work.image_heads,
            mlp_dim=work.image_mlp,
        ),
        "text_tower": settings.TextTowerSettings(
            length=work.text_length,
            width=work.text_width,
            depth=work.text_depth,
            heads=work.text_heads,
            mlp_dim=work.text_mlp,
        ),
    }
    optimizer = settings.AdamWSettings(
        learning_rate=work.learning_rate,
        weight_decay=work.weight_decay,
        clip_norm=work.clip_norm,
        beta_1=work.beta_1,
        beta_2=work.beta_2,
        epsilon=work.epsilon,
    )
    objective = settings.SiglipSettings(**towers, logit_scale=work.logit_scale, logit_bias=work.logit_bias)
    return settings.TrainingSettings(objective=objective, optimizer=optimizer, batch_size=work.batch_size)


if __name__ == "__main__":
    main()
