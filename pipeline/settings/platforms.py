"""Where a pipeline runs when it is not this machine: Vertex AI, or Kubeflow Pipelines on a Kubernetes cluster."""

import dataclasses
import re

from models.settings import RuntimeSettings
from models.settings.checks import label, require, require_positive, settings_class
from pipeline.settings import machines

_BUCKET = re.compile(r"gs://[a-zA-Z0-9][\w.-]*(/[\w./-]*)?")
_PREEMPTIONS = 10
_IMAGE = re.compile(r"([a-zA-Z0-9][\w.-]*(:\d+)?/)?[a-zA-Z0-9][\w./-]*(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})")

YOURS = "YOUR-"
"""What values of gin/platform and gin/engine begin with, or hold, that wait to be filled in."""


def in_bucket(path: str) -> bool:
    """Whether pods see a path: Google Cloud Storage is what the images read beside their own disks."""
    return bool(re.match(r"gs://[^/]", path))


@settings_class()
class PlatformSettings:
    """What Vertex AI and Kubeflow Pipelines have in common.

    Attributes:
      root: folder in a bucket; artifacts, checkpoints and pushed models lie in it, a folder a pipeline each.
      image: of all components but the Trainer, with a tag or digest that no other code will ever have.
      trainer_image: of the Trainer; "" takes `image`.
      machine: of the Trainer, with TPUs, such as 'ct5lp-hightpu-4t', or, on Vertex AI, with GPUs; "" is for none.
      topology: of the TPU slice, such as '2x2'.
      gpu: kind of the Trainer's GPUs, as the platform calls it.
      gpus: how many, on each machine.
      spot: train where capacity is spare: cheaper, and taken away at any time; training goes on where it was.
      cpus: {component: processors}; "" stands for all others.
      memory_gb: {component: gigabytes}, in the same way.
      retries: {component: further tries}, in the same way.
      timeout_hours: {component: hours that each try may take}, in the same way; no limit where there is none.
      uncached: components that run each time, whatever came before.
    """

    root: str = "gs://YOUR-BUCKET/siglip"
    image: str = "YOUR-REGISTRY/siglip-tfx:YOUR-TAG"
    trainer_image: str = ""
    machine: str = ""
    topology: str = ""
    gpu: str = ""
    gpus: int = 0
    spot: bool = False
    cpus: dict[str, float] = dataclasses.field(default_factory=lambda: {"": 4.0, "Trainer": 8.0})
    memory_gb: dict[str, float] = dataclasses.field(default_factory=lambda: {"": 16.0, "Trainer": 32.0})
    retries: dict[str, int] = dataclasses.field(default_factory=lambda: {"": 1})
    timeout_hours: dict[str, float] = dataclasses.field(default_factory=dict)
    uncached: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bucket = "'gs://', a bucket and a folder"
        require(bool(_BUCKET.fullmatch(self.root)), label(self, "root"), self.root, bucket, "name a bucket of yours")
        for name in ("image", "trainer_image"):
            value = getattr(self, name)
            rule = "an image with a tag other than latest, or a digest"
            fix = "name what docker/build.sh printed: results are cached by this name"
            empty = name == "trainer_image" and not value
            require(empty or bool(_IMAGE.fullmatch(value)), label(self, name), value, rule, fix)
        require(
            bool(self.gpu) == bool(self.gpus) and self.gpus >= 0,
            label(self, "gpus"),
            self.gpus,
            f"above 0 where {label(self, 'gpu')} names a kind, and 0 where not",
            "set both",
        )
        require(not (self.gpus and self.topology), label(self, "topology"), self.topology, "'' for GPUs", "remove it")
        for name in ("cpus", "memory_gb", "timeout_hours"):
            for component, value in getattr(self, name).items():
                require(value > 0, f"{label(self, name)}[{component!r}]", value, "above 0", "correct it")
        for component, value in self.retries.items():
            require(value >= 0, f"{label(self, 'retries')}[{component!r}]", value, "0 or more", "correct it")

    def of(self, name: str, component: str) -> float | None:
        """A value for a component: its own, or that of all others; None where there is neither."""
        values = getattr(self, name)
        return values.get(component, values.get(""))

    def timeout_seconds(self, component: str) -> int | None:
        """How long a try may take; None for no limit."""
        hours = self.of("timeout_hours", component)
        return max(1, round(hours * 3600)) if hours else None  # 0 would be no limit to `timeout`

    @property
    def trainer_waits(self) -> bool:
        """Whether the Trainer's task starts a job elsewhere, which has machine, image and time limit, and waits."""
        return False

    def require_runtime(self, runtime: RuntimeSettings) -> None:
        """Raises ValueError unless training expects what the machine has."""
        wanted = "tpu" if self.topology else "mirrored" if self.gpus > 1 else "one_device"
        allowed = {wanted, "mirrored", "one_device"} if self.gpus == 1 else {wanted}
        require(
            runtime.strategy in allowed,
            "Runtime.strategy",
            runtime.strategy,
            f"{' or '.join(repr(one) for one in sorted(allowed))} for {self._devices()}",
            "include a gin/runtime file that fits, or change the machine",
        )

    def placeholders(self) -> list[str]:
        """Settings that still hold a YOUR-..., as in gin/platform."""
        return [label(self, one.name) for one in dataclasses.fields(self) if YOURS in str(getattr(self, one.name))]

    def _devices(self) -> str:
        return (self.topology and f"{self.machine} {self.topology}") or (self.gpus and f"{self.gpus} GPUs") or "a CPU"


