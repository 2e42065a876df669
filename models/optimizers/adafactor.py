import tensorflow as tf

from models import settings
from models.optimizers.optimizer import Optimizer, Scalars, Slots


class Adafactor(Optimizer):
    """Adafactor (arXiv 1804.04235) in big_vision's variant (arXiv 2106.04560, section 3.3).

    The second moment equals that of optax's scale_by_factored_rms: a moving average of g^2 + epsilon with the decay
    min(1 - (step + 1)^-rate, beta_2_cap), where the first step is 0. For large variables, the slots hold only its means
    over each of the two largest dimensions. The momentum is a moving average of the scaled gradient, neither debiased
    nor clipped. It may be stored in bfloat16; the update uses the value before rounding. Unlike the original Adafactor,
    it neither scales updates by the size of the variable nor uses relative steps.
    """

    _config: settings.AdafactorSettings

    def slots(self, variable: tf.Variable) -> dict[str, tf.TensorSpec]:
        shape, dtype = variable.shape.as_list(), variable.dtype
        narrow = tf.bfloat16 if self._config.momentum_dtype == "bfloat16" else dtype
        slots = {"momentum": tf.TensorSpec(shape, narrow)}
        dims = self._factored(shape)
        if dims is None:
            return slots | {"second_moment": tf.TensorSpec(shape, dtype)}
        second, largest = dims
        return slots | {
            "second_moment_row": tf.TensorSpec([size for dim, size in enumerate(shape) if dim != largest], dtype),
            "second_moment_column": tf.TensorSpec([size for dim, size in enumerate(shape) if dim != second], dtype),
        }

    def scalars(self, step: tf.Tensor, dtype: tf.DType) -> dict[str, tf.Tensor]:
        beta_2 = 1.0 - tf.pow(tf.cast(step + 1, dtype), -self._config.decay_rate)
        return {"beta_2": tf.minimum(beta_2, self._config.beta_2_cap)}

    def direction(self, gradient: tf.Tensor, slots: Slots, scalars: Scalars) -> tuple[tf.Tensor, Slots]:
        stored, beta_1 = slots["momentum"], self._config.beta_1
        scale, moments = self._scale(gradient, slots, scalars["beta_2"])
        momentum = beta_1 * tf.cast(stored, gradient.dtype) + (1.0 - beta_1) * gradient * scale
        return momentum, {"momentum": tf.cast(momentum, stored.dtype), **moments}

    def _scale(self, gradient: tf.Tensor, slots: Slots, beta_2: tf.Tensor) -> tuple[tf.Tensor, Slots]:
        """Returns one over the root of the second moment, and the new values of its slots."""
        square = tf.square(gradient) + self._config.epsilon
        dims = self._factored(gradient.shape.as_list())
        if dims is None:
            moment = _average(slots["second_moment"], square, beta_2)
            return tf.math.rsqrt(moment), {"second_moment": moment}
        second, largest = dims
        row = _average(slots["second_moment_row"], tf.reduce_mean(square, largest), beta_2)
        column = _average(slots["second_moment_column"], tf.reduce_mean(square, second), beta_2)
        mean = tf.reduce_mean(row, second - 1 if second > largest else second, keepdims=True)
        scale = tf.expand_dims(tf.math.rsqrt(row / mean), largest) * tf.expand_dims(tf.math.rsqrt(column), second)
        return scale, {"second_moment_row": row, "second_moment_column": column}

    def _factored(self, shape: list[int]) -> tuple[int, int] | None:
        """The second largest and the largest dimension, None if small; of equal ones, the later counts as larger."""
        if len(shape) < 2:
            return None
        second, largest = sorted(range(len(shape)), key=lambda dim: shape[dim])[-2:]
        return (second, largest) if shape[second] >= self._config.min_dim_to_factor else None


def _average(average: tf.Tensor, value: tf.Tensor, decay: tf.Tensor) -> tf.Tensor:
    return decay * average + (1.0 - decay) * value
