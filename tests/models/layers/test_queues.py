"""Queues hold exactly the last keys, in order."""

import numpy as np
import pytest
import tensorflow as tf

from models.layers.queues import Queues, enqueued

SIZE, DIM, BATCH = 12, 3, 4


def made(size: int = SIZE) -> Queues:
    tf.random.set_seed(0)
    queues = Queues(size, DIM)
    queues.build()
    return queues


def keys(step: int) -> tf.Tensor:
    return tf.fill([BATCH, DIM], float(step)) + tf.range(BATCH, dtype=tf.float32)[:, None] / 10


@pytest.mark.parametrize("steps", [1, 3, 4, 11])
def test_queues_hold_the_last_keys_in_order(steps):
    queues = made()
    start = queues.image.numpy()
    for step in range(steps):
        queues.enqueue(keys(step), -keys(step))
    seen = np.concatenate([start, *(keys(step) for step in range(steps))])[-SIZE:]
    pointer = int(queues.pointer)
    np.testing.assert_array_equal(np.roll(queues.image.numpy(), -pointer, axis=0), seen)
    assert pointer == steps * BATCH % SIZE
    new = min(steps * BATCH, SIZE)
    np.testing.assert_array_equal(np.roll(queues.text.numpy(), -pointer, axis=0)[-new:], -seen[-new:])


def test_a_queue_of_the_size_of_the_batch_holds_the_last_step():
    np.testing.assert_array_equal(enqueued(keys(0), tf.constant(0), keys(5)), keys(5))
    queues = made(BATCH)
    for step in range(3):
        queues.enqueue(keys(step), -keys(step))
        np.testing.assert_array_equal(queues.image.numpy(), keys(step))
        np.testing.assert_array_equal(queues.text.numpy(), -keys(step))


def test_keys_are_random_and_of_unit_norm_at_first_and_no_optimiser_moves_them():
    queues = made()
    np.testing.assert_allclose(np.linalg.norm(queues.image, axis=1), 1, rtol=1e-6)
    assert np.abs(queues.image.numpy() - queues.text.numpy()).max() > 0.1
    assert not queues.trainable_variables
    assert len(queues.state) == len(queues.variables) == 3
