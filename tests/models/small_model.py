"""Trains SigLIP S/16 for a few steps on drawn rows, as the Trainer does on a CPU."""

import hashlib

import numpy as np
import tensorflow as tf
import tf_keras as keras

from models import objectives, optimizers, settings
from models.distribution import strategies
from models.settings import configuration
from models.training.step import TrainStep

_VOCABULARY, _ROWS = 32_000, 4
_GIN = ("gin/model/small.gin", "gin/objective/siglip.gin", "gin/optimizer/adamw.gin")


def trained(seed: int, steps: int) -> str:
    """Returns the SHA-256 of all weights after `steps` steps."""
    bindings = [f"Training.batch_size = {_ROWS}"]
    (config,) = configuration.load([*_GIN], bindings, [settings.TrainingSettings])
    devices = strategies.create(config.runtime)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    objective = objectives.create(config.objective, _VOCABULARY, config.runtime)
    optimizer = optimizers.create(config.optimizer, config.schedule, 1000, objective.trainable_variables)
    step = TrainStep(objective, optimizer, devices.collectives, config)
    run = tf.function(devices.replica_function(step.__call__), autograph=False)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        run(
            {
                "images": tf.constant(rng.integers(0, 256, (_ROWS, 224, 224, 3)), tf.uint8),
                "token_ids": tf.constant(rng.integers(0, _VOCABULARY, (_ROWS, 64)), tf.int32),
            }
        )
    return hashlib.sha256(b"".join(v.numpy().tobytes() for v in objective.trainable_variables)).hexdigest()
