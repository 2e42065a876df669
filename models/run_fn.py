"""The TFX Trainer's entry: resolved gin, shards and a vocabulary in, a SavedModel and a log out."""

import tensorflow as tf
import tf_keras as keras
from tfx.components.trainer.fn_args_utils import FnArgs

from models import configuration, data, export, objectives, settings, training
from models.tokenizer import Tokenizer

GIN_KEY = "gin"
VOCABULARY_KEY = "vocabulary"


def run_fn(fn_args: FnArgs) -> None:
    """Trains the objective that the gin text names and exports it to `fn_args.serving_model_dir`.

    Args:
      fn_args: TFX's. `train_files` are patterns of TFRecord shards; `custom_config` holds "gin", the resolved text of
        TrainingSettings, and "vocabulary", the path of a SentencePiece model. The log goes to `model_run_dir`.
    """
    gin_text = fn_args.custom_config[GIN_KEY]
    config = configuration.parse(gin_text, settings.TrainingSettings)
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()

    tokenizer = Tokenizer(fn_args.custom_config[VOCABULARY_KEY], config.objective.text_tower.length)
    objective = objectives.create(config.objective, tokenizer.vocabulary_size)
    rows = data.read_shards(fn_args.train_files)
    batches = data.training_batches(rows, tokenizer, objective.image_size, config)
    training.train(objective, batches, config, fn_args.model_run_dir)
    export.save(objective, tokenizer, gin_text, fn_args.serving_model_dir)
