"""The Trainer on platforms: the job that TFX's client sends to Vertex AI, several processes, and preemption."""

import json
import pathlib
import re
import signal
import socket
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
from google.api_core.exceptions import ServiceUnavailable
from google.cloud.aiplatform import gapic
from google.cloud.aiplatform_v1.types import CustomJob, JobState
from tfx.types import artifact_utils, standard_artifacts

from components.trainer import vertex
from tests.pipeline.conftest import GIN
from tests.pipeline.kfp import compiled
from tests.pipeline.kfp.launcher import BUCKET, make_image
from tests.pipeline.trainer_process import INPUTS, OUTPUTS, TINY, TYPES, Trainer


class Jobs:
    """A fake of Vertex AI's job service: it records requests, runs nothing, and returns the given states in turn."""

    requests: ClassVar[list[tuple[str, CustomJob]]] = []
    cancelled: ClassVar[list[str]] = []
    states: ClassVar[list[JobState | Exception]] = []

    def __init__(self, client_options):
        self.endpoint = client_options["api_endpoint"]

    def create_custom_job(self, parent, custom_job):
        job = CustomJob(custom_job)  # raises for unknown fields
        self.requests.append((f"{self.endpoint} {parent}", job))
        return CustomJob(name=f"{parent}/customJobs/1")

    def get_custom_job(self, name, retry):  # noqa: ARG002
        state = self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        return CustomJob(name=name, state=state)

    def cancel_custom_job(self, name):
        self.cancelled.append(name)


def request(
    monkeypatch, folder: pathlib.Path, spec: dict, uri: str, states: tuple = (JobState.JOB_STATE_SUCCEEDED,)
) -> tuple[str, CustomJob]:
    """Returns the request to Vertex AI of the Trainer in a specification, with artifacts below `uri`."""
    monkeypatch.setattr(gapic, "JobServiceClient", Jobs)
    for name, value in (("requests", []), ("cancelled", []), ("states", list(states))):
        monkeypatch.setattr(Jobs, name, value)
    task = spec["root"]["dag"]["tasks"]["Trainer"]["inputs"]["parameters"]
    properties = {name: one["runtimeValue"]["constant"] for name, one in task.items() if "runtimeValue" in one}
    made = {name: [_artifact(kind, f"{uri}/{name}")] for name, kind in TYPES.items()}
    vertex.Executor().Do(
        {key: made[key] for key in INPUTS}, {key: made[key] for key in OUTPUTS}, {**properties, "steps": 5}
    )
    (one,) = Jobs.requests
    return one


def _artifact(kind, uri):
    artifact = kind()
    artifact.uri = uri
    if kind is standard_artifacts.Examples:
        artifact.split_names = artifact_utils.encode_split_names(["train", "eval"])
    return artifact


def test_fields_of_a_job_on_a_tpu(monkeypatch, tmp_path):
    bindings = ["Vertex.project = 'p'", "Vertex.service_account = 'trainer@p.iam'", "Vertex.trainer_image = 'r/tpu:1'",
                "Vertex.network = 'projects/1/global/networks/n'", "Vertex.timeout_hours = {'Trainer': 3}"]  # fmt: skip
    spec = compiled.vertex(tmp_path, *bindings, files=compiled.gin("vertex_tpu_v5e"))["pipelineSpec"]
    container = spec["deploymentSpec"]["executors"]["Trainer_executor"]["container"]
    assert container["args"][1] == "components.trainer.vertex.Executor"
    where, job = request(monkeypatch, tmp_path, spec, "gs://b/run")
    assert where == "us-central1-aiplatform.googleapis.com projects/p/locations/us-central1"
    assert job.display_name == "quickstart-trainer"
    (pool,) = job.job_spec.worker_pool_specs
    assert pool.machine_spec.machine_type == "ct5lp-hightpu-8t"
    assert pool.machine_spec.tpu_topology == "2x4"
    assert pool.machine_spec.accelerator_count == 0
    assert pool.replica_count == 1
    assert pool.disk_spec.boot_disk_size_gb == 200
    assert pool.container_spec.image_uri == "r/tpu:1"
    command = list(pool.container_spec.command)
    assert command[:5] == ["python", "-m", "tfx.scripts.run_executor", "--executor_class_path",
                           "components.trainer.executor.RestartedExecutor"]  # fmt: skip
    assert json.loads(command[command.index("--exec-properties") + 1])["steps"] == 5
    assert "gs://b/run/model" in command[command.index("--outputs") + 1]
    assert job.job_spec.scheduling.timeout.total_seconds() == 3 * 3600
    assert job.job_spec.scheduling.restart_job_on_worker_restart
    assert job.job_spec.scheduling.strategy.name == "SPOT"
    assert job.job_spec.service_account == "trainer@p.iam"
    assert job.job_spec.network == "projects/1/global/networks/n"


def test_job_on_three_gpu_machines_has_one_chief(monkeypatch, tmp_path):
    files = compiled.gin("vertex_gpu", "runtime/multi_worker.gin")
    spec = compiled.vertex(tmp_path, "Vertex.hosts = 3", files=files)["pipelineSpec"]
    _, job = request(monkeypatch, tmp_path, spec, "gs://b/run")
    first, others = job.job_spec.worker_pool_specs
    for pool in (first, others):
        assert pool.machine_spec.machine_type == "a2-highgpu-2g"
        assert pool.machine_spec.accelerator_type.name == "NVIDIA_TESLA_A100"
        assert pool.machine_spec.accelerator_count == 2
        assert pool.machine_spec.tpu_topology == ""
        assert pool.container_spec.command == first.container_spec.command
    assert (first.replica_count, others.replica_count) == (1, 2)
    assert job.job_spec.scheduling.strategy.name == "STRATEGY_UNSPECIFIED"
    assert job.job_spec.scheduling.timeout.total_seconds() == 168 * 3600


