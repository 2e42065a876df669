"""Batch normalisation over the rows of all replicas (arXiv 1502.03167)."""

import tensorflow as tf
import tf_keras as keras

from models.distribution import state
from models.distribution.collectives import Collectives

EPSILON, DECAY = 1e-5, 0.9  # PyTorch's defaults, whose momentum of 0.1 is 1 - DECAY
Moments = dict[str, tf.Tensor]


class BatchNorm(keras.layers.Layer):
    """Normalises each channel by its mean and variance over the whole batch; computes in float32 at least.

    A row then depends on all other rows. So an objective calls `of_batch` in `loss`, never in `encode`, and
    micro-batches stay exact. `call` is for evaluation and serving: it reads the running statistics.
    """

    def __init__(self, affine: bool = True, tracked: bool = True, **kwargs: object) -> None:
        """Makes the layer; `build` makes its variables.

        Args:
          affine: whether a learned scale and offset, gamma and beta, follow.
          tracked: whether the layer has running statistics. Without them, it serves training alone.
          **kwargs: of keras.layers.Layer.
        """
        super().__init__(**kwargs)
        self.affine, self.tracked = affine, tracked

    def build(self, input_shape: tf.TensorShape) -> None:
        shape = (input_shape[-1],)
        if self.affine:
            self.gamma = self.add_weight("gamma", shape, initializer="ones")
            self.beta = self.add_weight("beta", shape, initializer="zeros")
        if self.tracked:
            self.running_mean = self.add_weight("running_mean", shape, initializer="zeros", trainable=False)
            self.running_variance = self.add_weight("running_variance", shape, initializer="ones", trainable=False)
        super().build(input_shape)

    @property
    def state(self) -> list[tf.Variable]:
        """The running statistics."""
        return [self.running_mean, self.running_variance] if self.tracked else []

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalises by the running statistics: [..., D] -> [..., D]."""
        return self._normalized(inputs, self.running_mean, self.running_variance)

    def of_batch(self, inputs: tf.Tensor, collectives: Collectives) -> tuple[tf.Tensor, Moments]:
        """Normalises by the statistics of the batch, with gradients through them.

        Args:
          inputs: [V, b, D], this replica's rows of V views; each view is a batch of its own.
          collectives: for the sums over all replicas.

        Returns:
          [V, b, D], and {name of a running statistic: its value in this batch}, the mean over the views, for `moved`.
          The variance in it is unbiased, as in PyTorch.
        """
        rows = tf.cast(inputs, self.variable_dtype)
        count = collectives.num_replicas * inputs.shape[1]
        sums = collectives.all_reduce([tf.reduce_sum(rows, axis=1), tf.reduce_sum(tf.square(rows), axis=1)])
        mean, square = (total / count for total in sums)
        variance = tf.maximum(square - tf.square(mean), 0.0)
        outputs = self._normalized(inputs, mean[:, None], variance[:, None])
        if not self.tracked:
            return outputs, {}
        unbiased = tf.reduce_mean(variance, axis=0) * (count / max(count - 1, 1))
        batch = (tf.reduce_mean(mean, axis=0), unbiased)
        return outputs, {variable.name: tf.stop_gradient(one) for variable, one in zip(self.state, batch, strict=True)}

    def move(self, moments: Moments) -> None:
        """Moves the running statistics towards those of the batch by 1 - DECAY; call it in replica context."""
        state.move([(variable, moments[variable.name]) for variable in self.state], DECAY)

    def _normalized(self, inputs: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        mean, variance = (tf.cast(one, self.variable_dtype) for one in (mean, variance))
        rows = (tf.cast(inputs, self.variable_dtype) - mean) * tf.math.rsqrt(variance + EPSILON)
        if self.affine:
            rows = rows * tf.cast(self.gamma, rows.dtype) + tf.cast(self.beta, rows.dtype)
        return tf.cast(rows, inputs.dtype)
