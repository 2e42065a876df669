"""The pipeline trains Oner, gates, compresses and serves it."""

import pytest

from models.pretrained import saved_model
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
