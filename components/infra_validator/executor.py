"""InfraValidator's work."""

import contextlib
import json
import os
from collections.abc import Iterator

import tensorflow as tf
from absl import logging
from tfx.types import Artifact
from tfx.utils import io_utils, path_utils
from tfx.utils.model_paths import tf_serving_flavor

from components import declaration
from components.infra_validator.serving_check import serve_and_check
from components.infra_validator.settings import InfraValidatorSettings
from components.serving_clients import MODEL_NAME
from models import features, files
from models.inputs import tfrecords
from models.settings import configuration

CHECK_FILE = "serving_check.json"

# TFX's InfraValidator marks its blessing by these, and TFX's Pusher reads them.
_BLESSED_PROPERTY = "blessed"
_BLESSED_FILE, _NOT_BLESSED_FILE = "INFRA_BLESSED", "INFRA_NOT_BLESSED"


class Executor(declaration.Executor):
    """Blesses the model, or writes to serving_check.json why not."""

    def run(self, model: Artifact, examples: Artifact, settings: str, blessing: Artifact) -> None:
        """Runs the check. A model that cannot be served is not blessed, but is no error of the pipeline."""
        bounds = configuration.parse(settings, InfraValidatorSettings)
        pictures, captions = _read_rows(declaration.split_uri(examples, "eval"), bounds.rows)
        exported = path_utils.serving_model_path(model.uri)
        on_pod = bounds.platform == "kubernetes"
        with self._copy_for_pod(exported) if on_pod else contextlib.nullcontext(exported) as path:
            check = serve_and_check(path, pictures, captions, bounds)
        blessed = not check["problem"]
        if not blessed:
            logging.warning("InfraValidator: not blessed: %s", check["problem"])
        blessing.set_int_custom_property(_BLESSED_PROPERTY, int(blessed))
        files.write_text(os.path.join(blessing.uri, CHECK_FILE), json.dumps(check, indent=1))
        files.write_text(os.path.join(blessing.uri, _BLESSED_FILE if blessed else _NOT_BLESSED_FILE), "")

    @contextlib.contextmanager
    def _copy_for_pod(self, path: str) -> Iterator[str]:
        """Copies the model, in TensorFlow Serving's layout, below the pipeline's root, where a pod can read it."""
        copy = tf_serving_flavor.make_model_path(self._get_tmp_dir(), MODEL_NAME, version=1)
        io_utils.copy_dir(path, copy)
        try:
            yield copy
        finally:
            tf.io.gfile.rmtree(copy)


def _read_rows(split: str, rows: int) -> tuple[list[bytes], list[bytes]]:
    """Reads the pictures and captions of the first rows of a split's folder."""
    batch = next(iter(tfrecords.read_shards([os.path.join(split, "*")]).batch(rows)))
    parsed = tfrecords.parse(batch, (features.IMAGE, features.CAPTION))
    return list(parsed[features.IMAGE].numpy()), list(parsed[features.CAPTION].numpy())
