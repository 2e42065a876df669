"""Writes warm-up requests, which TensorFlow Serving runs before a version becomes available, to assets.extra/."""

import os
from collections.abc import Iterable, Mapping

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from components.serving_clients import predict_request
from models import features
from models.serving import export

FILE = "tf_serving_warmup_requests"
LARGEST_BATCH = 32


def write(saved_model: str, rows: Mapping[str, tf.Tensor], label_sets: Iterable[str]) -> None:
    """Writes a request of one row and one of all rows for each signature except `evaluate`, which serves no users.

    Args:
      saved_model: folder of the SavedModel.
      rows: {features.IMAGE, features.CAPTION: string [N]}.
      label_sets: names of the label sets that have a signature.
    """
    folder = os.path.join(saved_model, export.EXTRA)
    with tf.io.TFRecordWriter(os.path.join(folder, FILE)) as file:
        for count in sorted({1, len(rows[features.IMAGE])}):
            pictures, texts = (list(rows[name].numpy()[:count]) for name in (features.IMAGE, features.CAPTION))
            inputs = {
                "embed_image": {"image_bytes": pictures},
                "embed_text": {"text": texts},
                "serving_default": {"image_bytes": pictures, "labels": texts},
                **{export.CLASSIFY + name: {"image_bytes": pictures} for name in label_sets},
            }
            for signature, values in inputs.items():
                log = prediction_log_pb2.PredictionLog()
                log.predict_log.request.CopyFrom(predict_request("", signature, values))
                file.write(log.SerializeToString())
