"""The pre-LN transformer encoder that all towers share (SigLIP, arXiv 2303.15343, section 4; ViT, 2010.11929)."""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.towers import operations
from models.towers.rematerialization import rematerialize, scan

LAYER_NORM_EPSILON = 1e-6


class LayerNorm(keras.layers.Layer):
    """LayerNorm over the last axis with the epsilon of the published checkpoints; computes in float32 at least."""

    def build(self, input_shape: tf.TensorShape) -> None:
        self.gamma = self.add_weight("gamma", shape=(input_shape[-1],), initializer="ones")
        self.beta = self.add_weight("beta", shape=(input_shape[-1],), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        scale, offset = (tf.cast(one, self.variable_dtype) for one in (self.gamma, self.beta))
        return operations.layer_norm(inputs, scale, offset, LAYER_NORM_EPSILON)


def position_embedding(
    layer: keras.layers.Layer, length: int, width: int, name: str = "position_embedding"
) -> tf.Variable:
    """Adds a learned position embedding, float32 [1, length, width] ~ N(0, 1 / width), to `layer`."""
    initializer = keras.initializers.RandomNormal(stddev=width**-0.5)
    return layer.add_weight(name, shape=(1, length, width), initializer=initializer)


def _small_normal() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=1e-6)


_ACTIVATIONS = {"gelu_tanh": operations.gelu_tanh, "gelu": operations.gelu, "quick_gelu": operations.quick_gelu}


