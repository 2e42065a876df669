"""The Trainer's work on Vertex AI: TFX's client starts a CustomJob that runs it, and waits for the job."""

from tfx.extensions.google_cloud_ai_platform.trainer import executor

from components.trainer.executor import RestartedExecutor


class Executor(executor.GenericExecutor):
    """Runs where the pipeline runs; the job, with its own machines and image, is in `custom_config`."""

    def _GetExecutorClass(self) -> type[RestartedExecutor]:
        return RestartedExecutor
