"""A number that rises from 0 with the steps of training."""

import tensorflow as tf
import tf_keras as keras

from models.distribution import state


class Ramp(keras.layers.Layer):
    """Rises linearly from 0 to `last` over `steps` steps, and stays; it counts the steps itself, as state."""

    def __init__(self, last: float, steps: int, **kwargs: object) -> None:
        super().__init__(trainable=False, **kwargs)
        self._last, self._steps = last, steps

    def build(self, input_shape: object = None) -> None:
        self.step = self.add_weight("step", (), tf.int32, "zeros", trainable=False)
        super().build(input_shape)

    def now(self) -> tf.Tensor:
        """The number in this step, in the dtype of weights; 0 in the first one, unless there is no ramp."""
        if not self._steps:
            return tf.constant(self._last, self.variable_dtype)
        done = tf.minimum(self.step.read_value(), self._steps)
        return self._last * tf.cast(done, self.variable_dtype) / self._steps

    def advance(self) -> None:
        """Counts a step; call it in replica context."""
        state.assign([(self.step, self.step.read_value() + 1)])
