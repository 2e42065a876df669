"""Real requests, and what an answer must look like."""

import time
from collections.abc import Mapping, Sequence

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

UNIT_NORM_TOLERANCE = 1e-3
NO_PICTURE = b"not a picture"


class WrongAnswer(ValueError):
    """The server answered, but not what the SavedModel contract promises."""


def predict_request(
    model_name: str, signature: str, inputs: Mapping[str, Sequence[bytes]]
) -> predict_pb2.PredictRequest:
    """A TF Serving PredictRequest of string inputs."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model_name
    request.model_spec.signature_name = signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(list(values), dtype=tf.string, shape=[len(values)]))
    return request


def check_answers(
    channel: grpc.Channel, model_name: str, pictures: Sequence[bytes], captions: Sequence[bytes], timeout: float
) -> dict[str, float]:
    """Sends one request to each serving signature, and one broken one.

    Returns:
      {signature: seconds of its second request}; the first one also warms up.

    Raises:
      WrongAnswer: a shape, norm or value is not what the contract says, or a broken picture is not refused by row.
      grpc.RpcError: the server failed.
    """
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    inputs = {
        "embed_image": {"image_bytes": pictures},
        "embed_text": {"text": captions},
        "serving_default": {"image_bytes": pictures, "labels": captions},
    }
    seconds, answers = {}, {}
    for signature, values in inputs.items():
        request = predict_request(model_name, signature, values)
        stub.Predict(request, timeout=timeout)
        start = time.monotonic()
        response = stub.Predict(request, timeout=timeout)
        seconds[signature] = time.monotonic() - start
        answers[signature] = {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
    _require_unit_norm("embed_image", answers["embed_image"]["image_embedding"], len(pictures))
    _require_unit_norm("embed_text", answers["embed_text"]["text_embedding"], len(captions))
    _require_probability(answers["serving_default"]["probability"], (len(pictures), len(captions)))
    _require_refusal(
        stub, predict_request(model_name, "embed_image", {"image_bytes": [*pictures, NO_PICTURE]}), timeout
    )
    return seconds


def _require_unit_norm(signature: str, embedding: np.ndarray, rows: int) -> None:
    if embedding.ndim != 2 or embedding.shape[0] != rows:
        raise WrongAnswer(f"{signature} answered shape {embedding.shape}, but must answer [{rows}, D]")
    norms = np.linalg.norm(embedding, axis=1)
    if not np.all(np.abs(norms - 1) < UNIT_NORM_TOLERANCE):  # NaN fails too
        raise WrongAnswer(f"{signature} answered norms {norms}, but they must be 1")


def _require_probability(probability: np.ndarray, shape: tuple[int, int]) -> None:
    if probability.shape != shape:
        raise WrongAnswer(f"serving_default answered shape {probability.shape}, but must answer {shape}")
    if not np.all((probability >= 0) & (probability <= 1)):
        raise WrongAnswer(f"serving_default answered {probability}, but probabilities lie in [0, 1]")


def _require_refusal(
    stub: prediction_service_pb2_grpc.PredictionServiceStub, request: predict_pb2.PredictRequest, timeout: float
) -> None:
    row = len(tf.make_ndarray(request.inputs["image_bytes"])) - 1
    try:
        stub.Predict(request, timeout=timeout)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.INVALID_ARGUMENT and f"[{row}]" in error.details():
            return
        raise WrongAnswer(f"a broken picture in row {row} was answered {error.code()}: {error.details()}") from error
    raise WrongAnswer(f"a broken picture in row {row} was answered with an embedding")
