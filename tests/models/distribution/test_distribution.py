"""The ring of TPU chips, missing devices, and training on replicas and workers, which equals training on one device."""

import dataclasses
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from models import settings
from models.distribution import collectives, strategies, topology
from models.training.step import TrainStep
from tests.models.training.shapes import CONFIG, fit, weights, write_shards

ROOT = pathlib.Path(__file__).parents[3]


@pytest.mark.parametrize(
    "mesh",
    [(2, 2, 1, 1), (2, 2, 2, 1), (2, 2, 4, 1), (4, 4, 4, 1), (4, 4, 1, 1), (3, 4, 1, 1), (2, 2, 1, 2), (2, 1, 1, 1)],
)
def test_every_hop_of_the_ring_goes_to_a_neighbour(mesh):
    coordinates = list(np.ndindex(mesh))
    np.random.default_rng(0).shuffle(coordinates)
    order = topology.ring_order(coordinates)
    assert sorted(order) == list(range(len(coordinates)))
    walk = np.array([coordinates[index] for index in order])
    hops = np.abs(np.roll(walk, -1, axis=0) - walk)[:, :3].sum(axis=1)
    assert hops.max() <= 1, walk.tolist()


def test_control_plain_numbering_is_no_ring_of_neighbours():
    walk = np.array(list(np.ndindex((4, 4, 4, 1))))
    assert np.abs(np.roll(walk, -1, axis=0) - walk).sum(axis=1).max() > 1


def test_an_odd_mesh_and_a_part_of_a_mesh_still_give_one_ring():
    assert sorted(topology.ring_order(list(np.ndindex((3, 3, 1, 1))))) == list(range(9))
    assert topology.ring_order([(0, 0, 0, 0), (1, 1, 0, 0), (5, 0, 0, 0)]) == [0, 1, 2]


def test_ring_hops_are_neighbours_in_tensorflows_device_assignment():
    coordinates = np.array([[[x, y, 0, 0] for x in range(2) for y in range(2)]], np.int32)
    system = tf.tpu.experimental.Topology(mesh_shape=[2, 2, 1, 1], device_coordinates=coordinates)
    assignment = tf.tpu.experimental.DeviceAssignment.build(system, num_replicas=4)
    ring = topology.ring_order(assignment.core_assignment[:, 0, :])
    pairs = collectives.Tpu(ring).pairs
    assert sorted(source for source, _ in pairs) == sorted(target for _, target in pairs) == [0, 1, 2, 3]
    for source, target in pairs:
        assert np.abs(assignment.core_assignment[source] - assignment.core_assignment[target]).sum() == 1


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        (settings.RuntimeSettings("mirrored"), r"Runtime.devices is \(\), but TensorFlow sees CPU:0; name devices"),
        (settings.RuntimeSettings("mirrored", ("GPU:7",)), r"Runtime.devices is \('GPU:7',\), but TensorFlow sees"),
        (settings.RuntimeSettings("multi_worker"), "TF_CONFIG names no worker; set it on every machine"),
        (
            settings.RuntimeSettings("tpu", tpu="grpc:/nowhere"),
            "Runtime.tpu is 'grpc:/nowhere', but no TPU answers there",
        ),
    ],
)
def test_missing_devices_are_reported_with_the_fix(runtime, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match=message):
        strategies.create(runtime)


@pytest.mark.parametrize(("kind", "index", "process"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)])
def test_the_chief_of_a_cluster_is_the_first_process(monkeypatch, kind, index, process):
    cluster = {"chief": ["localhost:1"], "worker": ["localhost:2", "localhost:3"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))
    monkeypatch.setattr(
        tf.distribute, "MultiWorkerMirroredStrategy", lambda cluster_resolver: tf.distribute.get_strategy()
    )
    found = strategies.create(settings.RuntimeSettings("multi_worker"))
    assert (found.process, found.processes, found.readers) == (process, 3, 3)
    assert found.is_chief == (kind == "chief")


