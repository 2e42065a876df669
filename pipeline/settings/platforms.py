"""Settings of the platforms other than this machine: Vertex AI, and Kubeflow Pipelines on a Kubernetes cluster."""

import dataclasses
import re

from models.settings import RuntimeSettings
from models.settings.checks import label, require, require_positive, settings_class
from pipeline.settings import machines

_BUCKET = re.compile(r"gs://[a-zA-Z0-9][\w.-]*(/[\w./-]*)?")
_PREEMPTIONS = 10
_IMAGE = re.compile(r"([a-zA-Z0-9][\w.-]*(:\d+)?/)?[a-zA-Z0-9][\w./-]*(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})")

YOURS = "YOUR-"
"""Marks the placeholders in gin/platform and gin/engine that the user must replace."""


def in_bucket(path: str) -> bool:
    """Whether all pods can read a path. Only paths in Google Cloud Storage are shared; each pod has its own disk."""
    return bool(re.match(r"gs://[^/]", path))


@settings_class()
class PlatformSettings:
    """Settings that Vertex AI and Kubeflow Pipelines share.

    Attributes:
      root: folder in a bucket. Each pipeline has a folder in it with artifacts, checkpoints and pushed models.
        Required.
      image: container image of all components except the Trainer, with a tag or digest. Use a new tag for each version
        of the code, because results are cached by this name. Required.
      trainer_image: container image of the Trainer. "" takes `image`; TPUs need one of their own (docs/operations.md).
      machine: type of the Trainer's machine, with TPUs, such as 'ct5lp-hightpu-4t', or, on Vertex AI, with GPUs. ""
        asks for no machine with TPUs or GPUs.
      topology: topology of the TPU slice, such as '2x2'. "" uses no TPU.
      gpu: kind of the Trainer's GPUs, by the platform's name. "" uses no GPU.
      gpus: number of GPUs in each of the Trainer's machines. 0 uses none.
      spot: trains on spare capacity. It is cheaper, but the platform may take the machine away at any time; training
        then resumes from its last checkpoint.
      cpus: {component: number of processors}. The key "" holds for all components without a key of their own. Raise it
        for a component that takes too long.
      memory_gb: {component: memory in gigabytes}, with "" as in cpus. Raise it for a component that runs out of memory.
      retries: {component: number of further tries after a failure}, with "" as in cpus.
      timeout_hours: {component: longest time of each try in hours}, with "" as in cpus. A component without a value has
        no limit.
      uncached: names of components that run each time, even if their inputs are the same. () caches all results that
        can be cached.
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
        require(
            bool(_BUCKET.fullmatch(self.root)), label(self, "root"), self.root, bucket, "name a folder in your bucket"
        )
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
            f"above 0 if {label(self, 'gpu')} names a kind, and otherwise 0",
            "set both",
        )
        require(not (self.gpus and self.topology), label(self, "topology"), self.topology, "'' with GPUs", "remove it")
        for name in ("cpus", "memory_gb", "timeout_hours"):
            for component, value in getattr(self, name).items():
                require(value > 0, f"{label(self, name)}[{component!r}]", value, "above 0", "correct it")
        for component, value in self.retries.items():
            require(value >= 0, f"{label(self, 'retries')}[{component!r}]", value, "0 or more", "correct it")

    def of(self, name: str, component: str) -> float | None:
        """The value of the setting `name` for a component: its own, or that of ""; None if there is neither."""
        values = getattr(self, name)
        return values.get(component, values.get(""))

    def timeout_seconds(self, component: str) -> int | None:
        """Longest time of each try of a component (seconds); None for no limit."""
        hours = self.of("timeout_hours", component)
        return max(1, round(hours * 3600)) if hours else None  # the command `timeout` takes 0 for no limit

    @property
    def trainer_waits(self) -> bool:
        """Whether the Trainer's task only starts a job, which has the machine, image and time limit, and waits."""
        return False

    def require_runtime(self, runtime: RuntimeSettings) -> None:
        """Raises ValueError unless the runtime settings fit the devices of the Trainer's machine."""
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
        """Names of the settings that still hold a placeholder (YOURS)."""
        return [label(self, one.name) for one in dataclasses.fields(self) if YOURS in str(getattr(self, one.name))]

    def _devices(self) -> str:
        return (self.topology and f"{self.machine} {self.topology}") or (self.gpus and f"{self.gpus} GPUs") or "a CPU"


@settings_class("Vertex")
class VertexSettings(PlatformSettings):
    """Vertex AI Pipelines. If `machine` is set, the Trainer runs as a CustomJob on it.

    Attributes:
      project: ID of the Google Cloud project. Required.
      region: region in which everything runs, such as 'us-central1'.
      service_account: account that the components run as. "" takes Compute Engine's default account of the project.
      network: full name of a VPC network to peer with, 'projects/NUMBER/global/networks/NAME'. "" peers with none.
      hosts: number of machines with GPUs that train together. Above 1, set Runtime.strategy = 'multi_worker'.
      disk_gb: disk of each training machine (gigabytes).
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
        machine = "a machine that has these GPUs, such as 'a2-highgpu-1g'"
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
    """Kubeflow Pipelines 2 on a cluster whose pods may read and write the bucket. TPUs and GPUs need GKE's node labels.

    With `spot`, the Trainer has ten further tries, unless `retries` names it.

    Attributes:
      host: address of the Kubeflow Pipelines API. Required.
      namespace: Kubernetes namespace of the runs. "" takes the API's default; set it if several users share a cluster.
      experiment: name of the experiment that lists the runs.
      service_account: Kubernetes service account that the pods run as. "" takes the cluster's default for pipelines.
    """

    host: str = "https://YOUR-HOST/pipeline"
    namespace: str = ""
    experiment: str = "siglip-tfx"
    service_account: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        fix = "remove it: Kubeflow.gpu finds the nodes"
        require(not (self.machine and self.gpus), "Kubeflow.machine", self.machine, "'' with GPUs", fix)
        if self.topology or self.machine:
            machines.require_slice("Kubeflow", self.machine, self.topology, vertex=False)

    def of(self, name: str, component: str) -> float | None:
        if (name, component) == ("retries", "Trainer") and self.spot and component not in self.retries:
            return _PREEMPTIONS
        return super().of(name, component)
