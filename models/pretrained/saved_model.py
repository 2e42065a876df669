"""Our own SavedModel, trained or converted: its variables by name, its settings and its vocabulary."""

import os
import tempfile

import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from models import objectives, settings
from models.inputs.tokenizer import Tokenizer
from models.objectives import Objective
from models.objectives.training_only import exported_variables
from models.pretrained.checkpoint import Checkpoint
from models.pretrained.errors import PretrainedError, require_absent
from models.pretrained.restoration import restore
from models.pretrained.trained_model import TrainedModel
from models.serving import compression, export
from models.settings import configuration

_VOCABULARY = "vocabulary.model"


def read(folder: str) -> Checkpoint:
    """Reads a SavedModel that models.serving.export wrote, without loading its graph.

    Raises:
      PretrainedError: the model is not a SigLIP of ours, or a file is missing or damaged.
    """
    config = _config(folder)
    return Checkpoint(config, _weights(folder), vocabulary(folder), folder)


def read_trained(folder: str) -> TrainedModel:
    """Reads a SavedModel of any objective, without loading its graph.

    Raises:
      PretrainedError: a file is missing or damaged, or the weights are compressed.
    """
    return TrainedModel(objective_settings(folder), _weights(folder), vocabulary(folder), folder)


def objective_settings(folder: str) -> settings.ObjectiveSettings:
    """The settings of the objective of a SavedModel; PretrainedError if they cannot be read."""
    return _settings(folder)[0]


def write(checkpoint: Checkpoint, folder: str) -> None:
    """Writes the same SavedModel that training would export, whole or not at all.

    Raises:
      PretrainedError: the vocabulary is not known or lacks the padding, or `folder` exists.
    """
    require_absent(folder)
    if checkpoint.vocabulary is None:
        raise PretrainedError(
            f"{checkpoint.source} has no SentencePiece model, which a SavedModel needs; add --vocabulary=FILE"
        )
    with tempfile.TemporaryDirectory() as temporary:
        path = os.path.join(temporary, _VOCABULARY)
        with open(path, "wb") as file:
            file.write(checkpoint.vocabulary)
        tokenizer = Tokenizer(path, checkpoint.config.text_tower)
        objective = objectives.create(checkpoint.config, checkpoint.vocabulary_size)
        restore(objective.variables, checkpoint, config=checkpoint.config)
        export.save(objective, tokenizer, configuration.to_gin(checkpoint.config), folder)


def rebuild(folder: str) -> tuple[Objective, Tokenizer, str]:
    """Rebuilds the objective of a SavedModel, with its weights; returns it with its tokenizer and its gin.

    What only training needs is drawn anew, since the SavedModel does not have it.

    Raises:
      PretrainedError: a file is missing or damaged, or the weights are compressed.
    """
    config, runtime, gin_text = _settings(folder)
    tokenizer = Tokenizer(_vocabulary_file(folder), config.text_input)
    objective = objectives.create(config, tokenizer.vocabulary_size, runtime)
    weights = _weights(folder)
    for variable in exported_variables(objective):
        name = variable.name.split(":")[0]
        if name not in weights:
            raise PretrainedError(f"{folder} has no variable {name}; name a model that this version trained")
        variable.assign(weights[name])
    return objective, tokenizer, gin_text


def _config(folder: str) -> settings.SiglipSettings:
    objective = objective_settings(folder)
    if not isinstance(objective, settings.SiglipSettings):
        path = _gin_path(folder)
        raise PretrainedError(
            f"{path}: the objective is {type(objective).__name__}, but must be SiglipSettings; name a SigLIP model"
        )
    return settings.SiglipSettings(objective.image_tower, objective.text_tower)


def _settings(folder: str) -> tuple[settings.ObjectiveSettings, settings.RuntimeSettings, str]:
    path = _gin_path(folder)
    try:
        with tf.io.gfile.GFile(path) as file:
            text = file.read()
        if any(line.startswith("Training.") for line in text.splitlines()):
            training = configuration.parse(text, settings.TrainingSettings)
            return training.objective, training.runtime, text
        return configuration.parse(text, settings.SiglipSettings), settings.RuntimeSettings(), text
    except (tf.errors.OpError, ValueError) as error:
        raise PretrainedError(f"{path} cannot be read ({error}); name a model that this project trained") from error


def _gin_path(folder: str) -> str:
    return os.path.join(folder, export.EXTRA, export.GIN_FILE)


def _weights(folder: str) -> dict:
    try:
        reader = tf.train.load_checkpoint(os.path.join(folder, "variables", "variables"))
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
        keys = {
            attribute.full_name: attribute.checkpoint_key
            for node in graph.nodes
            for attribute in node.attributes
            if attribute.name == "VARIABLE_VALUE"
        }
        weights = {name: reader.get_tensor(key) for name, key in keys.items()}
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise PretrainedError(f"{folder}/variables cannot be read ({error}); get the SavedModel again") from error
    compressed = [name for name in weights if name.endswith(f"/{compression.SUFFIX}")]
    if compressed:
        raise PretrainedError(
            f"{folder} has compressed weights, such as {compressed[0]}, from which training cannot start; name the "
            "model that the Trainer wrote"
        )
    return weights


def vocabulary(folder: str) -> bytes:
    """Returns the SentencePiece model of a SavedModel of ours; PretrainedError if it has none."""
    with tf.io.gfile.GFile(_vocabulary_file(folder), "rb") as file:
        return file.read()


def _vocabulary_file(folder: str) -> str:
    assets = os.path.join(folder, "assets")
    names = tf.io.gfile.listdir(assets) if tf.io.gfile.isdir(assets) else []
    if len(names) != 1:
        raise PretrainedError(f"{assets} has {len(names)} files, but must have the vocabulary alone; get it again")
    return os.path.join(assets, names[0])
