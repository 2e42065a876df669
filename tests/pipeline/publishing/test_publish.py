"""Versions: list, rollback, and copies that appear whole or not at all."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

from pipeline.publishing import versions

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture
def serving(tmp_path) -> pathlib.Path:
    for number in (10, 20, 30):
        (tmp_path / str(number) / "variables").mkdir(parents=True)
        (tmp_path / str(number) / "variables" / "data").write_text(f"weights {number}")
        (tmp_path / str(number) / "saved_model.pb").write_text(f"model {number}")
    (tmp_path / "40").mkdir()  # interrupted: no saved_model.pb
    return tmp_path


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline.publish", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_list_and_rollback_from_the_command_line(serving):
    listed = run("list", f"--model_dir={serving}")
    assert listed.returncode == 0, listed.stderr
    assert "30" in listed.stdout.split("<- served")[0].splitlines()[-1]
    assert "3 versions" in listed.stdout
    rolled = run("rollback", f"--model_dir={serving}", "--reason=too slow")
    assert rolled.stdout.startswith("Version 20 is served again"), rolled.stderr
    newest = versions.read(str(serving))[-1]
    assert newest.number > 40
    assert abs(newest.published - newest.number) < 60  # not the time of the original
    assert (pathlib.Path(newest.path) / "variables" / "data").read_text() == "weights 20"
    assert newest.origin["version"] == 20
    assert newest.origin["instead_of"] == 30
    assert newest.origin["reason"] == "too slow"
    assert "version: 20, instead_of: 30, reason: too slow <- served" in run("list", f"--model_dir={serving}").stdout


def test_second_rollback_goes_further_back_until_no_version_is_left(serving):
    for expected in (20, 10):
        _, target, _ = versions.roll_back(str(serving), None, "")
        assert target.number == expected
    with pytest.raises(ValueError, match=r"is 10 again, which has none before it .* choose one by --to=VERSION"):
        versions.roll_back(str(serving), None, "")
    _, target, _ = versions.roll_back(str(serving), 30, "after all")
    assert target.number == 30


def test_rollback_can_return_to_a_version_published_by_hand(serving):
    by_hand = versions.publish(str(serving / "10"), str(serving), {"override": "known to be harder"})
    versions.publish(str(serving / "20"), str(serving), {})
    (pathlib.Path(versions.read(str(serving))[-1].path) / "assets.extra" / "published.json").write_text("{}")
    _, target, _ = versions.roll_back(str(serving), None, "")
    assert target.path == by_hand


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rollback", "--to=77"], "--to=77 is not a version before the served one; use one of 10, 20"),
        (["list", "--model_dir=/nothing/here"], "--model_dir=/nothing/here holds no SavedModel"),
        (["override", "--pipeline_dir=/nothing/here"], "--reason is missing"),
        (["override", "--pipeline_dir=/nothing/here", "--reason=x"], "/nothing/here holds no metadata.sqlite"),
        (["forward"], "the action is forward, but must be one of list, rollback, override"),
    ],
)
def test_bad_arguments_are_reported(serving, arguments, message):
    if not any("_dir" in argument for argument in arguments):
        arguments = [*arguments, f"--model_dir={serving}"]
    done = run(*arguments)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_interrupted_copy_is_never_a_version(serving, monkeypatch):
    def full(source, target):
        pathlib.Path(target).mkdir()
        shutil.copy(pathlib.Path(source) / "saved_model.pb", target)
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copytree", full)
        with pytest.raises(OSError, match="no space"):
            versions.roll_back(str(serving), None, "")
    assert [one.number for one in versions.read(str(serving))] == [10, 20, 30]
    _, target, path = versions.roll_back(str(serving), None, "")  # the next rollback succeeds
    assert target.number == 20
    assert json.loads((pathlib.Path(path) / "assets.extra" / "published.json").read_text())["version"] == 20
