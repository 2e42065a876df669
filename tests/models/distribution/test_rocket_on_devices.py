"""ClipRocket on 1, 2, 4 and 8 replicas equals one device on the whole batch; its state equals NumPy's and itself."""

import functools
import json
import pathlib
import subprocess
import sys

import pytest

REPLICAS = (1, 2, 4, 8)


@functools.cache
def on_devices(replicas: int, how_much: str = "whole") -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.distribution.rocket_on_devices", str(replicas), how_much],
        cwd=pathlib.Path(__file__).parents[3], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_local_views_on_two_replicas_equal_one_device_on_the_whole_batch():
    found = on_devices(2, "quick")
    assert found["views"] < 1e-10
    assert found["norm_within_replica"] > 1e-4  # control


@pytest.mark.slow
@pytest.mark.parametrize("replicas", REPLICAS)
def test_replicas_equal_one_device_on_the_whole_batch(replicas):
    """Loss, metrics, statistics, and gradients by every feature and weight, in float64."""
    found = on_devices(replicas)
    assert max(found[case] for case in ("terms", "sigmoid_swalip", "prototypes")) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("control", ["correlation_within_replica", "sinkhorn_within_replica"])
def test_control_a_term_within_each_replica_differs(control):
    assert on_devices(2)[control] > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("replicas", REPLICAS)
def test_twenty_steps_of_the_state_equal_numpy_and_are_equal_on_all_replicas(replicas):
    """Running statistics, the momentum copy of towers and projectors, and the bounds of the scales."""
    found = on_devices(replicas)
    assert found["trace"] < 1e-10
    assert found["control_nothing_moves"] > 0.1
    assert found["replicas_differ"] == 0
