"""How the replicas of a step exchange tensors: one class a strategy."""

from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf
from tensorflow.python.distribute import values


class Collectives(Protocol):
    """What losses and objectives may ask of the other replicas; called in replica context.

    Attributes:
      num_replicas: N.
      form: how a loss walks over all blocks of the batch: "unrolled" hops, a "loop" of hops, or over "gathered" blocks.
    """

    num_replicas: int
    form: str

    def permute(self, tensor: tf.Tensor) -> tf.Tensor:
        """The tensor of the previous replica on the ring; the order of the ring is the strategy's own. No gradient."""

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        """[b, ...] -> [N * b, ...], in the order of the replicas' numbers."""

    def all_reduce(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Sums over all replicas."""

    def replica_id(self) -> tf.Tensor:
        """int32, from 0 to N - 1."""


class OneDevice:
    """A single replica: there is no one to talk to."""

    num_replicas = 1
    form = "unrolled"

    def permute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tensor

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        return tensor

    def all_reduce(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        return list(tensors)

    def replica_id(self) -> tf.Tensor:
        return tf.constant(0)


class _OfStrategy:
    """What all strategies do alike."""

    def __init__(self, num_replicas: int) -> None:
        self.num_replicas = num_replicas

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.distribute.get_replica_context().all_gather(tensor, axis=0)

    def all_reduce(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        return tf.distribute.get_replica_context().all_reduce("SUM", list(tensors))

    def replica_id(self) -> tf.Tensor:
        return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)


class Tpu(_OfStrategy):
    """CollectivePermute along a ring of neighbouring chips, and CrossReplicaSum."""

    form = "loop"

    def __init__(self, ring: Sequence[int]) -> None:
        """`ring`: replica numbers in ring order."""
        super().__init__(len(ring))
        self.pairs = [[int(source), int(target)] for source, target in zip(ring, [*ring[1:], ring[0]], strict=True)]

    def permute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.CollectivePermute(input=tensor, source_target_pairs=self.pairs)


class Mirrored(_OfStrategy):
    """Devices of one process: replicas meet in a merge call, which hands each the tensor of the one before.

    A merge call works neither in a loop nor in a function that XLA compiles, so the loss is unrolled and not compiled;
    the towers are.
    """

    form = "unrolled"

    def permute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.distribute.get_replica_context().merge_call(_rotate, args=(tensor,))


class MultiWorker(_OfStrategy):
    """Several processes: TensorFlow has no permute between them, so blocks are gathered (b x D numbers each)."""

    form = "gathered"

    def permute(self, tensor: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError("MultiWorkerMirroredStrategy has no permute; losses use all_gather")


def _rotate(strategy: tf.distribute.Strategy, tensor: tf.Tensor) -> values.PerReplica:
    local = strategy.experimental_local_results(tensor)
    rotated = []
    for target, source in zip(local, [local[-1], *local[:-1]], strict=True):
        with tf.device(target.device):
            rotated.append(tf.identity(source))
    return values.PerReplica(rotated)