RUNNING, FAILED, EXPIRED = JobState.JOB_STATE_RUNNING, JobState.JOB_STATE_FAILED, JobState.JOB_STATE_EXPIRED


@pytest.fixture
def job_spec(tmp_path):
    return compiled.vertex(tmp_path, files=compiled.gin("vertex_tpu_v5e"))["pipelineSpec"]


def test_job_is_cancelled_when_the_waiting_task_is_stopped(monkeypatch, tmp_path, job_spec):
    monkeypatch.setattr(vertex.time, "sleep", lambda _: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as stopped:
        request(monkeypatch, tmp_path, job_spec, "gs://b/run", (RUNNING, RUNNING))
    assert stopped.value.code == 143
    assert Jobs.cancelled == ["projects/YOUR-PROJECT/locations/us-central1/customJobs/1"]
    monkeypatch.setattr(vertex.time, "sleep", lambda _: None)
    away = ServiceUnavailable("away")
    with pytest.raises(ServiceUnavailable):
        request(monkeypatch, tmp_path, job_spec, "gs://b/run", (RUNNING, *6 * [away]))
    assert len(Jobs.cancelled) == 1


def test_task_waits_until_the_job_ends(monkeypatch, tmp_path, job_spec):
    slept = []
    monkeypatch.setattr(vertex.time, "sleep", slept.append)
    away = (RUNNING, *5 * [ServiceUnavailable("away")], RUNNING, *5 * [ConnectionError("away")])
    request(monkeypatch, tmp_path, job_spec, "gs://b/run", (*away, JobState.JOB_STATE_SUCCEEDED))
    assert sum(slept) == 12 * 30
    for state in (FAILED, EXPIRED):
        with pytest.raises(RuntimeError, match="customJobs/1' did not succeed"):
            request(monkeypatch, tmp_path, job_spec, "gs://b/run", (RUNNING, state))
    assert not Jobs.cancelled


def test_control_unknown_api_field_is_refused():
    with pytest.raises(ValueError, match="Unknown field"):
        Jobs({"api_endpoint": "e"}).create_custom_job("p", {"job_spec": {"worker_pool_specs": [{"machine": "m"}]}})


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> pathlib.Path:
    return make_image(tmp_path_factory.mktemp("image"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_processes_of_a_vertex_job_train_the_same_weights_as_one(image, vocabulary, tmp_path, monkeypatch):
    alone = Trainer(tmp_path / "alone", image, vocabulary)
    one = alone.start(alone.command(4))
    assert one.wait() == 0, one.communicate()[0]

    two = Trainer(tmp_path / "two", image, vocabulary)
    files = [GIN, *compiled.gin("vertex_gpu", "runtime/multi_worker.gin")[1:]]
    more = (f"Vertex.root = '{BUCKET}/siglip'", "Vertex.hosts = 2", "Runtime.compute_dtype = 'float32'")
    spec = compiled.vertex(tmp_path, *TINY, *more, files=files)["pipelineSpec"]
    _, job = request(monkeypatch, tmp_path, spec, f"{BUCKET}/made")
    command = [
        word.replace(BUCKET, str(two.launcher.bucket))
        for word in job.job_spec.worker_pool_specs[0].container_spec.command
    ]
    properties = json.loads(command[command.index("--exec-properties") + 1])
    command[command.index("--exec-properties") + 1] = json.dumps({**properties, "steps": 4})
    chief, worker = (f"localhost:{_free_port()}" for _ in range(2))
    cluster = {"chief": [chief], "worker": [worker]}  # in the form of Vertex AI
    tasks = [{"type": kind, "index": 0} for kind in ("chief", "worker")]
    processes = [two.start(command, TF_CONFIG=json.dumps({"cluster": cluster, "task": task})) for task in tasks]
    printed = [process.communicate(timeout=500)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    assert "step 4/4" in printed[0]
    assert "step 4/4" not in printed[1]

    found, expected = two.weights(), alone.weights()
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
    # Control: the weights after one step less differ by more.
    less = Trainer(tmp_path / "less", image, vocabulary)
    shorter = less.start(less.command(3))
    assert shorter.wait() == 0, shorter.communicate()[0]
    assert max(np.abs(less.weights()[name] - value).max() for name, value in expected.items()) > 1e-4


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_same_command_resumes_training_after_preemption_and_after_a_kill(image, vocabulary, tmp_path):
    trainer = Trainer(tmp_path, image, vocabulary)
    command = trainer.command(400)
    preempted = trainer.start(command)
    trainer.wait_for_a_checkpoint(preempted, 0)
    preempted.send_signal(signal.SIGTERM)
    printed = preempted.communicate()[0]
    assert preempted.returncode == 143, printed  # 0 would mean to the platform that training is complete
    saved = int(re.search(r"stopped by SIGTERM at step (\d+); saved", printed).group(1))
    assert not (trainer.folder / "output_metadata.json").exists()

    killed = trainer.start(command)
    trainer.wait_for_a_checkpoint(killed, saved)
    killed.kill()
    assert f"going on from step {saved} of 400" in killed.communicate()[0]
    assert not tf.io.gfile.exists(str(trainer.folder / "model" / "Format-Serving"))

    last = trainer.start(command)
    printed = last.communicate()[0]
    assert last.returncode == 0, printed
    assert int(re.search(r"going on from step (\d+) of 400", printed).group(1)) > saved
    assert (trainer.folder / "output_metadata.json").exists()
    assert trainer.weights()


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("localhost", 0))
        return opened.getsockname()[1]
