"""The whole pipeline, stopped and killed while it trains: the same command resumes it, and the gate blesses it."""

import re
import signal
import subprocess
import sys

import pytest

from tests.pipeline import checkpoints
from tests.pipeline.conftest import GIN, ROOT, Project


def start(project: Project, *more: str, flags: tuple[str, ...] = ()) -> subprocess.Popen:
    bindings = project.bindings("Training.steps = 300", "Checkpoint.every = 20", "Training.checkpoint = @Checkpoint()",
                                "Logging.every = 5", "Training.logging = @Logging()", *more)  # fmt: skip
    command = [sys.executable, "-m", "pipeline.local_runner", f"--gin_file={GIN}"]
    command += [f"--output_dir={project.folder / 'output'}", *(f"--gin_bindings={one}" for one in bindings), *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_pipeline_resumes_after_a_stop_and_a_kill_and_is_blessed(tmp_path):
    project = Project(tmp_path)
    stopped = start(project)
    checkpoints.wait_for_one(project.output / "checkpoints", stopped, 0)
    stopped.send_signal(signal.SIGTERM)
    printed = stopped.communicate()[0]
    assert stopped.returncode == 0, printed
    saved = int(re.search(r"stopped by SIGTERM at step (\d+); saved", printed).group(1))
    assert project.pushed() == []

    killed = start(project)
    checkpoints.wait_for_one(project.output / "checkpoints", killed, saved)
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
    assert '{"step": 0,' in log.read_text()  # the log also has the rows of the earlier processes


@pytest.mark.slow
def test_diverging_run_pushes_nothing(tmp_path):
    project = Project(tmp_path)
    wrong = start(project, "Training.max_loss = 6.0")
    printed = wrong.communicate()[0]
    assert wrong.returncode != 0
    assert re.search(r"the loss has exploded: it is above Training.max_loss \(6\) at step 0.*lower AdamW", printed)
    assert project.pushed() == []
    assert not list(project.output.rglob("saved_model.pb"))
