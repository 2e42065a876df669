"""The runners' command line: compile and submit, with clients that only note what they are asked."""

import subprocess

import pytest
from absl import flags
from google.cloud import aiplatform

from pipeline import kfp_command, kubeflow_runner, vertex_runner
from tests.pipeline import compiled
from tests.pipeline.conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("device", ["", "tpu_v5e", "gpu"])
def test_make_compile_writes_both_for_each_device(tmp_path, device):
    command = ["make", "--assume-old=setup", "compile", f"OUTPUT={tmp_path}", f"DEVICE={device}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kubeflow.yaml", "vertex.json"]


@pytest.fixture
def command_line(monkeypatch, tmp_path):
    """Runs a runner's main with a fake client; returns what it exits with."""

    def call(runner, argv, platform, **values):
        values = {"gin_file": compiled.gin(platform), "output": str(tmp_path / f"p{argv.pop()}"), **values}
        if not flags.FLAGS.is_parsed():
            flags.FLAGS(["test", "--gin_file=x"])
        for name, value in values.items():
            monkeypatch.setattr(flags.FLAGS[name], "_value", value)
        runner.main([f"{runner.__name__}.py", *argv])

    return call


def test_submit_gives_client_and_schedule_the_values_of_the_flags(command_line, monkeypatch, capsys):
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
    bindings = [
        "Vertex.project = 'p'",
        "Vertex.root = 'gs://b/s'",
        "Vertex.image = 'r/i:1'",
        "Vertex.service_account = 'a'",
    ]
    command_line(vertex_runner, ["submit", ".json"], "vertex", gin_bindings=bindings, steps=9, data="gs://b/x.jsonl")
    init, job, submitted = calls
    assert init == {"project": "p", "location": "us-central1"}
    assert job["parameter_values"] == {"steps": 9, "data": "gs://b/x.jsonl"}
    assert submitted == {"service_account": "a", "network": None}
    calls.clear()
    monkeypatch.setattr(flags.FLAGS["cron"], "_value", "0 3 * * *")
    command_line(vertex_runner, ["submit", ".json"], "vertex", gin_bindings=bindings, push_to="gs://b/serving")
    assert calls[2]["cron"] == "0 3 * * *"
    assert "serving" in calls[1]["parameter_values"]["push_destination"]
    assert "Submitted" in capsys.readouterr().out


def test_submit_refuses_what_is_not_filled_in(command_line):
    with pytest.raises(SystemExit, match=r"Kubeflow.root, Kubeflow.image, Kubeflow.host still says YOUR-"):
        command_line(kubeflow_runner, ["submit", ".yaml"], "kubeflow")
    with pytest.raises(SystemExit, match=r"--data=pairs.jsonl, but must lie in a bucket"):
        command_line(kubeflow_runner, ["submit", ".yaml"], "kubeflow", data="pairs.jsonl")
    with pytest.raises(SystemExit, match=r"must end in .yaml"):
        command_line(kubeflow_runner, ["compile", ".json"], "kubeflow")
    with pytest.raises(kfp_command.app.UsageError, match="must be compile or submit"):
        command_line(kubeflow_runner, ["run", ".yaml"], "kubeflow")
