"""The serving check passes a model that a clean process can serve, and reports why another one fails."""

import importlib.metadata
import json
import os
import pathlib
import re
import shutil
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from components.infra_validator import process_runner, runners, serving_check
from components.infra_validator.settings import InfraValidatorSettings
from components.serving_clients import MODEL_NAME, GrpcClient, Refused
from models.serving import export
from tests.components.toy_models import (
    COLOURS,
    BlindModel,
    GreedyModel,
    LeakingModel,
    LongModel,
    NanModel,
    NarrowModel,
    SlowModel,
    ToyModel,
    UnsureModel,
)
from tests.pictures import shape_pairs
from tests.served import ThreadRunner, wait_until_loaded

PICTURES, CAPTIONS = zip(*[(picture, caption.encode()) for picture, caption, _ in shape_pairs()[:4]], strict=True)


def check(path, **bounds) -> dict:
    settings = InfraValidatorSettings(**{"leak_requests": 10, **bounds})
    return serving_check.serve_and_check(str(path), list(PICTURES), list(CAPTIONS), settings)


@pytest.fixture
def in_thread(monkeypatch):
    """Serves from the test's own process, which saves seconds in tests that measure no memory."""
    monkeypatch.setattr(runners, "create", lambda _, path: ThreadRunner(path))


@pytest.fixture
def saved(tmp_path):
    """Returns a function that saves a toy model and returns its folder."""

    def save(model: ToyModel) -> str:
        tf.saved_model.save(model, str(tmp_path / "toy"), signatures=model.signatures())
        labels = tmp_path / "toy" / export.EXTRA / export.LABELS_FOLDER
        labels.mkdir(parents=True)
        (labels / "colours.json").write_text(json.dumps({"labels": COLOURS}))
        return str(tmp_path / "toy")

    return save


def test_a_good_model_passes_and_its_cost_is_recorded(exported):
    measured = check(exported, leak_requests=60, max_growth_bytes=30_000_000, max_memory_bytes=1_500_000_000)
    assert measured["problem"] == ""
    assert set(measured["request_seconds"]) == {"embed_image", "embed_text", "serving_default"}
    assert measured["load_seconds"] > 0
    assert measured["model_bytes"] > 50_000
    assert measured["peak_memory_bytes"] > 50e6
    assert abs(measured["memory_growth_bytes"]) < 30e6


def test_control_a_toy_without_a_fault_passes(saved, in_thread):
    """Each toy below is blocked by its own fault, not by what all toys share."""
    assert check(saved(ToyModel()))["problem"] == ""


def test_a_slow_model_is_blocked(saved, in_thread):
    measured = check(saved(SlowModel(seconds=0.4)), max_latency_seconds=0.3)
    assert re.fullmatch(
        r"embed_image takes 0\.\d+ s for 4 rows \(median of 5\), but InfraValidator\.max_latency_seconds is 0\.3; "
        "train a smaller model, or raise the bound",
        measured["problem"],
    )
    assert measured["request_seconds"]["embed_image"] > 0.4


def test_a_model_that_leaks_is_blocked(saved):
    measured = check(saved(LeakingModel(floats=1_000_000)), leak_requests=60, max_growth_bytes=30_000_000)
    assert re.fullmatch(
        r"over 48 requests the server's memory grew by [\d.]+ MB, but InfraValidator\.max_growth_bytes is 30\.0 MB; "
        "find the leak, or raise the bound",
        measured["problem"],
    )


def test_a_model_that_takes_too_much_memory_is_blocked(saved):
    measured = check(saved(GreedyModel(floats=200_000_000)), max_memory_bytes=1_500_000_000)
    assert re.fullmatch(
        r"the server took [\d,.]+ MB, but InfraValidator\.max_memory_bytes is 1,500\.0 MB; "
        "train a smaller model, or raise the bound",
        measured["problem"],
    )


