"""The specifications for Kubeflow Pipelines and Vertex AI: complete, valid, and as gin sets them."""

import json

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.protobuf import json_format
from kfp import components
from kfp.client import client as kfp_client
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.pipeline.kfp import compiled

COMPONENTS = {
    "Augmenter", "BatchCheck", "Deduper", "EvaluationSuite", "Evaluator", "ExampleValidator", "ImageTextGen",
    "InfraValidator", "InputState", "ModelPackager", "Pusher", "RunReport", "SchemaGen", "StatisticsGen", "Trainer",
    "VocabularyTrainer",
}  # fmt: skip
RESOLVERS = {"LastBlessedModel-model-blessing-resolver", "LastBlessedModel-model-resolver"}


@pytest.fixture(scope="module")
def vertex(tmp_path_factory):
    return compiled.vertex(tmp_path_factory.mktemp("vertex"))


@pytest.fixture(scope="module")
def kubeflow(tmp_path_factory):
    (spec,) = compiled.kubeflow(tmp_path_factory.mktemp("kubeflow"))
    return spec


def test_specifications_parse_as_kfp_protos_and_are_complete(vertex, kubeflow):
    json_format.ParseDict(vertex, pipeline_spec_pb2.PipelineJob())
    for spec, more in ((vertex["pipelineSpec"], RESOLVERS), (kubeflow, {"LastBlessedModel"})):
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        tasks = spec["root"]["dag"]["tasks"]
        assert set(tasks) == COMPONENTS | more
        for task in tasks.values():
            assert {*task.get("dependentTasks", [])} <= set(tasks)
            for parameter in task.get("inputs", {}).get("parameters", {}).values():
                if source := parameter.get("taskOutputParameter"):
                    outputs = spec["components"][source["producerTask"]]["outputDefinitions"]["parameters"]
                    assert source["outputParameterKey"] in outputs
        executors = spec["deploymentSpec"]["executors"]
        assert {component["executorLabel"] for component in spec["components"].values()} == set(executors)
    assert not [one for one in kubeflow["deploymentSpec"]["executors"].values() if "resolver" in one]


def test_clients_load_the_specifications(tmp_path, vertex, kubeflow):
    yaml_file = tmp_path / "pipeline.yaml"
    compiled.kubeflow(tmp_path)
    loaded = kfp_client._extract_pipeline_yaml(str(yaml_file))
    assert loaded.pipeline_spec.pipeline_info.name == "quickstart"
    assert set(components.load_component_from_file(str(yaml_file)).component_spec.inputs) == {
        "data",
        "steps",
        "push_destination",
    }
    compiled.vertex(tmp_path)
    job = aiplatform.PipelineJob(
        display_name="x", template_path=str(tmp_path / "pipeline.json"), project="p", location="us-central1",
        credentials=AnonymousCredentials(), parameter_values={"steps": 7}, pipeline_root="gs://bucket/root",
    )  # fmt: skip
    assert job.runtime_config.parameter_values["steps"] == 7


