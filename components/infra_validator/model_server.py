"""A minimal server of one SavedModel over TF Serving's gRPC protos; it imports none of this project's code.

It does not use beam.exported_model, because it is a script of a clean process that does not have our code.

Run as a script in a process of its own: `python -I model_server.py MODEL_NAME MODEL_DIR`. It prints one line of JSON,
{"port": P}, then loads the model. Until the model is loaded, it answers requests with UNAVAILABLE. It replaces
tensorflow_model_server on machines without that binary, and implements its Predict and GetModelStatus.
"""

import concurrent.futures
import json
import sys
import threading
from typing import Any

import grpc
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's ops)
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

_State = get_model_status_pb2.ModelVersionStatus.State
_VERSION = 1


class _Server(prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self._path = path
        self._state = _State.LOADING
        self._error = ""
        self._model: Any = None

    def load(self) -> None:
        try:
            self._model = tf.saved_model.load(self._path)
            self._state = _State.AVAILABLE
        except Exception as error:
            self._error = f"{type(error).__name__}: {error}"
            print(self._error, file=sys.stderr, flush=True)
            self._state = _State.END

    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        self._require_name(request, context)
        response = get_model_status_pb2.GetModelStatusResponse()
        status = response.model_version_status.add(version=_VERSION, state=self._state)
        status.status.error_message = self._error
        return response

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        self._require_name(request, context)
        if self._model is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, self._error or "the model is still loading")
        signature_name = request.model_spec.signature_name or "serving_default"
        if signature_name not in self._model.signatures:
            known = sorted(self._model.signatures)
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no signature {signature_name!r}; there are {known}")
        try:
            inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
            outputs = self._model.signatures[signature_name](**inputs)
        except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for name, tensor in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(tensor.numpy()))
        return response

    def _require_name(self, request: Any, context: grpc.ServicerContext) -> None:
        if request.model_spec.name != self._name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model_spec.name!r}; there is {self._name!r}")


def start(name: str, path: str) -> tuple[grpc.Server, int]:
    """Listens on a free loopback port and starts to load the model; returns the server and the port."""
    servicer = _Server(name, path)
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=2), options=limits)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    threading.Thread(target=servicer.load, daemon=True).start()
    return server, port


def main(name: str, path: str) -> None:
    """Serves until the parent process closes standard input."""
    server, port = start(name, path)
    print(json.dumps({"port": port}), flush=True)
    sys.stdin.read()
    server.stop(grace=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
