"""The runners' commands, compile and submit, with fake clients that record the calls."""

import re
import subprocess
import types

import kfp
import kfp_server_api
import pytest
import tensorflow as tf
from absl import app, flags
from google.api_core.exceptions import PermissionDenied
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import aiplatform

from pipeline import kubeflow_runner, vertex_runner
from tests.pipeline.conftest import GIN, ROOT
from tests.pipeline.kfp import compiled


@pytest.mark.slow
@pytest.mark.parametrize("device", ["", "tpu_v5e", "gpu"])
def test_make_compile_writes_both_specifications_for_each_device(tmp_path, device):
    command = ["make", "--assume-old=setup", "compile", f"OUTPUT={tmp_path}", f"DEVICE={device}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kubeflow.yaml", "vertex.json"]


@pytest.fixture
def command_line(monkeypatch, tmp_path):
    """Returns a function that runs the main of a runner with these flags."""

    def call(runner, argv, platform, **values):
        values = {"gin_file": compiled.gin(platform), "output": str(tmp_path / f"p{argv.pop()}"), **values}
        if not flags.FLAGS.is_parsed():
            flags.FLAGS(["test", "--gin_file=x"])
        for name, value in values.items():
            monkeypatch.setattr(flags.FLAGS[name], "_value", value)
        runner.main([runner.__file__, *argv])

    return call


VERTEX = ["Vertex.project = 'p'", "Vertex.root = 'gs://b/s'", "Vertex.image = 'r/i:1'"]
KUBEFLOW = ["Kubeflow.host = 'http://h'", "Kubeflow.root = 'gs://b/s'", "Kubeflow.image = 'r/i:1'"]


def own_data(platform: str) -> list[str]:
    return [GIN, *compiled.gin(platform)[1:]]


def test_vertex_client_and_schedule_receive_the_flags(command_line, monkeypatch, capsys):
    calls = []

    class Job:
        resource_name = "projects/1/pipelineJobs/2"

        def __init__(self, **arguments):
            calls.append(arguments)

        def submit(self, **arguments):
            calls.append(arguments)

        def create_schedule(self, **arguments):
            calls.append(arguments)
            return self

    monkeypatch.setattr(aiplatform, "PipelineJob", Job)
    monkeypatch.setattr(aiplatform, "init", lambda **arguments: calls.append(arguments))
    flags_of_all = {"gin_file": own_data("vertex"), "gin_bindings": [*VERTEX, "Vertex.service_account = 'a'"]}
    command_line(vertex_runner, ["submit", ".json"], "vertex", **flags_of_all, steps=900, data="gs://b/x.jsonl")
    init, job, submitted = calls
    assert init == {"project": "p", "location": "us-central1"}
    assert job["parameter_values"] == {"steps": 900, "data": "gs://b/x.jsonl"}
    assert submitted == {"service_account": "a", "network": None}
    calls.clear()
    scheduled = {"cron": "0 3 * * *", "push_to": "gs://b/serving"}
    command_line(vertex_runner, ["submit", ".json"], "vertex", **flags_of_all, **scheduled)
    assert calls[2]["cron"] == "0 3 * * *"
    assert "serving" in calls[1]["parameter_values"]["push_destination"]
    assert "Submitted" in capsys.readouterr().out


def test_kubeflow_client_and_schedule_receive_the_flags(command_line, monkeypatch, capsys):
    calls = []

    class Client:
        def __init__(self, **arguments):
            calls.append(arguments)

        def create_experiment(self, name, **arguments):
            calls.append({"name": name, **arguments})
            return types.SimpleNamespace(experiment_id="e")

        def create_run_from_pipeline_package(self, spec, **arguments):
            calls.append({"spec": spec, **arguments})
            return types.SimpleNamespace(run_id="r")

        def create_recurring_run(self, *positional, **arguments):
            calls.append({"positional": positional, **arguments})
            return types.SimpleNamespace(recurring_run_id="s")

    monkeypatch.setattr(kfp, "Client", Client)
    bindings = [*KUBEFLOW, "Kubeflow.namespace = 'team'", "Kubeflow.service_account = 'a'"]
    flags_of_all = {"gin_file": own_data("kubeflow"), "gin_bindings": bindings, "data": "gs://b/x.jsonl"}
    command_line(kubeflow_runner, ["submit", ".yaml"], "kubeflow", **flags_of_all, steps=900)
    client, experiment, run = calls
    assert client == {"host": "http://h", "namespace": "team"}
    assert experiment == {"name": "siglip-tfx", "namespace": "team"}
    assert run["spec"].endswith(".yaml")
    assert run["arguments"] == {"steps": 900, "data": "gs://b/x.jsonl"}
    assert (run["experiment_id"], run["pipeline_root"], run["service_account"]) == ("e", "gs://b/s", "a")
    assert "http://h/#/runs/details/r" in capsys.readouterr().out
    calls.clear()
    command_line(kubeflow_runner, ["submit", ".yaml"], "kubeflow", **flags_of_all, steps=None, cron="0 3 * * *")
    schedule = calls[2]
    assert schedule["positional"] == ("e", "siglip-tfx")
    assert schedule["cron_expression"] == "0 0 3 * * *"
    assert schedule["params"] == {"data": "gs://b/x.jsonl"}
    assert (schedule["pipeline_root"], schedule["service_account"]) == ("gs://b/s", "a")
    assert "http://h/#/recurringrun/details/s" in capsys.readouterr().out


