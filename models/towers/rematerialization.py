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


def scan(
    blocks: Sequence[keras.layers.Layer],
    inputs: tf.Tensor,
    context: Sequence[tf.Tensor] | None = None,
    key_mask: tf.Tensor | None = None,
    gives_hidden: bool = False,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Applies equal blocks one after the other, in a loop over their stacked weights; XLA compiles one block.

    The backward pass is a second loop. It computes the activations of one block at a time from the block's input, which
    the first loop kept.

    Args:
      blocks: layers with weights of the same names and shapes, which have been built.
      inputs: [N, L, width].
      context: for each block, its keyword argument `context`, [N, M, width]; None passes none.
      key_mask: the blocks' keyword argument `key_mask`, bool; None passes none.
      gives_hidden: whether to return the input of each block.

    Returns:
      The last block's output, [N, L, width], and the inputs of all blocks, [N, L, width] each; none without
      `gives_hidden`.
    """
    first, depth = blocks[0], len(blocks)
    contexts = [] if context is None else [tf.stack(list(context))]

    def apply(hidden: tf.Tensor, others: Sequence[tf.Tensor]) -> tf.Tensor:
        masked = {} if key_mask is None else {"key_mask": key_mask}
        return first(hidden, *others, **masked)

    @tf.custom_gradient
    def scanned(inputs: tf.Tensor, *contexts: tf.Tensor) -> tuple[object, Callable[..., object]]:
        stacks = [
            tf.stack([tf.cast(weight, first.compute_dtype) for weight in alike])
            for alike in zip(*(block.trainable_variables for block in blocks), strict=True)
        ]

        def forward(k: tf.Tensor, hidden: tf.Tensor, kept: tf.TensorArray) -> tuple[Any, ...]:
            with _weights(first, [stack[k] for stack in stacks]):
                return k + 1, apply(hidden, [one[k] for one in contexts]), kept.write(k, hidden)

        kept = tf.TensorArray(inputs.dtype, depth, element_shape=inputs.shape)
        _, outputs, kept = _loop(depth, forward, (inputs, kept))
        block_inputs = kept.stack()

        def gradient(*upstreams: tf.Tensor, variables: list[tf.Variable] | None = None) -> object:
            upstream, *by_hidden = upstreams

            def backward(k: tf.Tensor, upstream: tf.Tensor, sums: list[tf.TensorArray]) -> tuple[Any, ...]:
                last = depth - 1 - k
                others, weights = [one[last] for one in contexts], [stack[last] for stack in stacks]
                sources = [block_inputs[last], *others, *weights]
                with tf.GradientTape() as tape:
                    tape.watch(sources)
                    with _weights(first, weights):
                        block_output = apply(sources[0], others)
                by_input, *by_rest = tape.gradient(block_output, sources, output_gradients=upstream)
                for one in by_hidden:
                    by_input += one[last]
                return k + 1, by_input, [one.write(last, new) for one, new in zip(sums, by_rest, strict=True)]

            sums = [tf.TensorArray(s.dtype, depth, element_shape=s.shape[1:]) for s in (*contexts, *stacks)]
            _, by_inputs, sums = _loop(depth, backward, (upstream, sums))
            found = [one.stack() for one in sums]
            by_variables = _of_variables(blocks, found[len(contexts) :], variables or [])
            return [by_inputs, *found[: len(contexts)]], by_variables

        return ((outputs, block_inputs) if gives_hidden else outputs), gradient

    if not gives_hidden:
        return scanned(inputs, *contexts), []
    outputs, hidden = scanned(inputs, *contexts)
    return outputs, tf.unstack(hidden)


def _of_variables(
    blocks: Sequence[keras.layers.Layer], by_stack: Sequence[tf.Tensor], variables: Sequence[tf.Variable]
) -> list[tf.Tensor]:
    """Picks each variable's gradient from those by the stacks; by name, since the tape drops Keras' wrappers."""
    by_weight = [tf.unstack(one) for one in by_stack]
    found = {
        weight.name: by_weight[i][k]
        for k, block in enumerate(blocks)
        for i, weight in enumerate(block.trainable_variables)
    }
    return [tf.cast(found[variable.name], variable.dtype) for variable in variables]


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
