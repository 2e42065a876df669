"""A whole training run, from files to a trained objective.

`models.run_fn` calls `fit`, which makes the devices, the tokenizer, the objective and the data, and calls `loop.train`.
The path to the loss is: `fit` -> `loop.train` -> `DeviceLoop.run` (device_loop.py) -> `TrainStep` (step.py) ->
`of_batch` or `of_micro_batches` (gradients.py) -> `Objective.loss` (models/objectives) -> models/losses.
"""

import tensorflow as tf
import tf_keras as keras

from models import objectives, pretrained, settings
from models.distribution import strategies
from models.distribution.strategies import Distribution
from models.inputs.batches import Batches
from models.inputs.tokenizer import Tokenizer
from models.layers import visual_codes
from models.objectives import Objective
from models.objectives.training_only import exported_variables
from models.training import loop
from models.training.held_out import HeldOut


def fit(
    config: settings.TrainingSettings,
    vocabulary: str,
    train_shards: list[str],
    held_out_patterns: list[str],
    log_dir: str,
    checkpoint_dir: str,
    codebook: str = "",
) -> tuple[Objective, Tokenizer, Distribution]:
    """Trains the objective of the settings; call it before any other use of TensorFlow.

    Args:
      config: settings of the run.
      vocabulary: path of a SentencePiece model.
      train_shards: paths of TFRecord shards.
      held_out_patterns: patterns of the shards of held-out rows; not read if Logging.held_out_every is 0, unless the
        objective finishes with them.
      log_dir: see `loop.train`.
      checkpoint_dir: see `loop.train`.
      codebook: path of the visual codes; "" if the objective asks for none.

    Returns:
      The trained objective, the tokenizer of its texts, and the devices.

    Raises:
      Diverged, Interrupted, CheckpointError: see `loop.train`.
      ValueError: the devices that the settings name are not there.
    """
    devices = strategies.create(config.runtime)
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()

    tokenizer = Tokenizer(vocabulary, config.objective.text_input)
    with devices.strategy.scope():
        codes = settings.visual_codes(config.objective)
        read = visual_codes.read(codebook, codes.image_tower.patch, codes.codebook.codes) if codes else None
        run = objectives.Run(config.steps, tokenizer.text_ids, read)
        objective = objectives.create(config.objective, tokenizer.vocabulary_size, config.runtime, run)
        if config.pretrained:
            checkpoint = pretrained.load_fitting(config.pretrained, config.objective, vocabulary)
            pretrained.restore(exported_variables(objective), checkpoint, config.pretrained.parts)
            objective.start()
    batches = Batches(train_shards, tokenizer, config, objective.views)
    held_out = None
    if config.logging.held_out_every or objective.finishes:
        held_out = HeldOut(held_out_patterns, tokenizer, objective, devices, config.logging.held_out_rows)
    loop.train(objective, batches, held_out, devices, config, log_dir, checkpoint_dir)
    return objective, tokenizer, devices