def test_a_model_of_too_many_bytes_is_blocked_before_it_is_served(exported, monkeypatch):
    monkeypatch.setattr(runners, "create", None)
    size = sum(path.stat().st_size for path in pathlib.Path(exported).rglob("*") if path.is_file())
    measured = check(exported, max_model_bytes=size - 1)
    assert measured["model_bytes"] == size
    assert "; train a smaller model, or raise the bound" in measured["problem"]
    with pytest.raises(TypeError):  # control: with one byte more allowed, the check makes a server
        check(exported, max_model_bytes=size)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (NanModel(row=2), "embed_text answered a text_embedding that is NaN or infinite for rows 2 (from 0)"),
        (LongModel(), "embed_image answered embeddings of length [2. 2. 2. 2.], but they must have length 1"),
        (UnsureModel(), "classify_colours answered a probability that is NaN or infinite for rows 0, 1, 2, 3 (from 0)"),
        (NarrowModel(), "classify_colours answered shape (4, 2), but must answer (4, 3)"),
        (BlindModel(), "embed_image answered a broken picture in row 4 with an embedding"),
    ],
)
def test_a_wrong_answer_is_blocked(saved, in_thread, model, problem):
    assert check(saved(model))["problem"] == problem


def test_a_model_that_does_not_load_is_blocked(exported, tmp_path):
    broken = shutil.copytree(exported, tmp_path / "broken")
    (broken / "saved_model.pb").write_bytes((broken / "saved_model.pb").read_bytes()[:1000])
    problem = check(broken)["problem"]
    assert problem.startswith("the server could not load the model; its log ends: OSError: Cannot parse file")


def test_a_server_that_loads_too_slowly_is_blocked(exported):
    problem = check(exported, max_load_seconds=0.5)["problem"]
    assert problem.startswith("the server did not load the model in time: InfraValidator.max_load_seconds is 0.5")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"platform": "lambda"}, "InfraValidator.platform is 'lambda', but must be one of process, docker, kubernetes"),
        ({"max_latency_seconds": 0.0}, "InfraValidator.max_latency_seconds is 0.0, but must be a number above 0"),
        ({"leak_requests": 3}, "InfraValidator.leak_requests is 3, but must be 10 or more"),
        ({"tag": ""}, "InfraValidator.tag is '', but must be not empty"),
    ],
)
def test_invalid_settings_are_refused(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        InfraValidatorSettings(**values)


def test_the_model_needs_tensorflow_and_tensorflow_text_only(exported, tmp_path):
    """Serves from a process that can import only these two, the protos, and the requirements of all three."""
    _link_only(tmp_path, {"tensorflow", "tensorflow-text", "tensorflow-serving-api"})
    assert not (tmp_path / "tf_keras").exists()
    assert not (tmp_path / "tfx").exists()
    runner = process_runner.ProcessRunner(MODEL_NAME, exported)
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); runpy.run_path(sys.argv.pop(1), {{}}, '__main__')"
    )
    runner._command = [
        sys.executable, "-I", "-S", "-c", code, str(process_runner.SERVER_SCRIPT), MODEL_NAME, exported,
    ]  # fmt: skip
    try:
        runner.Start()
        runner.WaitUntilRunning(time.time() + 120)
        wait_until_loaded(runner.GetEndpoint())
        client = GrpcClient(runner.GetEndpoint())
        served = client.predict("serving_default", {"image_bytes": PICTURES, "labels": CAPTIONS})["probability"]
        with pytest.raises(Refused, match="no signature 'no_such'"):
            client.predict("no_such", {"image_bytes": PICTURES})
    finally:
        runner.Stop()
    here = tf.saved_model.load(exported).signatures["serving_default"](
        image_bytes=tf.constant(PICTURES), labels=tf.constant(CAPTIONS)
    )
    np.testing.assert_allclose(served, here["probability"], rtol=1e-4)


def _link_only(folder: pathlib.Path, names: set[str]) -> None:
    """Links the named distributions and their requirements into `folder`."""
    seen: set[str] = set()
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a requirement of another platform or Python
        for requirement in distribution.requires or []:
            if "extra ==" not in requirement:
                names.add(re.match(r"[A-Za-z0-9._-]+", requirement).group())
        for top in {file.parts[0] for file in distribution.files or [] if ".." not in file.parts}:
            source = distribution.locate_file(top)
            _link(pathlib.Path(source), folder / top)


def _link(source: pathlib.Path, target: pathlib.Path) -> None:
    if source.name in ("google", "grpc_status", "__pycache__") and source.is_dir():
        target.mkdir(exist_ok=True)  # a namespace that several distributions share
        for child in source.iterdir():
            if not (target / child.name).exists():
                os.symlink(child, target / child.name)
    elif source.exists() and not target.exists():
        os.symlink(source, target)
