"""A server under mixed load gives the local model's answers, and its memory does not grow."""

import pytest
import tensorflow as tf

from tests.benchmarks import serving_load
from tests.components.toy_models import LeakingModel


# Memory still grows in the first seconds; in ten minutes it grew by 4 to 24 MB.
@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "bound"), [(5, 250e6), (600, 30e6)])
def test_memory_is_steady(exported, seconds, bound):
    load = serving_load.run(exported, seconds)
    print(load)
    assert load.answered >= 2 * 2 * 6  # two clients, two rounds
    assert load.refused == load.answered / 6
    assert load.growth_bytes < bound


@pytest.mark.slow
def test_control_a_leak_is_detected(tmp_path):
    model = LeakingModel(floats=1_000_000)
    tf.saved_model.save(model, str(tmp_path), signatures=model.signatures())
    assert serving_load.run(str(tmp_path), 20).growth_bytes > 250e6
