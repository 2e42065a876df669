"""What InfraValidator asks of a served model; pipeline/settings/run.py makes it known to gin."""

import dataclasses

from models.settings.checks import require, require_positive, settings_class

PLATFORMS = ("process", "docker", "kubernetes")
GIB = 2**30


@settings_class("InfraValidator", formerly={"ServingCheck": "InfraValidator"})
class InfraValidatorSettings:
    """Where the model is served for the check, and what it may cost.

    Attributes:
      platform: 'process' is a clean process of this machine with tensorflow and tensorflow-text alone; 'docker' and
        'kubernetes' run TensorFlow Serving as TFX's InfraValidator does, there in the namespace of the pipeline.
      image: of TensorFlow Serving.
      tag: of the image.
      service_account: of the server's pod on Kubernetes; empty is that of the pipeline.
      rows: pairs in a request.
      max_load_seconds: time the server may take to start and load, and a signature to answer for the first time.
      max_latency_seconds: what a request may take after that, the median of five.
      max_model_bytes: size of the SavedModel's files.
      max_memory_bytes: resident memory of the server; on Kubernetes the limit of its pod.
      leak_requests: requests over which resident memory is watched; not on Kubernetes.
      max_growth_bytes: how much it may grow over the last four fifths of them.
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
            require(bool(value), f"InfraValidator.{name}", value, "not empty", "name that of TensorFlow Serving")
        few = "growth is measured over the last four fifths of them"
        require(self.leak_requests >= 10, "InfraValidator.leak_requests", self.leak_requests, "10 or more", few)
