"""Rematerialisation: the backward pass computes activations again, so that memory need not hold them. XLA only.

Plain recomputation does not save memory under XLA: common-subexpression elimination finds that the second forward pass
equals the first, and keeps the first. Two things prevent it here. `rematerialize` reads the inputs of the second pass
through an optimisation barrier. `scan` runs the two passes in two loops, which XLA does not merge.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras
from tensorflow.compiler.tf2xla.ops import gen_xla_ops

from models import loops
from models.towers.dropout import Drop, nothing

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
    drop: Drop = nothing,
    most_pieces: int = 1,
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
      drop: changes the input of each block, equally in both loops.
      most_pieces: a block takes the rows in as many pieces, one after the other, if this divides N; else in the next
        smaller number that does. So only the activations of one piece of one block are in memory.

    Returns:
      The last block's output, [N, L, width], and the inputs of all blocks, [N, L, width] each; none without
      `gives_hidden`.
    """
    first, depth = blocks[0], len(blocks)
    contexts = [] if context is None else [tf.stack(list(context))]
    pieces = _pieces(inputs, most_pieces)

    @tf.custom_gradient
    def scanned(inputs: tf.Tensor, *contexts: tf.Tensor) -> tuple[object, Callable[..., object]]:
        stacks = [
            tf.stack([tf.cast(weight, first.compute_dtype) for weight in alike])
            for alike in zip(*(block.trainable_variables for block in blocks), strict=True)
        ]

        def at(k: tf.Tensor) -> _BlockOfScan:
            return _BlockOfScan(first, [stack[k] for stack in stacks], [one[k] for one in contexts], key_mask, pieces)

        def forward(k: tf.Tensor, hidden: tf.Tensor, kept: tf.TensorArray) -> tuple[Any, ...]:
            return k + 1, at(k).apply(drop(k, hidden)), kept.write(k, hidden)

        kept = tf.TensorArray(inputs.dtype, depth, element_shape=inputs.shape)
        outputs, kept = loops.counted(depth, forward, inputs, kept)
        block_inputs = kept.stack()

        def gradient(*upstreams: tf.Tensor, variables: list[tf.Variable] | None = None) -> object:
            upstream, *by_hidden = upstreams

            def backward(k: tf.Tensor, upstream: tf.Tensor, found: list[tf.TensorArray]) -> tuple[Any, ...]:
                last = depth - 1 - k
                block_input = block_inputs[last]
                with tf.GradientTape() as tape:
                    tape.watch(block_input)
                    dropped = drop(last, block_input)
                by_dropped, *by_rest = at(last).gradients(dropped, upstream)
                by_input = tape.gradient(dropped, block_input, output_gradients=by_dropped)
                for one in by_hidden:
                    by_input += one[last]
                return k + 1, by_input, [one.write(last, new) for one, new in zip(found, by_rest, strict=True)]

            dtype = first.compute_dtype if pieces == 1 else first.variable_dtype
            wanted = [*((one.dtype, one.shape[1:]) for one in contexts), *((dtype, one.shape[1:]) for one in stacks)]
            arrays = [tf.TensorArray(dtype, depth, element_shape=shape) for dtype, shape in wanted]
            by_inputs, arrays = loops.counted(depth, backward, upstream, arrays)
            found = [one.stack() for one in arrays]
            by_variables = _of_variables(blocks, found[len(contexts) :], variables or [])
            return [by_inputs, *found[: len(contexts)]], by_variables

        return ((outputs, block_inputs) if gives_hidden else outputs), gradient

    if not gives_hidden:
        return scanned(inputs, *contexts), []
    outputs, hidden = scanned(inputs, *contexts)
    return outputs, tf.unstack(hidden)


@dataclasses.dataclass(frozen=True)
class _BlockOfScan:
    """A block of `scan` with tensors as weights, whose rows pass in `pieces`."""

    block: keras.layers.Layer
    weights: list[tf.Tensor]
    contexts: list[tf.Tensor]
    key_mask: tf.Tensor | None
    pieces: int

    def apply(self, hidden: tf.Tensor) -> tf.Tensor:
        """[N, L, width] -> [N, L, width]."""
        if self.pieces == 1:
            return self._apply(hidden, self.contexts, self.key_mask)
        cut = self._cut(hidden)

        def body(p: tf.Tensor, outputs: tf.TensorArray) -> tuple[Any, ...]:
            return p + 1, outputs.write(p, self._apply(cut[p], *self._others(p)))

        outputs = tf.TensorArray(hidden.dtype, self.pieces, element_shape=cut.shape[1:])
        (outputs,) = loops.counted(self.pieces, body, outputs)
        return self._whole(outputs)

    def gradients(self, hidden: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
        """By the input, by each context, and by each weight; those by weights are summed over pieces in float32."""
        if self.pieces == 1:
            return self._gradients(hidden, self.contexts, self.key_mask, upstream)
        cut, cut_upstream = self._cut(hidden), self._cut(upstream)
        rows = 1 + len(self.contexts)  # the gradients that have a row for each row of the input

        def body(p: tf.Tensor, by_rows: list[tf.TensorArray], sums: list[tf.Tensor]) -> tuple[Any, ...]:
            found = self._gradients(cut[p], *self._others(p), cut_upstream[p])
            written = [one.write(p, new) for one, new in zip(by_rows, found[:rows], strict=True)]
            return p + 1, written, [one + tf.cast(new, one.dtype) for one, new in zip(sums, found[rows:], strict=True)]

        inputs = [cut, *map(self._cut, self.contexts)]
        by_rows = [tf.TensorArray(one.dtype, self.pieces, element_shape=one.shape[1:]) for one in inputs]
        sums = [tf.zeros(weight.shape, self.block.variable_dtype) for weight in self.weights]
        by_rows, sums = loops.counted(self.pieces, body, by_rows, sums)
        return [*map(self._whole, by_rows), *sums]

    def _apply(self, hidden: tf.Tensor, contexts: Sequence[tf.Tensor], key_mask: tf.Tensor | None) -> tf.Tensor:
        masked = {} if key_mask is None else {"key_mask": key_mask}
        with _weights(self.block, self.weights):
            return self.block(hidden, *contexts, **masked)

    def _gradients(
        self, hidden: tf.Tensor, contexts: Sequence[tf.Tensor], key_mask: tf.Tensor | None, upstream: tf.Tensor
    ) -> list[tf.Tensor]:
        sources = [hidden, *contexts, *self.weights]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs = self._apply(hidden, contexts, key_mask)
        return tape.gradient(outputs, sources, output_gradients=upstream)

    def _others(self, p: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """The contexts and the key mask of piece p."""
        mask = None if self.key_mask is None else self._cut(self.key_mask)[p]
        return [self._cut(one)[p] for one in self.contexts], mask

    def _cut(self, rows: tf.Tensor) -> tf.Tensor:
        """[N, ...] -> [pieces, N / pieces, ...]."""
        return tf.reshape(rows, [self.pieces, rows.shape[0] // self.pieces, *rows.shape[1:]])

    def _whole(self, pieces: tf.TensorArray) -> tf.Tensor:
        cut = pieces.stack()
        return tf.reshape(cut, [-1, *cut.shape[2:]])


def _pieces(inputs: tf.Tensor, most: int) -> int:
    """The largest number up to `most` that divides the number of rows; 1 if that is unknown."""
    return next(count for count in range(most, 0, -1) if count == 1 or (inputs.shape[0] or 1) % count == 0)


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
