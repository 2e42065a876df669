"""The learning rate over the steps; test_optimizers.py has the closed forms of all kinds."""

import numpy as np
import pytest
import tensorflow as tf

from models import settings
from models.optimizers import schedules


def test_a_cosine_ends_at_its_final_share():
    steps = np.arange(0, 1001)
    rise, after = np.minimum((steps + 1) / 100, 1.0), np.maximum(steps - 100, 0)
    ending = settings.ScheduleSettings(warmup_steps=100, final_share=1 / 300)
    found = schedules.learning_rate(ending, 3e-3, 1000, tf.constant(steps), tf.float64).numpy()
    cosine = 0.5 + 0.5 * np.cos(np.pi * after / 900)
    np.testing.assert_allclose(found, rise * (1e-5 + (3e-3 - 1e-5) * cosine), atol=1e-15)
    assert found[-1] == pytest.approx(1e-5)
    plain = schedules.learning_rate(settings.ScheduleSettings(warmup_steps=100), 3e-3, 1000, tf.constant(steps))
    assert abs(float(plain[-1])) < 1e-9  # control
    with pytest.raises(ValueError, match=r"Schedule.final_share is 0.1, but must be 0 for kind 'rsqrt', which has no"):
        settings.ScheduleSettings("rsqrt", final_share=0.1)
    with pytest.raises(ValueError, match=r"Schedule.final_share is 1.5, but must be in \[0, 1\]"):
        settings.ScheduleSettings(final_share=1.5)
