"""The pre-LN transformer encoder that both towers share (SigLIP, arXiv 2303.15343, section 4; ViT, 2010.11929)."""

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.towers.rematerialization import rematerialize

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


def _gelu_tanh(inputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.gelu(inputs, approximate=True)


def _gelu(inputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.gelu(inputs, approximate=False)


def _quick_gelu(inputs: tf.Tensor) -> tf.Tensor:
    return inputs * tf.sigmoid(1.702 * inputs)


_ACTIVATIONS = {"gelu_tanh": _gelu_tanh, "gelu": _gelu, "quick_gelu": _quick_gelu}


class MlpBlock(keras.layers.Layer):
    """Dense -> activation -> Dense, [N, L, width] -> [N, L, width]."""

    def __init__(self, width: int, mlp_dim: int, activation: str, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.activation = _ACTIVATIONS[activation]
        self.expand = keras.layers.Dense(mlp_dim, bias_initializer=_small_normal(), name="expand")
        self.project = keras.layers.Dense(width, bias_initializer=_small_normal(), name="project")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.project(self.activation(self.expand(inputs)))


class EncoderBlock(keras.layers.Layer):
    """x + attention(LN(x)), then x + MLP(LN(x)); [N, L, width] -> [N, L, width]."""

    def __init__(self, config: settings.TransformerSettings, causal: bool, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.causal = causal
        self.attention_norm = layer_norm("attention_norm")
        self.attention = keras.layers.MultiHeadAttention(config.heads, config.width // config.heads, name="attention")
        self.mlp_norm = layer_norm("mlp_norm")
        self.mlp = MlpBlock(config.width, config.mlp_dim, config.activation, name="mlp")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        normed = self.attention_norm(inputs)
        hidden = inputs + self.attention(normed, normed, use_causal_mask=self.causal)
        return hidden + self.mlp(self.mlp_norm(hidden))


class Encoder(keras.layers.Layer):
    """`depth` encoder blocks and a final LayerNorm; [N, L, width] -> [N, L, width].

    With `remat`, the backward pass computes the activations of each block again; this needs XLA.
    """

    def __init__(
        self, config: settings.TransformerSettings, remat: bool = False, causal: bool = False, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.remat = remat
        self.blocks = [EncoderBlock(config, causal, name=f"block_{i}") for i in range(config.depth)]
        self.norm = layer_norm("norm")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        hidden = inputs
        for block in self.blocks:
            hidden = rematerialize(block)(hidden) if self.remat and training else block(hidden)
        return self.norm(hidden)


class MapHead(keras.layers.Layer):
    """Multihead attention pooling: one learned probe attends to all tokens; [N, L, width] -> [N, width]."""

    def __init__(self, config: settings.TransformerSettings, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.width = config.width
        self.attention = keras.layers.MultiHeadAttention(config.heads, config.width // config.heads, name="attention")
        self.norm = layer_norm("norm")
        self.mlp = MlpBlock(config.width, config.mlp_dim, config.activation, name="mlp")

    def build(self, input_shape: tf.TensorShape) -> None:
        self.probe = self.add_weight("probe", shape=(1, 1, self.width), initializer="glorot_uniform")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        probe = tf.tile(tf.cast(self.probe, inputs.dtype), [tf.shape(inputs)[0], 1, 1])
        pooled = self.attention(probe, inputs)
        return (pooled + self.mlp(self.norm(pooled)))[:, 0]
