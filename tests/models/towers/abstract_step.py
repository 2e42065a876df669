"""Lowers or compiles a training step of any size without running it; its variables have no content.

python -m tests.models.towers.abstract_step SIZE [optimized_hlo]    SIZE as in gin/model; prints one line of JSON
"""

import json
import os
import pathlib
import re
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from models import objectives, optimizers, settings
from models.distribution.collectives import OneDevice
from models.settings import configuration
from models.training.step import TrainStep

GIN = pathlib.Path(__file__).parents[3] / "gin"
_VOCABULARY = 32_000
_BATCH = 8


def load(size: str) -> settings.TrainingSettings:
    """SigLIP with the settings of this size's gin file; in float32, as bfloat16 leaves copies of weights behind."""
    files = [str(GIN / "model" / f"{size}.gin"), str(GIN / "objective" / "siglip.gin")]
    bindings = [f"Training.batch_size = {_BATCH}", "Training.runtime = @Runtime()", "Runtime.remat = 'block'",
                "Training.optimizer = @Adafactor()"]  # fmt: skip
    (config,) = configuration.load(files, bindings, [settings.TrainingSettings])
    return config


def _empty(next_creator: Callable[..., tf.Variable], **arguments: Any) -> tf.Variable:
    """A variable whose memory is reserved but never written, so that the process does not use it."""
    given = arguments["initial_value"]
    shape, dtype = arguments.get("shape"), arguments.get("dtype")
    if shape is not None and callable(given):  # everything but scalars
        arguments["initial_value"] = tf.raw_ops.Empty(shape=tf.TensorShape(shape), dtype=dtype, init=False)
    return next_creator(**arguments)


def main(size: str, stage: str = "hlo") -> None:
    config = load(size)
    with tf.variable_creator_scope(_empty):
        objective = objectives.create(config.objective, _VOCABULARY, config.runtime)
        variables = objective.trainable_variables
        optimizer = optimizers.create(config.optimizer, config.schedule, config.steps, variables)
    step = TrainStep(objective, optimizer, OneDevice(), config)
    towers = config.objective.image_tower, config.objective.text_tower
    specs = [
        tf.TensorSpec([_BATCH, towers[0].size, towers[0].size, 3], tf.uint8),
        tf.TensorSpec([_BATCH, towers[1].length], tf.int32),
    ]

    def run(pixels: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return step({"images": pixels, "token_ids": token_ids})

    program = tf.function(run, jit_compile=True, autograph=False).experimental_get_compiler_ir(*specs)(stage=stage)
    counts = {name: sum(int(v.shape.num_elements()) for v in variables if v.name.startswith(name))
              for name in ("image_tower", "text_tower", "")}  # fmt: skip
    # Not from getrusage: its peak includes the memory of the parent process at the start.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())
    print(json.dumps({"parameters": counts, "program": len(program), "peak_bytes": int(peak) * 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
