"""The Trainer's work on Vertex AI: TFX's client starts a CustomJob that runs it, and the job is waited for."""

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
_FAILED_POLLS = 5  # one after another, which are borne
_ENDED = (*VertexJobClient.JOB_STATES_COMPLETED, JobState.JOB_STATE_EXPIRED)


class _Client(VertexJobClient):
    """TFX's, which cannot cancel."""

    def cancel(self) -> None:
        """Asks Vertex AI to end the job; its Trainer gets SIGTERM, and saves its state."""
        logging.warning("cancelling %s, for which nothing waits any more", self.get_job_name())
        try:
            self._client.cancel_custom_job(name=self.get_job_name())
        except GoogleAPIError as error:
            logging.error("%s was not cancelled and goes on: %s", self.get_job_name(), error)


class Executor(base_executor.BaseExecutor):
    """Runs where the pipeline runs; the job, with its own machines and image, is in `custom_config`.

    TFX's own executor leaves the job running where the task ends, as in a run that is cancelled; another try would
    train beside it, into the same checkpoints. Here the job ends with the task.
    """

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Starts the job and waits for it; where the waiting ends before it, by SIGTERM or an error, cancels it.

        Raises:
          RuntimeError: the job failed, was cancelled, or took longer than it may.
        """
        config = json_utils.loads(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
        described = dict(config[TRAINING_ARGS_KEY])
        project = described.pop("project")
        client = _Client(config[VERTEX_REGION_KEY])
        executor = name_utils.get_full_name(RestartedExecutor)
        job = client.create_training_job(input_dict, output_dict, exec_properties, executor, described, None, None)
        with StopSignals() as stop:  # one that comes before the job has its name is not lost
            client.launch_job(project, job)
            try:
                ended = _wait(client, stop)
            except BaseException:
                client.cancel()
                raise
        if client.get_job_state(ended) != JobState.JOB_STATE_SUCCEEDED:
            raise RuntimeError(f"Job '{client.get_job_name()}' did not succeed. Detailed response {ended}")


def _wait(client: _Client, stop: StopSignals) -> Any:
    """The job as it ended; exits where the task is asked to stop."""
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
