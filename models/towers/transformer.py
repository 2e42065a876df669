"""The pre-LN transformer encoder that all towers share (SigLIP, arXiv 2303.15343, section 4; ViT, 2010.11929)."""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.towers import dropout, operations
from models.towers.attention import Attention
from models.towers.rematerialization import Block, rematerialize
from models.towers.scan import scan

LAYER_NORM_EPSILON = 1e-6
MOST_PIECES = 4
"""In how many pieces "pieces" takes the rows."""
_LOOPS = {"scan": (1, 1), "pieces": (MOST_PIECES, 3)}  # `most_pieces` and `longest_stride` of `scan`
BY_BLOCK = ("block", *_LOOPS)
"""The values of Runtime.remat that keep inputs of blocks alone."""


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
    "block" (all but each block's input), "scan" (the same, with the blocks in one loop), or "pieces" (as "scan", with
    the rows of a block in four pieces, and all but the input of every second or third block).
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
        drop: dropout.Drop | None = None,
    ) -> tf.Tensor | tuple[tf.Tensor, list[tf.Tensor]]:
        """Encodes a sequence.

        Args:
          inputs: [N, L, width].
          training: whether a backward pass follows, which `remat` is for.
          key_mask: bool [N, L], or [N, M] with context; True where a key may be seen, False at padding. None shows all.
          context: for each block, the hidden tokens of another sequence, [N, M, width], which are that block's keys and
            values: what `gives_hidden` gave for the other sequence.
          gives_hidden: whether to return the hidden tokens, too.
          drop: changes the input of each block. None in the first call, which Keras stores in a SavedModel.

        Returns:
          The encoded tokens, [N, L, width]; with `gives_hidden`, also the input of each block, [N, L, width] each.
        """
        drop = drop or dropout.nothing
        if training and self.remat in _LOOPS:
            outputs, hidden = scan(self.blocks, inputs, context, key_mask, gives_hidden, drop, *_LOOPS[self.remat])
        else:
            outputs, hidden = self._apply(inputs, training, key_mask, context, drop)
        return (self.norm(outputs), hidden) if gives_hidden else self.norm(outputs)

    def _apply(
        self,
        outputs: tf.Tensor,
        training: bool,
        key_mask: tf.Tensor | None,
        context: Sequence[tf.Tensor] | None,
        drop: dropout.Drop,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Applies one block after the other; returns the last output, and the input of each block."""
        hidden: list[tf.Tensor] = []
        for number, block in enumerate(self.blocks):
            hidden.append(outputs)
            given = (outputs,) if context is None else (outputs, context[number])
            dropping = _after(drop, number, block, key_mask)
            outputs = rematerialize(dropping)(*given) if training and self.remat == "block" else dropping(*given)
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
          training: as in `call`. The loop of `scan` holds one sequence, so "scan" and "pieces" do what "block" does.

        Returns:
          Both encoded sequences; with one = other, what `call` gives.
        """
        for block in self.blocks:
            over: list[Callable[..., tf.Tensor]] = [
                functools.partial(block, key_mask=mask) for mask in (other_mask, one_mask)
            ]
            if training and self.remat in BY_BLOCK:
                over = [rematerialize(masked) for masked in over]
            one, other = over[0](one, other), over[1](other, one)
        return self.norm(one), self.norm(other)


def _after(drop: dropout.Drop, number: int, block: EncoderBlock, key_mask: tf.Tensor | None) -> Block:
    masked = {} if key_mask is None else {"key_mask": key_mask}
    return lambda hidden, *context: block(drop(number, hidden), *context, **masked)
