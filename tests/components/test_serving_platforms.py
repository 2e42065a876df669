"""Serving in Docker and on Kubernetes, tested without either: the requests to their APIs."""

import json

import pytest
import tensorflow as tf
from kubernetes import client as kubernetes_client
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import kube_utils

import docker
from components.infra_validator import executor, runners, serving_check
from components.infra_validator.settings import InfraValidatorSettings
from models.settings import configuration
from tests.components.toy_models import ToyModel
from tests.models.training.shapes import EXAMPLES
from tests.pictures import shape_pairs
from tests.served import ThreadRunner

PICTURES, CAPTIONS = zip(*[(picture, caption.encode()) for picture, caption, _ in shape_pairs()[:2]], strict=True)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("base") / "siglip" / "1")
    tf.saved_model.save(ToyModel(), path, signatures=ToyModel().signatures())
    return path


def check(saved: str, **values) -> dict:
    settings = InfraValidatorSettings(leak_requests=10, **values)
    return serving_check.serve_and_check(saved, list(PICTURES), list(CAPTIONS), settings)


class FakeContainer:
    """A container whose server runs in the test's process; each call of `stats` adds 40 MB to its memory."""

    status = "running"

    def __init__(self, model_path: str) -> None:
        self.runner = ThreadRunner(model_path)
        self.runner.Start()
        self.usage = 500_000_000
        self.stopped = False

    @property
    def ports(self):
        port = self.runner.GetEndpoint().split(":")[1]
        return {"8500/tcp": [{"HostIp": "0.0.0.0", "HostPort": port}]}

    def reload(self):
        pass

    def stats(self, stream):
        assert not stream
        self.usage += 40_000_000
        return {"memory_stats": {"usage": self.usage, "stats": {"inactive_file": 100_000_000}}}

    def logs(self):
        return b"first line\nlast line"

    def stop(self):
        self.stopped = True
        self.runner.Stop()


class FakeDocker:
    """Docker's client, with `containers.run` only."""

    def __init__(self) -> None:
        self.containers = self
        self.asked: dict = {}

    def run(self, **asked):
        self.asked = asked
        self.container = FakeContainer(asked["mounts"][0]["Source"])
        return self.container

    def close(self):
        pass


@pytest.fixture
def engine(monkeypatch):
    fake = FakeDocker()
    monkeypatch.setattr(docker, "DockerClient", lambda **_: fake)
    return fake


def test_docker_runs_the_image_with_the_model_and_the_check_measures_its_memory(saved, engine):
    measured = check(saved, platform="docker", image="registry/serving", tag="2.16.1")
    assert measured["problem"] == ""
    assert measured["platform"] == "docker"
    assert measured["peak_memory_bytes"] == 500e6 + 3 * 40e6 - 100e6
    assert measured["memory_growth_bytes"] == 40e6
    assert engine.asked["image"] == "registry/serving:2.16.1"
    assert engine.asked["environment"]["MODEL_NAME"] == "siglip"
    (mount,) = engine.asked["mounts"]
    assert (mount["Source"], mount["Target"], mount["ReadOnly"]) == (saved, "/model/siglip/1", True)
    assert engine.container.stopped


def test_docker_blocks_a_server_whose_memory_grows(saved, engine):
    assert "memory grew by 40.0 MB" in check(saved, platform="docker", max_growth_bytes=39_999_999)["problem"]
    assert engine.container.stopped


