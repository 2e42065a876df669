"""Dense layers with batch normalisation and ReLU between them, as projectors and predictors have them."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from models.distribution.collectives import Collectives
from models.layers.batch_norm import BatchNorm, Moments

LAST_NORMS = ("none", "plain", "affine")


class Mlp(keras.layers.Layer):
    """[..., width] -> [..., sizes[-1]]; batch normalisation and ReLU follow every dense layer but the last.

    A dense layer has a bias only if no batch normalisation follows, which would remove it.
    """

    def __init__(self, sizes: Sequence[int], last_norm: str = "none", tracked: bool = True, **kwargs: object) -> None:
        """Makes the layers; `build` makes their variables.

        Args:
          sizes: output channels of each dense layer.
          last_norm: what follows the last dense layer: "none", or batch normalisation, "plain" or "affine".
          tracked: whether batch normalisation has running statistics, which `call` reads.
          **kwargs: of keras.layers.Layer.
        """
        super().__init__(**kwargs)
        self.sizes = tuple(sizes)
        norms = ["affine"] * (len(sizes) - 1) + [last_norm]
        self.dense = [
            keras.layers.Dense(size, use_bias=norm == "none", name=f"dense_{i}")
            for i, (size, norm) in enumerate(zip(sizes, norms, strict=True))
        ]
        self.norms = [
            BatchNorm(affine=norm == "affine", tracked=tracked, name=f"norm_{i}")
            for i, norm in enumerate(norms)
            if norm != "none"
        ]

    def build(self, input_shape: tf.TensorShape) -> None:
        widths = [input_shape[-1], *self.sizes]
        for layer, width in [*zip(self.dense, widths, strict=False), *zip(self.norms, self.sizes, strict=False)]:
            with tf.name_scope(layer.name):  # part of the weights' names, which checkpoints use
                layer.build((None, width))
        super().build(input_shape)

    @property
    def state(self) -> list[tf.Variable]:
        """The running statistics."""
        return [variable for norm in self.norms for variable in norm.state]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalises by the running statistics."""
        hidden = inputs
        for i, dense in enumerate(self.dense):
            hidden = dense(hidden)
            if i < len(self.norms):
                hidden = self.norms[i](hidden)
            if i < len(self.dense) - 1:
                hidden = tf.nn.relu(hidden)
        return hidden

    def of_batch(self, inputs: tf.Tensor, collectives: Collectives) -> tuple[tf.Tensor, Moments]:
        """Normalises by the statistics of the batch: [V, b, width] -> [V, b, sizes[-1]]; see BatchNorm.of_batch."""
        hidden = inputs
        moments: Moments = {}
        for i, dense in enumerate(self.dense):
            hidden = dense(hidden)
            if i < len(self.norms):
                hidden, found = self.norms[i].of_batch(hidden, collectives)
                moments |= found
            if i < len(self.dense) - 1:
                hidden = tf.nn.relu(hidden)
        return hidden, moments

    def move(self, moments: Moments) -> None:
        """Moves the running statistics; see BatchNorm.move."""
        for norm in self.norms:
            norm.move(moments)

    def flops(self) -> float:
        """Floating-point operations of the forward pass of one row."""
        return float(sum(2 * layer.kernel.shape[0] * layer.kernel.shape[1] for layer in self.dense))
