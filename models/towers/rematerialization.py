"""Rematerialisation: the backward pass computes activations again, so that memory need not hold them. XLA only.

Plain recomputation does not save memory under XLA: common-subexpression elimination finds that the second forward pass
equals the first, and keeps the first. Two things prevent it. `rematerialize` reads the inputs of the second pass
through an optimisation barrier. `models.towers.scan` runs the two passes in two loops, which XLA does not merge.
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

Block = Callable[..., tf.Tensor]


def barrier(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """The same tensors, but XLA does not see that they are the same."""
    hidden = gen_xla_ops.xla_optimization_barrier(input=list(tensors))
    return [tf.ensure_shape(new, old.shape) for new, old in zip(hidden, tensors, strict=True)]


def rematerialize(block: Block) -> Block:
    """Makes the backward pass of `block` compute its activations again, so that only its inputs are kept."""

    @tf.custom_gradient
    def rematerialized(*inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        def gradient(upstream: tf.Tensor, variables: list[tf.Variable] | None = None) -> object:
            *again, upstream_again = barrier(*inputs, upstream)
            with tf.GradientTape() as tape:
                tape.watch(again)
                outputs = block(*again)
            sources = [*again, *(variables or [])]
            found = tape.gradient(outputs, sources, output_gradients=upstream_again)
            by_inputs, by_variable = found[: len(inputs)], found[len(inputs) :]
            return (by_inputs, by_variable) if variables else by_inputs

        return block(*inputs), gradient

    return rematerialized
