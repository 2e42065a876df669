import tensorflow as tf

from models import settings
from models.optimizers.optimizer import Optimizer, Scalars, Slots


class Lion(Optimizer):
    """LION (arXiv 2302.06675): the sign of a mix of momentum and gradient, with one slot.

    The decay is weight_decay * the schedule's fraction of its peak, as in big_vision. The momentum may be stored in
    bfloat16; it is computed in the variable's dtype.
    """

    _config: settings.LionSettings

    def slots(self, variable: tf.Variable) -> dict[str, tf.TensorSpec]:
        dtype = tf.bfloat16 if self._config.momentum_dtype == "bfloat16" else variable.dtype
        return {"momentum": tf.TensorSpec(variable.shape, dtype)}

    def scalars(self, step: tf.Tensor, dtype: tf.DType) -> dict[str, tf.Tensor]:  # noqa: ARG002
        return {}

    def direction(self, gradient: tf.Tensor, slots: Slots, scalars: Scalars) -> tuple[tf.Tensor, Slots]:  # noqa: ARG002
        beta_1, beta_2 = self._config.beta_1, self._config.beta_2
        stored = slots["momentum"]
        momentum = tf.cast(stored, gradient.dtype)
        new = tf.cast(beta_2 * momentum + (1.0 - beta_2) * gradient, stored.dtype)
        return tf.sign(beta_1 * momentum + (1.0 - beta_1) * gradient), {"momentum": new}