class Attention(keras.layers.Layer):
    """Multi-head attention (arXiv 1706.03762, section 3.2.2) of a sequence to itself or to `context`.

    One product projects all that depends on one sequence. The weights are kept apart, as in the published checkpoints:
    query, key and value are [width, heads, width / heads], the projection of the output [heads, width / heads, width].
    With `again`, the backward pass computes the attention weights again.
    """

    def __init__(self, width: int, heads: int, again: bool = False, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.again = again
        self.width, self.heads, dim = width, heads, width // heads
        self.query, self.key, self.value = (
            keras.layers.EinsumDense("abc,cde->abde", (None, heads, dim), bias_axes="de", name=name)
            for name in ("query", "key", "value")
        )
        self.attention_output = keras.layers.EinsumDense(
            "abcd,cde->abe", (None, width), bias_axes="e", name="attention_output"
        )

    def build(self, input_shape: tf.TensorShape) -> None:
        """Builds the projections, which hold the weights; `call` multiplies."""
        outer, inner = (None, None, self.width), (None, None, self.heads, self.width // self.heads)
        shapes = [(self.query, outer), (self.key, outer), (self.value, outer), (self.attention_output, inner)]
        for projection, shape in shapes:
            with tf.name_scope(projection.name):  # part of the weights' names, which checkpoints use
                projection.build(shape)
        super().build(input_shape)

    def call(
        self,
        queries: tf.Tensor,
        context: tf.Tensor | None = None,
        causal: bool = False,
        key_mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Attends: [N, L, width] -> [N, L, width].

        Args:
          queries: [N, L, width].
          context: the sequence of keys and values, [N, M, width]; None takes `queries`.
          causal: whether a query sees only keys up to its own position.
          key_mask: bool [N, M], True where a key may be seen; None shows all. Each row needs a key.
        """
        if context is None:
            query, key, value = self._project(queries, self.query, self.key, self.value)
        else:
            (query,), (key, value) = self._project(queries, self.query), self._project(context, self.key, self.value)
        attended = operations.attend(query, key, value, causal, self.again, key_mask)
        attended = tf.transpose(attended, [0, 2, 1, 3])
        kernel = tf.reshape(tf.cast(self.attention_output.kernel, queries.dtype), [self.width, self.width])
        flat = tf.matmul(tf.reshape(attended, [-1, self.width]), kernel)
        return tf.reshape(tf.nn.bias_add(flat, tf.cast(self.attention_output.bias, flat.dtype)), tf.shape(queries))

    def _project(self, sequence: tf.Tensor, *projections: keras.layers.EinsumDense) -> list[tf.Tensor]:
        """[N, L, width] -> for each projection, [N, heads, L, width / heads]."""
        width, heads, length = self.width, self.heads, sequence.shape[1]
        kernel = tf.concat([tf.reshape(one.kernel, [width, width]) for one in projections], axis=1)
        bias = tf.concat([tf.reshape(one.bias, [width]) for one in projections], axis=0)
        flat = tf.matmul(tf.reshape(sequence, [-1, width]), tf.cast(kernel, sequence.dtype))
        flat = tf.nn.bias_add(flat, tf.cast(bias, flat.dtype))
        parts = tf.reshape(flat, [-1, length, len(projections), heads, width // heads])
        return tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))


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

    def __init__(
        self, config: settings.TransformerSettings, causal: bool, again: bool = False, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.causal = causal
        self.attention_norm = LayerNorm(name="attention_norm")
        self.attention = Attention(config.width, config.heads, again, name="attention")
        self.mlp_norm = LayerNorm(name="mlp_norm")
        self.mlp = MlpBlock(config.width, config.mlp_dim, config.activation, name="mlp")

    def call(self, inputs: tf.Tensor, context: tf.Tensor | None = None, key_mask: tf.Tensor | None = None) -> tf.Tensor:
        """Applies the block.

        Args:
          inputs: x, [N, L, width].
          context: hidden tokens of another sequence, [N, M, width]. Their LN gives the keys and values, in place of
            that of x. The block's own weights make them, so context = x changes nothing but rounding.
          key_mask: bool [N, L], or [N, M] with context: which keys may be seen.
        """
        normed = self.attention_norm(inputs)
        others = None if context is None else self.attention_norm(context)
        hidden = inputs + self.attention(normed, others, causal=self.causal, key_mask=key_mask)
        return hidden + self.mlp(self.mlp_norm(hidden))


class Encoder(keras.layers.Layer):
    """`depth` encoder blocks and a final LayerNorm; [N, L, width] -> [N, L, width].

    `remat` is what the backward pass computes again (Runtime.remat): "nothing", "attention" (the attention weights),
    "block" (all but each block's input), or "scan" (the same, with the blocks in one loop).
    """

    def __init__(
        self, config: settings.TransformerSettings, remat: str = "nothing", causal: bool = False, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.remat = remat
        again = remat == "attention"
        self.blocks = [EncoderBlock(config, causal, again, name=f"block_{i}") for i in range(config.depth)]
        self.norm = LayerNorm(name="norm")

    def call(
        self,
        inputs: tf.Tensor,
        training: bool = False,
        key_mask: tf.Tensor | None = None,
        context: Sequence[tf.Tensor] | None = None,
        gives_hidden: bool = False,
    ) -> tf.Tensor | tuple[tf.Tensor, list[tf.Tensor]]:
        """Encodes a sequence.

        Args:
          inputs: [N, L, width].
          training: whether a backward pass follows, which `remat` is for.
          key_mask: bool [N, L], or [N, M] with context; True where a key may be seen, False at padding. None shows all.
          context: for each block, the hidden tokens of another sequence, [N, M, width], which are that block's keys and
            values: what `gives_hidden` gave for the other sequence.
          gives_hidden: whether to return the hidden tokens, too.

        Returns:
          The encoded tokens, [N, L, width]; with `gives_hidden`, also the input of each block, [N, L, width] each.
        """
        if training and self.remat == "scan":
            outputs, hidden = scan(self.blocks, inputs, context, key_mask, gives_hidden)
        else:
            outputs, hidden = self._apply(inputs, training, key_mask, context)
        return (self.norm(outputs), hidden) if gives_hidden else self.norm(outputs)

    def _apply(
        self, outputs: tf.Tensor, training: bool, key_mask: tf.Tensor | None, context: Sequence[tf.Tensor] | None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Applies one block after the other; returns the last output, and the input of each block."""
        hidden: list[tf.Tensor] = []
        for i, block in enumerate(self.blocks):
            hidden.append(outputs)
            given = (outputs,) if context is None else (outputs, context[i])
            masked = block if key_mask is None else functools.partial(block, key_mask=key_mask)
            outputs = rematerialize(masked)(*given) if training and self.remat == "block" else masked(*given)
        return outputs, hidden

    def cross(
        self,
        one: tf.Tensor,
        other: tf.Tensor,
        one_mask: tf.Tensor | None = None,
        other_mask: tf.Tensor | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Encodes two sequences, each with the other's hidden tokens of the same depth as keys and values.

        Args:
          one: [N, L, width].
          other: [N, M, width].
          one_mask: bool [N, L], which tokens of `one` may be seen; None shows all.
          other_mask: the same of `other`, bool [N, M].
          training: as in `call`. The loop of `scan` holds one sequence, so "scan" does what "block" does here.

        Returns:
          Both encoded sequences; with one = other, what `call` gives.
        """
        for block in self.blocks:
            over: list[Callable[..., tf.Tensor]] = [
                functools.partial(block, key_mask=mask) for mask in (other_mask, one_mask)
            ]
            if training and self.remat in ("block", "scan"):
                over = [rematerialize(masked) for masked in over]
            one, other = over[0](one, other), over[1](other, one)
        return self.norm(one), self.norm(other)


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
