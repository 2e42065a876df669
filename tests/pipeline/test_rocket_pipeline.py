"""The pipeline trains ClipRocket with a term, gates, compresses and serves it, and another run starts from it."""

import json

import numpy as np
import pytest

from models.pretrained import saved_model
from tests.pipeline.conftest import Project

ROCKET = (
    "Training.objective = @ClipRocket()",
    "ClipRocket.image_tower = @ImageTower()",
    "ClipRocket.text_tower = @TextTower()",
    "ClipRocket.projection_dim = 32",
    "ClipRocket.local_hidden = 64",
    "ClipRocket.terms = (@Byolip(),)",
    "Byolip.projector = (64, 32)",
    "Byolip.predictor = (64, 32)",
)


def losses(project: Project) -> list[float]:
    logs = sorted(project.output.rglob("training_log.jsonl"), key=lambda path: path.stat().st_mtime)
    return [json.loads(line)["loss"] for line in logs[-1].read_text().splitlines()]


@pytest.mark.slow
def test_a_compressed_model_is_blessed_and_served_without_what_only_training_needs(tmp_path):
    project = Project(tmp_path)
    summary = project.run(*ROCKET, "Packaging.weights = 'int8'")
    assert summary["blessed"]
    assert summary["served"]
    (trained,) = project.output.glob("artifacts/Trainer/model/*/Format-Serving")
    names = set(saved_model.read_trained(str(trained)).weights)
    assert {"ensemble_weight", "local_image_projector/norm_0/running_mean"} <= names
    assert not [name for name in names if "byolip" in name]


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["ClipRocket", "Softmax"])
def test_warm_start_goes_on_from_the_last_blessed_model(tmp_path, objective):
    project = Project(tmp_path)
    bindings = (*(ROCKET if objective == "ClipRocket" else ["Training.objective = @Softmax()"]),
                "Pipeline.warm_start = True")  # fmt: skip
    assert project.run(*bindings)["blessed"]
    first = losses(project)
    project.run(*bindings, "Training.seed = 1")
    assert "Trainer" in project.executed()
    assert losses(project)[0] < np.mean([first[0], first[-1]])  # nearer to where the first run ended
