"""Google Cloud's machines with TPUs or GPUs: their names, their accelerators, and the TPU slices that they form."""

import dataclasses
import math

from models.settings.checks import require

_FLAT = ("2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_DEEP = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8")


@dataclasses.dataclass(frozen=True)
class TpuMachine:
    """A virtual machine with TPU chips.

    Attributes:
      chips: number of TPU chips in one machine.
      gke: the accelerator's name in Google Kubernetes Engine, the label `cloud.google.com/gke-tpu-accelerator`.
      topologies: slices that one or more of these machines form.
      vertex: whether Vertex AI trains on this machine.
    """

    chips: int
    gke: str
    topologies: tuple[str, ...]
    vertex: bool = True

    def hosts(self, topology: str) -> int:
        """Number of machines that form the slice."""
        return math.prod(int(side) for side in topology.split("x")) // self.chips


# https://cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus, .../vertex-ai/docs/training/configure-compute
TPU_MACHINES = {
    "ct4p-hightpu-4t": TpuMachine(4, "tpu-v4-podslice", _DEEP, vertex=False),
    "ct5lp-hightpu-1t": TpuMachine(1, "tpu-v5-lite-podslice", ("1x1",)),
    "ct5lp-hightpu-4t": TpuMachine(4, "tpu-v5-lite-podslice", ("2x2", *_FLAT)),
    "ct5lp-hightpu-8t": TpuMachine(8, "tpu-v5-lite-podslice", ("2x4",)),
    "ct5p-hightpu-4t": TpuMachine(4, "tpu-v5p-slice", _DEEP, vertex=False),
    "ct6e-standard-1t": TpuMachine(1, "tpu-v6e-slice", ("1x1",)),
    "ct6e-standard-4t": TpuMachine(4, "tpu-v6e-slice", ("2x2", *_FLAT)),
    "ct6e-standard-8t": TpuMachine(8, "tpu-v6e-slice", ("2x4",)),
}


def _of_sizes(family: str, gpu: str, sizes: dict[str, int]) -> dict[str, tuple[str, int]]:
    return {f"{family}-{size}": (gpu, gpus) for size, gpus in sizes.items()}


# https://cloud.google.com/compute/docs/gpus. Machines of other families, such as n1, take several kinds of GPUs.
GPU_MACHINES = {
    **_of_sizes("a2", "NVIDIA_TESLA_A100", {f"highgpu-{number}g": number for number in (1, 2, 4, 8)}),
    **_of_sizes("a2", "NVIDIA_TESLA_A100", {"megagpu-16g": 16}),
    **_of_sizes("a2", "NVIDIA_A100_80GB", {f"ultragpu-{number}g": number for number in (1, 2, 4, 8)}),
    **_of_sizes("a3", "NVIDIA_H100_80GB", {f"highgpu-{number}g": number for number in (1, 2, 4, 8)}),
    **_of_sizes("a3", "NVIDIA_H100_80GB", {"edgegpu-8g": 8}),
    **_of_sizes("a3", "NVIDIA_H100_MEGA_80GB", {"megagpu-8g": 8}),
    **_of_sizes("a3", "NVIDIA_H200_141GB", {"ultragpu-8g": 8}),
    **_of_sizes("g2-standard", "NVIDIA_L4", {"4": 1, "8": 1, "12": 1, "16": 1, "24": 2, "32": 1, "48": 4, "96": 8}),
}
_FAMILIES = tuple(sorted({f"{name.split('-')[0]}-" for name in GPU_MACHINES}))


def require_gpus(machine: str, gpu: str, gpus: int) -> None:
    """Checks the GPUs of Vertex AI against the machine, if its family has a fixed kind and number of GPUs.

    Raises:
      ValueError: the machine has other GPUs, or its family has no such machine.
    """
    if not machine.startswith(_FAMILIES):
        return
    known = ", ".join(name for name in GPU_MACHINES if name.startswith(machine[:3]))
    require(machine in GPU_MACHINES, "Vertex.machine", machine, f"one of {known}", "correct it")
    kind, number = GPU_MACHINES[machine]
    fix = "correct it, or change Vertex.machine"
    require(gpu == kind, "Vertex.gpu", gpu, f"{kind!r}, which {machine} has", fix)
    require(gpus == number, "Vertex.gpus", gpus, f"{number}, which {machine} has", fix)


def require_slice(owner: str, machine: str, topology: str, vertex: bool) -> None:
    """Requires that one machine forms the whole slice. For several hosts, TensorFlow needs a TPU runtime on each.

    Raises:
      ValueError: the platform has no such machine, or one machine does not form the topology; the message lists the
        pairs that fit.
    """
    known = {name: tpu for name, tpu in TPU_MACHINES.items() if tpu.vertex or not vertex}
    pairs = [f"{name} {one}" for name, tpu in known.items() for one in tpu.topologies if tpu.hosts(one) == 1]
    require(machine in known, f"{owner}.machine", machine, f"a machine with TPUs: {', '.join(pairs)}", "correct it")
    require(
        topology in known[machine].topologies,
        f"{owner}.topology",
        topology,
        f"a slice that {machine} forms: {', '.join(known[machine].topologies)}",
        f"correct it, or change {owner}.machine",
    )
    hosts = known[machine].hosts(topology)
    require(
        hosts == 1,
        f"{owner}.topology",
        topology,
        f"a slice of one {machine}, and not of {hosts}, because TensorFlow then needs a TPU runtime on each",
        f"use one of {', '.join(pairs)}",
    )
