"""Files and folders appear whole or not at all, on this machine and at addresses such as gs://..."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from models import files

_KILLED = """
import os, sys
from models import files
with files.WholeFolder(sys.argv[1]) as unfinished:
    files.write_text(os.path.join(unfinished, "left"), "by a process that was killed")
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(params=["local", "remote"])
def folder(request, tmp_path) -> str:
    return str(tmp_path) if request.param == "local" else f"ram://{tmp_path.name}"


def names(folder: str) -> list[str]:
    return sorted(name.rstrip("/") for name in tf.io.gfile.listdir(folder)) if tf.io.gfile.exists(folder) else []


def content(path: str) -> str:
    with tf.io.gfile.GFile(path) as file:
        return file.read()


def write_half(whole: files.WholeFile | files.WholeFolder, *names: str) -> None:
    with whole as unfinished:
        files.write_text(os.path.join(unfinished, *names), "half")
        raise OSError("the disk is full")


def test_a_file_replaces_the_one_before_only_if_it_is_whole(folder):
    path = os.path.join(folder, "new", "a.txt")
    files.write_text(path, "before: ä\n")
    with pytest.raises(OSError, match="disk is full"):
        write_half(files.WholeFile(path))
    assert (names(os.path.dirname(path)), content(path)) == (["a.txt"], "before: ä\n")
    with files.WholeFile(path) as written:
        files.write_text(written, "after")
    assert (names(os.path.dirname(path)), content(path)) == (["a.txt"], "after")


def test_a_folder_appears_whole_and_without_the_files_of_a_killed_process(tmp_path):
    folder, path = str(tmp_path), str(tmp_path / "model")  # TensorFlow's ram:// renames no folder with its files
    left = subprocess.run([sys.executable, "-c", _KILLED, path])
    assert left.returncode == -9
    assert len(names(folder)) == 2  # control: the folder and the lock of the killed process
    with pytest.raises(OSError, match="disk is full"):
        write_half(files.WholeFolder(path), "a.txt")
    assert names(folder) == []
    with files.WholeFolder(f"{path}/") as unfinished:
        files.write_text(os.path.join(unfinished, "a.txt"), "whole")
    assert names(folder) == ["model"]
    assert names(path) == ["a.txt"]


def test_newest_version_is_the_highest_number_that_is_complete(folder):
    assert files.newest_version(folder) == folder
    for name in ("9/saved_model.pb", "10/config.json", "11/variables/data", ".unfinished-12/saved_model.pb"):
        files.write_text(os.path.join(folder, name), "")
    assert files.newest_version(folder) == os.path.join(folder, "10")
    assert files.newest_version(folder, [files.SAVED_MODEL_FILE]) == os.path.join(folder, "9")


def test_local_paths_need_no_tensorflow(tmp_path):
    script = (
        "import sys; from models import files; files.write_text(sys.argv[1], ''); files.newest_version(sys.argv[1]); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")]).returncode == 0
