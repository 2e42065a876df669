"""A run that was killed, stopped or out of disk resumes, and ends with the weights of an unbroken run."""

import json
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from models.training.checkpoints import CheckpointError, Checkpoints, TrainingState
from tests.models.training.shapes import write_shards

ROOT = pathlib.Path(__file__).parents[3]
STEPS = ("steps=600", "checkpoint.every=25", "logging.every=20", "logging.held_out_every=100")


class Run:
    """A training run in one folder, by one process after another."""

    def __init__(self, folder: pathlib.Path, vocabulary: str) -> None:
        write_shards(folder, 3)
        shutil.copy(vocabulary, folder / "vocabulary.model")
        self.folder = folder

    def start(self, *changes: str, **options) -> subprocess.Popen:
        command = [sys.executable, "-m", "tests.models.training.shapes", str(self.folder), *STEPS, *changes]
        return subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
        )

    def finish(self, *changes: str) -> str:
        process = self.start(*changes)
        printed = process.communicate()[0]
        assert process.returncode == 0, printed
        return printed

    def checkpoints(self) -> list[int]:
        folders = (self.folder / "checkpoints").glob("step-*/progress.json")
        return sorted(int(path.parent.name.removeprefix("step-")) for path in folders)

    def wait_for(self, process: subprocess.Popen, step: int) -> None:
        """Waits for a checkpoint of `step` or later."""
        while (self.checkpoints() or [0])[-1] < step:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)

    def finish_after_kills(self, moments: random.Random, *arguments: str) -> None:
        """Kills the run five times: during the steps after a checkpoint, or while the next one is written."""
        before = 0
        for _ in range(5):
            process = self.start(*arguments)
            self.wait_for(process, before + 1)
            time.sleep(moments.uniform(0, 0.25))
            process.kill()
            assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
            before = self.checkpoints()[-1]
        self.finish(*arguments)

    def weights(self) -> dict[str, np.ndarray]:
        return dict(np.load(self.folder / "weights.npz"))

    def log(self) -> list[dict]:
        return [json.loads(line) for line in (self.folder / "log" / "training_log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def unbroken(vocabulary, tmp_path_factory) -> Run:
    run = Run(tmp_path_factory.mktemp("unbroken"), vocabulary)
    run.finish()
    return run


def same(one: Run, other: Run) -> bool:
    mine, theirs = one.weights(), other.weights()
    return all(np.array_equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.slow
def test_a_run_killed_five_times_ends_with_the_weights_of_an_unbroken_run(unbroken, vocabulary, tmp_path):
    run, moments = Run(tmp_path, vocabulary), random.Random(7)
    before = 0
    for _ in range(5):
        process = run.start()
        run.wait_for(process, before + 1)
        time.sleep(moments.uniform(0, 0.25))  # during the following steps, or while the next checkpoint is written
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
        before = run.checkpoints()[-1]
        assert not (run.folder / "weights.npz").exists()
    printed = run.finish()
    assert f"going on from step {before} of 600" in printed
    assert same(run, unbroken)
    assert [(row["step"], row["loss"]) for row in run.log()] == [(row["step"], row["loss"]) for row in unbroken.log()]


@pytest.mark.slow
def test_control_resuming_at_other_rows_gives_other_weights(unbroken, vocabulary, tmp_path):
    run = Run(tmp_path, vocabulary)
    process = run.start()
    run.wait_for(process, 25)
    process.kill()
    process.wait()
    for path in (run.folder / "checkpoints").glob("step-*/progress.json"):
        progress = json.loads(path.read_text())
        path.write_text(json.dumps({**progress, "positions": [[0, 0, 0]]}))
    run.finish()
    assert not same(run, unbroken)


def test_sigterm_saves_and_exits_with_0_and_the_next_process_resumes(vocabulary, tmp_path):
    few = ("steps=200", "checkpoint.every=100000")
    unbroken, run = Run(tmp_path / "unbroken", vocabulary), Run(tmp_path / "stopped", vocabulary)
    unbroken.finish(*few)
    process = run.start(*few)
    while not (run.folder / "log" / "training_log.jsonl").exists() or not run.log():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    printed = process.communicate()[0]
    assert process.returncode == 0, printed
    (step,) = run.checkpoints()
    assert f"stopped by SIGTERM at step {step}; saved" in printed
    assert not (run.folder / "weights.npz").exists()
    run.finish(*few)
    assert same(run, unbroken)


@pytest.mark.slow
def test_a_full_disk_is_reported_with_the_last_good_checkpoint_and_leaves_no_partial_file(vocabulary, tmp_path):
    run = Run(tmp_path, vocabulary)
    largest = 200_000  # largest file, bytes: less than a checkpoint needs
    process = run.start("steps=100000", preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
    run.wait_for(process, 50)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest, largest))
    printed = process.communicate()[0]
    assert process.returncode != 0
    assert "a checkpoint could not be written to" in printed
    before = run.checkpoints()
    assert before[-1] >= 50
    assert f"the last good one is of step {before[-1]}" in printed
    assert sorted(path.name for path in (run.folder / "checkpoints").iterdir()) == [f"step-{s:08d}" for s in before]


def variable(value: float) -> dict[str, tf.Variable]:
    return {"w": tf.Variable([value, value])}


def test_the_newest_and_the_best_checkpoints_are_kept_and_a_partial_one_is_removed(tmp_path):
    checkpoints = Checkpoints(str(tmp_path), variable(1.0), keep=2)
    for step, score in ((1, 0.1), (2, 0.9), (3, 0.2), (4, 0.3), (5, None)):
        checkpoints.save(TrainingState(step, score=score))
    checkpoints.wait()
    assert checkpoints.steps == [2, 4, 5]
    (tmp_path / "step-00000006").mkdir()
    (tmp_path / "step-00000006" / "state.index").write_bytes(b"half")
    again = variable(0.0)
    assert Checkpoints(str(tmp_path), again, keep=2).restore().step == 5
    assert again["w"].numpy().tolist() == [1.0, 1.0]
    assert not (tmp_path / "step-00000006").exists()


def test_a_worker_that_only_reads_does_not_remove_what_the_chief_is_writing(tmp_path):
    half = tmp_path / "step-00000006"
    half.mkdir()
    reader = Checkpoints(str(tmp_path), variable(0.0), keep=2, writes=False)
    assert half.exists()
    assert reader.steps == []
    assert reader.restore() == TrainingState()


def test_a_damaged_checkpoint_is_reported_with_its_folder_and_the_fix(tmp_path):
    checkpoints = Checkpoints(str(tmp_path), variable(1.0), keep=2)
    checkpoints.save(TrainingState(3))
    checkpoints.wait()
    for path in tmp_path.glob("step-00000003/state.*"):
        path.write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"step-00000003 cannot be read.*remove this folder to go on"):
        checkpoints.restore()
