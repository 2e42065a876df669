"""A layer that takes the rows of its input in pieces, so that only the activations of one piece are in memory."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from models import loops


def in_pieces(layer: keras.layers.Layer, inputs: tf.Tensor, width: int, most_pieces: int) -> tf.Tensor:
    """Applies a layer to the rows in pieces, one after the other; the backward pass computes each piece again.

    Args:
      layer: [N, L, width] -> [N, width]; it has been built.
      inputs: [N, L, width].
      width: of the output.
      most_pieces: as in `scan`.

    Returns:
      [N, width]
    """
    pieces = count(inputs, most_pieces)
    if pieces == 1:
        return layer(inputs)

    @tf.custom_gradient
    def cut(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        weights = [tf.cast(weight, layer.compute_dtype) for weight in layer.trainable_variables]
        rows = LayerInPieces(layer, weights, [], None, pieces, (width,))

        def gradient(upstream: tf.Tensor, variables: list[tf.Variable] | None = None) -> object:
            by_input, *by_weights = rows.gradients(inputs, upstream)
            names = [weight.name for weight in layer.trainable_variables]
            return [by_input], of_variables(dict(zip(names, by_weights, strict=True)), variables or [])

        return rows.apply(inputs), gradient

    return cut(inputs)


@dataclasses.dataclass(frozen=True)
class LayerInPieces:
    """A layer with tensors as weights, whose rows pass in `pieces`, one after the other."""

    layer: keras.layers.Layer
    weights: list[tf.Tensor]
    contexts: list[tf.Tensor]
    key_mask: tf.Tensor | None
    pieces: int
    output: tuple[int, ...] | None = None  # the shape of a row's output, if it is not that of the input

    def apply(self, hidden: tf.Tensor) -> tf.Tensor:
        """[N, L, width] -> [N, L, width]."""
        if self.pieces == 1:
            return self._apply(hidden, self.contexts, self.key_mask)
        cut = self._cut(hidden)

        def body(p: tf.Tensor, outputs: tf.TensorArray) -> tuple[Any, ...]:
            return p + 1, outputs.write(p, self._apply(cut[p], *self._others(p)))

        shape = cut.shape[1:] if self.output is None else [cut.shape[1], *self.output]
        outputs = tf.TensorArray(hidden.dtype, self.pieces, element_shape=shape)
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
        sums = [tf.zeros(weight.shape, self.layer.variable_dtype) for weight in self.weights]
        by_rows, sums = loops.counted(self.pieces, body, by_rows, sums)
        return [*map(self._whole, by_rows), *sums]

    def _apply(self, hidden: tf.Tensor, contexts: Sequence[tf.Tensor], key_mask: tf.Tensor | None) -> tf.Tensor:
        masked = {} if key_mask is None else {"key_mask": key_mask}
        with _weights(self.layer, self.weights):
            return self.layer(hidden, *contexts, **masked)

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


def count(inputs: tf.Tensor, most: int) -> int:
    """The largest number up to `most` that divides the number of rows; 1 if that is unknown."""
    return next(count for count in range(most, 0, -1) if count == 1 or (inputs.shape[0] or 1) % count == 0)


def of_variables(found: Mapping[str, tf.Tensor], variables: Sequence[tf.Variable]) -> list[tf.Tensor]:
    """Picks each variable's gradient by its name, since the tape drops Keras' wrappers."""
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
