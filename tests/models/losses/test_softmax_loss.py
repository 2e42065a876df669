"""Compares both softmax losses, and their gradients by every input, with a dense NumPy reference."""

import numpy as np
import pytest
import tensorflow as tf

from models.losses.softmax import one_way_softmax_loss, softmax_loss
from tests.dense_losses import complex_step_gradients, dense_one_way_loss
from tests.models.losses.test_sigmoid_loss import on_devices, unit_rows

ROWS, DIM, QUEUE = 9, 5, 4
NEAR = {"float64": 1e-10, "float32": 1e-5}
QUEUED = unit_rows(QUEUE, DIM, 3)


def soft_targets(rows: int, columns: int) -> np.ndarray:
    drawn = np.random.default_rng(4).uniform(size=(rows, columns)) ** 3
    return drawn / drawn.sum(axis=1, keepdims=True)


def inputs() -> dict[str, np.ndarray]:
    return {"x": unit_rows(ROWS, DIM, 0), "y": unit_rows(ROWS, DIM, 1), "log_scale": np.log(7.0)}


def ours(loss, dtype: str = "float64") -> tuple[float, dict[str, np.ndarray]]:
    variables = {name: tf.Variable(value, dtype=dtype) for name, value in inputs().items()}
    with tf.GradientTape() as tape:
        value = loss(**variables)
    gradients = tape.gradient(value, variables)
    return float(value), {name: None if g is None else g.numpy() for name, g in gradients.items()}


def symmetric_reference(x, y, log_scale, label_smoothing):
    both = (dense_one_way_loss(*rows, log_scale, label_smoothing) for rows in ((x, y), (y, x)))
    return sum(both) / 2


CASES = {
    "one-hot": {},
    "smoothed": {"label_smoothing": 0.1},
    "queue": {"queue": QUEUED},
    "smoothed queue": {"queue": QUEUED, "label_smoothing": 0.3},
    "soft": {"targets": soft_targets(ROWS, ROWS)},
    "soft queue": {"targets": soft_targets(ROWS, ROWS + QUEUE), "queue": QUEUED},
    "targets that do not add up to 1": {"targets": 0.5 * soft_targets(ROWS, ROWS)},
}


def one_way(case: str, dtype: str, **more):
    arrays = {name: tf.constant(v, dtype) if isinstance(v, np.ndarray) else v for name, v in CASES[case].items()}
    return ours(lambda x, y, log_scale: one_way_softmax_loss(x, y, log_scale, **arrays, **more), dtype)


def assert_near(found, expected, dtype, names=("x", "y", "log_scale")):
    assert found[0] == pytest.approx(expected[0], rel=NEAR[dtype])
    for name in names:
        np.testing.assert_allclose(found[1][name], expected[1][name], atol=NEAR[dtype], err_msg=name)


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_the_symmetric_loss_equals_the_reference(label_smoothing, dtype):
    expected = complex_step_gradients(lambda **i: symmetric_reference(**i, label_smoothing=label_smoothing), inputs())
    assert_near(ours(lambda x, y, log_scale: softmax_loss(x, y, log_scale, None, label_smoothing), dtype), expected,
                dtype)  # fmt: skip


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("case", CASES)
def test_the_one_way_loss_equals_the_reference(case, dtype):
    def reference(x, y, log_scale):
        return dense_one_way_loss(x, y, log_scale, **CASES[case])

    assert_near(one_way(case, dtype), complex_step_gradients(reference, inputs()), dtype)


@pytest.mark.parametrize("case", CASES)
def test_keys_that_do_not_learn_have_no_gradient_and_change_nothing_else(case):
    found, expected = one_way(case, "float64", keys_learn=False), one_way(case, "float64")
    assert found[1]["y"] is None
    assert_near(found, expected, "float64", ("x", "log_scale"))


def test_control_another_smoothing_another_queue_and_shuffled_targets_differ():
    _, expected = one_way("smoothed", "float64")
    for case in ("one-hot", "smoothed queue", "soft"):
        _, found = one_way(case, "float64")
        assert np.abs(found["x"] - expected["x"]).max() > 1e-3, case
    flipped = tf.constant(CASES["soft"]["targets"][:, ::-1].copy())
    _, wrong = ours(lambda x, y, log_scale: one_way_softmax_loss(x, y, log_scale, targets=flipped))
    assert np.abs(wrong["x"] - one_way("soft", "float64")[1]["x"]).max() > 1e-3


def test_targets_with_smoothing_are_refused():
    with pytest.raises(ValueError, match=r"label_smoothing is 0.3, but must be 0 with targets; smooth the targets"):
        one_way("soft", "float64", label_smoothing=0.3)


SLOW = pytest.mark.slow
MANY = [pytest.param(count, marks=SLOW) for count in (4, 8)]  # minutes on two cores


@pytest.mark.parametrize("replicas", [pytest.param(1, marks=SLOW), 2, *MANY])
def test_replicas_equal_one_device_on_the_whole_batch(replicas):
    found = on_devices(replicas, "softmax")
    for form in ("softmax", "softmax_smoothed", "one_way_smoothed", "one_way_soft_queue"):
        assert max(found[form].values()) < 1e-12, (form, found[form])


@pytest.mark.parametrize("replicas", [2, *MANY])
def test_control_smoothing_over_the_rows_of_one_replica_differs(replicas):
    assert on_devices(replicas, "softmax")["smoothed_by_local_b"]["y"] > 1e-3
