"""Rematerialisation that XLA cannot undo: the backward pass computes a block's activations again.

Plain recomputation does not save memory under XLA: common-subexpression elimination finds that the second forward pass
equals the first, and keeps the first. The recomputation here reads its inputs through an optimisation barrier, so that
XLA does not see that both are equal.
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

Block = Callable[[tf.Tensor], tf.Tensor]


def rematerialize(block: Block) -> Block:
    """Makes the backward pass of `block` compute its activations again, so that only its input is kept; XLA only."""

    @tf.custom_gradient
    def rematerialized(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        def gradient(upstream: tf.Tensor, variables: list[tf.Variable] | None = None) -> object:
            again, upstream_again = gen_xla_ops.xla_optimization_barrier(input=[inputs, upstream])
            again = tf.ensure_shape(again, inputs.shape)
            with tf.GradientTape() as tape:
                tape.watch(again)
                outputs = block(again)
            sources = [again, *(variables or [])]
            by_input, *by_variable = tape.gradient(outputs, sources, output_gradients=upstream_again)
            return (by_input, by_variable) if variables else by_input

        return block(inputs), gradient

    return rematerialized
