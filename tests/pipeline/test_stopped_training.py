"""The whole pipeline, stopped and killed while it trains: the same command goes on, and the gate decides as ever."""

import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.pipeline.conftest import GIN, ROOT, Project


def start(project: Project, *more: str, flags: tuple[str, ...] = ()) -> subprocess.Popen:
    bindings = project.bindings("Training.steps = 300", "Checkpoint.every = 20", "Training.checkpoint = @Checkpoint()",
                                "Logging.every = 5", "Training.logging = @Logging()", *more)  # fmt: skip
    command = [sys.executable, "-m", "pipeline.local_runner", f"--gin_file={GIN}"]
    command += [f"--output_dir={project.folder / 'output'}", *(f"--gin_bindings={one}" for one in bindings), *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_a_checkpoint(project: Project, process: subprocess.Popen, after: int) -> None:
    while max((step(path) for path in project.output.glob("checkpoints/*/step-*/progress.json")), default=0) <= after:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def step(path: pathlib.Path) -> int:
    return int(path.parent.name.removeprefix("step-"))


@pytest.mark.slow
def test_stopped_then_killed_the_pipeline_goes_on_and_ends_blessed(tmp_path):
    project = Project(tmp_path)
    stopped = start(project)
    wait_for_a_checkpoint(project, stopped, 0)
    stopped.send_signal(signal.SIGTERM)
    printed = stopped.communicate()[0]
    assert stopped.returncode == 0, printed
    saved = int(re.search(r"stopped by SIGTERM at step (\d+); saved", printed).group(1))
    assert project.pushed() == []

    killed = start(project)
    wait_for_a_checkpoint(project, killed, saved)
    killed.kill()
    assert f"going on from step {saved} of 300" in killed.communicate()[0]
    assert project.pushed() == []

    last = start(project, flags=("--profile_steps=280,285",))
    printed = last.communicate()[0]
    assert last.returncode == 0, printed
    assert re.search(r"going on from step (\d+) of 300", printed)
    assert "BLESSED. Pushed model:" in printed
    assert len(project.pushed()) == 1
    assert list(project.output.rglob("*.xplane.pb"))
    (log,) = (path for path in project.output.rglob("training_log.jsonl") if path.read_text().count("\n") > 60)
    assert '{"step": 0,' in log.read_text()  # the rows of the processes before it are in the log, too


@pytest.mark.slow
def test_a_run_that_goes_wrong_pushes_nothing(tmp_path):
    project = Project(tmp_path)
    wrong = start(project, "Training.max_loss = 6.0")
    printed = wrong.communicate()[0]
    assert wrong.returncode != 0
    assert re.search(r"the loss has exploded: it is above Training.max_loss \(6\) at step 0.*lower AdamW", printed)
    assert project.pushed() == []
    assert not list(project.output.rglob("saved_model.pb"))
