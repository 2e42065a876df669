"""The compiled pipeline runs container by container, from the installed wheel, until it pushes a model."""

import json
import pathlib
import re
import subprocess

import pytest

from tests.pipeline.conftest import GIN, ROOT, Project
from tests.pipeline.kfp import compiled
from tests.pipeline.kfp.launcher import BUCKET, Failed, Launcher, make_image


@pytest.fixture(scope="session")
def image(tmp_path_factory) -> pathlib.Path:
    return make_image(tmp_path_factory.mktemp("image"))


def bindings(platform: str, project: Project, *more: str) -> list[str]:
    """Bindings for 240 drawn shapes in the bucket."""
    own = [one for one in project.bindings() if not one.startswith("JsonlSource")]
    data = f"JsonlSource.path = '{BUCKET}/data/{{SPAN}}/pairs.jsonl'"
    where = {"root": f"{BUCKET}/siglip", "image": "registry/siglip-tfx:1", "retries": {}}
    return [*own, data, *(f"{platform}.{key} = {value!r}" for key, value in where.items()), *more]


def files(platform: str) -> list[str]:
    return [GIN, str(ROOT / "gin" / "platform" / f"{platform.lower()}.gin")]


@pytest.mark.slow
def test_a_container_has_the_wheel_and_not_the_checkout(image, tmp_path):
    code = "import beam, components, models, pipeline, siglip_tfx; print(pipeline.__file__, siglip_tfx.__file__)"
    here = {"cwd": tmp_path, "env": {}, "capture_output": True, "text": True}
    done = subprocess.run([image / "python", "-c", code], check=True, **here)
    assert [path.startswith(str(image.parent)) for path in done.stdout.split()[-2:]] == [True, True]
    missing = subprocess.run([image / "python", "-c", "import tests.pipeline"], check=False, **here)
    assert missing.returncode != 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_first_run_pushes_a_model_second_runs_from_cache_third_reads_a_new_span(image, tmp_path):
    kubeflow = Launcher(tmp_path, image, resolvers=False)
    project = Project(kubeflow.bucket / "data" / "1")
    (spec,) = compiled.kubeflow(tmp_path, *bindings("Kubeflow", project), files=files("Kubeflow"))
    first = kubeflow.run(spec)
    assert not [name for name, task in first.items() if task.cached]
    serving = kubeflow.bucket / "siglip" / "own_data" / "serving"
    (pushed,) = serving.iterdir()
    assert (pushed / "saved_model.pb").is_file()
    assert not (_path(kubeflow, first["LastBlessedModel"].artifacts["model"]) / "Format-Serving").exists()
    summary = _summary(kubeflow, first)
    assert summary["blessed"]
    assert summary["pushed"].endswith(pushed.name)

    # Unchanged: everything comes from cache except tasks that depend on the last blessed model.
    second = kubeflow.run(spec)
    fresh = {name for name, task in second.items() if not task.cached}
    assert fresh == {"InputState", "LastBlessedModel", "Evaluator", "Pusher", "RunReport"}
    assert (_path(kubeflow, second["LastBlessedModel"].artifacts["model"]) / "Format-Serving").is_dir()
    assert "baseline_model" not in first["Evaluator"].artifacts["blessing"]["metadata"]
    assert second["Evaluator"].artifacts["blessing"]["metadata"]["baseline_model"]

    # A new span, and fewer steps as a parameter of the run.
    Project(kubeflow.bucket / "data" / "2", shuffle_captions=True)
    third = kubeflow.run(spec, steps=20.0)
    assert "/data/2/" in third["InputState"].parameters["current_image_text_gen"]
    assert not third["ImageTextGen"].cached
    assert "step 20/20" in third["Trainer"].printed
    page = (_path(kubeflow, third["RunReport"].artifacts["report"]) / "report.html").read_text()
    assert re.search(r"This run had 20 steps and the source <code>.*/data/2/pairs.jsonl", page)
    # The captions are shuffled, so the gate blocks the model.
    assert not _summary(kubeflow, third)["blessed"]
    assert len(list(serving.iterdir())) == 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_vertex_resolves_the_last_blessed_model(image, tmp_path):
    vertex = Launcher(tmp_path, image, resolvers=True)
    project = Project(vertex.bucket / "data" / "1")
    few = bindings("Vertex", project, "Pipeline.warm_start = True")
    spec = compiled.vertex(tmp_path, *few, files=files("Vertex"))["pipelineSpec"]
    first = vertex.run(spec)
    assert not first["LastBlessedModel-model-resolver"].artifacts
    second = vertex.run(spec)
    model = first["ModelPackager"].artifacts["packaged"]
    assert second["LastBlessedModel-model-resolver"].artifacts["model"] == model
    # Training starts from the weights and the vocabulary of that model, so its first loss is far lower.
    assert _loss(vertex, second) < 0.5 * _loss(vertex, first)
    vocabulary = [_path(vertex, run["VocabularyTrainer"].artifacts["vocabulary"]) for run in (first, second)]
    assert len({(folder / "vocabulary.model").read_bytes() for folder in vocabulary}) == 1
    assert len({str(folder) for folder in vocabulary}) == 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_failing_component_stops_the_run_and_its_message_is_shown(image, tmp_path):
    kubeflow = Launcher(tmp_path, image, resolvers=False)
    project = Project(kubeflow.bucket / "data" / "1")
    wrong = ("ImageTextGen.captions = @Captions()", "Captions.min_words = 99")
    (spec,) = compiled.kubeflow(tmp_path, *bindings("Kubeflow", project, *wrong), files=files("Kubeflow"))
    message = r"ImageTextGen ended with 1[\s\S]*NoRows: split eval, test, train has no row: 240 read from"
    with pytest.raises(Failed, match=message):
        kubeflow.run(spec)
    assert set(kubeflow.tasks) == {"InputState", "LastBlessedModel"}
    with pytest.raises(
        Failed, match=r"InputState ended with 1[\s\S]*JsonlSource.path is .*nothing-here.jsonl', but no such"
    ):
        kubeflow.run(spec, data=f"{BUCKET}/nothing-here.jsonl")


def _path(launcher: Launcher, artifact: dict) -> pathlib.Path:
    return pathlib.Path(artifact["uri"].replace(BUCKET, str(launcher.bucket)))


def _summary(launcher: Launcher, tasks: dict) -> dict:
    return json.loads((_path(launcher, tasks["RunReport"].artifacts["report"]) / "summary.json").read_text())


def _loss(launcher: Launcher, tasks: dict) -> float:
    log = _path(launcher, tasks["Trainer"].artifacts["model_run"]) / "training_log.jsonl"
    return json.loads(log.read_text().splitlines()[0])["loss"]
