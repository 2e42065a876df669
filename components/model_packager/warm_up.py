"""Writes warm-up requests, which TensorFlow Serving runs before a version becomes available, to assets.extra/."""

import os
from collections.abc import Mapping

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from components.serving_clients import predict_request
from models import features
from models.serving import contract, export

FILE = "tf_serving_warmup_requests"
LARGEST_BATCH = 32


def write(saved_model: str, rows: Mapping[str, tf.Tensor]) -> None:
    """Writes a request of one row and one of all rows for each signature except `evaluate`, which serves no users.

    Args:
      saved_model: folder of the SavedModel.
      rows: {features.IMAGE, features.CAPTION: string [N]}.

    Raises:
      ValueError: a signature has an input that is neither pictures nor texts.
    """
    folder = os.path.join(saved_model, export.EXTRA)
    signatures = contract.served(saved_model)
    with tf.io.TFRecordWriter(os.path.join(folder, FILE)) as file:
        for count in sorted({1, len(rows[features.IMAGE])}):
            pictures, texts = (list(rows[name].numpy()[:count]) for name in (features.IMAGE, features.CAPTION))
            for signature, names in signatures.items():
                values = contract.request(signature, names, pictures, texts)
                log = prediction_log_pb2.PredictionLog()
                log.predict_log.request.CopyFrom(predict_request("", signature, values))
                file.write(log.SerializeToString())
