"""The pipeline trains Oner, gates, compresses and serves it."""

import pathlib

import pytest
from tensorflow_serving.apis import prediction_log_pb2

from components.model_packager import warm_up
from models.inputs import tfrecords
from models.pretrained import saved_model
from models.serving import contract, export
from tests.pipeline.conftest import Project

ONER = (
    "Training.objective = @Oner()",
    "OneTower.size = 24",
    "OneTower.patch = 8",
    "OneTower.width = 64",
    "OneTower.depth = 2",
    "OneTower.heads = 4",
    "OneTower.mlp_dim = 128",
    "OneTower.length = 12",
    "OneTower.projection_dim = 32",
    "Packaging.weights = 'int8'",
)


class OneTowerProject(Project):
    """A command line may only bind what the run uses, so it has no settings of two towers."""

    def bindings(self, *more: str) -> list[str]:
        return [line for line in super().bindings(*more) if not line.startswith(("ImageTower.", "TextTower."))]


@pytest.mark.slow
def test_a_compressed_model_is_blessed_and_served_without_what_only_training_needs(tmp_path):
    project = OneTowerProject(tmp_path)
    summary = project.run(*ONER)
    assert summary["blessed"]
    assert summary["served"]
    (trained,) = project.output.glob("artifacts/Trainer/model/*/Format-Serving")
    assert {name.split("/")[0] for name in saved_model.read_trained(str(trained)).weights} == {"one_tower"}
    (version,) = project.pushed()
    pushed = project.output / "serving" / version
    assert set(contract.further(contract.signatures(str(pushed)))) == {"embed_pair", "localize"}
    assert {"embed_pair", "localize"} <= warmed_up(pushed)


def warmed_up(model: pathlib.Path) -> set[str]:
    """The signatures that the warm-up requests of a model ask."""
    requests = tfrecords.read_shards([str(model / export.EXTRA / warm_up.FILE)]).as_numpy_iterator()
    logs = map(prediction_log_pb2.PredictionLog.FromString, requests)
    return {log.predict_log.request.model_spec.signature_name for log in logs}
