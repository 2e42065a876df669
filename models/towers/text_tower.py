"""The text tower: a transformer pooled at one token (SigLIP, arXiv 2303.15343; causal in CLIP, arXiv 2103.00020)."""

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.towers import dropout, transformer


class TextTower(keras.layers.Layer):
    """int32 [N, length] token ids -> [N, embedding_dim], not normalised.

    The tower attends to padding, as in SigLIP, so training and serving must pad every text to the full length. With a
    bottleneck K, the token embedding is [vocabulary_size, K], and a projection [K, width] without bias follows.
    TextTower.dropout acts in training on rows with a seed, int32 [N, 2].
    """

    def __init__(
        self,
        config: settings.TextTowerSettings,
        vocabulary_size: int,
        embedding_dim: int,
        remat: str = "nothing",
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
        rank = config.bottleneck or config.width
        initializer = keras.initializers.RandomNormal(stddev=rank**-0.5)
        self.token_embedding = keras.layers.Embedding(
            vocabulary_size, rank, embeddings_initializer=initializer, name="token_embedding"
        )
        if config.bottleneck:
            self.token_projection = keras.layers.Dense(config.width, use_bias=False, name="token_projection")
        self.encoder = transformer.Encoder(config, remat, config.causal, name="encoder")
        self.head = keras.layers.Dense(embedding_dim, name="head")

    def build(self, input_shape: tf.TensorShape) -> None:
        self.position_embedding = transformer.position_embedding(self, self.config.length, self.config.width)
        super().build(input_shape)

    def call(self, token_ids: tf.Tensor, training: bool = False, seeds: tf.Tensor | None = None) -> tf.Tensor:
        tokens = self.token_embedding(token_ids)
        if self.config.bottleneck:
            tokens = self.token_projection(tokens)
        drops = training and seeds is not None and self.config.dropout > 0
        more = {"drop": dropout.of_rows(self.config.dropout, seeds)} if drops else {}
        hidden = self.encoder(tokens + tf.cast(self.position_embedding, tokens.dtype), training=training, **more)
        if self.config.pooling == "last":
            return self.head(hidden[:, -1])
        ends = tf.argmax(tf.equal(token_ids, self.config.eos_id), axis=1)
        return self.head(tf.gather(hidden, ends, batch_dims=1))
