"""Lowers or compiles a training step of any size without running it; its variables have no content.

python -m tests.models.towers.abstract_step NAME [optimized_hlo]    prints one line of JSON

NAME is a size, as in gin/model, or a recipe, such as recipe/msiglip.
"""

import dataclasses
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
from models.features import IMAGE_EMBEDDING
from models.settings import configuration
from models.training.step import TrainStep
from pipeline.settings.run import PipelineSettings

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


def load_recipe(name: str) -> PipelineSettings:
    """The settings of gin/recipe/NAME.gin, with stand-ins for the paths that it asks for."""
    text = (GIN / "recipe" / f"{name}.gin").read_text()
    bindings = [f"{path} = 'a'" for path in ("WebDatasetSource.path", "Pretrained.path", "Vocabulary.path")
                if f"{path} = " in text]  # fmt: skip
    (config,) = configuration.load([str(GIN / "recipe" / f"{name}.gin")], bindings, [PipelineSettings])
    return config


def _step_of(name: str) -> tuple[settings.TrainingSettings, int]:
    """The training settings of a size or a recipe, with a small batch in float32, and the size of its vocabulary."""
    folder, _, recipe = name.rpartition("/")
    if not folder:
        return load(name), _VOCABULARY
    config = load_recipe(recipe)
    runtime = settings.RuntimeSettings(remat=config.training.runtime.remat)
    training = dataclasses.replace(config.training, batch_size=_BATCH, runtime=runtime)
    return training, config.vocabulary.size


def _empty(next_creator: Callable[..., tf.Variable], **arguments: Any) -> tf.Variable:
    """A variable whose memory is reserved but never written, so that the process does not use it."""
    given = arguments["initial_value"]
    shape, dtype = arguments.get("shape"), arguments.get("dtype")
    if shape is not None and callable(given):  # everything but scalars
        arguments["initial_value"] = tf.raw_ops.Empty(shape=tf.TensorShape(shape), dtype=dtype, init=False)
    return next_creator(**arguments)


def main(name: str, stage: str = "hlo") -> None:
    config, words = _step_of(name)
    with tf.variable_creator_scope(_empty):
        objective = objectives.create(config.objective, words, config.runtime)
        variables = objective.trainable_variables
        optimizer = optimizers.create(config.optimizer, config.schedule, config.steps, variables)
    step = TrainStep(objective, optimizer, OneDevice(), config)
    towers = config.objective.image_tower, config.objective.text_tower
    stored = objective.views.image_embedding
    image = tf.TensorSpec([_BATCH, towers[0].size, towers[0].size, 3], tf.uint8)
    specs = [
        tf.TensorSpec([_BATCH, stored], tf.float32) if stored else image,
        tf.TensorSpec([_BATCH, towers[1].length], tf.int32),
    ]

    def run(pictures: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return step({IMAGE_EMBEDDING if stored else "images": pictures, "token_ids": token_ids})

    program = tf.function(run, jit_compile=True, autograph=False).experimental_get_compiler_ir(*specs)(stage=stage)
    counts = {name: sum(int(v.shape.num_elements()) for v in variables if v.name.startswith(name))
              for name in ("image_tower", "text_tower", "")}  # fmt: skip
    # Not from getrusage: its peak includes the memory of the parent process at the start.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())
    print(json.dumps({"parameters": counts, "program": len(program), "peak_bytes": int(peak) * 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
