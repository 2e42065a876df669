"""The devices of a run, and how replicas exchange tensors. Only this module knows the tf.distribute strategy."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from models import compilation, settings
from models.distribution import topology
from models.distribution.collectives import Collectives, Mirrored, MultiWorker, OneDevice, Tpu


@dataclasses.dataclass(frozen=True)
class Distribution:
    """The devices of a run.

    Attributes:
      strategy: variables are created in its scope.
      collectives: the operations across replicas that the step uses.
      compiles: what XLA compiles of a replica's step: "all"; "towers", since it cannot compile merge calls between
        replicas; "parts" (models/compilation.py); or "nothing", where the strategy itself compiles, as on a TPU.
      readers: the number of hosts that each read their own rows.
      process: the number of this process, from 0, among those that run the same program; one process can drive
        several hosts of a TPU.
      processes: the number of these processes.
    """

    strategy: tf.distribute.Strategy
    collectives: Collectives
    compiles: str = "nothing"
    readers: int = 1
    process: int = 0
    processes: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files that all processes share."""
        return self.process == 0

    def replica_function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Prepares a function for `strategy.run`; compiles it, or its parts, as this distribution does."""
        if self.compiles == "all":
            return tf.function(function, jit_compile=True, autograph=False)
        if self.compiles == "parts":
            compilation.keep_sums()
            return compilation.in_parts()(function)
        return function

    def gather(self, rows: tf.Tensor) -> np.ndarray:
        """[replicas of this process, ...] -> [all replicas, ...], in order."""
        if self.processes == 1:
            return rows.numpy()
        return self.strategy.gather(self._per_replica(rows), axis=0).numpy()

    def agree(self, flag: bool) -> bool:
        """Whether any process passes True. All processes must call this, and all get the same answer."""
        if self.processes == 1:
            return flag
        count = self.strategy.num_replicas_in_sync // self.processes
        return bool(self.gather(tf.fill([count, 1], tf.cast(flag, tf.int32))).any())

    def _per_replica(self, rows: tf.Tensor) -> tf.Tensor:
        def one(context: tf.distribute.ReplicaContext) -> tf.Tensor:
            index = context.replica_id_in_sync_group % len(rows)
            return rows[index : index + 1]

        return self.strategy.experimental_distribute_values_from_function(one)


def create(config: settings.RuntimeSettings) -> Distribution:
    """Finds the devices that the settings name; call it before any other use of TensorFlow.

    Raises:
      ValueError: the devices do not exist; the message lists those that do.
    """
    return {"one_device": _one_device, "mirrored": _mirrored, "multi_worker": _multi_worker, "tpu": _tpu}[
        config.strategy
    ](config)


def _one_device(config: settings.RuntimeSettings) -> Distribution:
    # Rematerialisation needs XLA's barrier, so the whole step.
    whole = config.remat != "nothing" or bool(tf.config.list_logical_devices("GPU"))
    compiles = ("all" if whole else "parts") if config.jit_compile else "nothing"
    return Distribution(tf.distribute.get_strategy(), OneDevice(), compiles)


def _towers(config: settings.RuntimeSettings) -> str:
    return "towers" if config.jit_compile else "nothing"


def _mirrored(config: settings.RuntimeSettings) -> Distribution:
    devices = list(config.devices) or [f"GPU:{i}" for i, _ in enumerate(tf.config.list_logical_devices("GPU"))]
    there = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    missing = [device for device in devices if device not in there]
    if not devices or missing:
        raise ValueError(
            f"Runtime.devices is {config.devices!r}, but TensorFlow sees {', '.join(there)}; "
            "name devices of this list, or include runtime/cpu.gin"
        )
    strategy = tf.distribute.MirroredStrategy(devices)
    return Distribution(strategy, Mirrored(len(devices)), _towers(config))


def _multi_worker(config: settings.RuntimeSettings) -> Distribution:
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    cluster = resolver.cluster_spec().as_dict()
    chiefs = len(cluster.get("chief", []))  # Vertex AI calls the first process so, and numbers the others from 0
    processes = chiefs + len(cluster.get("worker", []))
    if not processes:
        raise ValueError(
            "Runtime.strategy is 'multi_worker', but TF_CONFIG names no worker; set it on every machine, such as "
            '{"cluster": {"worker": ["host-0:2222", "host-1:2222"]}, "task": {"type": "worker", "index": 0}}'
        )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    collectives = MultiWorker(strategy.num_replicas_in_sync)
    return Distribution(
        strategy,
        collectives,
        compiles=_towers(config),
        readers=processes,
        process=int(resolver.task_id) + (chiefs if resolver.task_type == "worker" else 0),
        processes=processes,
    )


def _tpu(config: settings.RuntimeSettings) -> Distribution:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=config.tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        system = tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        raise ValueError(
            f"Runtime.tpu is {config.tpu!r}, but no TPU answers there ({type(error).__name__}: {error}); on a TPU VM "
            "use 'local', elsewhere the TPU's name, and install TensorFlow's TPU wheel (docs/tpu.md)"
        ) from error
    replicas = len(tf.config.list_logical_devices("TPU"))
    assignment = tf.tpu.experimental.DeviceAssignment.build(system, num_replicas=replicas)
    strategy = tf.distribute.TPUStrategy(resolver, experimental_device_assignment=assignment)
    ring = topology.ring_order(assignment.core_assignment[:, 0, :])
    return Distribution(strategy, Tpu(ring), readers=system.num_tasks)
