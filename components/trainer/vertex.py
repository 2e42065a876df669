"""The Trainer's work on Vertex AI: starts a CustomJob by TFX's client, and waits for it."""

import time
from typing import Any

from absl import logging
from google.api_core.exceptions import GoogleAPIError
from google.cloud.aiplatform_v1.types import JobState
from tfx.dsl.components.base import base_executor
from tfx.extensions.google_cloud_ai_platform.constants import VERTEX_REGION_KEY
from tfx.extensions.google_cloud_ai_platform.trainer.executor import TRAINING_ARGS_KEY
from tfx.extensions.google_cloud_ai_platform.training_clients import VertexJobClient
from tfx.types import standard_component_specs
from tfx.utils import json_utils, name_utils

from components.declaration import Artifacts
from components.trainer.executor import PREEMPTED, RestartedExecutor
from models.training.interruption import StopSignals

_POLL_SECONDS = 30
_FAILED_POLLS = 5  # tolerated one after another
_ENDED = (*VertexJobClient.JOB_STATES_COMPLETED, JobState.JOB_STATE_EXPIRED)


class _CancellableClient(VertexJobClient):
    """TFX's client, and a way to cancel the job."""

    def cancel(self) -> None:
        """Asks Vertex AI to end the job; its Trainer receives SIGTERM and saves a checkpoint."""
        logging.warning("cancelling %s, because this task no longer waits for it", self.get_job_name())
        try:
            self._client.cancel_custom_job(name=self.get_job_name())
        except GoogleAPIError as error:
            logging.error("%s could not be cancelled and continues: %s", self.get_job_name(), error)


class Executor(base_executor.BaseExecutor):
    """Runs on the pipeline's machine; `custom_config` describes the job, which has its own machines and image.

    TFX's own executor leaves the job running when the task ends, for example when a run is cancelled. A retry would
    then train at the same time into the same checkpoints. This executor ends the job with the task.
    """

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Starts the job and waits for it; cancels the job if SIGTERM or an error ends the wait.

        Raises:
          RuntimeError: the job failed, was cancelled, or exceeded its time limit.
        """
        config = json_utils.loads(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
        described = dict(config[TRAINING_ARGS_KEY])
        project = described.pop("project")
        client = _CancellableClient(config[VERTEX_REGION_KEY])
        executor = name_utils.get_full_name(RestartedExecutor)
        job = client.create_training_job(input_dict, output_dict, exec_properties, executor, described, None, None)
        with StopSignals() as stop:  # from here on, so that no signal before the job's launch is lost
            client.launch_job(project, job)
            try:
                ended = _wait(client, stop)
            except BaseException:
                client.cancel()
                raise
        if client.get_job_state(ended) != JobState.JOB_STATE_SUCCEEDED:
            raise RuntimeError(f"Job '{client.get_job_name()}' did not succeed. Detailed response {ended}")


def _wait(client: _CancellableClient, stop: StopSignals) -> Any:
    """Returns the ended job; exits if the task is asked to stop."""
    failed = 0
    while True:
        try:
            job = client.get_job()
        except (ConnectionError, GoogleAPIError) as error:
            failed += 1
            if failed > _FAILED_POLLS:
                raise
            logging.warning("no answer about %s: %s", client.get_job_name(), error)
            client.create_client()
        else:
            failed = 0
            if client.get_job_state(job) in _ENDED:
                return job
        for _ in range(_POLL_SECONDS):
            if stop.received:
                raise SystemExit(PREEMPTED)
            time.sleep(1)
