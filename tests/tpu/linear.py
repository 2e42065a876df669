"""A training objective whose gradients can be derived by hand: two linear towers, and any of our losses."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from models import settings
from models.distribution.collectives import Collectives, Tpu
from models.losses.masked_sigmoid import masked_sigmoid_loss
from models.losses.sigmoid import sigmoid_loss
from models.losses.softmax import softmax_loss
from models.objectives.objective import Batch, Encoded, Metrics, Views
from models.objectives.two_towers import mean_logits
from models.optimizers import Optimizer
from tests.tpu import reference


class Linear:
    """An Objective: pixels times a matrix, and the mean of the tokens' rows of a table, in any dtype."""

    views = Views()
    state: tuple[tf.Variable, ...] = ()

    def __init__(self, dtype: str, loss: str, broken: str = "") -> None:
        self._loss, self._broken = loss, broken
        self._variables = {n: tf.Variable(v, dtype=dtype, name=n) for n, v in reference.start().items()}

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        return list(self._variables.values())

    def encode(self, batch: Batch) -> Encoded:
        kernel, table = self._variables["image/kernel"], self._variables["text/embeddings"]
        pixels = tf.round((batch["images"] + 1.0) * 127.5)  # back to bytes, which removes float32's rounding
        pixels = tf.reshape(tf.cast(pixels, kernel.dtype), [pixels.shape[0], -1]) / 127.5 - 1.0
        words = tf.reduce_mean(tf.gather(table, batch["token_ids"]), axis=1)
        return {
            "image": tf.nn.l2_normalize(tf.matmul(pixels, kernel), axis=-1),
            "text": tf.nn.l2_normalize(words, axis=-1),
        }

    def loss(self, encoded: Encoded, collectives: Collectives) -> tuple[tf.Tensor, Metrics]:
        log_scale, bias = (tf.convert_to_tensor(self._variables[name]) for name in ("log_scale", "bias"))
        pairs, kept = (encoded["image"], encoded["text"], log_scale), {}
        if self._loss == "sigmoid":
            share = sigmoid_loss(*pairs, bias, collectives)
        elif self._loss == "softmax":
            share = softmax_loss(*pairs, collectives)
        else:
            replicas = collectives.num_replicas
            seeds = tf.reshape(reference.seeds(replicas), [replicas, reference.ROWS, 2])[collectives.replica_id()]
            negatives = settings.NegativesSettings(self._loss, reference.PER_POSITIVE)
            share, kept = masked_sigmoid_loss(*pairs, bias, negatives, seeds, collectives)
        if self._broken == "local_scaling":  # as if divided by b, not by N * b
            share *= collectives.num_replicas
        if self._broken == "scaled_gradient":  # only the gradient is wrong
            share = share * collectives.num_replicas - tf.stop_gradient(share * (collectives.num_replicas - 1))
        return share, {**kept, **mean_logits(encoded, tf.exp(log_scale), bias, collectives)}

    def after_update(self, encoded: Encoded, collectives: Collectives) -> None:
        """There is no state."""


class Collective(Tpu):
    """The TPU's collectives with a chosen form, float64 sums, and a fault if `broken` names one."""

    def __init__(self, ring: Sequence[int], form: str, broken: str = "") -> None:
        super().__init__(ring)
        self.form, self._broken, self._calls = form, broken, 0
        self._back = [[target, source] for source, target in self.pairs]

    def permute(self, tensor: tf.Tensor) -> tf.Tensor:
        self._calls += 1
        if self._broken == "reversed_gradient" and self._calls % 2 == 1:  # the loop sends the text's gradient first
            return tf.raw_ops.CollectivePermute(input=tensor, source_target_pairs=self._back)
        if (
            self._broken == "missing_hop" and self._calls == 2 * self.num_replicas - 1
        ):  # the last hop, back to the first replica
            return tensor
        return super().permute(tensor)

    def all_reduce(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        if self._broken == "own_counts" and tensors[0].dtype == tf.int32:
            return [self.num_replicas * tensor for tensor in tensors]
        if all(tensor.dtype != tf.float64 for tensor in tensors):
            return super().all_reduce(tensors)
        return [self._sum(tensor) for tensor in tensors]

    def _sum(self, tensor: tf.Tensor) -> tf.Tensor:
        """Sums round the ring, since CrossReplicaSum has no float64."""
        total = tensor
        for _ in range(self.num_replicas - 1):
            tensor = super().permute(tensor)
            total += tensor
        return total


class Recorder:
    """An optimiser that remembers the last gradients."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self.gradients: Sequence[tf.Tensor] = ()

    def __getattr__(self, name: str) -> object:
        return getattr(self._optimizer, name)

    def apply(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
        self.gradients = gradients
        return self._optimizer.apply(gradients)


def batch(replicas: int) -> list[np.ndarray]:
    """Pixels and token ids, [replicas, rows, ...]."""
    pixels, token_ids = reference.batch(replicas)
    return [values.reshape(replicas, reference.ROWS, *values.shape[1:]) for values in (pixels, token_ids)]
