"""LastPushedModel's work, and how components take a model that may not be there yet."""

import os
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.components.evaluator import executor as tfx_evaluator
from tfx.dsl.components.base import base_executor
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils, proto_utils

from models import files

_NONE_FILE = "NO_MODEL"
Inputs = dict[str, list[types.Artifact]]


class Executor(base_executor.BaseExecutor):
    """Copies the newest version of a folder of pushed models."""

    def Do(self, input_dict: Inputs, output_dict: Inputs, exec_properties: dict[str, Any]) -> None:
        """Writes the Model, or a file that says that there is none yet."""
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination)
        pushed = files.newest_version(destination.filesystem.base_directory)
        model = artifact_utils.get_single_uri(output_dict[standard_component_specs.MODEL_KEY])
        if tf.io.gfile.exists(os.path.join(pushed, tf.saved_model.SAVED_MODEL_FILENAME_PB)):
            io_utils.copy_dir(pushed, path_utils.serving_model_dir(model))
        else:
            files.write_text(os.path.join(model, _NONE_FILE), f"{pushed} holds no model yet\n")


class Evaluator(tfx_evaluator.Executor):
    """TFX's, which compares with the baseline model only if there is one."""

    def Do(self, input_dict: Inputs, output_dict: Inputs, exec_properties: dict[str, Any]) -> None:
        super().Do(present(input_dict, standard_component_specs.BASELINE_MODEL_KEY), output_dict, exec_properties)


def present(input_dict: Inputs, key: str) -> Inputs:
    """The inputs, without the models under `key` that LastPushedModel did not find."""
    found = [model for model in input_dict.get(key, []) if not tf.io.gfile.exists(os.path.join(model.uri, _NONE_FILE))]
    others = {name: artifacts for name, artifacts in input_dict.items() if name != key}
    return {**others, key: found} if found else others
