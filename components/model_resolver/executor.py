"""LastPushedModel's work, and how components take a model that may not exist yet."""

import os
from typing import Any

import tensorflow as tf
from tfx.components.evaluator import executor as tfx_evaluator
from tfx.proto import pusher_pb2
from tfx.types import Artifact, standard_component_specs
from tfx.utils import io_utils, path_utils, proto_utils

from components import declaration
from components.declaration import Artifacts
from models import files

_NONE_FILE = "NO_MODEL"


class Executor(declaration.Executor):
    """Copies the newest version of a folder of pushed models."""

    def run(self, push_destination: str, model: Artifact) -> None:
        """Writes the Model, or a file that says that there is none yet."""
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(push_destination, destination)
        pushed = files.newest_version(destination.filesystem.base_directory)
        if tf.io.gfile.exists(os.path.join(pushed, tf.saved_model.SAVED_MODEL_FILENAME_PB)):
            io_utils.copy_dir(pushed, path_utils.serving_model_dir(model.uri))
        else:
            files.write_text(os.path.join(model.uri, _NONE_FILE), f"{pushed} holds no model yet\n")


class Evaluator(tfx_evaluator.Executor):
    """TFX's executor, which compares with the baseline model only if there is one."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        super().Do(present(input_dict, standard_component_specs.BASELINE_MODEL_KEY), output_dict, exec_properties)


def exists(model: Artifact) -> bool:
    """Whether the Model holds a model; LastPushedModel may have found none."""
    return not tf.io.gfile.exists(os.path.join(model.uri, _NONE_FILE))


def present(input_dict: Artifacts, key: str) -> Artifacts:
    """Returns the inputs without those Models under `key` that hold no model."""
    found = list(filter(exists, input_dict.get(key, [])))
    others = {name: artifacts for name, artifacts in input_dict.items() if name != key}
    return {**others, key: found} if found else others
