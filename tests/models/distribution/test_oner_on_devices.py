"""Oner on 1, 2, 4 and 8 replicas equals one device on the whole batch; its momentum copy equals NumPy's."""

import functools
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
pytestmark = pytest.mark.timeout(3600)  # eight replicas are traced for a quarter of an hour on a slow machine


@functools.cache
def on_devices(replicas: int, how_much: str = "whole") -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.distribution.oner_on_devices", str(replicas), how_much],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow  # of the objectives with a state, CI compares Simla alone on two replicas
def test_the_losses_on_two_replicas_equal_one_device_on_the_whole_batch():
    found = on_devices(2, "quick")
    assert found["everything"] < 1e-10
    assert found["keys_of_one_replica"] > 1e-4  # control


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2, 4, 8])
def test_replicas_equal_one_device_on_the_whole_batch(replicas):
    """Losses, and with the passes of the tower, in float64; the count of masked places is that of the whole batch."""
    found = on_devices(replicas)
    assert max(found[case] for case in ("everything", "sigmoid", "whole")) < 1e-10
    assert replicas == 1 or found["keys_of_one_replica"] > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2, 4, 8])
def test_thirty_steps_of_the_momentum_copy_equal_numpy_and_are_equal_on_all_replicas(replicas):
    found = on_devices(replicas)
    assert found["trace"] < 1e-10
    assert found["replicas_differ"] == 0
    assert found["steps"] == 30
