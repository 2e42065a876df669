"""What tests.tpu.comparison lets pass, and what it does not."""

import numpy as np
import pytest

from tests.tpu import comparison

START = {"kernel": np.ones((2, 2), np.float32), "attention/key/bias": np.zeros(2, np.float32)}
STEP = 1e-3


def alone(**more: np.ndarray) -> dict[str, np.ndarray]:
    """Results of two steps that moved all weights by STEP."""
    outputs = {"loss": np.array([[2.0], [1.0]]), "update_norm": np.full((2, 1), STEP), "bad_part": np.full((2, 1), -1)}
    weights = {f"start/{name}": value for name, value in START.items()}
    return {**outputs, **weights, **{f"variable/{name}": value + STEP for name, value in START.items()}, **more}


def on_replicas(**more: np.ndarray) -> dict[str, np.ndarray]:
    """The same results on two replicas."""
    found = {name: value for name, value in alone(**more).items() if not name.startswith("start/")}
    return {name: np.stack([value] * 2) if "/" in name else np.repeat(value, 2, 1) for name, value in found.items()}


def test_equal_results_pass():
    comparison.require_equal_replicas(on_replicas())
    comparison.require_same_training(on_replicas(), alone(), rtol=1e-4, update_rtol=1e-3)


def test_a_bias_of_keys_may_go_another_way():
    went = {"variable/attention/key/bias": START["attention/key/bias"] - STEP}
    comparison.require_same_training(on_replicas(**went), alone(), rtol=1e-4, update_rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("variable/kernel", START["kernel"] + 1.0005 * STEP),  # 5e-7 of the weights, 5e-4 of their way
        ("variable/kernel", START["kernel"]),
        ("loss", np.array([[2.0], [1.001]])),
        ("update_norm", np.full((2, 1), 1.002 * STEP)),
    ],
)
def test_control_another_way_or_output_fails(name, value):
    with pytest.raises(AssertionError, match=name):
        comparison.require_same_training(on_replicas(**{name: value}), alone(), rtol=1e-4, update_rtol=1e-3)


def test_control_a_variable_that_moves_on_one_device_alone_fails():
    ours = on_replicas()
    del ours["variable/kernel"]
    with pytest.raises(AssertionError, match="variable/kernel"):
        comparison.require_same_training(ours, alone(), rtol=1e-4, update_rtol=1e-3)


@pytest.mark.parametrize("name", ["variable/kernel", "loss"])
def test_control_replicas_that_differ_fail(name):
    ours = on_replicas()
    ours[name] = ours[name] + np.arange(2).reshape(2, 1, 1) if "/" in name else ours[name] + np.arange(2)
    with pytest.raises(AssertionError, match="differs between replicas"):
        comparison.require_equal_replicas(ours)
