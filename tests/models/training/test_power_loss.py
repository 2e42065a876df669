"""A checkpoint is on the disk before the record that makes it count, and the record before older ones are removed."""

import os

import pytest
import tensorflow as tf

from models import files
from models.training.checkpoints import Checkpoints, TrainingState
from tests.models.test_crowd import calls, require_durable  # noqa: F401


def save(folder: str, *steps: int) -> None:
    checkpoints = Checkpoints(folder, {"weights": tf.Variable(tf.ones([100]))}, keep=1)
    for step in steps:
        checkpoints.save(TrainingState(step=step))
        checkpoints.wait()


def test_checkpoint_is_on_the_disk_before_its_record(tmp_path, calls):  # noqa: F811
    save(str(tmp_path / "run"), 5)
    step = str(tmp_path / "run" / "step-00000005")
    require_durable(calls, f"{step}/progress.json", ["state.index", "state.data-00000-of-00001", "step-00000005"])
    assert {("sync", str(tmp_path)), ("sync", str(tmp_path / "run"))} <= set(calls)  # the names of the new folders


def test_control_without_sync_the_recorder_reports_it(tmp_path, calls, monkeypatch):  # noqa: F811
    monkeypatch.setattr(files, "sync", lambda path: None)
    save(str(tmp_path), 5)
    with pytest.raises(AssertionError):
        require_durable(calls, str(tmp_path / "step-00000005" / "progress.json"), ["state.index"])


def test_checkpoint_loses_its_record_before_its_files(tmp_path, monkeypatch):
    """A process that is killed while it removes an old checkpoint leaves none that looks whole."""
    removed = tf.io.gfile.rmtree

    def look(path):
        assert not os.path.exists(os.path.join(path, "progress.json"))
        removed(path)

    monkeypatch.setattr(tf.io.gfile, "rmtree", look)
    save(str(tmp_path), 5, 10)
    assert os.listdir(tmp_path) == ["step-00000010"]
