import json
import pathlib
import subprocess
import sys

import pytest

from pipeline import versions, zero_shot
from tests.pictures import shape_pairs
from tests.pipeline.conftest import ROOT


@pytest.fixture
def picture(tmp_path) -> str:
    path = tmp_path / "shape.png"
    path.write_bytes(shape_pairs()[0][0])
    return str(path)


def test_the_newest_complete_version_counts(exported, tmp_path):
    assert versions.newest(exported) == exported
    assert versions.newest(str(pathlib.Path(exported).parent)) == exported
    (tmp_path / "9").mkdir()  # a push that has not ended: no saved_model.pb yet
    with pytest.raises(ValueError, match="holds no SavedModel; run `make quickstart`"):
        versions.newest(str(tmp_path))


def test_probabilities_by_picture_and_label(exported, picture):
    answers = zero_shot.ask(exported, [picture], ["a red disc", "a blue ring"])
    assert set(answers[picture]) == {"a red disc", "a blue ring"}
    assert all(0 <= probability <= 1 for probability in answers[picture].values())


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (["missing.png"], ["a"], "--image=missing.png cannot be read: No such file"),
        ([__file__], ["a"], "test_zero_shot.py: not a picture in JPEG, PNG, GIF or BMP"),
        (["x.png"], ["a", "a"], "named twice"),
        ([], ["a"], "add --image FILE"),
        (["x.png"], ["a", ""], "empty label"),
    ],
)
def test_bad_arguments_say_what_to_do(exported, images, labels, message):
    with pytest.raises(ValueError, match=message):
        zero_shot.ask(exported, images, labels)


def test_command_line_prints_json(exported, picture):
    command = [sys.executable, "-m", "pipeline.zero_shot", f"--model_dir={exported}", f"--image={picture}"]
    done = subprocess.run(
        [*command, "--labels=cat, dog", "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)[picture]) == {"cat", "dog"}
    failed = subprocess.run([*command[:-1], "--image=no.png", "--labels=cat"], cwd=ROOT, capture_output=True, text=True)
    assert failed.returncode != 0
    assert failed.stderr.strip().endswith("error: --image=no.png cannot be read: No such file or directory")
