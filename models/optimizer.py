"""The optimiser: AdamW with warm-up and cosine decay, weight decay on kernels only (SigLIP, section 4)."""

import math

import tensorflow as tf
import tf_keras as keras

from models import settings


class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from 0 to `peak` in `warmup_steps`, then falls along a half cosine to 0 at `steps`."""

    def __init__(self, peak: float, warmup_steps: int, steps: int) -> None:
        self.peak, self.warmup_steps, self.steps = peak, warmup_steps, steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        done = tf.cast(step, tf.float32)
        rise = (done + 1.0) / max(self.warmup_steps, 1)
        progress = (done - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        fall = 0.5 * (1.0 + tf.cos(math.pi * tf.clip_by_value(progress, 0.0, 1.0)))
        return self.peak * tf.where(done < self.warmup_steps, rise, fall)

    def get_config(self) -> dict[str, float]:
        return {"peak": self.peak, "warmup_steps": self.warmup_steps, "steps": self.steps}


def create(config: settings.AdamWSettings, variables: list[tf.Variable], steps: int) -> keras.optimizers.Optimizer:
    """Makes the optimiser and its slots for `variables`; `steps` is the length of the schedule."""
    optimizer = keras.optimizers.AdamW(
        learning_rate=WarmupCosine(config.learning_rate, config.warmup_steps, steps),
        weight_decay=config.weight_decay,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        global_clipnorm=config.clip_norm,
    )
    optimizer.exclude_from_weight_decay(var_list=[v for v in variables if not is_kernel(v)])
    optimizer.build(variables)
    return optimizer


def is_kernel(variable: tf.Variable) -> bool:
    """Whether weight decay applies: matrices of dense, convolution and attention layers, no embedding, norm or bias."""
    return str(variable.name).split(":")[0].split("/")[-1] == "kernel"
