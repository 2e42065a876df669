import math

import tensorflow as tf

from models import settings
from models.optimizers.optimizer import Optimizer, Scalars, Slots


class AdamW(Optimizer):
    """Adam with decoupled weight decay (arXiv 1711.05101); the decay is weight_decay * learning rate.

    Epsilon is added to the root of the debiased second moment, as in PyTorch and optax. Keras adds it to the root of
    the biased second moment, where it weighs more in the first steps.
    """

    decays_with_learning_rate = True
    _config: settings.AdamWSettings

    def slots(self, variable: tf.Variable) -> dict[str, tf.TensorSpec]:
        spec = tf.TensorSpec(variable.shape, variable.dtype)
        return {"first_moment": spec, "second_moment": spec}

    def scalars(self, step: tf.Tensor, dtype: tf.DType) -> dict[str, tf.Tensor]:
        updates = tf.cast(step + 1, dtype)
        return {
            "debias_1": _one_minus_power(self._config.beta_1, updates),
            "debias_2": _one_minus_power(self._config.beta_2, updates),
        }

    def direction(self, gradient: tf.Tensor, slots: Slots, scalars: Scalars) -> tuple[tf.Tensor, Slots]:
        beta_1, beta_2 = self._config.beta_1, self._config.beta_2
        first = beta_1 * slots["first_moment"] + (1.0 - beta_1) * gradient
        second = beta_2 * slots["second_moment"] + (1.0 - beta_2) * tf.square(gradient)
        root = tf.sqrt(second / scalars["debias_2"]) + self._config.epsilon
        return (first / scalars["debias_1"]) / root, {"first_moment": first, "second_moment": second}


def _one_minus_power(base: float, exponent: tf.Tensor) -> tf.Tensor:
    """1 - base^exponent, without the cancellation that float32 has for a base close to 1."""
    return -tf.math.expm1(exponent * math.log(base)) if base else tf.ones_like(exponent)
