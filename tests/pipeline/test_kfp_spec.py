"""What Kubeflow Pipelines and Vertex AI are given: whole, stable, small, and with nothing of this machine in it."""

import json
import os
import re
import subprocess
import sys

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.protobuf import json_format
from kfp import components
from kfp.client import client as kfp_client
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from models.configuration import ConfigurationError
from pipeline import kfp_spec
from pipeline.platforms import KubeflowSettings, VertexSettings
from tests.pipeline import compiled
from tests.pipeline.conftest import ROOT

COMPONENTS = {
    "Augmenter", "Deduper", "EvaluationSuite", "Evaluator", "ExampleValidator", "ImageTextGen", "InfraValidator",
    "InputState", "ModelPackager", "Pusher", "RunReport", "SchemaGen", "StatisticsGen", "Trainer", "VocabularyTrainer",
}  # fmt: skip
RESOLVERS = {"LastBlessedModel-model-blessing-resolver", "LastBlessedModel-model-resolver"}


@pytest.fixture(scope="module")
def vertex(tmp_path_factory):
    return compiled.vertex(tmp_path_factory.mktemp("vertex"))


@pytest.fixture(scope="module")
def kubeflow(tmp_path_factory):
    (spec,) = compiled.kubeflow(tmp_path_factory.mktemp("kubeflow"))
    return spec


def test_both_parse_by_kfps_own_protos_and_are_whole(vertex, kubeflow):
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


def test_the_clients_load_them(tmp_path, vertex, kubeflow):
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


def test_the_same_bytes_from_another_process_without_network_or_credentials(tmp_path):
    compiled.vertex(tmp_path)
    again = tmp_path / "again.json"
    command = [sys.executable, "-m", "pipeline.vertex_runner", "compile", f"--output={again}"]
    command += [f"--gin_file={file}" for file in compiled.gin("vertex")]
    if subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode == 0:
        command = ["unshare", "-rn", *command]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONHASHSEED": "7"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"Compiled {again} \(\d+ KiB\)\. Next: python -m pipeline.vertex_runner submit", done.stdout)
    assert again.read_bytes() == (tmp_path / "pipeline.json").read_bytes()


def test_no_path_of_this_machine_no_secret_and_no_more_than_a_workflow_may_hold(vertex, kubeflow):
    for text in (json.dumps(vertex), json.dumps(kubeflow)):
        assert not re.search(rf"{ROOT}|/home/|/root/|/tmp/|{os.uname().nodename}", text)
        assert not re.search(r"(?i)password|secret|token['\"]?\s*[:=]|BEGIN [A-Z ]*PRIVATE KEY", text)
        assert len(text) < 1_000_000
    assert "Siglip.logit_bias = -10.0" in json.dumps(vertex)


