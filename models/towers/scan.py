"""Equal blocks in a loop over their stacked weights, with a backward pass that computes activations again."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from models import loops
from models.towers.dropout import Drop, nothing
from models.towers.pieces import LayerInPieces, count, of_variables


def scan(
    blocks: Sequence[keras.layers.Layer],
    inputs: tf.Tensor,
    context: Sequence[tf.Tensor] | None = None,
    key_mask: tf.Tensor | None = None,
    gives_hidden: bool = False,
    drop: Drop = nothing,
    most_pieces: int = 1,
    longest_stride: int = 1,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Applies equal blocks one after the other, in a loop over their stacked weights; XLA compiles one block.

    The backward pass is a second loop. It computes the activations of one block at a time from the block's input. The
    first loop kept this input, or that of a block shortly before it.

    Args:
      blocks: layers with weights of the same names and shapes, which have been built.
      inputs: [N, L, width].
      context: for each block, its keyword argument `context`, [N, M, width]; None passes none.
      key_mask: the blocks' keyword argument `key_mask`, bool; None passes none.
      gives_hidden: whether to return the input of each block.
      drop: changes the input of each block, equally in both loops.
      most_pieces: a block takes the rows in as many pieces, one after the other, if this divides N; else in the next
        smaller number that does. So only the activations of one piece of one block are in memory.
      longest_stride: the first loop keeps the input of every k-th block, where k is the smallest divisor of the number
        of blocks from 2 to this number, or 1. The second loop computes the inputs between them again. With
        `gives_hidden`, all are kept.

    Returns:
      The last block's output, [N, L, width], and the inputs of all blocks, [N, L, width] each; none without
      `gives_hidden`.
    """
    first, depth = blocks[0], len(blocks)
    contexts = [] if context is None else [tf.stack(list(context))]
    pieces, stride = count(inputs, most_pieces), 1 if gives_hidden else _stride(depth, longest_stride)

    @tf.custom_gradient
    def scanned(inputs: tf.Tensor, *contexts: tf.Tensor) -> tuple[object, Callable[..., object]]:
        stacks = [
            tf.stack([tf.cast(weight, first.compute_dtype) for weight in alike])
            for alike in zip(*(block.trainable_variables for block in blocks), strict=True)
        ]
        passes = _Passes(first, depth, stacks, contexts, key_mask, drop, pieces, stride)
        outputs, kept = passes.forward(inputs)

        def gradient(*upstreams: tf.Tensor, variables: list[tf.Variable] | None = None) -> object:
            upstream, *by_hidden = upstreams
            by_inputs, found = passes.backward(kept, upstream, by_hidden)
            by_variables = of_variables(_by_name(blocks, found[len(contexts) :]), variables or [])
            return [by_inputs, *found[: len(contexts)]], by_variables

        return ((outputs, kept) if gives_hidden else outputs), gradient

    if not gives_hidden:
        return scanned(inputs, *contexts), []
    outputs, hidden = scanned(inputs, *contexts)
    return outputs, tf.unstack(hidden)


@dataclasses.dataclass(frozen=True)
class _Passes:
    """Both loops of `scan`: groups of `stride` blocks one after the other, and the blocks of a group one by one."""

    first: keras.layers.Layer
    depth: int
    stacks: list[tf.Tensor]
    contexts: Sequence[tf.Tensor]
    key_mask: tf.Tensor | None
    drop: Drop
    pieces: int
    stride: int

    def forward(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """[N, L, width] -> the last output, and the input of each group, [depth / stride, N, L, width]."""

        def body(group: tf.Tensor, hidden: tf.Tensor, kept: tf.TensorArray) -> tuple[Any, ...]:
            return group + 1, *self._through(group, hidden, self.stride), kept.write(group, hidden)

        groups = self.depth // self.stride
        kept = tf.TensorArray(inputs.dtype, groups, element_shape=inputs.shape)
        outputs, kept = loops.counted(groups, body, inputs, kept)
        return outputs, kept.stack()

    def backward(
        self, kept: tf.Tensor, upstream: tf.Tensor, by_hidden: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The gradients by the first block's input, and by the stacks of contexts and weights.

        `by_hidden` has the gradient by each block's input, from what else uses it; [] if nothing does.
        """

        def of_group(k: tf.Tensor, upstream: tf.Tensor, found: list[tf.TensorArray]) -> tuple[Any, ...]:
            group = self.depth // self.stride - 1 - k
            block_inputs = self._block_inputs(group, kept[group])

            def of_block(j: tf.Tensor, upstream: tf.Tensor, found: list[tf.TensorArray]) -> tuple[Any, ...]:
                place = self.stride - 1 - j
                number = group * self.stride + place
                block_input = block_inputs[place]
                with tf.GradientTape() as tape:
                    tape.watch(block_input)
                    dropped = self.drop(number, block_input)
                by_dropped, *by_rest = self._at(number).gradients(dropped, upstream)
                by_input = tape.gradient(dropped, block_input, output_gradients=by_dropped)
                for one in by_hidden:
                    by_input += one[number]
                return j + 1, by_input, [one.write(number, new) for one, new in zip(found, by_rest, strict=True)]

            return k + 1, *loops.counted(self.stride, of_block, upstream, found)

        dtype = self.first.compute_dtype if self.pieces == 1 else self.first.variable_dtype
        wanted = [*((one.dtype, one.shape[1:]) for one in self.contexts), *((dtype, s.shape[1:]) for s in self.stacks)]
        arrays = [tf.TensorArray(dtype, self.depth, element_shape=shape) for dtype, shape in wanted]
        by_inputs, arrays = loops.counted(self.depth // self.stride, of_group, upstream, arrays)
        return by_inputs, [one.stack() for one in arrays]

    def _at(self, k: tf.Tensor) -> "LayerInPieces":
        weights, contexts = [stack[k] for stack in self.stacks], [one[k] for one in self.contexts]
        return LayerInPieces(self.first, weights, contexts, self.key_mask, self.pieces)

    def _through(self, group: tf.Tensor, hidden: tf.Tensor, end: int, first: int = 0) -> tuple[tf.Tensor, ...]:
        """The output of the blocks from `first` to before `end` of a group."""

        def body(j: tf.Tensor, hidden: tf.Tensor) -> tuple[tf.Tensor, ...]:
            number = group * self.stride + j
            return j + 1, self._at(number).apply(self.drop(number, hidden))

        return loops.counted(end, body, hidden, first=first)

    def _block_inputs(self, group: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        """The inputs of a group's blocks, [stride, N, L, width], from the first of them."""
        found = [hidden]
        for place in range(1, self.stride):
            found += self._through(group, found[-1], place, first=place - 1)
        return tf.stack(found)


def _stride(depth: int, longest: int) -> int:
    return next((stride for stride in range(2, longest + 1) if depth % stride == 0), 1)


def _by_name(blocks: Sequence[keras.layers.Layer], by_stack: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
    """{name of a weight of a block: its gradient}, from the gradients by the stacked weights."""
    by_weight = [tf.unstack(one) for one in by_stack]
    return {
        weight.name: by_weight[i][k]
        for k, block in enumerate(blocks)
        for i, weight in enumerate(block.trainable_variables)
    }