REFUSED = [
    ({"steps": 20, "data": "gs://b/x"}, r"--steps=20: Schedule.warmup_steps is 100, but must be at most"),
    ({}, r"JsonlSource.path is '', but must be a path of the data; set it, or give --data=gs://"),
    ({"data": "file:///pairs.jsonl"}, r"--data=file:///pairs.jsonl, but must lie in a bucket"),
    ({"data": "s3://b/pairs.jsonl"}, r"--data=s3://b/pairs.jsonl, but must lie in a bucket"),
    ({"push_to": "/serving"}, r"--push_to=/serving, but must lie in a bucket"),
    ({"data": "gs://b/x", "cron": "daily"}, r"--cron='daily', but must be five fields \(minute, hour"),
    ({"data": "gs://b/x", "output": "/proc/none/p.yaml"}, r"--output=/proc/none cannot be written"),
    ({"data": "gs://b/x", "output": "gs://b/p.yaml"}, r"--output=gs://b/p.yaml is not a path of this machine"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "message"), REFUSED)
def test_submit_refuses_what_would_fail_hours_later(command_line, monkeypatch, values, message):
    monkeypatch.setattr(kubeflow_runner, "submit", lambda *_: pytest.fail("was submitted"))
    with pytest.raises(SystemExit, match=f"error: {message}"):
        command_line(
            kubeflow_runner, ["submit", ".yaml"], "kubeflow", **{"gin_file": own_data("kubeflow"), **values},
            gin_bindings=KUBEFLOW,
        )  # fmt: skip


def test_submit_refuses_data_for_a_source_without_path_and_engine_placeholders(command_line):
    with pytest.raises(SystemExit, match=r"--data=gs://b/x: the source is OpenMojiSource, which has no path.*gin/"):
        command_line(kubeflow_runner, ["submit", ".yaml"], "kubeflow", gin_bindings=KUBEFLOW, data="gs://b/x")
    for engine in ("dataflow_image", "flink"):
        files = compiled.gin("kubeflow", f"engine/{engine}.gin")
        with pytest.raises(SystemExit, match=r"error: Pipeline.beam_args still says YOUR-"):
            command_line(kubeflow_runner, ["submit", ".yaml"], "kubeflow", gin_bindings=KUBEFLOW, gin_file=files)


def test_compile_prints_the_file_and_the_next_command(command_line, tmp_path, capsys):
    command_line(vertex_runner, ["compile", ".json"], "vertex")
    said = rf"Compiled {tmp_path}/p.json \(\d+ KiB\)\. Next: python -m pipeline.vertex_runner submit"
    assert re.search(said, capsys.readouterr().out)


@pytest.mark.parametrize("flag", ["data", "steps", "push_to", "cron"])
def test_compile_refuses_flags_of_submit(command_line, flag):
    value = 7 if flag == "steps" else "gs://b/x"
    with pytest.raises(SystemExit, match=f"--{flag}={value} is for submit, but the action is compile; remove it"):
        command_line(kubeflow_runner, ["compile", ".yaml"], "kubeflow", **{flag: value})


ERRORS = [
    (DefaultCredentialsError("no credentials"), "no credentials; sign in by `gcloud auth application-default login`"),
    (PermissionDenied("not yours"), "Google Cloud answered: 403 not yours; correct Vertex.project"),
    (kfp_server_api.ApiException(404, "Not Found"), "Kubeflow Pipelines answered 404 Not Found; correct Kubeflow.host"),
    (ConnectionRefusedError(111, "refused"), "refused"),
    (tf.errors.PermissionDeniedError(None, None, "gs://b/m"), "gs://b/m; check that --output can be written"),
]


@pytest.mark.parametrize(("error", "message"), ERRORS)
def test_client_error_becomes_one_line_with_the_fix(command_line, monkeypatch, error, message):
    def submit(*_):
        raise error

    monkeypatch.setattr(kubeflow_runner, "submit", submit)
    with pytest.raises(SystemExit, match=f"^error: .*{message}") as told:
        command_line(kubeflow_runner, ["submit", ".yaml"], "kubeflow", gin_bindings=KUBEFLOW)
    assert "\n" not in str(told.value)


def test_unreachable_host_is_reported(command_line):
    bindings = [*KUBEFLOW[1:], "Kubeflow.host = 'http://localhost:9'"]
    with pytest.raises(SystemExit, match=r"no answer from Kubeflow Pipelines: .*localhost.*; set Kubeflow.host to an"):
        command_line(kubeflow_runner, ["submit", ".yaml"], "kubeflow", gin_bindings=bindings)


def test_submit_refuses_placeholders(command_line):
    with pytest.raises(SystemExit, match=r"Kubeflow.root, Kubeflow.image, Kubeflow.host still says YOUR-"):
        command_line(kubeflow_runner, ["submit", ".yaml"], "kubeflow")
    with pytest.raises(SystemExit, match=r"--data=pairs.jsonl, but must lie in a bucket"):
        command_line(kubeflow_runner, ["submit", ".yaml"], "kubeflow", data="pairs.jsonl")
    with pytest.raises(SystemExit, match=r"must end in .yaml"):
        command_line(kubeflow_runner, ["compile", ".json"], "kubeflow")
    with pytest.raises(app.UsageError, match="the action is run, but must be one of compile, submit"):
        command_line(kubeflow_runner, ["run", ".yaml"], "kubeflow")
