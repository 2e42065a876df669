"""Several processes write in one folder; some are killed; the disk is full; the power is lost."""

import multiprocessing
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from models import files, locks

ROOT = pathlib.Path(__file__).parents[2]


def run(script: str, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


_HOLD = """
import sys
from models import locks
with locks.hold(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_lock_names_its_holder_and_ends_with_a_killed_process(tmp_path):
    path = str(tmp_path / "lock")
    other = subprocess.Popen(
        [sys.executable, "-c", _HOLD, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"

    def refuse(holder):
        raise ValueError(holder)

    with pytest.raises(ValueError, match=rf"process {other.pid} on .*, since 20\d\d-.* UTC"), locks.hold(path, refuse):
        pass
    other.kill()
    other.wait()
    assert os.path.exists(path)  # control: the killed process has left its file
    with locks.hold(path, refuse):
        pass
    assert not os.path.exists(path)


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "FIFO"])
def test_lock_of_another_kind_of_file_is_refused_and_stays(tmp_path, kind):
    """A lock that follows a link would overwrite the file that the link names."""
    path, target = tmp_path / "lock", tmp_path / "target"
    if kind == "link":
        target.write_text("precious")
    make = {"folder": path.mkdir, "FIFO": lambda: os.mkfifo(path)}
    make.get(kind, lambda: path.symlink_to(target))()
    with pytest.raises(OSError, match="a lock must be a regular file; remove it"), locks.hold(str(path)):
        pass
    assert os.path.lexists(path)
    assert target.exists() == (kind == "link")
    assert kind != "link" or target.read_text() == "precious"


def test_lock_lets_one_of_eight_threads_in_at_a_time(tmp_path):
    inside, most, entered = [], [], []

    def enter():
        for _ in range(40):
            with locks.hold(str(tmp_path / "lock"), lambda holder: None):
                inside.append(1)
                most.append(len(inside))
                entered.append(1)
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert max(most) == 1
    assert len(entered) == 320


@pytest.mark.parametrize("name", ["a.txt", "ä" * 100, "x" * 250])
def test_temporary_names_differ_and_those_of_the_living_stay(tmp_path, name):
    path = str(tmp_path / name)
    with files.WholeFile(path) as first, files.WholeFile(path) as second:
        assert first != second
        files.remove_unfinished(str(tmp_path))
        assert os.path.exists(first)
        assert os.path.exists(second)
    assert os.listdir(tmp_path) == [name]
    with files.WholeFolder(str(tmp_path / "folder")) as folder:
        os.makedirs(folder)
        files.remove_unfinished(str(tmp_path))
        assert os.path.isdir(folder)
    assert sorted(os.listdir(tmp_path)) == sorted([name, "folder"])


def _write(path: str, turn: int) -> None:
    for number in range(30):
        files.write_text(path, f"{turn} {number}\n" * 2000)


def test_file_that_four_processes_write_is_always_that_of_one(tmp_path):
    path = str(tmp_path / "a.txt")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, turn)) for turn in range(4)]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        if os.path.exists(path):
            lines = pathlib.Path(path).read_text().splitlines()
            assert len(lines) == 2000
            assert len(set(lines)) == 1
            reads += 1
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert reads > 10
    assert os.listdir(tmp_path) == ["a.txt"]


def test_foreign_names_are_no_versions(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "saved_model.pb").touch()
    for name in ("²", "٣", "1_0", "10.5", "-9", str(10**30), "9" * 200, "\uff11\uff12"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "0012").mkdir()
    (tmp_path / "11").touch()
    (tmp_path / "50").symlink_to(tmp_path / "nowhere")
    assert files.complete_versions(str(tmp_path)) == [str(tmp_path / "7")]
    (tmp_path / "0012" / "saved_model.pb").touch()
    assert files.newest_version(str(tmp_path)) == str(tmp_path / "0012")  # servers read it as 12
    (tmp_path / "13").mkdir()
    (tmp_path / "13" / "saved_model.pb").symlink_to(tmp_path / "nowhere")
    assert files.newest_version(str(tmp_path)) == str(tmp_path / "0012")


@pytest.fixture
def calls(monkeypatch) -> list[tuple[str, str]]:
    """Records the paths that are synced and renamed, in order."""
    seen: list[tuple[str, str]] = []
    sync, rename = os.fsync, os.rename

    def fsync(file):
        seen.append(("sync", os.readlink(f"/proc/self/fd/{file}")))
        sync(file)

    def renamed(source, target):
        seen.append(("rename", os.path.abspath(target)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", renamed)
    return seen


def require_durable(calls: list[tuple[str, str]], path: str, names: list[str]) -> None:
    """Fails unless every file was synced before `path` appeared, and the folder above it afterwards."""
    at = calls.index(("rename", path))
    before = {os.path.basename(one) for what, one in calls[:at] if what == "sync"}
    assert set(names) <= before
    assert ("sync", os.path.dirname(path)) in calls[at:]


def test_file_and_folder_are_on_the_disk_before_they_appear(tmp_path, calls):
    path = tmp_path / "new" / "folder" / "a.txt"
    with files.WholeFile(str(path)) as unfinished:
        pathlib.Path(unfinished).write_text("a")
    require_durable(calls, str(path), [os.path.basename(unfinished)])
    for made in (tmp_path, tmp_path / "new", tmp_path / "new" / "folder"):  # the names of new folders as well
        assert ("sync", str(made)) in calls
    calls.clear()
    with files.WholeFolder(str(tmp_path / "model")) as unfinished:
        (pathlib.Path(unfinished) / "variables").mkdir(parents=True)
        (pathlib.Path(unfinished) / "variables" / "data").write_text("weights")
    require_durable(calls, str(tmp_path / "model"), ["data", "variables", os.path.basename(unfinished)])


def test_control_without_sync_the_recorder_reports_it(tmp_path, calls, monkeypatch):
    monkeypatch.setattr(files, "sync", lambda path: None)
    with files.WholeFile(str(tmp_path / "a")) as unfinished:
        pass
    with pytest.raises(AssertionError):
        require_durable(calls, str(tmp_path / "a"), [os.path.basename(unfinished)])
