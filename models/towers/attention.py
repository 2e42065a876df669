"""Multi-head attention of a sequence to itself or to another one."""

import tensorflow as tf
import tf_keras as keras

from models.towers import operations


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

    def weights_of(
        self, queries: tf.Tensor, context: tf.Tensor | None = None, key_mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The attention weights alone, which `call` applies to the values: [N, heads, L, M], in float32 at least."""
        (query,), (key,) = (
            self._project(queries, self.query),
            self._project(queries if context is None else context, self.key),
        )
        dtype = tf.float64 if query.dtype == tf.float64 else tf.float32
        scores = tf.matmul(tf.cast(query, dtype), tf.cast(key, dtype), transpose_b=True) * query.shape[-1] ** -0.5
        if key_mask is not None:
            scores = tf.where(key_mask[:, None, None, :], scores, dtype.min)
        return tf.nn.softmax(scores)

    def _project(self, sequence: tf.Tensor, *projections: keras.layers.EinsumDense) -> list[tf.Tensor]:
        """[N, L, width] -> for each projection, [N, heads, L, width / heads]."""
        width, heads, length = self.width, self.heads, sequence.shape[1]
        kernel = tf.concat([tf.reshape(one.kernel, [width, width]) for one in projections], axis=1)
        bias = tf.concat([tf.reshape(one.bias, [width]) for one in projections], axis=0)
        flat = tf.matmul(tf.reshape(sequence, [-1, width]), tf.cast(kernel, sequence.dtype))
        flat = tf.nn.bias_add(flat, tf.cast(bias, flat.dtype))
        parts = tf.reshape(flat, [-1, length, len(projections), heads, width // heads])
        return tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))
