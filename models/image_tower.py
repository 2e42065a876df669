"""The image tower: a Vision Transformer with a MAP head, pixels -> embedding (SigLIP, arXiv 2303.15343)."""

import tensorflow as tf
import tf_keras as keras

from models import settings, transformer


class ImageTower(keras.layers.Layer):
    """float32 [N, size, size, 3] in [-1, 1] -> [N, width], not normalised; no CLS token, no projection after MAP."""

    def __init__(self, config: settings.ImageTowerSettings, remat: bool = False, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.patch_embedding = keras.layers.Conv2D(config.width, config.patch, config.patch, name="patch_embedding")
        self.encoder = transformer.Encoder(config, remat, name="encoder")
        self.head = transformer.MapHead(config.width, config.heads, config.mlp_dim, name="head")

    def build(self, input_shape: tf.TensorShape) -> None:
        self.position_embedding = transformer.position_embedding(self, self.config.patches, self.config.width)
        super().build(input_shape)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        patches = self.patch_embedding(images)
        tokens = tf.reshape(patches, [-1, self.config.patches, self.config.width])
        return self.head(self.encoder(tokens + tf.cast(self.position_embedding, tokens.dtype), training=training))
