"""The pipeline makes visual codes, trains Simla, gates and serves it, and reports on both."""

import json

import pytest

from models.layers.visual_codes import CODEBOOK_FILE
from models.pretrained import saved_model
from tests.pipeline.conftest import Project

SIMLA = (
    "Training.objective = @Simla()",
    "ImageTower.pooling = 'cls'",
    "Simla.projection_dim = 32",
    "Simla.queue_size = 960",
    "Simla.alpha_steps = 20",
    "VisualCodebook.codes = 32",
    "VisualCodebook.patches = 2000",
)


@pytest.mark.slow
def test_a_model_is_blessed_and_served_and_its_codebook_is_made_once(tmp_path):
    project = Project(tmp_path)
    summary = project.run(*SIMLA)
    assert summary["served"]
    assert [row["depth"] for row in summary["reranked"]] == [0, 8, 16, 64]
    (trained,) = project.output.glob("artifacts/Trainer/model/*/Format-Serving")
    names = set(saved_model.read_trained(str(trained)).weights)
    assert {"itm_head/kernel", "fusion/class_token"} <= names
    assert not [name for name in names if name.startswith(("queues", "momentum", "training"))]
    (book,) = project.output.glob(f"artifacts/VisualCodebook/codebook/*/{CODEBOOK_FILE}")
    facts = json.loads((book.parent / "codebook.json").read_text())
    assert facts["codes"] == 32
    (page,) = project.output.glob("artifacts/RunReport/report/*/report.html")
    assert "Visual codes" in page.read_text()
    assert "Retrieval in two stages" in page.read_text()
    project.run(*SIMLA, "Training.seed = 1")
    assert "VisualCodebook" not in project.executed()


@pytest.mark.slow
def test_without_mim_there_is_no_codebook(tmp_path):
    project = Project(tmp_path)
    assert project.run(*SIMLA, "Simla.mim = 0.0")["served"]
    assert not list(project.output.glob("artifacts/VisualCodebook"))