def test_parameters_default_to_the_values_of_gin(vertex):
    parameters = vertex["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    assert parameters["data"]["defaultValue"] == ""
    assert parameters["steps"]["defaultValue"] == 1200
    destination = json.loads(parameters["push_destination"]["defaultValue"])
    assert destination == {"filesystem": {"base_directory": "gs://YOUR-BUCKET/siglip/quickstart/serving"}}
    tasks = vertex["pipelineSpec"]["root"]["dag"]["tasks"]
    assert tasks["Trainer"]["inputs"]["parameters"]["steps"] == {"componentInputParameter": "steps"}
    given = tasks["RunReport"]["inputs"]["parameters"]  # it reports the run's own parameters, not gin's
    assert given["steps"] == {"componentInputParameter": "steps"}
    settings = {"producerTask": "InputState", "outputParameterKey": "current_image_text_gen"}
    assert given["image_text_gen"] == {"taskOutputParameter": settings}
    assert tasks["InputState"]["inputs"]["parameters"]["data"] == {"componentInputParameter": "data"}


def test_cache_retries_timeout_and_resources_follow_gin(tmp_path):
    bindings = ["Vertex.timeout_hours = {'Trainer': 2}", "Vertex.retries = {'': 3, 'Pusher': 0}",
                "Vertex.cpus = {'': 2, 'Evaluator': 16}", "Vertex.uncached = ('SchemaGen',)"]  # fmt: skip
    spec = compiled.vertex(tmp_path, *bindings)["pipelineSpec"]
    tasks, executors = spec["root"]["dag"]["tasks"], spec["deploymentSpec"]["executors"]
    cached = {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert COMPONENTS - cached == {"InputState", "SchemaGen"}
    assert tasks["Trainer"]["retryPolicy"]["maxRetryCount"] == 3
    assert "retryPolicy" not in tasks["Pusher"]
    assert executors["Trainer_executor"]["container"]["command"][:3] == ["timeout", "--kill-after=120", "7200"]
    assert executors["Pusher_executor"]["container"]["command"][0] == "python"
    assert executors["Evaluator_executor"]["container"]["resources"]["cpuLimit"] == 16
    assert executors["Pusher_executor"]["container"]["resources"] == {"cpuLimit": 2, "memoryLimit": 16}


def test_timeout_below_a_second_becomes_one_second(tmp_path):
    spec = compiled.vertex(tmp_path, "Vertex.timeout_hours = {'Trainer': 0.0001}")["pipelineSpec"]
    assert _container(spec)["command"][:3] == ["timeout", "--kill-after=120", "1"]


def test_task_that_waits_for_a_vertex_job_has_not_the_image_resources_or_timeout_of_the_job(tmp_path):
    bindings = ["Vertex.image = 'r/cpu:1'", "Vertex.trainer_image = 'r/tpu:1'", "Vertex.timeout_hours = {'Trainer': 2}"]
    spec = compiled.vertex(tmp_path, *bindings, files=compiled.gin("vertex_tpu_v5e"))["pipelineSpec"]
    container = _container(spec)
    assert container["image"] == "r/cpu:1"
    assert container["resources"] == _container(spec, "Pusher")["resources"]
    assert container["command"][0] == "python"
    assert "r/tpu:1" in json.dumps(spec["root"]["dag"]["tasks"]["Trainer"]["inputs"]["parameters"]["custom_config"])
    # Control: a Trainer task that trains itself has them.
    spec = compiled.vertex(tmp_path, *bindings)["pipelineSpec"]
    assert _container(spec)["image"] == "r/tpu:1"
    assert _container(spec)["resources"]["cpuLimit"] == 8
    assert _container(spec)["command"][2] == "7200"


def test_task_is_retried_once_and_on_preemptible_machines_ten_times(tmp_path):
    def tries(spec):
        return spec["root"]["dag"]["tasks"]["Trainer"]["retryPolicy"]["maxRetryCount"]

    assert tries(compiled.vertex(tmp_path, files=compiled.gin("vertex_tpu_v5e"))["pipelineSpec"]) == 1
    assert tries(compiled.kubeflow(tmp_path)[0]) == 1
    on_tpu = compiled.gin("kubeflow_tpu_v5e")
    assert tries(compiled.kubeflow(tmp_path, files=on_tpu)[0]) == 10
    assert tries(compiled.kubeflow(tmp_path, "Kubeflow.retries = {'': 2}", files=on_tpu)[0]) == 10
    assert tries(compiled.kubeflow(tmp_path, "Kubeflow.retries = {'Trainer': 4}", files=on_tpu)[0]) == 4


@pytest.mark.parametrize(("platform", "cpus", "memory"), [("tpu_v5e", 200, 340), ("gpu", 20, 80)])
def test_trainer_pod_may_use_the_host_of_its_devices(tmp_path, platform, cpus, memory):
    spec = compiled.kubeflow(tmp_path, files=compiled.gin(f"kubeflow_{platform}"))[0]
    resources = _container(spec)["resources"]
    assert (resources["cpuLimit"], resources["memoryLimit"]) == (cpus, memory)
    assert _container(spec, "Pusher")["resources"] == {"cpuLimit": 4, "memoryLimit": 16}


def test_beam_runs_on_dataflow_if_gin_says_so(tmp_path):
    spec = compiled.vertex(tmp_path, files=compiled.gin("vertex", "engine/dataflow_image.gin"))["pipelineSpec"]
    args = spec["deploymentSpec"]["executors"]["ImageTextGen_executor"]["container"]["args"]
    assert "--runner=DataflowRunner" in args
    assert any(arg.startswith("--sdk_container_image=") for arg in args)
    assert any(arg.startswith("--service_account_email=") for arg in args)
    assert "--runner=FnApiRunner" not in args


@pytest.mark.parametrize(
    ("platform", "accelerator", "labels"),
    [
        (
            "kubeflow_tpu_v5e",
            {"type": "google.com/tpu", "count": "8"},
            {
                "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
                "cloud.google.com/gke-tpu-topology": "2x4",
                "cloud.google.com/gke-spot": "true",
            },
        ),
        (
            "kubeflow_gpu",
            {"type": "nvidia.com/gpu", "count": "2"},
            {"cloud.google.com/gke-accelerator": "nvidia-l4"},
        ),
    ],
)
def test_trainer_pod_requests_its_devices_from_kubernetes(tmp_path, platform, accelerator, labels):
    spec, pods = compiled.kubeflow(tmp_path, files=compiled.gin(platform))
    container = spec["deploymentSpec"]["executors"]["Trainer_executor"]["container"]
    assert container["resources"]["accelerator"] == accelerator
    json_format.ParseDict(pods, pipeline_spec_pb2.PlatformSpec())
    (name,) = pods["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert name == spec["components"]["Trainer"]["executorLabel"]
    pod = pods["platforms"]["kubernetes"]["deploymentSpec"]["executors"][name]
    config = json_format.ParseDict(pod, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    assert dict(config.node_selector.labels) == labels
    assert kfp_client._extract_pipeline_yaml(str(tmp_path / "pipeline.yaml")).platform_spec.platforms["kubernetes"]
    others = [one["container"] for label, one in spec["deploymentSpec"]["executors"].items() if label != name]
    assert not [one for one in others if "accelerator" in one["resources"]]


def _container(spec, component="Trainer"):
    return spec["deploymentSpec"]["executors"][f"{component}_executor"]["container"]
