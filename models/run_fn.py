"""The TFX Trainer's entry: resolved gin, shards and a vocabulary in, a SavedModel and a log out."""

import dataclasses
import hashlib
import os

import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from models import settings
from models.inputs import tfrecords
from models.serving import export
from models.settings import configuration
from models.training.fit import fit

GIN_KEY = "gin"
VOCABULARY_KEY = "vocabulary"
CHECKPOINTS_KEY = "checkpoints"
STEPS_KEY = "steps"


def run_fn(fn_args: FnArgs) -> None:
    """Trains the objective that the gin text names and exports it to `fn_args.serving_model_dir`.

    Args:
      fn_args: TFX's. `train_files` and `eval_files` are patterns of TFRecord shards; `custom_config` holds "gin", the
        resolved text of TrainingSettings, "steps", which replaces theirs, "vocabulary", the path of a SentencePiece
        model, and "checkpoints", a folder in which each run has one of its own, so that the same run goes on where it
        was killed. Where there is a `base_model`, weights start from it. The log goes to `model_run_dir`.
    """
    vocabulary = fn_args.custom_config[VOCABULARY_KEY]
    config = configuration.parse(fn_args.custom_config[GIN_KEY], settings.TrainingSettings)
    config = dataclasses.replace(config, steps=fn_args.custom_config[STEPS_KEY])
    if fn_args.base_model:
        config = dataclasses.replace(config, pretrained=settings.PretrainedSettings(fn_args.base_model))
    shards = tfrecords.find_shards(fn_args.train_files)
    run = os.path.join(fn_args.custom_config[CHECKPOINTS_KEY], fingerprint(config, shards, vocabulary))
    objective, tokenizer, devices = fit(config, vocabulary, shards, fn_args.eval_files, fn_args.model_run_dir, run)
    if devices.is_chief:
        export.save(objective, tokenizer, configuration.to_gin(config), fn_args.serving_model_dir)
    devices.agree(False)  # the others wait: TFX looks for the model where any of them ends


def fingerprint(config: settings.TrainingSettings, shards: list[str], vocabulary: str) -> str:
    """What tells runs apart: everything that the weights depend on, but not how often something is logged or saved."""
    runtime = dataclasses.replace(config.runtime, steps_per_loop=1, peak_flops=0.0)
    same = dataclasses.replace(
        config,
        logging=settings.LoggingSettings(),
        checkpoint=settings.CheckpointSettings(),
        runtime=runtime,
        max_loss=1.0,
        profile_steps=(),
    )
    facts = [configuration.to_gin(same)]
    facts += [f"{path} {tf.io.gfile.stat(path).length}" for path in [*shards, vocabulary]]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
