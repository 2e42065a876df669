"""How the replicas of a step exchange tensors: one class for each strategy."""

from collections.abc import Callable, Sequence
from typing import Protocol

import tensorflow as tf
from tensorflow.python.distribute import values


class Collectives(Protocol):
    """Operations across replicas, for losses and objectives; call them in replica context.

    Attributes:
      num_replicas: the number of replicas, N.
      form: how a loss visits all blocks of the batch: in "unrolled" hops, in a "loop" of hops, or as "gathered" blocks.
    """

    num_replicas: int
    form: str

    def permute(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns the tensor of the previous replica on the ring, in the strategy's own order. Has no gradient."""

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        """[b, ...] -> [N * b, ...], in the order of replica ids."""

    def all_reduce(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Sums each tensor over all replicas."""

    def replica_id(self) -> tf.Tensor:
        """int32, from 0 to N - 1."""


class OneDevice:
    """A single replica, which exchanges nothing."""

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
    """Operations that are the same in all strategies."""

    def __init__(self, num_replicas: int) -> None:
        self.num_replicas = num_replicas

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        gathered = _with_dense_gradient(tf.distribute.get_replica_context().all_gather(tensor, axis=0))
        rows = None if tensor.shape[0] is None else self.num_replicas * tensor.shape[0]
        return tf.ensure_shape(gathered, [rows, *tensor.shape[1:]])

    def all_reduce(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        return tf.distribute.get_replica_context().all_reduce("SUM", list(tensors))

    def replica_id(self) -> tf.Tensor:
        return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)


@tf.custom_gradient
def _with_dense_gradient(tensor: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor | tf.IndexedSlices], tf.Tensor]]:
    """The same tensor. Its gradient is dense: replicas cannot exchange the sparse gradient of tf.gather."""
    return tf.identity(tensor), tf.convert_to_tensor


class Tpu(_OfStrategy):
    """CollectivePermute along a ring of neighbouring chips, and CrossReplicaSum."""

    form = "loop"

    def __init__(self, ring: Sequence[int]) -> None:
        """`ring`: replica ids in ring order."""
        super().__init__(len(ring))
        self.pairs = [[int(source), int(target)] for source, target in zip(ring, [*ring[1:], ring[0]], strict=True)]

    def permute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.CollectivePermute(input=tensor, source_target_pairs=self.pairs)


class Mirrored(_OfStrategy):
    """Devices of one process: a merge call hands each replica the tensor of the previous one.

    A merge call works neither in a loop nor in a function that XLA compiles. So the loss is unrolled and not compiled;
    the towers are compiled.
    """

    form = "unrolled"

    def permute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.distribute.get_replica_context().merge_call(_rotate, args=(tensor,))


class MultiWorker(_OfStrategy):
    """Several processes: TensorFlow has no permute between them, so losses gather all blocks (b x D numbers each)."""

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
