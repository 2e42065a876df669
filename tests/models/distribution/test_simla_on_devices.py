"""Simla on 1, 2, 4 and 8 replicas equals one device on the whole batch; its state equals NumPy's and itself."""

import functools
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
pytestmark = pytest.mark.timeout(3600)  # eight replicas are traced for a quarter of an hour on a slow machine
REPLICAS = (1, 2, 4, 8)


@functools.cache
def on_devices(replicas: int, how_much: str = "whole") -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.distribution.simla_on_devices", str(replicas), how_much],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_replicas_equal_one_device_and_their_state_equals_numpy():
    found = on_devices(2, "quick")
    assert found["global"] < 1e-10
    assert found["trace"] < 1e-10
    assert found["control_nothing_moves"] > 0.1
    assert found["replicas_differ"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("replicas", REPLICAS)
def test_replicas_equal_one_device_on_the_whole_batch(replicas):
    """Loss, metrics, gradients by every weight, and the drawn pairs, in float64."""
    assert on_devices(replicas)["global"] < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("replicas", REPLICAS)
def test_thirty_steps_of_the_state_equal_numpy_and_are_equal_on_all_replicas(replicas):
    """Momentum copies, both queues in order, pointer, temperature and step."""
    found = on_devices(replicas)
    assert found["trace"] < 1e-10
    assert found["control_nothing_moves"] > 0.1
    assert found["replicas_differ"] == 0


@pytest.mark.slow
def test_control_targets_at_the_places_of_the_replica_differ():
    assert on_devices(2)["targets_at_places_of_the_replica"] > 1e-4


@pytest.mark.slow
def test_control_queues_of_the_keys_of_one_replica_differ():
    assert on_devices(2)["queue_of_one_replica"] > 0.1


@pytest.mark.slow
def test_negatives_of_the_replica_are_of_the_replica():
    found = on_devices(2)
    assert found["replica"] > 1e-4
    assert found["replica_places"] < 4
