"""Errors name the setting, the place and the fix; the run after a killed one writes the same shards."""

import hashlib
import os
import subprocess
import sys
import time

import pytest

from models.settings.configuration import ConfigurationError
from pipeline import local_runner
from pipeline.console import terminal
from tests.pipeline.conftest import GIN, ROOT, Project


def shards(project: Project) -> dict[str, str]:
    """Returns the checksums of the newest Examples."""
    executions = (project.output / "artifacts" / "ImageTextGen" / "examples").iterdir()
    examples = max(executions, key=lambda path: int(path.name))
    return {
        str(path.relative_to(examples)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(examples.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("bindings", "error", "message"),
    [
        (["Trainning.steps = 3"], ConfigurationError, "No configurable matching 'Trainning'"),
        (["Gate.min_value = {}"], ConfigurationError, "Gate.min_value is {}, but must be not empty"),
        (
            ["Gate.min_value = {'recall': 1.0}"],
            ConfigurationError,
            "Gate.min_value: 'recall' is no metric; use one of image_",
        ),
        (
            ["Gate.min_value = {'zero_shot_accuracy': 25}"],
            ConfigurationError,
            "Gate.min_value.* is 25, but must be in .0, 1",
        ),
        (["Pipeline.name = 5"], ConfigurationError, "Pipeline.name is 5, but must be of type str"),
        (["ImageTextGen.shards = 2.5"], ConfigurationError, "ImageTextGen.shards is 2.5, but must be of type int"),
        (["OpenMojiSource.size = 5"], ConfigurationError, "OpenMojiSource.size is set, but nothing uses it"),
        (["JsonlSource.path = 'no.jsonl'"], ValueError, "JsonlSource.path is 'no.jsonl', but no such file exists"),
    ],
)
def test_bad_gin_and_missing_files_are_refused_before_anything_runs(tmp_path, bindings, error, message):
    with pytest.raises(error, match=message):
        local_runner.run([GIN], bindings, str(tmp_path), dry_run=False)
    assert not list(tmp_path.rglob("*.sqlite"))


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ValueError, match=r"--output_dir=.*/file/own_data cannot be written .*name a folder of your own"
    ):
        local_runner.run([GIN], ["JsonlSource.path = 'x'"], str(tmp_path / "file"), dry_run=False)


def test_source_without_usable_rows_stops_at_image_text_gen_and_shows_the_first_rejects(tmp_path):
    project = Project(tmp_path)
    project.data.write_text('{"caption": "no image"}\n{broken\n')
    with pytest.raises(terminal.ComponentFailed) as raised:
        project.run()
    message = str(raised.value)
    assert "ImageTextGen failed: NoRows: split eval, test, train has no row: 2 read" in message
    assert "'image_missing': 1" in message
    assert f"{project.data}:1: image_missing" in message
    assert "run.log" in message
    assert "Traceback" in (project.output / "run.log").read_text()


def test_empty_file_stops_at_image_text_gen(tmp_path):
    project = Project(tmp_path)
    project.data.write_text("")
    with pytest.raises(
        terminal.ComponentFailed, match=r"NoRows: split eval, test, train has no row: 0 read from .*none"
    ):
        project.run()


def test_batch_larger_than_the_train_split_stops_before_anything_is_computed(tmp_path):
    project = Project(tmp_path)
    message = (
        r"BatchCheck failed: NoRows: split train has (\d+) rows, but Training.batch_size is 1000: \d+ rows were read, "
        r"\d+ kept \(.*\), dropped .*\. Lower Training.batch_size to \1 or less, or bring more rows"
    )
    with pytest.raises(terminal.ComponentFailed, match=message):
        project.run("Training.batch_size = 1000")
    made = {path.name for path in (project.output / "artifacts").iterdir()}
    assert made <= {"ImageTextGen", "Deduper", "BatchCheck", "EvaluationSuite"}


@pytest.mark.slow
def test_run_after_one_that_was_killed_while_writing_shards_writes_the_same_shards(tmp_path):
    unbroken, killed = Project(tmp_path / "unbroken"), Project(tmp_path / "killed")
    flags = [f"--gin_bindings={binding}" for binding in killed.bindings("Training.steps = 0")]
    command = [sys.executable, "-m", "pipeline.local_runner", f"--gin_file={GIN}", *flags]
    process = subprocess.Popen(
        [*command, f"--output_dir={killed.folder / 'output'}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    while not list(killed.output.glob("artifacts/ImageTextGen/examples/*/Split-*")):
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.002)
    os.kill(process.pid, 9)
    process.wait()

    killed.run("Training.steps = 0")
    summary = unbroken.run("Training.steps = 0")
    assert shards(killed) == shards(unbroken)
    assert summary["image_text_gen"]["written"] == 240


def test_the_command_line_prints_one_line_for_an_error():
    command = [sys.executable, "-m", "pipeline.local_runner", "--gin_file=gin/no.gin"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("error: --gin_file=gin/no.gin: no such file")
    assert "Traceback" not in done.stderr
