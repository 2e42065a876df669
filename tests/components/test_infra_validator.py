"""The serving check blesses a model that a clean process can serve, and says why it does not bless another."""

import importlib.metadata
import os
import pathlib
import re
import shutil
import sys
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tfx.components.infra_validator.model_server_clients import tensorflow_serving_client

from components.infra_validator import executor, process_runner, serving_requests
from models import export
from tests.pictures import shape_pairs
from tests.tiny_model import tiny_objective

PICTURES, CAPTIONS = zip(*[(picture, caption.encode()) for picture, caption, _ in shape_pairs()[:4]], strict=True)


def check(path: str, max_load_seconds: float = 120.0) -> dict:
    return executor.serve_and_check(path, list(PICTURES), list(CAPTIONS), max_load_seconds)


def test_a_good_model_passes_and_its_cost_is_recorded(exported):
    measured = check(exported)
    assert measured["problem"] == ""
    assert set(measured["request_seconds"]) == {"embed_image", "embed_text", "serving_default"}
    assert measured["load_seconds"] > 0
    assert measured["peak_memory_bytes"] > 50e6


def test_control_a_model_that_answers_nan_is_named(vocabulary, tmp_path):
    objective, tokenizer = tiny_objective(vocabulary)
    probe = objective.image_tower.head.probe
    probe.assign(tf.fill(probe.shape, float("nan")))
    export.save(objective, tokenizer, "", str(tmp_path / "nan"))
    assert "embed_image answered norms [nan" in check(str(tmp_path / "nan"))["problem"]


def test_control_a_model_that_does_not_load_is_named(exported, tmp_path):
    broken = shutil.copytree(exported, tmp_path / "broken")
    (broken / "saved_model.pb").write_bytes((broken / "saved_model.pb").read_bytes()[:1000])
    assert check(str(broken))["problem"].startswith("ValidationFailed")


def test_control_a_server_that_is_too_slow_is_named(exported):
    assert check(exported, max_load_seconds=0.5)["problem"].startswith("DeadlineExceeded")


def test_the_model_needs_tensorflow_and_tensorflow_text_only(exported, tmp_path):
    """Serves from a process whose path holds these two, the protos and what they themselves require, nothing else."""
    _link_only(tmp_path, {"tensorflow", "tensorflow-text", "tensorflow-serving-api"})
    assert not (tmp_path / "tf_keras").exists()
    assert not (tmp_path / "tfx").exists()
    runner = process_runner.ProcessRunner("siglip", exported)
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); runpy.run_path(sys.argv.pop(1), {{}}, '__main__')"
    )
    runner._command = [
        sys.executable, "-I", "-S", "-c", code, str(process_runner.SERVER_SCRIPT), "siglip", exported,
    ]  # fmt: skip
    try:
        runner.Start()
        runner.WaitUntilRunning(time.time() + 120)
        client = tensorflow_serving_client.TensorFlowServingClient(runner.GetEndpoint(), "siglip")
        client.WaitUntilModelLoaded(time.time() + 120, polling_interval_sec=0.2)
        with grpc.insecure_channel(runner.GetEndpoint()) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            request = serving_requests.predict_request(
                "siglip", "serving_default", {"image_bytes": PICTURES, "labels": CAPTIONS}
            )
            served = tf.make_ndarray(stub.Predict(request, timeout=60).outputs["probability"])
            wrong = serving_requests.predict_request("siglip", "no_such", {"image_bytes": PICTURES})
            with pytest.raises(grpc.RpcError, match="no signature 'no_such'"):
                stub.Predict(wrong, timeout=60)
    finally:
        runner.Stop()
    here = tf.saved_model.load(exported).signatures["serving_default"](
        image_bytes=tf.constant(PICTURES), labels=tf.constant(CAPTIONS)
    )
    np.testing.assert_allclose(served, here["probability"], rtol=1e-4)


def _link_only(folder: pathlib.Path, names: set[str]) -> None:
    """Links the named distributions and all that they require into `folder`."""
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