def test_a_missing_docker_engine_is_an_error_and_no_verdict_on_the_model(saved, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(RuntimeError, match=r"no Docker engine answers .*set InfraValidator\.platform = 'process'"):
        check(saved, platform="docker")


class FakeCluster:
    """The part of the Kubernetes API that TFX's runner uses; the server of a pod runs in the test's process."""

    def __init__(self, model_path: str) -> None:
        self.server = ThreadRunner(model_path)
        self.deleted: list[str] = []
        container = kubernetes_client.V1Container(name=kube_utils.ARGO_MAIN_CONTAINER_NAME, volume_mounts=[])
        spec = kubernetes_client.V1PodSpec(containers=[container], service_account_name="pipeline-runner", volumes=[])
        meta = kubernetes_client.V1ObjectMeta(name="executor", uid="1")
        self.executor = kubernetes_client.V1Pod(api_version="v1", kind="Pod", metadata=meta, spec=spec)

    def read_namespaced_pod(self, name, namespace):
        assert namespace == "kubeflow"
        if name == "executor":
            return self.executor
        return kubernetes_client.V1Pod(status=kubernetes_client.V1PodStatus(phase="Running", pod_ip="127.0.0.1"))

    def create_namespaced_pod(self, namespace, body):
        assert namespace == "kubeflow"
        self.manifest = kubernetes_client.ApiClient().sanitize_for_serialization(body)
        self.server.Start()
        body.metadata.name = "server"
        return body

    def delete_namespaced_pod(self, name, namespace):
        assert namespace == "kubeflow"
        self.deleted.append(name)
        self.server.Stop()

    def read_namespaced_pod_log(self, name, namespace):
        return f"log of {namespace}/{name}\nkilled"


@pytest.fixture
def cluster(saved, monkeypatch):
    fake = FakeCluster(saved)
    monkeypatch.setattr(kube_utils, "make_core_v1_api", lambda: fake)
    monkeypatch.setattr(kube_utils, "is_inside_kfp", lambda: True)
    monkeypatch.setattr(runners.KubernetesRunner, "GetEndpoint", lambda _: fake.server.GetEndpoint())
    monkeypatch.setenv(kube_utils.KFP_NAMESPACE, "kubeflow")
    monkeypatch.setenv(kube_utils.KFP_POD_NAME, "executor")
    return fake


def test_kubernetes_runs_a_pod_that_reads_a_copy_below_the_pipeline_root(saved, cluster, tmp_path):
    """The whole executor: rows from shards, a copy of the model, a pod, requests, the blessing."""
    (tmp_path / "examples" / "Split-eval").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(tmp_path / "examples" / "Split-eval" / "rows")) as shard:
        for row in EXAMPLES[:4]:
            shard.write(row)
    tf.io.gfile.makedirs(str(tmp_path / "model"))
    (tmp_path / "model" / "Format-Serving").symlink_to(saved)
    model, examples, blessing = (
        standard_artifacts.Model(),
        standard_artifacts.Examples(),
        standard_artifacts.InfraBlessing(),
    )
    model.uri, examples.uri, blessing.uri = (str(tmp_path / name) for name in ("model", "examples", "blessing"))
    examples.split_names = artifact_utils.encode_split_names(["eval"])
    tf.io.gfile.makedirs(blessing.uri)
    settings = InfraValidatorSettings(platform="kubernetes", rows=4, leak_requests=10, max_memory_bytes=3_000_000_000)
    properties = {"settings": configuration.to_gin(settings)}
    context = base_executor.BaseExecutor.Context(tmp_dir=str(tmp_path / "root"), unique_id="1")
    executor.Executor(context).Do({"model": [model], "examples": [examples]}, {"blessing": [blessing]}, properties)
    measured = json.loads((tmp_path / "blessing" / executor.CHECK_FILE).read_text())
    assert measured["problem"] == ""
    assert measured["rows"] == 4
    assert "peak_memory_bytes" not in measured
    assert (tmp_path / "blessing" / "INFRA_BLESSED").exists()
    assert cluster.deleted == ["server"]

    (container,) = cluster.manifest["spec"]["containers"]
    assert container["image"] == "tensorflow/serving:2.19.1"
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert environment["MODEL_NAME"] == "siglip"
    assert environment["MODEL_BASE_PATH"].startswith(str(tmp_path / "root"))
    assert not list((tmp_path / "root").rglob("saved_model.pb"))  # the copy is gone
    assert container["resources"]["limits"] == {"memory": "3000000000"}
    assert "claims" not in container["resources"]
    assert cluster.manifest["spec"]["serviceAccountName"] == "pipeline-runner"
    assert cluster.manifest["metadata"]["ownerReferences"][0]["name"] == "executor"


def test_a_pod_that_does_not_load_in_time_is_blocked_with_the_end_of_its_log(cluster, saved, monkeypatch):
    monkeypatch.setattr(runners.KubernetesRunner, "GetEndpoint", lambda _: "127.0.0.1:9")
    problem = check(saved, platform="kubernetes", max_load_seconds=1.0)["problem"]
    assert problem.endswith("InfraValidator.max_load_seconds is 1; its log ends: killed")
    assert cluster.deleted == ["server"]


def test_control_tfx_alone_sends_claims_that_are_no_list(cluster, saved, monkeypatch):
    """Shows why KubernetesRunner corrects the manifest; if this test fails, TFX does so and the correction can go."""
    monkeypatch.delattr(runners.KubernetesRunner, "_BuildPodManifest")
    check(saved, platform="kubernetes")
    assert cluster.manifest["spec"]["containers"][0]["resources"]["claims"] == {}


def test_a_missing_cluster_is_an_error_and_no_verdict_on_the_model(saved):
    with pytest.raises(RuntimeError, match=r"no pod of Kubeflow Pipelines; .*set InfraValidator\.platform = 'process'"):
        check(saved, platform="kubernetes")
