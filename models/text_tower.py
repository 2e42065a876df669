"""The text tower: a non-causal transformer pooled at its last token (SigLIP, arXiv 2303.15343)."""

import tensorflow as tf
import tf_keras as keras

from models import settings, transformer


class TextTower(keras.layers.Layer):
    """int32 [N, length] token ids -> [N, embedding_dim], not normalised.

    Padding is attended to, as in SigLIP: texts must always be padded to the full length, in training and in serving.
    """

    def __init__(
        self,
        config: settings.TextTowerSettings,
        vocabulary_size: int,
        embedding_dim: int,
        remat: bool = False,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
        initializer = keras.initializers.RandomNormal(stddev=config.width**-0.5)
        self.token_embedding = keras.layers.Embedding(
            vocabulary_size, config.width, embeddings_initializer=initializer, name="token_embedding"
        )
        self.encoder = transformer.Encoder(config, remat, name="encoder")
        self.head = keras.layers.Dense(embedding_dim, name="head")

    def build(self, input_shape: tf.TensorShape) -> None:
        self.position_embedding = transformer.position_embedding(self, self.config.length, self.config.width)
        super().build(input_shape)

    def call(self, token_ids: tf.Tensor, training: bool = False) -> tf.Tensor:
        tokens = self.token_embedding(token_ids)
        hidden = self.encoder(tokens + tf.cast(self.position_embedding, tokens.dtype), training=training)
        return self.head(hidden[:, -1])
