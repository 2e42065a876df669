"""Model servers for tests: in a separate process, as InfraValidator starts them, and in the test's own process."""

import contextlib
import time
from collections.abc import Iterator

from tfx.components.infra_validator.model_server_clients import tensorflow_serving_client

from components.infra_validator import model_server, process_runner
from components.serving_clients import MODEL_NAME


@contextlib.contextmanager
def process_server(saved_model: str) -> Iterator[process_runner.ProcessRunner]:
    """Serves the SavedModel from a separate process; yields the runner once the model is loaded."""
    runner = process_runner.ProcessRunner(MODEL_NAME, saved_model)
    try:
        runner.Start()
        runner.WaitUntilRunning(time.time() + 120)
        wait_until_loaded(runner.GetEndpoint())
        yield runner
    finally:
        runner.Stop()


class ThreadRunner:
    """Serves from this process, so that TensorFlow need not start again; has the methods of a runner."""

    def __init__(self, saved_model: str) -> None:
        self._saved_model = saved_model

    def Start(self) -> None:
        self._server, self._port = model_server.start(MODEL_NAME, self._saved_model)

    def WaitUntilRunning(self, deadline: float) -> None:
        pass

    def GetEndpoint(self) -> str:
        return f"127.0.0.1:{self._port}"

    def GetLogs(self) -> str:
        return ""

    def Stop(self) -> None:
        self._server.stop(grace=None)

    def memory(self) -> None:
        return None


@contextlib.contextmanager
def thread_server(saved_model: str) -> Iterator[str]:
    """Serves the SavedModel from this process; yields the address once the model is loaded."""
    runner = ThreadRunner(saved_model)
    runner.Start()
    try:
        wait_until_loaded(runner.GetEndpoint())
        yield runner.GetEndpoint()
    finally:
        runner.Stop()


def wait_until_loaded(address: str) -> None:
    """Returns once the server has loaded the model."""
    client = tensorflow_serving_client.TensorFlowServingClient(address, MODEL_NAME)
    client.WaitUntilModelLoaded(time.time() + 120, polling_interval_sec=0.1)
