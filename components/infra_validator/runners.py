"""The platforms that serve a model for the check, each with TFX's interface for model servers."""

import os
from typing import Protocol

from kubernetes import client as kubernetes_client
from tfx.components.infra_validator import serving_bins
from tfx.components.infra_validator.model_server_runners import kubernetes_runner, local_docker_runner
from tfx.proto import infra_validator_pb2
from tfx.utils import kube_utils

import docker
from components.infra_validator import process_runner
from components.infra_validator.process_runner import Memory
from components.infra_validator.settings import InfraValidatorSettings
from components.serving_clients import MODEL_NAME


class Runner(Protocol):
    """TFX's interface, and the memory that the server uses."""

    def Start(self) -> None: ...
    def WaitUntilRunning(self, deadline: float) -> None: ...
    def GetEndpoint(self) -> str: ...
    def GetLogs(self) -> str | None: ...
    def Stop(self) -> None: ...

    def memory(self) -> Memory | None:
        """Returns None if the platform does not report it."""


class DockerRunner(local_docker_runner.LocalDockerRunner):
    """TFX's runner, which also reports the container's memory."""

    _peak = 0

    def memory(self) -> Memory:
        used = self._container.stats(stream=False)["memory_stats"]
        now = used["usage"] - used.get("stats", {}).get("inactive_file", 0)  # without cached file pages
        self._peak = max(self._peak, now)
        return Memory(now, self._peak)


class KubernetesRunner(kubernetes_runner.KubernetesRunner):
    """TFX's runner, with a pod manifest that the API server accepts, and the logs of the server's container."""

    def memory(self) -> None:
        return None

    def GetLogs(self) -> str | None:
        # TFX asks for a container of the executor's pod by name; the server's pod has no such container.
        return self._k8s_core_api.read_namespaced_pod_log(name=self._pod_name, namespace=self._namespace)

    def _BuildPodManifest(self) -> kubernetes_client.V1Pod:
        pod = super()._BuildPodManifest()
        for container in pod.spec.containers:
            # TFX sets claims to a mapping, but the API takes a list; the pod needs no claims.
            container.resources.claims = None
        return pod


def create(settings: InfraValidatorSettings, model_path: str) -> Runner:
    """Makes the runner of the platform that the settings name.

    Args:
      settings: platform, image and bounds.
      model_path: folder of the SavedModel; on Kubernetes a folder MODEL_NAME/VERSION that a pod can read.

    Raises:
      RuntimeError: the platform is not available.
    """
    if settings.platform == "process":
        return process_runner.ProcessRunner(MODEL_NAME, model_path)
    binary = serving_bins.TensorFlowServing(MODEL_NAME, settings.image, tag=settings.tag)
    spec = infra_validator_pb2.ServingSpec(model_name=MODEL_NAME)
    spec.tensorflow_serving.image_name = settings.image
    spec.tensorflow_serving.tags.append(settings.tag)
    if settings.platform == "docker":
        spec.local_docker.SetInParent()
        try:
            return DockerRunner(model_path, binary, spec)
        except docker.errors.DockerException as error:
            raise RuntimeError(
                f"InfraValidator.platform is 'docker', but no Docker engine answers ({error}); start it, or set "
                "InfraValidator.platform = 'process'"
            ) from error
    if not {kube_utils.KFP_POD_NAME, kube_utils.KFP_NAMESPACE} <= os.environ.keys():
        raise RuntimeError(
            "InfraValidator.platform is 'kubernetes', but this process runs in no pod of Kubeflow Pipelines; run the "
            "pipeline there, or set InfraValidator.platform = 'process'"
        )
    spec.kubernetes.service_account_name = settings.service_account
    spec.kubernetes.serving_pod_overrides.resources.limits["memory"] = str(settings.max_memory_bytes)
    return KubernetesRunner(model_path, binary, spec)
