"""The learning rate as a pure function of the step; it runs inside compiled steps."""

import math

import tensorflow as tf

from models import settings


def learning_rate(
    schedule: settings.ScheduleSettings, peak: float, steps: int, step: tf.Tensor, dtype: tf.DType = tf.float32
) -> tf.Tensor:
    """`peak` times the `fraction` at this step."""
    return peak * fraction(schedule, steps, step, dtype)


def fraction(
    schedule: settings.ScheduleSettings, steps: int, step: tf.Tensor, dtype: tf.DType = tf.float32
) -> tf.Tensor:
    """The learning rate at a step, as a fraction of its peak.

    It rises linearly to 1 over the warm-up, then falls as `schedule.kind` says. Over the last `cooldown_steps`, a
    factor falls linearly to 0, as in big_vision. With a cooldown, the rate is 0 at `steps`, one after the last step;
    with a cosine it is `schedule.final_share` there.

    Args:
      schedule: its settings.
      steps: length of the schedule.
      step: int64 of any shape; the first step is 0.
      dtype: of the result.
    """
    step = tf.convert_to_tensor(step, tf.int64)
    past = tf.cast(tf.maximum(step - schedule.warmup_steps, 0), dtype)
    if schedule.kind == "cosine":
        progress = tf.minimum(past / max(steps - schedule.warmup_steps, 1), 1.0)
        share = 0.5 * (1.0 + tf.cos(math.pi * progress))
        if schedule.final_share:
            share = schedule.final_share + (1.0 - schedule.final_share) * share
    elif schedule.kind == "rsqrt":
        share = 1.0 / tf.sqrt(1.0 + past / schedule.timescale)
    else:
        share = tf.ones_like(past)
    if schedule.warmup_steps:
        share *= tf.minimum(tf.cast(step + 1, dtype) / schedule.warmup_steps, 1.0)
    if schedule.cooldown_steps:
        left = tf.cast(tf.maximum(steps - step, 0), dtype)
        share *= tf.minimum(left / schedule.cooldown_steps, 1.0)
    return share
