"""Settings of InfraValidator."""

import dataclasses

from models.settings.checks import require, require_positive, settings_class

PLATFORMS = ("process", "docker", "kubernetes")
GIB = 2**30


@settings_class("InfraValidator", formerly={"ServingCheck": "InfraValidator"})
class InfraValidatorSettings:
    """How to serve the model for the check, and how much time and memory it may take.

    Attributes:
      platform: where the server runs. 'process' is a new process on this machine that imports only tensorflow and
        tensorflow-text. 'docker' runs TensorFlow Serving in a container, 'kubernetes' in a pod in the pipeline's
        namespace; use them to check the server that you deploy.
      image: container image of TensorFlow Serving; 'process' ignores it.
      tag: tag of the image. Set it to the version that you deploy.
      service_account: service account of the server's pod, for 'kubernetes'. "" takes the pipeline's.
      rows: number of pairs in a request.
      max_load_seconds: longest time until the server has loaded the model, and longest time of each request (seconds).
        Raise it for large models.
      max_latency_seconds: longest time of a request to a warm server (seconds), the median of five.
      max_model_bytes: largest size of the SavedModel's files (bytes).
      max_memory_bytes: largest resident memory of the server (bytes). For 'kubernetes' it is the memory limit of the
        pod.
      leak_requests: number of requests in the search for a memory leak; 10 or more. 'kubernetes' does not search.
      max_growth_bytes: largest growth of the server's memory over the last four fifths of these requests (bytes).
    """

    platform: str = "process"
    image: str = "tensorflow/serving"
    tag: str = "2.19.1"
    service_account: str = ""
    rows: int = 8
    max_load_seconds: float = 120.0
    max_latency_seconds: float = 10.0
    max_model_bytes: int = 16 * GIB
    max_memory_bytes: int = 32 * GIB
    leak_requests: int = 100
    max_growth_bytes: int = GIB // 8

    def __post_init__(self) -> None:
        names = [field.name for field in dataclasses.fields(self) if field.type in (int, float)]
        require_positive(self, *names)
        rule = f"one of {', '.join(PLATFORMS)}"
        require(self.platform in PLATFORMS, "InfraValidator.platform", self.platform, rule, "correct it")
        for name in ("image", "tag"):
            value = getattr(self, name)
            require(bool(value), f"InfraValidator.{name}", value, "not empty", f"name the {name} of TensorFlow Serving")
        few = "raise it: memory growth is measured over the last four fifths of the requests"
        require(self.leak_requests >= 10, "InfraValidator.leak_requests", self.leak_requests, "10 or more", few)
