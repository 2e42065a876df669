"""The head that pools the tokens of a tower by attention (SigLIP's MAP head; arXiv 1810.00825)."""

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.towers.attention import Attention
from models.towers.transformer import LayerNorm, MlpBlock


class MapHead(keras.layers.Layer):
    """Multihead attention pooling: one learned probe attends to all tokens; [N, L, width] -> [N, width]."""

    def __init__(self, config: settings.TransformerSettings, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.width = config.width
        self.attention = Attention(config.width, config.heads, name="attention")
        self.norm = LayerNorm(name="norm")
        self.mlp = MlpBlock(config.width, config.mlp_dim, config.activation, name="mlp")

    def build(self, input_shape: tf.TensorShape) -> None:
        self.probe = self.add_weight("probe", shape=(1, 1, self.width), initializer="glorot_uniform")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        probe = tf.tile(tf.cast(self.probe, inputs.dtype), [tf.shape(inputs)[0], 1, 1])
        pooled = self.attention(probe, inputs)
        return (pooled + self.mlp(self.norm(pooled)))[:, 0]
