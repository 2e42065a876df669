"""A tf.distribute.TPUStrategy over N logical CPUs, which traces the real TPU program with no TPU attached.

The concrete function of a step in strategy.run is the graph that a TPU would get: tpu.replicate, CollectivePermute,
CrossReplicaSum. It cannot run; tests.tpu.extract turns it into a program that can. Give strategy.run functions with a
name: TPU lowering refuses lambdas.
"""

import numpy as np
import tensorflow as tf
from tensorflow.python.tpu import tpu_system_metadata

_HOST = "/job:localhost/replica:0/task:0/device:"


class _Resolver:
    """The parts of a TPUClusterResolver that TPUStrategy's constructor uses: one host with num_replicas cores."""

    task_type = task_id = None

    def __init__(self, num_replicas: int) -> None:
        self._metadata = tpu_system_metadata.TPUSystemMetadata(
            num_cores=num_replicas,
            num_hosts=1,
            num_of_cores_per_host=num_replicas,
            topology=None,
            devices=[tf.config.LogicalDevice(f"{_HOST}TPU:{i}", "TPU") for i in range(num_replicas)],
        )

    def get_tpu_system_metadata(self) -> tpu_system_metadata.TPUSystemMetadata:
        return self._metadata

    def master(self) -> str:
        return ""

    get_master = master

    def cluster_spec(self) -> tf.train.ClusterSpec:
        return tf.train.ClusterSpec({})


def fake_tpu_strategy(num_replicas: int) -> tf.distribute.Strategy:
    """A TPUStrategy of `num_replicas` replicas, over the first logical CPUs."""
    strategy = tf.distribute.TPUStrategy(_Resolver(num_replicas))
    # Variables need a device that exists: those of replica i go to CPU:i. Packed handles would need a TPU.
    strategy.extended._tpu_devices = np.array([[f"{_HOST}CPU:{i}"] for i in range(num_replicas)])
    strategy._enable_packed_variable_in_eager_mode = False
    return strategy
