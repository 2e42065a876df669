"""InfraValidator's work."""

import json
import os
import time
from typing import Any

import grpc
from absl import logging
from tfx import types
from tfx.components.infra_validator import error_types
from tfx.components.infra_validator.model_server_clients import tensorflow_serving_client
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import path_utils

from beam import writer
from components.infra_validator import process_runner, serving_requests
from models import data, features

ROWS_KEY = "rows"
MAX_LOAD_SECONDS_KEY = "max_load_seconds"
CHECK_FILE = "serving_check.json"
MODEL_NAME = "siglip"
_POLL_SECONDS = 0.2

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
        pictures, captions = _read_rows(split, exec_properties[ROWS_KEY])
        check = serve_and_check(
            path_utils.serving_model_path(model.uri), pictures, captions, exec_properties[MAX_LOAD_SECONDS_KEY]
        )
        blessed = not check["problem"]
        if not blessed:
            logging.warning("InfraValidator: not blessed: %s", check["problem"])
        blessing.set_int_custom_property(_BLESSED_PROPERTY, int(blessed))
        writer.write_text(os.path.join(blessing.uri, CHECK_FILE), json.dumps(check, indent=1))
        writer.write_text(os.path.join(blessing.uri, _BLESSED_FILE if blessed else _NOT_BLESSED_FILE), "")


def serve_and_check(
    model_path: str, pictures: list[bytes], captions: list[bytes], max_load_seconds: float
) -> dict[str, Any]:
    """Starts a server, asks it, stops it.

    Returns:
      {"problem": "" or why the model is not blessed, "load_seconds": ..., "peak_memory_bytes": ..., "rows": ...,
      "request_seconds": {signature: ...}}; what was not reached is missing.
    """
    check: dict[str, Any] = {"problem": "", "rows": len(pictures)}
    runner = process_runner.ProcessRunner(MODEL_NAME, model_path)
    start = time.time()
    deadline = start + max_load_seconds
    try:
        runner.Start()
        runner.WaitUntilRunning(deadline)
        client = tensorflow_serving_client.TensorFlowServingClient(runner.GetEndpoint(), MODEL_NAME)
        client.WaitUntilModelLoaded(deadline, polling_interval_sec=_POLL_SECONDS)
        check["load_seconds"] = time.time() - start
        with grpc.insecure_channel(runner.GetEndpoint()) as channel:
            check["request_seconds"] = serving_requests.check_answers(
                channel, MODEL_NAME, pictures, captions, timeout=max_load_seconds
            )
        check["peak_memory_bytes"] = runner.peak_memory_bytes()
    except (error_types.InfraValidationError, serving_requests.WrongAnswer, grpc.RpcError) as error:
        check["problem"] = f"{type(error).__name__}: {error}"
    finally:
        runner.Stop()
    return check


def _read_rows(split: str, rows: int) -> tuple[list[bytes], list[bytes]]:
    batch = next(iter(data.read_shards([os.path.join(split, "*")]).batch(rows)))
    parsed = data.parse(batch, (features.IMAGE, features.CAPTION))
    return list(parsed[features.IMAGE].numpy()), list(parsed[features.CAPTION].numpy())
