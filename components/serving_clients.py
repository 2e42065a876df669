"""Three clients of an exported model with one interface: in this process, over gRPC, and over REST."""

import base64
import functools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import requests

if TYPE_CHECKING:
    from beam.exported_model import ExportedModel

MODEL_NAME = "siglip"
TIMEOUT_SECONDS = 60.0
_SHOWN = 200  # characters of an unusable answer that a message quotes
_NO_LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
# TF Serving's REST API omits the name of a signature's only output.
_ONLY_OUTPUTS = {"embed_image": "image_embedding", "embed_text": "text_embedding"}


class Refused(ValueError):
    """The model refused the whole request, because it cannot use a part of it.

    Attributes:
      rows: the unusable rows that the model named, counted from 0; at most the first twenty. Empty if it named none.
    """

    def __init__(self, message: str) -> None:
        asserted = re.search(r"assertion failed: \[(.*)\]", message)
        super().__init__(asserted.group(1).replace("] [", " ") if asserted else message)
        named = re.search(r"these rows .*?:\W*([\d ]*\d)", message)
        self.rows = [int(row) for row in named.group(1).split()] if named else []


class NoAnswer(RuntimeError):
    """The server cannot be reached, is too slow, or failed; the message says which."""


class Client(Protocol):
    """Sends requests to a model."""

    def predict(self, signature: str, inputs: Mapping[str, Sequence[bytes]]) -> dict[str, np.ndarray]:
        """Requests the outputs of a signature.

        Args:
          signature: name of the signature.
          inputs: {input: string [N]}; N may differ between inputs.

        Returns:
          {output: array}.

        Raises:
          Refused: an input cannot be used.
          NoAnswer: the server did not answer.
        """


class LocalClient:
    """Runs the SavedModel in this process; the first request loads it."""

    def __init__(self, path: str) -> None:
        """Makes a client of the SavedModel in the folder `path`."""
        self._path = path

    def predict(self, signature: str, inputs: Mapping[str, Sequence[bytes]]) -> dict[str, np.ndarray]:
        import tensorflow as tf

        if signature not in self._model.signatures:
            raise Refused(f"the model has no signature {signature!r}, only {', '.join(self._model.signatures)}")
        try:
            return self._model.call(signature, **inputs)
        except TypeError as error:  # an input is missing, or there is one too many
            raise Refused(str(error)) from error
        except tf.errors.InvalidArgumentError as error:
            raise Refused(error.message) from error

    @functools.cached_property
    def _model(self) -> "ExportedModel":
        from beam.exported_model import ExportedModel

        return ExportedModel(self._path)


class GrpcClient:
    """TF Serving's Predict over gRPC, without TLS."""

    def __init__(self, address: str, model_name: str = MODEL_NAME, timeout: float = TIMEOUT_SECONDS) -> None:
        """Makes a client; the first request connects.

        Args:
          address: HOST:PORT.
          model_name: name of the model on the server.
          timeout: the longest time to wait for an answer (seconds).
        """
        self._address = address
        self._model_name = model_name
        self.timeout = timeout

    def predict(self, signature: str, inputs: Mapping[str, Sequence[bytes]]) -> dict[str, np.ndarray]:
        import grpc
        import tensorflow as tf

        try:
            response = self._stub.Predict(predict_request(self._model_name, signature, inputs), timeout=self.timeout)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                raise Refused(error.details()) from error
            raise NoAnswer(
                f"{self._address} did not answer {signature} of model {self._model_name!r}: "
                f"{error.code().name}, {error.details()}"
            ) from error
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

    @functools.cached_property
    def _stub(self) -> Any:
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        return prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(self._address, _NO_LIMITS))


def predict_request(model_name: str, signature: str, inputs: Mapping[str, Sequence[bytes]]) -> Any:
    """Makes a TF Serving PredictRequest with string inputs."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model_name
    request.model_spec.signature_name = signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(list(values), dtype=tf.string, shape=[len(values)]))
    return request


class RestClient:
    """TF Serving's REST predict. It sends base64 in columns: inputs may differ in length and need not be UTF-8."""

    def __init__(self, url: str, model_name: str = MODEL_NAME, timeout: float = TIMEOUT_SECONDS) -> None:
        """Makes a client; the first request connects.

        Args:
          url: address of the server, such as http://localhost:8501.
          model_name: name of the model on the server.
          timeout: the longest time to wait for an answer (seconds).
        """
        self._model = f"{url.rstrip('/')}/v1/models/{model_name}"
        self._url = f"{self._model}:predict"
        self._session = requests.Session()
        self._timeout = timeout

    def predict(self, signature: str, inputs: Mapping[str, Sequence[bytes]]) -> dict[str, np.ndarray]:
        columns = {
            name: [{"b64": base64.b64encode(value).decode()} for value in values] for name, values in inputs.items()
        }
        body: Any = {"signature_name": signature, "inputs": columns}
        try:
            response = self._session.post(self._url, json=body, timeout=self._timeout)
            answer = response.json()
        except requests.RequestException as error:
            raise NoAnswer(f"{self._url} did not answer {signature}: {error}; is that the port for REST?") from error
        said = answer if isinstance(answer, dict) else {}
        if response.status_code == requests.codes.bad_request and "error" in said:
            raise Refused(said["error"])
        if not response.ok or "outputs" not in said:
            text = said.get("error") or f"{response.text[:_SHOWN]!r}; is that TensorFlow Serving?"
            raise NoAnswer(f"{self._url} did not answer {signature}: {response.status_code}, {text}")
        outputs = said["outputs"]
        named = outputs if isinstance(outputs, dict) else {self._only_output(signature): outputs}
        return {name: _to_array(value) for name, value in named.items()}

    def _only_output(self, signature: str) -> str:
        """The name of the only output; the server is asked for those that not every model has."""
        if signature in _ONLY_OUTPUTS:
            return _ONLY_OUTPUTS[signature]
        address = f"{self._model}/metadata"
        try:
            told = self._session.get(address, timeout=self._timeout).json()
            (name,) = told["metadata"]["signature_def"]["signature_def"][signature]["outputs"]
        except (requests.RequestException, KeyError, TypeError, ValueError) as error:
            raise NoAnswer(f"{address} does not name the output of {signature}: {error!r}") from error
        return name


def _to_array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "f" else array
