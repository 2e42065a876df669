"""Publishing on full and read-only disks, among odd names, and with a wrong clock."""

import contextlib
import errno
import os
import pathlib
import subprocess
import sys
import time

import pytest

from models import files
from models.serving import publish
from pipeline.publishing import versions
from tests.pipeline.publishing.models import SIZE, make_model, require_whole

ROOT = pathlib.Path(__file__).parents[3]


@pytest.mark.parametrize("clock", [-5.0, 0.0, 1e9, 4.2e9, 1e13])
def test_number_is_above_all_that_are_there_whatever_the_clock_says(tmp_path, monkeypatch, clock):
    model, folder = make_model(tmp_path, "first"), tmp_path / "serving"
    (folder / "3000000000").mkdir(parents=True)  # incomplete
    (folder / "0003000000004").mkdir()
    (folder / "3000000001").write_text("a file")
    (folder / "3000000002").symlink_to(folder / "nowhere")
    for name in ("²", "٣", "1_0", str(10**30), "-4000000000", "5e9"):
        (folder / name).mkdir()
    monkeypatch.setattr(time, "time", lambda: clock)
    numbers = [int(os.path.basename(versions.publish(str(model), str(folder), {}))) for _ in range(3)]
    assert numbers[0] == max(3000000005, int(clock))
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    assert require_whole(folder) == numbers
    monkeypatch.setattr(time, "time", lambda: 7.0)
    _, target, path = versions.roll_back(str(folder), None, "")
    assert target.number == numbers[1]
    assert versions.read(str(folder))[-1].path == path


def test_folder_with_the_highest_number_is_reported(tmp_path):
    model, folder = make_model(tmp_path, "first"), tmp_path / "serving"
    (folder / str(files.LAST_VERSION)).mkdir(parents=True)
    with pytest.raises(publish.NotPublished, match="no higher number exists; remove or rename that folder"):
        versions.publish(str(model), str(folder), {})


def command(*arguments: str) -> str:
    """The error of a `pipeline.publish` command, which is one line."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.publish", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


@contextlib.contextmanager
def mounted(folder: pathlib.Path, options: str):
    """A small file system in memory, if this user may mount one."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this user may mount no file system: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_is_reported_and_the_next_publish_succeeds(tmp_path):
    folder = tmp_path / "serving"
    with mounted(folder, "size=300k"):
        for number in (10, 20):
            (folder / str(number)).mkdir()
            (folder / str(number) / "saved_model.pb").write_bytes(b"x" * 1000)
        (folder / "10" / "weights").write_bytes(b"x" * 100_000)
        (folder / "fill").write_bytes(b"x" * 120_000)
        line = command("rollback", f"--model_dir={folder}")
        assert line.startswith("error: ")
        assert "No space left on device" in line
        assert line.endswith("Free some room, or name a folder that you may write, and publish again")
        assert sorted(os.listdir(folder)) == ["10", "20", "fill"]
        (folder / "fill").unlink()
        _, target, path = versions.roll_back(str(folder), None, "")
        assert target.number == 10
        assert pathlib.Path(path, "weights").read_bytes() == b"x" * 100_000


def test_read_only_folder_is_reported(tmp_path):
    folder = tmp_path / "serving"
    with mounted(folder, "size=300k"):
        for number in (10, 20):
            (folder / str(number)).mkdir()
            (folder / str(number) / "saved_model.pb").touch()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        assert "Read-only file system" in command("rollback", f"--model_dir={folder}")
        assert len(versions.read(str(folder))) == 2  # list needs no lock


@pytest.mark.parametrize("failing", ["open", "mkdir", "rename", "fsync", "chmod", "utime"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO, errno.EDQUOT])
def test_failing_call_is_reported_and_leaves_nothing(tmp_path, monkeypatch, failing, number):
    model, folder = make_model(tmp_path, "first"), tmp_path / "serving"
    versions.publish(str(model), str(folder), {})
    right = getattr(os, failing)

    def fail(path, *arguments, **values):
        if failing == "fsync" or str(folder) in str(path):
            raise OSError(number, os.strerror(number), path)
        return right(path, *arguments, **values)

    before = sorted(os.listdir(folder))
    with monkeypatch.context() as patched:
        patched.setattr(os, failing, fail)
        with pytest.raises(publish.NotPublished, match=f"{os.strerror(number)}.*the versions there are unchanged"):
            versions.publish(str(model), str(folder), {})
    assert sorted(os.listdir(folder)) == before
    versions.publish(str(model), str(folder), {})
    assert len(require_whole(folder)) == 2


def test_folder_that_is_a_file_and_missing_model_are_reported(tmp_path):
    model = make_model(tmp_path, "first")
    (tmp_path / "file").touch()
    with pytest.raises(publish.NotPublished, match="was not published to"):
        versions.publish(str(model), str(tmp_path / "file"), {})
    with pytest.raises(publish.NotPublished, match="No such file or directory"):
        versions.publish(str(tmp_path / "none"), str(tmp_path / "serving"), {})


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": "x"}', '{"at": "yesterday"}', "\udcff"])
def test_damaged_record_of_a_version_stops_nothing(tmp_path, text):
    model, folder = make_model(tmp_path, "first"), tmp_path / "serving"
    for _ in range(2):
        path = versions.publish(str(model), str(folder), {})
    pathlib.Path(path, "assets.extra", versions.ORIGIN_FILE).write_text(text, errors="surrogateescape")
    assert "damaged" in versions.read(str(folder))[-1].origin
    _, target, _ = versions.roll_back(str(folder), None, "")
    assert target.number == versions.read(str(folder))[0].number


def test_read_only_folders_of_a_model_are_published(tmp_path):
    model, folder = make_model(tmp_path, "first"), tmp_path / "serving"
    (model / "assets.extra").mkdir()
    for path in (model / "assets.extra", model / "variables", model):
        path.chmod(0o555)
    path = versions.publish(str(model), str(folder), {})
    assert os.stat(path).st_mode & 0o700 == 0o700
    assert require_whole(folder)


def test_address_gets_the_highest_number_and_its_model_file_last(tmp_path):
    import tensorflow as tf

    model, folder = make_model(tmp_path, "first"), f"ram://{tmp_path.name}/serving"
    files.write_text(f"{folder}/9999999999/saved_model.pb", "")
    path = publish.publish(str(model), folder, {"assets.extra/a.json": "{}"})
    assert path == f"{folder}/10000000000"
    assert files.newest_version(folder) == path
    assert all(tf.io.gfile.exists(f"{path}/variables/first-{number}") for number in range(SIZE))
    assert tf.io.gfile.exists(f"{path}/assets.extra/a.json")
