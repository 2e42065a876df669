"""Compares the loss with a dense float64 reference, its gradients with closed forms, and its start with the paper."""

import functools
import json
import pathlib
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from models.distribution.collectives import OneDevice
from models.losses.sigmoid import sigmoid_loss
from tests import loops


def unit_rows(rows: int, dim: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, dim))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def reference(x: np.ndarray, y: np.ndarray, log_scale: float, bias: float) -> tuple[float, dict[str, np.ndarray]]:
    """Algorithm 1 of the paper and its derivatives, pair by pair."""
    rows = len(x)
    scale = np.exp(log_scale)
    loss, grads = 0.0, {"x": np.zeros_like(x), "y": np.zeros_like(y), "log_scale": 0.0, "bias": 0.0}
    for i in range(rows):
        for j in range(rows):
            z = 1.0 if i == j else -1.0
            similarity = float(x[i] @ y[j])
            margin = z * (scale * similarity + bias)
            loss += np.logaddexp(0.0, -margin) / rows
            slope = -z / (1.0 + np.exp(margin)) / rows
            grads["x"][i] += slope * scale * y[j]
            grads["y"][j] += slope * scale * x[i]
            grads["log_scale"] += slope * scale * similarity
            grads["bias"] += slope
    return loss, grads


def test_loss_and_gradients_equal_the_reference():
    x, y = unit_rows(9, 5, 0), unit_rows(9, 5, 1)
    loss, grads = reference(x, y, np.log(7.0), -3.0)
    tensors = {
        "x": tf.Variable(x),
        "y": tf.Variable(y),
        "log_scale": tf.Variable(np.log(7.0)),
        "bias": tf.Variable(np.float64(-3.0)),
    }
    with tf.GradientTape() as tape:
        ours = sigmoid_loss(tensors["x"], tensors["y"], tensors["log_scale"], tensors["bias"])
    np.testing.assert_allclose(ours.numpy(), loss, rtol=1e-13)
    for name, gradient in tape.gradient(ours, tensors).items():
        np.testing.assert_allclose(gradient.numpy(), grads[name], rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize(("rows", "expected"), [(256, 10.0), (1024, 10.05)])
def test_first_loss_of_random_embeddings_equals_the_papers(rows, expected):
    x, y = unit_rows(rows, 768, 0), unit_rows(rows, 768, 1)
    assert float(sigmoid_loss(tf.constant(x), tf.constant(y), np.log(10.0), -10.0)) == pytest.approx(expected, abs=0.05)


def test_control_the_sign_of_b_printed_in_section_3_2_gives_a_huge_loss():
    x, y = unit_rows(256, 768, 0), unit_rows(256, 768, 1)
    assert float(sigmoid_loss(tf.constant(x), tf.constant(y), np.log(10.0), 10.0)) > 2000


def test_right_pairs_have_a_lower_loss_than_shuffled_pairs():
    x = unit_rows(64, 32, 0)
    right = sigmoid_loss(tf.constant(x), tf.constant(x), np.log(10.0), -10.0)
    wrong = sigmoid_loss(tf.constant(x), tf.constant(np.roll(x, 1, axis=0)), np.log(10.0), -10.0)
    assert float(right) < float(wrong) - 1.0


@pytest.mark.parametrize("form", ["loop", "gathered"])
def test_one_block_of_logits_is_in_memory_at_a_time(form):
    rows = tf.constant(unit_rows(4, 8, 0), tf.float32)
    scale, bias = tf.constant(1.0), tf.constant(-10.0)
    collectives = mock.Mock(wraps=OneDevice(), num_replicas=1, form=form)
    assert loops.at_once(lambda: sigmoid_loss(rows, rows, scale, bias, collectives)) == [1]


@functools.cache
def on_devices(replicas: int, losses: str = "sigmoid") -> dict[str, dict[str, float]]:
    """Errors of these losses on `replicas` logical CPUs, in a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.distribution.ring_on_devices", str(replicas), losses],
        cwd=pathlib.Path(__file__).parents[3], capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


MANY = [pytest.param(count, marks=pytest.mark.slow) for count in (4, 8)]  # minutes on two cores


@pytest.mark.parametrize("replicas", [pytest.param(1, marks=pytest.mark.slow), 2, 3, *MANY])
def test_chunked_loss_equals_the_dense_float64_loss_on_any_number_of_devices(replicas):
    found = on_devices(replicas)
    for form in ("ring", *(["gathered"] if replicas > 1 else [])):
        assert max(found[form].values()) < 1e-12, (form, found[form])


@pytest.mark.parametrize("replicas", [3, *MANY])
def test_control_a_broken_ring_has_wrong_gradients(replicas):
    found = on_devices(replicas)
    assert found["reversed"]["y"] > 1e-3
    assert found["missing_hop"]["y"] > 1e-3
    assert found["missing_hop"]["loss"] < 1e-12  # the loss alone does not show the fault
    assert min(found["divided_by_local_b"].values()) > 1e-3
