"""One transformer for pictures and texts (OneR, arXiv 2211.11153).

[P] One modality-agnostic transformer with one shared projection. [ours] No modality embedding: patches and words differ
by their embeddings and positions alone. Padding is masked. The projection is linear.
"""

from typing import NamedTuple

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.towers import transformer


class Outputs(NamedTuple):
    """What one pass of the tower gives. The class token comes first in each sequence.

    Attributes:
      embedding: the projected class output, [N, D], unit norm, in float32 at least.
      tokens: outputs of the patches, then of the words, [N, L, width], without the class token; not projected.
    """

    embedding: tf.Tensor
    tokens: tf.Tensor


class OneTower(keras.layers.Layer):
    """Patches by a convolution, words by an embedding, learned positions of each, one class token and one encoder.

    One learned mask token stands for masked patches and masked words, so that no vocabulary needs a mask piece.
    """

    def __init__(
        self, config: settings.OneTowerSettings, vocabulary_size: int, remat: str = "nothing", **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
        width = config.width
        self.patch_embedding = keras.layers.Conv2D(width, config.patch, config.patch, name="patch_embedding")
        self.token_embedding = keras.layers.Embedding(
            vocabulary_size, width, embeddings_initializer=_normal(width), name="token_embedding"
        )
        self.encoder = transformer.Encoder(config, remat, name="encoder")
        self.projection = keras.layers.Dense(
            config.projection_dim, use_bias=False, kernel_initializer=_normal(width), name="projection"
        )

    def build(self, input_shape: object = None) -> None:
        config, width = self.config, self.config.width
        with tf.name_scope(self.name):  # part of the weights' names, which checkpoints use
            self.image_positions = transformer.position_embedding(self, config.patches, width, "image_positions")
            self.text_positions = transformer.position_embedding(self, config.length, width, "text_positions")
            self.class_token = self.add_weight("class_token", shape=(1, 1, width), initializer=_normal(width))
            self.mask_token = self.add_weight("mask_token", shape=(1, 1, width), initializer=_normal(width))
            shapes = [
                (self.patch_embedding, (None, config.size, config.size, 3)),
                (self.token_embedding, (None, config.length)),
                (self.projection, (None, width)),
            ]
            for layer, shape in shapes:
                with tf.name_scope(layer.name):
                    layer.build(shape)
            self.encoder(tf.zeros([1, 1, width], self.compute_dtype))
        super().build(input_shape)

    def image(self, images: tf.Tensor, masked: tf.Tensor | None = None, training: bool = False) -> Outputs:
        """A picture alone: [N, size, size, 3], and masked patches, bool [N, patches], if any."""
        return self._encode(self._patches(images, masked), None, training)

    def text(self, token_ids: tf.Tensor, masked: tf.Tensor | None = None, training: bool = False) -> Outputs:
        """A text alone: int32 [N, length], and masked words, bool [N, length], if any."""
        return self._encode(self._words(token_ids, masked), self._seen(token_ids), training)

    def pair(
        self,
        images: tf.Tensor,
        token_ids: tf.Tensor,
        masked_patches: tf.Tensor | None = None,
        masked_words: tf.Tensor | None = None,
        training: bool = False,
    ) -> Outputs:
        """[image; text] in one sequence, with the one class token; see `image` and `text`."""
        tokens = tf.concat([self._patches(images, masked_patches), self._words(token_ids, masked_words)], axis=1)
        patches = tf.ones([tf.shape(token_ids)[0], self.config.patches], tf.bool)
        return self._encode(tokens, tf.concat([patches, self._seen(token_ids)], axis=1), training)

    def crossed(self, images: tf.Tensor, token_ids: tf.Tensor, training: bool = False) -> tuple[Outputs, Outputs]:
        """The picture over the text, and the text over the picture, in two passes side by side [ours].

        Each sequence has a class token and gives the queries of its pass. The keys and values are the other's hidden
        tokens of the same depth in its own crossed pass. Those of the other's pass alone would make the crossed class
        output of a picture exactly the text's own: the class token has no modality, and would see nothing of the
        picture at any depth. For the same reason, a tower needs two blocks at least.
        """
        image, _ = self._sequence(self._patches(images, None), None)
        text, text_mask = self._sequence(self._words(token_ids, None), self._seen(token_ids))
        encoded = self.encoder.cross(image, text, None, text_mask, training=training)
        over_text, over_image = (Outputs(self.projected(one[:, 0]), one[:, 1:]) for one in encoded)
        return over_text, over_image

    def projected(self, outputs: tf.Tensor) -> tf.Tensor:
        """Projects outputs of any tokens: [..., width] -> [..., D], unit norm, in float32 at least."""
        projected = self.projection(outputs)
        at_least = projected if projected.dtype == tf.float64 else tf.cast(projected, tf.float32)
        return tf.nn.l2_normalize(at_least, axis=-1)

    def _encode(self, tokens: tf.Tensor, seen: tf.Tensor | None, training: bool) -> Outputs:
        sequence, key_mask = self._sequence(tokens, seen)
        encoded = self.encoder(sequence, training=training, key_mask=key_mask)
        return Outputs(self.projected(encoded[:, 0]), encoded[:, 1:])

    def _sequence(self, tokens: tf.Tensor, seen: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Puts the class token before the tokens; `seen`, bool [N, L], is False at padding, None if there is none."""
        count = tf.shape(tokens)[0]
        first = tf.tile(tf.cast(self.class_token, tokens.dtype), [count, 1, 1])
        key_mask = None if seen is None else tf.concat([tf.ones([count, 1], tf.bool), seen], axis=1)
        return tf.concat([first, tokens], axis=1), key_mask

    def _patches(self, images: tf.Tensor, masked: tf.Tensor | None) -> tf.Tensor:
        patches = tf.reshape(self.patch_embedding(images), [-1, self.config.patches, self.config.width])
        return self._placed(patches, masked, self.image_positions)

    def _words(self, token_ids: tf.Tensor, masked: tf.Tensor | None) -> tf.Tensor:
        return self._placed(self.token_embedding(token_ids), masked, self.text_positions)

    def _placed(self, tokens: tf.Tensor, masked: tf.Tensor | None, positions: tf.Variable) -> tf.Tensor:
        if masked is not None:
            tokens = tf.where(masked[:, :, None], tf.cast(self.mask_token, tokens.dtype), tokens)
        return tokens + tf.cast(positions, tokens.dtype)

    def _seen(self, token_ids: tf.Tensor) -> tf.Tensor:
        """Where there is no padding, bool [N, length]; an end of sentence with the id of padding counts as padding."""
        return tf.not_equal(token_ids, self.config.pad_id)


def _normal(width: int) -> keras.initializers.Initializer:
    """A new one for each weight: an initializer without a seed draws the same values again."""
    return keras.initializers.RandomNormal(stddev=width**-0.5)
