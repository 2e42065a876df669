"""Continuous training on this machine: each run reads the newest span and starts from the last blessed model."""

import json

import pytest

from components.model_packager.settings import PackagingSettings
from pipeline.settings.run import PipelineSettings, VocabularySettings
from tests.pipeline.conftest import Project


def test_warm_start_and_another_start_exclude_each_other():
    with pytest.raises(ValueError, match=r"Pipeline.warm_start is True, but must be False if Training.pretrained"):
        PipelineSettings(warm_start=True, vocabulary=VocabularySettings(path="x.model"))
    with pytest.raises(
        ValueError, match=r"Packaging.weights is .int8., but must be .float32. with Pipeline.warm_start"
    ):
        PipelineSettings(warm_start=True, packaging=PackagingSettings(weights="int8"))


@pytest.mark.slow
def test_each_run_reads_the_newest_span_and_starts_from_the_last_blessed_model(tmp_path):
    project = Project(tmp_path)
    (tmp_path / "span-1").mkdir()
    project.data.rename(tmp_path / "span-1" / "pairs.jsonl")
    bindings = ("Pipeline.warm_start = True", f"JsonlSource.path = '{tmp_path}/span-{{SPAN}}/pairs.jsonl'")
    assert project.run(*bindings)["blessed"]
    second = project.run(*bindings)
    assert project.executed() >= {"Trainer", "VocabularyTrainer"}
    assert "ImageTextGen" not in project.executed()
    assert second["blessed"]
    logs = sorted(project.output.rglob("training_log.jsonl"), key=lambda path: path.stat().st_mtime)
    losses = [json.loads(path.read_text().splitlines()[0])["loss"] for path in logs]
    assert losses[1] < 0.5 * losses[0]
    vocabularies = {path.read_bytes() for path in project.output.rglob("VocabularyTrainer/**/vocabulary.model")}
    assert len(vocabularies) == 1

    (tmp_path / "span-2").mkdir()
    (tmp_path / "span-1" / "pairs.jsonl").rename(tmp_path / "span-2" / "pairs.jsonl")
    project.run(*bindings)
    assert "ImageTextGen" in project.executed()
