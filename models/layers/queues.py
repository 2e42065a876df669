"""Queues of keys of former batches, as further negatives (MoCo, arXiv 1911.05722; SIMLA, arXiv 2203.14395)."""

import tensorflow as tf
import tf_keras as keras

from models.distribution import state


class Queues(keras.layers.Layer):
    """Two ring buffers of unit-norm keys, `image` and `text`, float32 [size, dim], and one `pointer` for both.

    The pointer, int32, is the place of the oldest key, which the next key replaces. Before the first step, keys are
    random.
    """

    def __init__(self, size: int, dim: int, **kwargs: object) -> None:
        super().__init__(trainable=False, **kwargs)
        self._size, self._dim = size, dim

    def build(self, input_shape: object = None) -> None:
        shape = (self._size, self._dim)
        self.image = self.add_weight("image", shape, initializer=_unit_norm, trainable=False)
        self.text = self.add_weight("text", shape, initializer=_unit_norm, trainable=False)
        self.pointer = self.add_weight("pointer", (), tf.int32, "zeros", trainable=False)
        super().build(input_shape)

    @property
    def state(self) -> list[tf.Variable]:
        """What `enqueue` changes."""
        return [self.image, self.text, self.pointer]

    def enqueue(self, image: tf.Tensor, text: tf.Tensor) -> None:
        """Replaces the oldest keys by those of the whole batch, [|B|, dim] each; call it in replica context.

        Every replica must pass the same keys, in the order of the replicas. |B| must divide the size.
        """
        pointer = self.pointer.read_value()
        changes = [
            (queue, enqueued(queue.read_value(), pointer, tf.cast(keys, queue.dtype)))
            for queue, keys in ((self.image, image), (self.text, text))
        ]
        state.assign([*changes, (self.pointer, (pointer + image.shape[0]) % self._size)])


def enqueued(queue: tf.Tensor, pointer: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """The queue, [Q, dim], with `keys`, [n, dim], in place of the n that begin at the pointer, a multiple of n."""
    count, dim = keys.shape
    parts = tf.reshape(queue, [queue.shape[0] // count, count, dim])
    replaced = tf.range(parts.shape[0]) == pointer // count
    return tf.reshape(tf.where(replaced[:, None, None], keys[None], parts), queue.shape)


def _unit_norm(shape: tuple[int, ...], dtype: tf.DType | None = None, **_: object) -> tf.Tensor:
    return tf.nn.l2_normalize(tf.random.normal(shape, dtype=dtype or tf.float32), axis=-1)
