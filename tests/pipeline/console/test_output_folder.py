"""One run at a time writes an output folder, and keeps its temporary files there."""

import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

from pipeline import local_runner
from pipeline.console import output_folder

ROOT = pathlib.Path(__file__).parents[3]
_RUN = """
import pathlib, subprocess, sys, tempfile
from pipeline.console import output_folder
with output_folder.alone(sys.argv[1]):
    pathlib.Path(tempfile.mkstemp()[1])
    subprocess.run([sys.executable, "-c", "import tempfile; tempfile.mkstemp()"], check=True)
    print("running", flush=True)
    sys.stdin.readline()
"""


def start(folder: pathlib.Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "running\n"
    return process


def test_second_run_is_refused_until_the_first_has_ended_or_was_killed(tmp_path):
    folder = tmp_path / "output" / "quickstart"
    with start(folder) as first:
        message = rf"another run writes to --output_dir=.*: process {first.pid} on .*, since 20\d\d-.* UTC; wait until"
        with pytest.raises(ValueError, match=message), output_folder.alone(str(folder)):
            pass
        with output_folder.alone(str(tmp_path / "output" / "another")):  # a pipeline of another name shares nothing
            pass
        assert len(os.listdir(folder / ".tmp")) == 2  # of the process and of its child
        first.kill()
    assert sorted(os.listdir(folder)) == [".running", ".tmp"]  # control: what a killed run leaves
    with output_folder.alone(str(folder)):
        assert os.listdir(folder / ".tmp") == []
    assert os.listdir(folder) == []


def test_local_runner_is_refused_before_it_reads_its_data(tmp_path):
    gin = [
        "Pipeline.name = 'tried'", "Pipeline.image_text_gen = @ImageTextGen()", "ImageTextGen.source = @JsonlSource()",
        "JsonlSource.path = '/nothing/here'",
    ]  # fmt: skip
    with output_folder.alone(str(tmp_path / "tried")), pytest.raises(ValueError, match=f"process {os.getpid()} on"):
        local_runner.run(["gin/own_data.gin"], gin, str(tmp_path), dry_run=False)
    with pytest.raises(ValueError, match="/nothing/here"):  # control
        local_runner.run(["gin/own_data.gin"], gin, str(tmp_path), dry_run=False)
    assert not (tmp_path / "tried").exists()


@pytest.mark.parametrize("name", ["a", "x" * 120])
def test_temporary_folder_ends_with_the_run_and_the_one_before_returns(tmp_path, name):
    folder = tmp_path / name
    before = tempfile.gettempdir(), os.environ.get("TMPDIR")
    inside = ""

    def fail():
        nonlocal inside
        inside = tempfile.mkdtemp()
        assert os.environ["TMPDIR"] == os.path.dirname(inside) == os.path.realpath(folder / ".tmp")
        raise OSError("full")

    with pytest.raises(OSError, match="full"), output_folder.alone(str(folder)):
        fail()
    assert inside
    assert not os.path.exists(os.path.dirname(inside))
    assert not folder.exists()
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before


def test_folder_of_a_long_name_leaves_room_for_sockets_and_is_removed_after_a_killed_run(tmp_path):
    folder = tmp_path / ("x" * 120)
    script = (
        "import multiprocessing, os, sys; from pipeline.console import output_folder\n"
        "with output_folder.alone(sys.argv[1]):\n"
        "    with multiprocessing.Manager() as manager:\n"  # it listens on a socket in a temporary folder
        "        assert manager.list([1])[0] == 1\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr
    left = os.readlink(folder / ".tmp")
    assert os.path.isdir(left)  # control
    with output_folder.alone(str(folder)):
        assert not os.path.exists(left)
    assert os.listdir(folder) == []


def test_link_to_a_foreign_folder_is_removed_without_its_files(tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "a").touch()
    (tmp_path / ".tmp").symlink_to(tmp_path / "foreign")
    with output_folder.alone(str(tmp_path)):
        pass
    assert os.listdir(tmp_path / "foreign") == ["a"]


def test_lock_that_is_a_link_is_refused_in_one_line(tmp_path):
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".running").symlink_to(target)
    message = r"cannot be locked: .*running: a lock must be a regular file; remove it"
    with pytest.raises(ValueError, match=message), output_folder.alone(str(tmp_path / "out")):
        pass
    assert target.read_text() == "precious"


@pytest.mark.parametrize("module", ["local_runner", "study", "evaluate"])
def test_an_address_is_refused_and_no_folder_gets_its_name(module, tmp_path):
    command = [sys.executable, "-m", f"pipeline.{module}", "--gin_file=x.gin", "--output_dir=gs://bucket/runs"]
    command += [f"--model_dir={tmp_path}"] if module == "evaluate" else []
    (tmp_path / "saved_model.pb").touch()
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "error: --output_dir=gs://bucket/runs is not a path of this machine; name one" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model.pb"]
