"""Publishing by several processes, and by processes that are killed."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

from models import files
from models.serving import publish
from pipeline.publishing import versions
from tests.pipeline.publishing.models import make_model, require_whole

ROOT = pathlib.Path(__file__).parents[3]
_PUBLISH = """
import sys
from pipeline.publishing import versions
for line in sys.stdin:
    model, folder = line.split()
    try:
        print(versions.publish(model, folder, {"reason": "crowd"}), flush=True)
    except Exception as error:
        print("failed", repr(error), flush=True)
"""


@contextlib.contextmanager
def publishers(count: int):
    command = [sys.executable, "-c", _PUBLISH]
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(count)
        ]
        yield started
        for one in started:
            one.stdin.close()


def test_two_publishes_at_once_give_two_whole_versions_in_80_rounds(tmp_path, record_property):
    models = [make_model(tmp_path, name) for name in ("first", "second")]
    with publishers(2) as started:
        for turn in range(80):
            folder = tmp_path / f"serving-{turn}"
            for one, model in zip(started, models, strict=True):
                one.stdin.write(f"{model} {folder}\n")
            for one in started:
                one.stdin.flush()
            answers = [one.stdout.readline().strip() for one in started]
            assert all(answer.startswith(str(folder)) for answer in answers), answers
            assert sorted(map(int, map(os.path.basename, answers))) == require_whole(folder)
            assert len(set(answers)) == 2
            for answer, model in zip(answers, models, strict=True):
                assert pathlib.Path(answer, "saved_model.pb").read_text() == model.name
            assert {name for name in os.listdir(folder) if not name.isdigit()} == set()
    record_property("rounds", 80)


def test_machines_that_share_no_lock_take_different_numbers(tmp_path, monkeypatch):
    """Another machine takes the number after this one has chosen it."""
    model, other = make_model(tmp_path, "first"), make_model(tmp_path, "second")
    folder = tmp_path / "serving"
    choose, taken = publish.next_number, []

    def slow(path):
        number = choose(path)
        if len(taken) < 3:
            taken.append(number)
            shutil.copytree(other, folder / str(number))
        return number

    monkeypatch.setattr(publish, "next_number", slow)
    path = publish.publish(str(model), str(folder))
    assert int(os.path.basename(path)) == taken[-1] + 1
    assert pathlib.Path(path, "saved_model.pb").read_text() == "first"
    assert all((folder / str(number) / "saved_model.pb").read_text() == "second" for number in taken)


_KILLED = """
import shutil, sys, time
from pipeline.publishing import versions
copy = shutil.copy2
def slowly(*arguments, **values):
    time.sleep(0.006)
    return copy(*arguments, **values)
shutil.copytree.__defaults__ = tuple(slowly if one is copy else one for one in shutil.copytree.__defaults__)
print("ready", flush=True)
while True:
    versions.publish(sys.argv[1], sys.argv[2], {"reason": "killed"})
"""


def test_publish_after_a_killed_one_is_whole_and_cleans_up_in_20_rounds(tmp_path, record_property):
    model, other = make_model(tmp_path, "first"), make_model(tmp_path, "second")
    folder, left, moment = tmp_path / "serving", 0, random.Random(5)
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", _KILLED, str(model), str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(moment.random() * 0.15)
            process.send_signal(signal.SIGKILL)
        left += any(name.startswith(files.UNFINISHED) for name in (os.listdir(folder) if folder.exists() else []))
        path = versions.publish(str(other), str(folder), {})
        assert require_whole(folder)[-1] == int(os.path.basename(path))
        assert not [name for name in os.listdir(folder) if name.startswith(".")]
    record_property("rounds", 20)
    assert left > 5  # control: some were killed while they copied


def test_remains_of_earlier_releases_are_removed_and_those_of_the_living_stay(tmp_path):
    model, folder = make_model(tmp_path, "first"), tmp_path / "serving"
    (folder / ".unfinished-1700000000" / "variables").mkdir(parents=True)
    with files.unfinished(str(folder / "version"), folder=True) as living:
        os.makedirs(living)
        versions.publish(str(model), str(folder), {})
        names = [name for name in os.listdir(folder) if name.startswith(".")]
    assert sorted(names) == sorted([os.path.basename(living), os.path.basename(living).removesuffix(".d")])
