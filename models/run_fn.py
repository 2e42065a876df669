"""Entry point of the TFX Trainer: trains on shards and a vocabulary, and writes a SavedModel and a log."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence

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
CODEBOOK_KEY = "visual_codebook"


def run_fn(fn_args: FnArgs) -> None:
    """Trains the objective that the gin text names, and exports it to `fn_args.serving_model_dir`.

    Args:
      fn_args: arguments from TFX. `train_files` and `eval_files` are patterns of TFRecord shards. `base_model`, if set,
        gives the initial weights. The log goes to `model_run_dir`. `custom_config` holds
        "gin": resolved gin text of TrainingSettings;
        "steps": replaces Training.steps;
        "vocabulary": path of a SentencePiece model;
        "visual_codebook": path of a codebook, if the objective asks for one;
        "checkpoints": a folder with a subfolder for each run, from which the same run goes on after it was killed.
    """
    vocabulary = fn_args.custom_config[VOCABULARY_KEY]
    config = configuration.parse(fn_args.custom_config[GIN_KEY], settings.TrainingSettings)
    config = dataclasses.replace(config, steps=fn_args.custom_config[STEPS_KEY])
    if fn_args.base_model:
        config = dataclasses.replace(config, pretrained=settings.PretrainedSettings(fn_args.base_model))
    shards = tfrecords.find_shards(fn_args.train_files)
    codebook = fn_args.custom_config.get(CODEBOOK_KEY, "")
    name = fingerprint(config, shards, vocabulary, codebook, fn_args.eval_files)
    run = os.path.join(fn_args.custom_config[CHECKPOINTS_KEY], name)
    objective, tokenizer, devices = fit(
        config, vocabulary, shards, fn_args.eval_files, fn_args.model_run_dir, run, codebook
    )
    if devices.is_chief:
        export.save(objective, tokenizer, configuration.to_gin(config), fn_args.serving_model_dir)
    devices.agree(False)  # all wait for the chief: TFX looks for the model as soon as any process ends


def fingerprint(
    config: settings.TrainingSettings,
    shards: list[str],
    vocabulary: str,
    codebook: str = "",
    held_out_patterns: Sequence[str] = (),
) -> str:
    """A hash of everything that the weights depend on.

    Settings of logging, saving and profiling do not change it. The held-out shards and Logging.held_out_rows do, if the
    objective finishes with them.
    """
    logging = settings.LoggingSettings()
    if config.objective.finishes:
        logging = settings.LoggingSettings(held_out_rows=config.logging.held_out_rows)
        shards = [*shards, *tfrecords.find_shards(held_out_patterns)]
    runtime = dataclasses.replace(config.runtime, steps_per_loop=1, peak_flops=0.0)
    same = dataclasses.replace(
        config,
        logging=logging,
        checkpoint=settings.CheckpointSettings(),
        runtime=runtime,
        max_loss=1.0,
        profile_steps=(),
    )
    facts = [configuration.to_gin(same)]
    facts += [f"{path} {tf.io.gfile.stat(path).length}" for path in [*shards, vocabulary]]
    if codebook:
        with tf.io.gfile.GFile(codebook, "rb") as file:
            facts.append(hashlib.sha256(file.read()).hexdigest())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