def test_parameters_have_the_values_of_gin_where_none_are_given(vertex):
    parameters = vertex["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    assert parameters["data"]["defaultValue"] == ""
    assert parameters["steps"]["defaultValue"] == 1600
    destination = json.loads(parameters["push_destination"]["defaultValue"])
    assert destination == {"filesystem": {"base_directory": "gs://YOUR-BUCKET/siglip/quickstart/serving"}}
    tasks = vertex["pipelineSpec"]["root"]["dag"]["tasks"]
    assert tasks["Trainer"]["inputs"]["parameters"]["steps"] == {"componentInputParameter": "steps"}
    assert tasks["InputState"]["inputs"]["parameters"]["data"] == {"componentInputParameter": "data"}


def test_cache_retries_time_and_resources_are_those_of_gin(tmp_path):
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


def test_a_limit_below_a_second_is_one_and_not_none(tmp_path):
    spec = compiled.vertex(tmp_path, "Vertex.timeout_hours = {'Trainer': 0.0001}")["pipelineSpec"]
    assert _container(spec)["command"][:3] == ["timeout", "--kill-after=120", "1"]


def test_the_task_that_waits_for_vertexs_job_has_neither_its_image_nor_its_resources_nor_its_limit(tmp_path):
    bindings = ["Vertex.image = 'r/cpu:1'", "Vertex.trainer_image = 'r/tpu:1'", "Vertex.timeout_hours = {'Trainer': 2}"]
    spec = compiled.vertex(tmp_path, *bindings, files=compiled.gin("vertex_tpu_v5e"))["pipelineSpec"]
    container = _container(spec)
    assert container["image"] == "r/cpu:1"
    assert container["resources"] == _container(spec, "Pusher")["resources"]
    assert container["command"][0] == "python"
    assert "r/tpu:1" in json.dumps(spec["root"]["dag"]["tasks"]["Trainer"]["inputs"]["parameters"]["custom_config"])
    # Control: where the Trainer's task trains, it has them.
    spec = compiled.vertex(tmp_path, *bindings)["pipelineSpec"]
    assert _container(spec)["image"] == "r/tpu:1"
    assert _container(spec)["resources"]["cpuLimit"] == 8
    assert _container(spec)["command"][2] == "7200"


def test_what_fails_is_tried_once_more_and_what_is_taken_away_ten_times(tmp_path):
    def tries(spec):
        return spec["root"]["dag"]["tasks"]["Trainer"]["retryPolicy"]["maxRetryCount"]

    assert tries(compiled.vertex(tmp_path, files=compiled.gin("vertex_tpu_v5e"))["pipelineSpec"]) == 1
    assert tries(compiled.kubeflow(tmp_path)[0]) == 1
    on_tpu = compiled.gin("kubeflow_tpu_v5e")
    assert tries(compiled.kubeflow(tmp_path, files=on_tpu)[0]) == 10
    assert tries(compiled.kubeflow(tmp_path, "Kubeflow.retries = {'': 2}", files=on_tpu)[0]) == 10
    assert tries(compiled.kubeflow(tmp_path, "Kubeflow.retries = {'Trainer': 4}", files=on_tpu)[0]) == 4


def test_beam_runs_on_dataflow_where_gin_says_so(tmp_path):
    spec = compiled.vertex(tmp_path, files=compiled.gin("vertex", "engine/dataflow_image.gin"))["pipelineSpec"]
    args = spec["deploymentSpec"]["executors"]["ImageTextGen_executor"]["container"]["args"]
    assert "--runner=DataflowRunner" in args
    assert any(arg.startswith("--sdk_container_image=") for arg in args)
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
def test_the_trainers_pod_asks_kubernetes_for_its_devices(tmp_path, platform, accelerator, labels):
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


REFUSED = [
    ("Vertex.machine = 'ct5lp-hightpu-9t'", r"Vertex.machine is 'ct5lp-hightpu-9t', but must be a machine with TPUs"),
    ("Vertex.topology = '3x3'", r"Vertex.topology is '3x3', but must be one that ct5lp-hightpu-8t makes up: 2x4;"),
    ("Vertex.machine = 'ct5lp-hightpu-4t'", r"a slice of one ct5lp-hightpu-4t, and not of 2, .*use one of ct5lp-"),
    ("Vertex.machine = 'ct4p-hightpu-4t'", r"Vertex.machine is 'ct4p-hightpu-4t', but must be a machine with TPUs"),
    ("Runtime.strategy = 'mirrored'", r"Runtime.strategy is 'mirrored', but must be 'tpu' for ct5lp-hightpu-8t 2x4"),
    ("Vertex.root = '/data'", r"Vertex.root is '/data', but must be 'gs://', a bucket and a folder"),
    ("Vertex.image = 'siglip:latest'", r"Vertex.image is 'siglip:latest', but must be an image with a tag other"),
    ("Vertex.gpus = 2", r"Vertex.gpus is 2, but must be above 0 where Vertex.gpu names a kind"),
    ("Vocabulary.path = 'spiece.model'", r"Vocabulary.path is 'spiece.model', but must be in a bucket: pods do"),
    ("Pipeline.beam_args = ('--setup_file=./setup.py',)", r"--setup_file=./setup.py', but must be without files of"),
    ("Vertex.retries = {'Traner': 1}", r"Vertex.retries is 'Traner', but must be one of Augmenter, Deduper"),
]  # fmt: skip


@pytest.mark.parametrize(("binding", "message"), REFUSED)
def test_refused_before_anything_is_submitted(tmp_path, binding, message):
    with pytest.raises(ValueError, match=message):
        compiled.vertex(tmp_path, binding, files=compiled.gin("vertex_tpu_v5e"))
    assert not list(tmp_path.iterdir())


def test_a_source_on_this_machine_is_refused(tmp_path):
    files = [str(ROOT / "gin" / "own_data.gin"), compiled.gin("kubeflow")[1]]
    with pytest.raises(ValueError, match=r"JsonlSource.path is 'pairs.jsonl', but must be in a bucket"):
        kfp_spec.load(files, ["JsonlSource.path = 'pairs.jsonl'"], KubeflowSettings)
    bindings = ["JsonlSource.path = 'gs://b/x.jsonl'", "Pipeline.evaluation_sets = (@EvaluationSet(),)"]
    bindings += ["EvaluationSet.name = 'coco'", "EvaluationSet.examples = 'coco'"]
    with pytest.raises(ValueError, match=r"EvaluationSet.examples is 'coco', but must be in a bucket"):
        kfp_spec.load(files, bindings, KubeflowSettings)
    for path in ("file:///pairs.jsonl", "s3://bucket/pairs.jsonl"):  # the images have no file system of S3
        with pytest.raises(ValueError, match=rf"JsonlSource.path is '{path}', but must be in a bucket: pods"):
            kfp_spec.load(files, [f"JsonlSource.path = '{path}'"], KubeflowSettings)
    settings, _ = kfp_spec.load(files, ["JsonlSource.path = 'gs://bucket/day-{SPAN}/*.jsonl'"], KubeflowSettings)
    assert settings.ingest.source.path == "gs://bucket/day-{SPAN}/*.jsonl"  # the newest span is found as it runs


def test_settings_of_the_other_platform_are_told():
    with pytest.raises(ConfigurationError, match=r"Kubeflow.host is set, but nothing uses it"):
        kfp_spec.load(compiled.gin("kubeflow"), [], VertexSettings)


def _container(spec, component="Trainer"):
    return spec["deploymentSpec"]["executors"][f"{component}_executor"]["container"]
