"""Rematerialisation: the backward pass computes activations again, so that memory need not hold them. XLA only.

Plain recomputation does not save memory under XLA: common-subexpression elimination finds that the second forward pass
equals the first, and keeps the first. Two things prevent it here. `rematerialize` reads the inputs of the second pass
through an optimisation barrier. `scan` runs the two passes in two loops, which XLA does not merge.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

from models.towers.dropout import Drop, nothing

Block = Callable[[tf.Tensor], tf.Tensor]


def barrier(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """The same tensors, but XLA does not see that they are the same."""
    hidden = gen_xla_ops.xla_optimization_barrier(input=list(tensors))
    return [tf.ensure_shape(new, old.shape) for new, old in zip(hidden, tensors, strict=True)]


def rematerialize(block: Block) -> Block:
    """Makes the backward pass of `block` compute its activations again, so that only its input is kept."""

    @tf.custom_gradient
    def rematerialized(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        def gradient(upstream: tf.Tensor, variables: list[tf.Variable] | None = None) -> object:
            again, upstream_again = barrier(inputs, upstream)
            with tf.GradientTape() as tape:
                tape.watch(again)
                outputs = block(again)
            sources = [again, *(variables or [])]
            by_input, *by_variable = tape.gradient(outputs, sources, output_gradients=upstream_again)
            return (by_input, by_variable) if variables else by_input

        return block(inputs), gradient

    return rematerialized


def scan(blocks: Sequence[keras.layers.Layer], inputs: tf.Tensor, drop: Drop = nothing) -> tf.Tensor:
    """Applies equal blocks one after the other, in a loop over their stacked weights; XLA compiles one block.

    The backward pass is a second loop. It computes the activations of one block at a time from the block's input, which
    the first loop kept.

    Args:
      blocks: layers with weights of the same names and shapes, which have been built.
      inputs: [N, L, width].
      drop: changes the input of each block, equally in both loops.

    Returns:
      The last block's output, [N, L, width].
    """
    first, depth = blocks[0], len(blocks)

    @tf.custom_gradient
    def scanned(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        stacks = [
            tf.stack([tf.cast(weight, first.compute_dtype) for weight in alike])
            for alike in zip(*(block.trainable_variables for block in blocks), strict=True)
        ]

        def forward(k: tf.Tensor, hidden: tf.Tensor, kept: tf.TensorArray) -> tuple[Any, ...]:
            with _weights(first, [stack[k] for stack in stacks]):
                return k + 1, first(drop(k, hidden)), kept.write(k, hidden)

        kept = tf.TensorArray(inputs.dtype, depth, element_shape=inputs.shape)
        _, outputs, kept = _loop(depth, forward, (inputs, kept))
        block_inputs = kept.stack()

        def gradient(upstream: tf.Tensor, variables: list[tf.Variable] | None = None) -> object:
            def backward(k: tf.Tensor, upstream: tf.Tensor, sums: list[tf.TensorArray]) -> tuple[Any, ...]:
                last = depth - 1 - k
                block_input, weights = block_inputs[last], [stack[last] for stack in stacks]
                with tf.GradientTape() as tape:
                    tape.watch([block_input, *weights])
                    with _weights(first, weights):
                        block_output = first(drop(last, block_input))
                by_input, *by_weights = tape.gradient(block_output, [block_input, *weights], output_gradients=upstream)
                return k + 1, by_input, [one.write(last, new) for one, new in zip(sums, by_weights, strict=True)]

            sums = [tf.TensorArray(stack.dtype, depth, element_shape=stack.shape[1:]) for stack in stacks]
            _, by_inputs, sums = _loop(depth, backward, (upstream, sums))
            by_name = [tf.unstack(one.stack()) for one in sums]
            found = {  # by name: the tape gives variables without Keras' wrappers
                weight.name: by_name[i][k]
                for k, block in enumerate(blocks)
                for i, weight in enumerate(block.trainable_variables)
            }
            return by_inputs, [tf.cast(found[variable.name], variable.dtype) for variable in variables or []]

        return outputs, gradient

    return scanned(inputs)


def _loop(depth: int, body: Callable[..., tuple[Any, ...]], state: tuple[Any, ...]) -> tuple[Any, ...]:
    """Calls body(k, *state) -> (k + 1, *state) for k = 0 .. depth - 1; returns (depth, *state)."""
    return tf.while_loop(
        lambda k, *_: k < depth, body, (tf.constant(0), *state), maximum_iterations=depth, parallel_iterations=1
    )


@contextlib.contextmanager
def _weights(block: keras.layers.Layer, tensors: Sequence[tf.Tensor]) -> Iterator[None]:
    """Within this context, the block computes with these tensors in place of its weights, in the same order."""
    wanted = dict(zip((id(weight) for weight in block.trainable_variables), tensors, strict=True))
    replaced = [
        (vars(layer), name, value)
        for layer in block._flatten_layers()
        for name, value in list(vars(layer).items())
        if id(value) in wanted
    ]
    for attributes, name, value in replaced:
        attributes[name] = wanted[id(value)]
    try:
        yield
    finally:
        for attributes, name, value in replaced:
            attributes[name] = value
