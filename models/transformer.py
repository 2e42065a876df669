"""The pre-LN transformer encoder both towers share (SigLIP, arXiv 2303.15343, section 4; ViT, arXiv 2010.11929)."""

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.rematerialization import rematerialize

LAYER_NORM_EPSILON = 1e-6


def layer_norm(name: str) -> keras.layers.Layer:
    """A LayerNormalization over the last axis with the epsilon of the published checkpoints."""
    return keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name=name)


def position_embedding(layer: keras.layers.Layer, length: int, width: int) -> tf.Variable:
    """Adds a learned position embedding, float32 [1, length, width] ~ N(0, 1 / width), to `layer`."""
    initializer = keras.initializers.RandomNormal(stddev=width**-0.5)
    return layer.add_weight("position_embedding", shape=(1, length, width), initializer=initializer)


def _small_normal() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=1e-6)


class MlpBlock(keras.layers.Layer):
    """Dense -> tanh GELU -> Dense, [N, L, width] -> [N, L, width]."""

    def __init__(self, width: int, mlp_dim: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.expand = keras.layers.Dense(mlp_dim, bias_initializer=_small_normal(), name="expand")
        self.project = keras.layers.Dense(width, bias_initializer=_small_normal(), name="project")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.project(tf.nn.gelu(self.expand(inputs), approximate=True))


class EncoderBlock(keras.layers.Layer):
    """x + attention(LN(x)), then x + MLP(LN(x)); [N, L, width] -> [N, L, width], non-causal."""

    def __init__(self, width: int, heads: int, mlp_dim: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.attention_norm = layer_norm("attention_norm")
        self.attention = keras.layers.MultiHeadAttention(heads, width // heads, name="attention")
        self.mlp_norm = layer_norm("mlp_norm")
        self.mlp = MlpBlock(width, mlp_dim, name="mlp")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        normed = self.attention_norm(inputs)
        hidden = inputs + self.attention(normed, normed)
        return hidden + self.mlp(self.mlp_norm(hidden))


class Encoder(keras.layers.Layer):
    """`depth` encoder blocks and a final LayerNorm; [N, L, width] -> [N, L, width].

    With `remat`, a block's activations are computed again in the backward pass; this needs XLA.
    """

    def __init__(self, config: settings.TransformerSettings, remat: bool = False, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.remat = remat
        sizes = (config.width, config.heads, config.mlp_dim)
        self.blocks = [EncoderBlock(*sizes, name=f"block_{i}") for i in range(config.depth)]
        self.norm = layer_norm("norm")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        hidden = inputs
        for block in self.blocks:
            hidden = rematerialize(block)(hidden) if self.remat and training else block(hidden)
        return self.norm(hidden)


class MapHead(keras.layers.Layer):
    """Multihead attention pooling: one learned probe attends to all tokens; [N, L, width] -> [N, width]."""

    def __init__(self, width: int, heads: int, mlp_dim: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.attention = keras.layers.MultiHeadAttention(heads, width // heads, name="attention")
        self.norm = layer_norm("norm")
        self.mlp = MlpBlock(width, mlp_dim, name="mlp")

    def build(self, input_shape: tf.TensorShape) -> None:
        self.probe = self.add_weight("probe", shape=(1, 1, self.width), initializer="glorot_uniform")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        probe = tf.tile(tf.cast(self.probe, inputs.dtype), [tf.shape(inputs)[0], 1, 1])
        pooled = self.attention(probe, inputs)
        return (pooled + self.mlp(self.norm(pooled)))[:, 0]