def test_remat_without_xla_is_refused():
    with pytest.raises(ValueError, match=r"Runtime.remat is 'scan', but must be 'nothing' without XLA"):
        settings.RuntimeSettings(remat="scan", jit_compile=False)


@pytest.fixture(scope="module")
def folder(vocabulary, tmp_path_factory):
    """A function that makes folders with the same shards."""

    def make(name: str) -> pathlib.Path:
        path = tmp_path_factory.mktemp(name)
        write_shards(path, 3)
        shutil.copy(vocabulary, path / "vocabulary.model")
        return path

    return make


def command(path: pathlib.Path, *changes: str) -> list[str]:
    return [sys.executable, "-m", "tests.models.training.shapes", str(path), "steps=12", *changes]


@pytest.fixture(scope="module")
def one_device(vocabulary, folder) -> dict[str, np.ndarray]:
    """The weights of a run of this process."""
    path = folder("one")
    shards = sorted(map(str, path.glob("rows-*.gz")))
    return weights(fit(vocabulary, shards, path, dataclasses.replace(CONFIG, steps=12)))


def assert_near(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=2e-4, err_msg=name)  # rounding errors of 12 steps of Adam


def test_mirrored_replicas_train_as_one_device_does(folder, one_device):
    path = folder("mirrored")
    changes = ["runtime.strategy='mirrored'", "runtime.devices=('CPU:0','CPU:1')", "micro_batches=2",
               "runtime.steps_per_loop=4"]  # fmt: skip
    subprocess.run(command(path, *changes), cwd=ROOT, check=True, capture_output=True)
    assert_near(dict(np.load(path / "weights.npz")), one_device)


def test_a_batch_that_replicas_cannot_share_is_refused():
    message = "Training.batch_size is 45, but must be a multiple of 2: 2 replicas x 1 micro-batches; try 44"
    with pytest.raises(ValueError, match=message):
        TrainStep(None, None, collectives.Mirrored(2), dataclasses.replace(CONFIG, batch_size=45))


@pytest.mark.slow  # four processes train
def test_two_workers_share_the_rows_and_resume_from_the_chiefs_checkpoint(folder):
    """Each worker reads its own rows, so weights differ from those of one device; both workers end with the same."""
    path = folder("workers")
    ports = [free_port() for _ in range(2)]
    for steps in (10, 12):  # the second start resumes from the checkpoint of step 10
        outputs = []
        for index in range(2):
            cluster = {"worker": [f"localhost:{port}" for port in ports]}
            config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
            own = path / f"worker-{index}"
            own.mkdir(exist_ok=True)
            for shared in path.glob("*.*"):
                if not (own / shared.name).exists():
                    (own / shared.name).symlink_to(shared)
            (path / "checkpoints").mkdir(exist_ok=True)
            if not (own / "checkpoints").exists():
                (own / "checkpoints").symlink_to(path / "checkpoints")
            changes = ["runtime.strategy='multi_worker'", f"steps={steps}", "schedule.kind='constant'"]
            outputs.append(
                subprocess.Popen(
                    [*command(own), *changes], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                    env={**os.environ, "TF_CONFIG": config},
                )
            )  # fmt: skip
        printed = [process.communicate(timeout=300)[0] for process in outputs]
        assert [process.returncode for process in outputs] == [0, 0], printed
    assert "going on from step 10 of 12" in printed[0]
    one, other = (dict(np.load(path / f"worker-{index}" / "weights.npz")) for index in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    progress = json.loads((path / "checkpoints" / "step-00000012" / "progress.json").read_text())
    assert len(progress["positions"]) == 2
    assert progress["log"][-1]["loss"] < progress["log"][0]["loss"]
    assert "step 12/12" in printed[0]
    assert "step 12" not in printed[1]
    assert (path / "worker-1" / "log" / "worker_1" / "training_log.jsonl").exists()


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("localhost", 0))
        return opened.getsockname()[1]
