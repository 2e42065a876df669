"""InfraValidator's work."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils
from tfx.utils.model_paths import tf_serving_flavor

from components.infra_validator.serving_check import serve_and_check
from components.infra_validator.settings import ServingCheckSettings
from components.serving_clients import MODEL_NAME
from models import features, files
from models.inputs import tfrecords

SETTINGS_KEY = "settings"
CHECK_FILE = "serving_check.json"

# How TFX's InfraValidator marks its blessing, and TFX's Pusher reads it.
_BLESSED_PROPERTY = "blessed"
_BLESSED_FILE, _NOT_BLESSED_FILE = "INFRA_BLESSED", "INFRA_NOT_BLESSED"


class Executor(base_executor.BaseExecutor):
    """Blesses the model, or says in serving_check.json why not."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the check; a model that cannot be served is not blessed, and is no error of the pipeline."""
        model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
        split = artifact_utils.get_split_uri(input_dict[standard_component_specs.EXAMPLES_KEY], "eval")
        blessing = artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY])
        settings = ServingCheckSettings(**json.loads(exec_properties[SETTINGS_KEY]))
        pictures, captions = _read_rows(split, settings.rows)
        exported = path_utils.serving_model_path(model.uri)
        on_pod = settings.platform == "kubernetes"
        with self._copy_for_pod(exported) if on_pod else contextlib.nullcontext(exported) as path:
            check = serve_and_check(path, pictures, captions, settings)
        blessed = not check["problem"]
        if not blessed:
            logging.warning("InfraValidator: not blessed: %s", check["problem"])
        blessing.set_int_custom_property(_BLESSED_PROPERTY, int(blessed))
        files.write_text(os.path.join(blessing.uri, CHECK_FILE), json.dumps(check, indent=1))
        files.write_text(os.path.join(blessing.uri, _BLESSED_FILE if blessed else _NOT_BLESSED_FILE), "")

    @contextlib.contextmanager
    def _copy_for_pod(self, path: str) -> Iterator[str]:
        """A pod reads the model below the pipeline's root, in TensorFlow Serving's layout."""
        copy = tf_serving_flavor.make_model_path(self._get_tmp_dir(), MODEL_NAME, version=1)
        io_utils.copy_dir(path, copy)
        try:
            yield copy
        finally:
            tf.io.gfile.rmtree(copy)


def _read_rows(split: str, rows: int) -> tuple[list[bytes], list[bytes]]:
    batch = next(iter(tfrecords.read_shards([os.path.join(split, "*")]).batch(rows)))
    parsed = tfrecords.parse(batch, (features.IMAGE, features.CAPTION))
    return list(parsed[features.IMAGE].numpy()), list(parsed[features.CAPTION].numpy())
