"""ClipRocket on 1, 2, 4 and 8 replicas equals one device on the whole batch; its state equals NumPy's and itself."""

import functools
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.models.training.shapes import write_shards

ROOT = pathlib.Path(__file__).parents[3]

pytestmark = pytest.mark.timeout(3600)  # eight replicas are traced for a quarter of an hour on a slow machine
REPLICAS = (1, 2, 4, 8)


@functools.cache
def on_devices(replicas: int, how_much: str = "whole") -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.distribution.rocket_on_devices", str(replicas), how_much],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow  # of the objectives with a state, CI compares Simla alone on two replicas
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


@pytest.mark.slow
def test_a_whole_run_on_two_replicas_ends_as_on_one_device(vocabulary, tmp_path):
    """With micro-batches, held-out rows and the choice of the ensemble weight."""
    found = {}
    for name, changes in {
        "one": [],
        "mirrored": ["runtime.strategy='mirrored'", "runtime.devices=('CPU:0','CPU:1')", "micro_batches=2"],
    }.items():
        folder = tmp_path / name
        write_shards(folder, 3)
        shutil.copy(vocabulary, folder / "vocabulary.model")
        command = [sys.executable, "-m", "tests.models.training.shapes", str(folder), "objective='rocket'", "steps=8"]
        subprocess.run([*command, *changes], cwd=ROOT, check=True, capture_output=True)
        found[name] = dict(np.load(folder / "weights.npz"))
    assert "ensemble_weight:0" in found["one"]
    for key, value in found["one"].items():
        np.testing.assert_allclose(found["mirrored"][key], value, atol=5e-4, err_msg=key)  # rounding of 8 steps of Adam