@settings_class("Vertex")
class VertexSettings(PlatformSettings):
    """Vertex AI Pipelines; where `machine` is set, the Trainer is a CustomJob.

    Attributes:
      project: of Google Cloud.
      region: such as 'us-central1'; everything runs there.
      service_account: that components run as; "" is the project's own for Compute Engine.
      network: full name of a VPC network to peer with, 'projects/NUMBER/global/networks/NAME'; "" for none.
      hosts: machines with GPUs that train together.
      disk_gb: of each training machine.
    """

    project: str = "YOUR-PROJECT"
    region: str = "us-central1"
    service_account: str = ""
    network: str = ""
    hosts: int = 1
    disk_gb: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "hosts", "disk_gb")
        if self.topology or self.machine in machines.TPU_MACHINES:
            machines.require_slice("Vertex", self.machine, self.topology, vertex=True)
        machine = "the machine that they are in, such as 'a2-highgpu-1g'"
        require(not self.gpus or bool(self.machine), "Vertex.machine", self.machine, machine, "name it")
        machines.require_gpus(self.machine, self.gpu, self.gpus)
        require(self.hosts == 1 or self.gpus > 0, "Vertex.hosts", self.hosts, "1 without GPUs", "set Vertex.gpu")
        require(not self.spot or bool(self.machine), "Vertex.spot", self.spot, "False without a machine", "name one")

    @property
    def trainer_waits(self) -> bool:
        return bool(self.machine)

    def require_runtime(self, runtime: RuntimeSettings) -> None:
        if self.hosts == 1:
            super().require_runtime(runtime)
            return
        require(
            runtime.strategy == "multi_worker", "Runtime.strategy", runtime.strategy,
            f"'multi_worker' for {self.hosts} machines", "include gin/runtime/multi_worker.gin",
        )  # fmt: skip


@settings_class("Kubeflow")
class KubeflowSettings(PlatformSettings):
    """Kubeflow Pipelines 2 on a cluster whose pods may read and write the bucket; TPUs and GPUs as in GKE.

    With `spot`, the Trainer is tried ten times more, where `retries` does not name it.

    Attributes:
      host: address of the Kubeflow Pipelines API.
      namespace: of the runs, where several share a cluster.
      experiment: that runs are listed under.
      service_account: of Kubernetes, that pods run as; "" is the cluster's own for pipelines.
    """

    host: str = "https://YOUR-HOST/pipeline"
    namespace: str = ""
    experiment: str = "siglip-tfx"
    service_account: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        fix = "remove it: Kubeflow.gpu finds the nodes"
        require(not (self.machine and self.gpus), "Kubeflow.machine", self.machine, "'' for GPUs", fix)
        if self.topology or self.machine:
            machines.require_slice("Kubeflow", self.machine, self.topology, vertex=False)

    def of(self, name: str, component: str) -> float | None:
        if (name, component) == ("retries", "Trainer") and self.spot and component not in self.retries:
            return _PREEMPTIONS
        return super().of(name, component)
