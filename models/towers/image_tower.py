"""The image tower: a Vision Transformer, pixels -> embedding (SigLIP, arXiv 2303.15343; ViT, arXiv 2010.11929)."""

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.towers import transformer
from models.towers.map_head import MapHead
from models.towers.pieces import in_pieces


class ImageTower(keras.layers.Layer):
    """float32 [N, size, size, 3] in [-1, 1] -> [N, width], not normalised; no projection after the pooling."""

    def __init__(self, config: settings.ImageTowerSettings, remat: str = "nothing", **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.patch_embedding = keras.layers.Conv2D(config.width, config.patch, config.patch, name="patch_embedding")
        self.encoder = transformer.Encoder(config, remat, name="encoder")
        self._pools_in_pieces = remat == "pieces" and config.pooling == "map"
        self.pool = {"map": self._map, "gap": self._mean, "cls": self._first}[config.pooling]
        if config.pooling == "map":
            self.head = MapHead(config, name="head")

    def build(self, input_shape: tf.TensorShape) -> None:
        width, has_class = self.config.width, self.config.pooling == "cls"
        self.position_embedding = transformer.position_embedding(self, self.config.patches + has_class, width)
        if has_class:
            self.class_token = self.add_weight("class_token", shape=(1, 1, width), initializer="zeros")
        super().build(input_shape)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        tokens = self.tokens(images, training)
        if training and self._pools_in_pieces and self.head.built:
            return in_pieces(self.head, tokens, self.config.width, transformer.MOST_PIECES)
        return self.pool(tokens)

    def tokens(
        self,
        images: tf.Tensor,
        training: bool = False,
        patch_mask: tf.Tensor | None = None,
        mask_vector: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The encoded tokens before the pooling: [N, patches, width], with the class token first if there is one.

        Args:
          images: float32 [N, size, size, 3] in [-1, 1].
          training: whether a backward pass follows.
          patch_mask: bool [N, patches], where `mask_vector` stands for the patch; None masks none.
          mask_vector: [width].
        """
        patches = self.patch_embedding(images)
        tokens = tf.reshape(patches, [-1, self.config.patches, self.config.width])
        if patch_mask is not None:
            tokens = tf.where(patch_mask[..., None], tf.cast(mask_vector, tokens.dtype), tokens)
        if self.config.pooling == "cls":
            first = tf.tile(tf.cast(self.class_token, tokens.dtype), [tf.shape(tokens)[0], 1, 1])
            tokens = tf.concat([first, tokens], axis=1)
        return self.encoder(tokens + tf.cast(self.position_embedding, tokens.dtype), training=training)

    def _map(self, tokens: tf.Tensor) -> tf.Tensor:
        return self.head(tokens)

    def _mean(self, tokens: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tokens, axis=1)

    def _first(self, tokens: tf.Tensor) -> tf.Tensor:
        return tokens[:, 0]
