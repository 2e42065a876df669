"""The fusion of SIMLA (arXiv 2203.14395): one set of weights encodes texts, words with patches, and the reverse.

Pre-LN, as the towers are [ours; the paper's BERT is post-LN]. A learned class token is at position 0 [ours], so that
any vocabulary works.
"""

import functools

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.towers import transformer
from models.towers.attention import Attention
from models.towers.rematerialization import rematerialize


class FusionBlock(keras.layers.Layer):
    """Self-attention, cross-attention to `context` and MLP, each after a LayerNorm and added to its input."""

    def __init__(self, config: settings.TransformerSettings, again: bool = False, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.attention_norm = transformer.LayerNorm(name="attention_norm")
        self.attention = Attention(config.width, config.heads, again, name="attention")
        self.cross_norm = transformer.LayerNorm(name="cross_norm")
        self.cross_attention = Attention(config.width, config.heads, again, name="cross_attention")
        self.mlp_norm = transformer.LayerNorm(name="mlp_norm")
        self.mlp = transformer.MlpBlock(config.width, config.mlp_dim, config.activation, name="mlp")

    def call(
        self,
        inputs: tf.Tensor,
        context: tf.Tensor | None = None,
        key_mask: tf.Tensor | None = None,
        context_mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Applies the block: [N, L, width] -> [N, L, width].

        Args:
          inputs: [N, L, width].
          context: [N, M, width], the keys and values of the cross-attention; None leaves the cross-attention out.
          key_mask: bool [N, L], False at padding; None shows all.
          context_mask: bool [N, M], False at padding; None shows all.
        """
        hidden = self._attended(inputs, key_mask)
        if context is not None:
            hidden += self.cross_attention(self.cross_norm(hidden), context, key_mask=context_mask)
        return hidden + self.mlp(self.mlp_norm(hidden))

    def self_weights(self, inputs: tf.Tensor, key_mask: tf.Tensor | None) -> tf.Tensor:
        """The weights of the self-attention, [N, heads, L, L]."""
        return self.attention.weights_of(self.attention_norm(inputs), key_mask=key_mask)

    def cross_weights(
        self, inputs: tf.Tensor, context: tf.Tensor, key_mask: tf.Tensor | None, context_mask: tf.Tensor | None
    ) -> tf.Tensor:
        """The weights of the cross-attention, [N, heads, L, M]."""
        hidden = self.cross_norm(self._attended(inputs, key_mask))
        return self.cross_attention.weights_of(hidden, context, context_mask)

    def _attended(self, inputs: tf.Tensor, key_mask: tf.Tensor | None) -> tf.Tensor:
        return inputs + self.attention(self.attention_norm(inputs), key_mask=key_mask)


class Fusion(keras.layers.Layer):
    """Token ids, int32 [N, length], and image tokens, [N, M, width] -> tokens, [N, 1 + length, width].

    A text is [class token; words; end of sentence; padding], with the LayerNorm of BERT after the sum of embeddings.
    Padding is masked. `call` is the text pass; build the layer with it.
    """

    def __init__(
        self, config: settings.TextTowerSettings, vocabulary_size: int, remat: str = "nothing", **kwargs: object
    ) -> None:
        """Makes the layers.

        Args:
          config: sizes, length and pad id.
          vocabulary_size: number of pieces.
          remat: what the backward pass computes again (Runtime.remat). "scan" and "pieces" do what "block" does: the
            blocks are in no loop.
          **kwargs: of keras.layers.Layer.
        """
        super().__init__(**kwargs)
        self.config, self.remat = config, remat
        initializer = keras.initializers.RandomNormal(stddev=config.width**-0.5)
        self.token_embedding = keras.layers.Embedding(
            vocabulary_size, config.width, embeddings_initializer=initializer, name="token_embedding"
        )
        self.embedding_norm = transformer.LayerNorm(name="embedding_norm")
        again = remat == "attention"
        self.blocks = [FusionBlock(config, again, name=f"block_{i}") for i in range(config.depth)]
        self.norm = transformer.LayerNorm(name="norm")

    def build(self, input_shape: tf.TensorShape) -> None:
        width = self.config.width
        self.class_token = self.add_weight("class_token", (1, 1, width), initializer="zeros")
        self.position_embedding = transformer.position_embedding(self, 1 + self.config.length, width)
        for block in self.blocks:  # the text pass alone would leave the cross-attention without weights
            with tf.name_scope(block.name):
                for layer in (block.cross_norm, block.cross_attention):
                    with tf.name_scope(layer.name):
                        layer.build((None, None, width))
        super().build(input_shape)

    def call(self, token_ids: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The text pass: cross-attention is left out."""
        return self._encoded(self.embed(token_ids), None, self.seen(token_ids), None, training)

    def seen(self, token_ids: tf.Tensor) -> tf.Tensor:
        """Bool [N, 1 + length]: the class token, and what is no padding."""
        words = tf.not_equal(token_ids, self.config.pad_id)
        return tf.concat([tf.ones_like(words[:, :1]), words], axis=1)

    def embed(
        self, token_ids: tf.Tensor, hidden: tf.Tensor | None = None, mask_vector: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The embeddings of a text, before any block: [N, 1 + length, width].

        Args:
          token_ids: int32 [N, length].
          hidden: bool [N, length], where `mask_vector` stands for the piece; None hides none.
          mask_vector: [width].
        """
        words = self.token_embedding(token_ids)
        if hidden is not None:
            words = tf.where(hidden[..., None], tf.cast(mask_vector, words.dtype), words)
        first = tf.tile(tf.cast(self.class_token, words.dtype), [tf.shape(words)[0], 1, 1])
        tokens = tf.concat([first, words], axis=1)
        return self.embedding_norm(tokens + tf.cast(self.position_embedding, tokens.dtype))

    def multimodal(
        self, embeddings: tf.Tensor, seen: tf.Tensor, image_tokens: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Words query the image tokens in every block: `embed`, `seen`, [N, M, width] -> [N, 1 + length, width]."""
        return self._encoded(embeddings, image_tokens, seen, None, training)

    def reverse(
        self, image_tokens: tf.Tensor, embeddings: tf.Tensor, seen: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Image tokens query the embeddings of the words [P]: [N, M, width], `embed`, `seen` -> [N, M, width]."""
        return self._encoded(image_tokens, embeddings, None, seen, training)

    def last_weights(
        self, embeddings: tf.Tensor, seen: tf.Tensor, image_tokens: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The attention of the last block in the multimodal pass, float32 at least.

        Returns:
          The weights of the self-attention, [N, heads, 1 + length, 1 + length], and of the cross-attention, [N, heads,
          1 + length, M].
        """
        hidden = embeddings
        for block in self.blocks[:-1]:
            hidden = block(hidden, image_tokens, key_mask=seen)
        last = self.blocks[-1]
        return last.self_weights(hidden, seen), last.cross_weights(hidden, image_tokens, seen, None)

    def _encoded(
        self,
        tokens: tf.Tensor,
        context: tf.Tensor | None,
        key_mask: tf.Tensor | None,
        context_mask: tf.Tensor | None,
        training: bool,
    ) -> tf.Tensor:
        given = () if context is None else (context,)
        for block in self.blocks:
            masked = functools.partial(block, key_mask=key_mask, context_mask=context_mask)
            again = training and self.remat in transformer.BY_BLOCK
            tokens = (rematerialize(masked) if again else masked)(tokens, *given)
        return self.norm(tokens)
