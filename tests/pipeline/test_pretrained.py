"""A run starts from a pushed model: its image tower is locked, or both towers are fine-tuned."""

import json

import numpy as np
import pytest
import tensorflow as tf

from models import features
from tests.pipeline.conftest import Project

LOCKED = [
    "Training.objective = @Siglit()",
    "Siglit.image_tower = @ImageTower()",
    "Siglit.text_tower = @TextTower()",
    "Training.pretrained = @Pretrained()",
    "Pretrained.parts = ('image_tower',)",
    "Training.steps = 30",
    "Training.checkpoint = @Checkpoint()",
    "Checkpoint.every = 1000",
]


@pytest.fixture(scope="module")
def published(project: Project) -> Project:
    assert project.run()["blessed"]
    return project


def from_published(published: Project, folder, *bindings: str) -> tuple[Project, dict]:
    """Runs another project, which knows the published model only by its path."""
    run = Project(folder)
    return run, run.run(f"Pretrained.path = '{published.output / 'serving'}'", *bindings)


def losses(project: Project) -> list[float]:
    (log,) = project.output.rglob("training_log.jsonl")
    return [json.loads(line)["loss"] for line in log.read_text().splitlines()]


@pytest.mark.slow
def test_locked_tower_gives_the_same_losses_in_the_step_and_precomputed(published, tmp_path):
    once, summary = from_published(published, tmp_path / "once", *LOCKED, "Siglit.precomputed = True")
    assert "ImageEmbedder" in once.executed()
    step, _ = from_published(published, tmp_path / "step", *LOCKED, "Siglit.precomputed = False")
    assert "ImageEmbedder" not in step.executed()
    assert losses(once) == pytest.approx(losses(step), rel=1e-5)
    assert losses(once)[-1] < 0.7 * losses(once)[0]
    assert summary["served"]
    # The shards that training read have no pictures.
    shards = list(once.output.glob("artifacts/ImageEmbedder/embedded/*/Split-train/*"))
    assert len(shards) == 2
    for shard in shards:
        for row in tf.data.TFRecordDataset(str(shard), "GZIP").as_numpy_iterator():
            stored = tf.train.Example.FromString(row).features.feature
            assert features.IMAGE not in stored
            assert len(stored[features.IMAGE_EMBEDDING].float_list.value) == 64


@pytest.mark.slow
def test_both_towers_start_from_the_published_weights(published, tmp_path):
    (version,) = (published.output / "serving").iterdir()
    own = f"Vocabulary.path = '{version / 'assets' / 'vocabulary.model'}'"
    tuning = ["Training.pretrained = @Pretrained()", "AdamW.multipliers = {'image_tower|text_tower': 0.1}",
              "AdamW.no_decay = ('image_tower', 'text_tower')", "Training.steps = 20", own]  # fmt: skip
    run, _ = from_published(published, tmp_path / "tuned", *tuning)
    assert losses(run)[0] == pytest.approx(np.mean(losses(published)[-3:]), rel=0.5)
    assert losses(run)[0] < 0.5 * losses(published)[0]  # control: the first loss of random weights

    with pytest.raises(ValueError, match=r"Vocabulary.path is '', but must be the vocabulary that the text tower was"):
        from_published(published, tmp_path / "wrong", *tuning[:-1], "ImageTextGen.salt = 'other'")


def test_a_missing_checkpoint_stops_before_anything_runs(tmp_path):
    run = Project(tmp_path)
    with pytest.raises(ValueError, match=r"Pretrained.path is .*nowhere.*but there is no such file"):
        run.run("Pretrained.path = 'nowhere'", *LOCKED)
    assert not run.output.exists()
