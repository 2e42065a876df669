"""Answers about a folder: one line for each picture, also broken ones, in a file that appears whole or not at all."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from components.serving_clients import LocalClient, NoAnswer, Refused
from pipeline import zero_shot_folder
from tests.pictures import shape_pairs
from tests.pipeline.conftest import ROOT

LABELS = ["a red disc", "a blue ring", "ρόδα"]


@pytest.fixture
def folder(tmp_path):
    """Seven pictures, three other files with a suffix of pictures, and a text file."""
    pictures = tmp_path / "pictures"
    (pictures / "below").mkdir(parents=True)
    for number, (picture, _, _) in enumerate(shape_pairs()[:7]):
        (pictures / ("below" if number % 2 else ".") / f"{number}.PNG").write_bytes(picture)
    (pictures / "below" / "3a.png").write_bytes(b"no picture")
    (pictures / "2a.png").write_bytes(b"")
    (pictures / "gone.jpg").symlink_to("nowhere")
    (pictures / "notes.txt").write_text("not a picture, and without a suffix of one")
    return pictures


class Fake:
    """Answers at once; refuses bytes that do not start like a PNG, in the words of a server."""

    def __init__(self, fails_at: int = 10**9) -> None:
        self.requests = 0
        self.fails_at = fails_at

    def predict(self, _, inputs):
        self.requests += 1
        if self.requests >= self.fails_at:
            raise NoAnswer("the server went away")
        pictures = inputs["image_bytes"]
        if broken := [row for row, picture in enumerate(pictures) if not picture.startswith(b"\x89PNG")]:
            rows = " ".join(map(str, broken))
            raise Refused(f"assertion failed: [image_bytes: these rows (from 0) are not pictures: [{rows}] of 3]")
        logit = np.zeros((len(pictures), len(inputs["labels"])))
        return {"probability": logit + 0.5, "logit": logit}


def read(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_every_picture_has_a_line_and_broken_ones_do_not_stop_the_run(folder, tmp_path, capsys, batch_size):
    output = tmp_path / "answers.jsonl"
    line = zero_shot_folder.ask(Fake(), str(folder), LABELS, str(output), batch_size)
    assert line.startswith(f"{output}: 7 pictures answered, 3 broken, 1 other files left out")
    rows = read(output)
    assert [row["image"] for row in rows] == sorted(row["image"] for row in rows)
    errors = {row["image"]: row["error"] for row in rows if "error" in row}
    assert errors == {
        "2a.png": zero_shot_folder.NO_PICTURE,
        "below/3a.png": zero_shot_folder.NO_PICTURE,
        "gone.jpg": "cannot be read: No such file or directory",
    }
    assert all(set(row["probability"]) == set(LABELS) for row in rows if "error" not in row)
    shown = capsys.readouterr().err
    assert re.search(r"10/10 \[\d+:\d+<\d+:\d+, .*pictures/s, broken=3\]", shown)


def test_batched_answers_equal_the_answers_of_one_request(exported, folder, tmp_path):
    client = LocalClient(exported)
    zero_shot_folder.ask(client, str(folder), LABELS, str(tmp_path / "answers.jsonl"), 4)
    rows = [row for row in read(tmp_path / "answers.jsonl") if "probability" in row]
    pictures = [(folder / row["image"]).read_bytes() for row in rows]
    together = zero_shot_folder.probabilities(client, pictures, LABELS)
    assert [row["probability"] for row in rows] == [pytest.approx(shares, abs=1e-6) for shares in together]


def test_labels_come_in_the_order_of_their_logits_also_where_probabilities_round_to_1(folder):
    class Sure:
        def predict(self, *_):
            return {"probability": np.ones((1, 3), np.float32), "logit": np.float32([[30, 90, 60]])}

    (answer,) = zero_shot_folder.probabilities(Sure(), [shape_pairs()[0][0]], LABELS)
    assert list(answer.items()) == [(LABELS[1], 1.0), (LABELS[2], 1.0), (LABELS[0], 1.0)]


def test_server_that_fails_for_a_while_is_asked_again(folder, tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(zero_shot_folder.time, "sleep", waited.append)

    class Shaky(Fake):
        def predict(self, *asked):
            self.fails_at = self.requests + 1 if self.requests in (2, 3) else 10**9
            return super().predict(*asked)

    zero_shot_folder.ask(Shaky(), str(folder), LABELS, str(tmp_path / "shaky"), 3)
    assert waited == [1.0, 5.0]
    zero_shot_folder.ask(Fake(), str(folder), LABELS, str(tmp_path / "sound"), 3)
    assert (tmp_path / "shaky").read_text() == (tmp_path / "sound").read_text()


def test_control_server_that_never_answered_is_not_asked_again(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(zero_shot_folder.time, "sleep", None)
    with pytest.raises(NoAnswer, match="went away"):
        zero_shot_folder.ask(Fake(fails_at=1), str(folder), LABELS, str(tmp_path / "answers.jsonl"), 2)


def test_failed_run_keeps_the_output_of_the_run_before(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(zero_shot_folder.time, "sleep", lambda _: None)
    output = tmp_path / "answers.jsonl"
    output.write_text("before")
    with pytest.raises(NoAnswer, match="went away"):
        zero_shot_folder.ask(Fake(fails_at=3), str(folder), LABELS, str(output), 2)
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl", "pictures"]


def test_run_after_a_killed_run_writes_all_answers(folder, tmp_path):
    """A run killed in its second request leaves no output; the next run writes the same as an undisturbed one."""
    output, expected = tmp_path / "answers.jsonl", tmp_path / "expected.jsonl"
    script = (
        "import os, signal, sys\n"
        "import numpy as np\n"
        "from pipeline import zero_shot_folder\n"
        "class Killed:\n"
        "    requests = 0\n"
        "    def predict(self, _, inputs):\n"
        "        self.requests += 1\n"
        "        if self.requests == 2:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        one = np.ones((len(inputs['image_bytes']), 1))\n"
        "        return {'probability': one, 'logit': one}\n"
        "zero_shot_folder.ask(Killed(), sys.argv[1], ['a'], sys.argv[2], 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder), str(output)], cwd=ROOT, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert not output.exists()
    assert list(tmp_path.glob(".unfinished-answers.jsonl-*"))
    for path in (output, expected):
        zero_shot_folder.ask(Fake(), str(folder), LABELS, str(path), 2)
    assert output.read_bytes() == expected.read_bytes()
    assert not list(tmp_path.glob(".unfinished-*"))


def test_refusal_that_names_no_row_is_raised(folder, tmp_path):
    class Refusing:
        def predict(self, *_):
            raise Refused("something else")

    with pytest.raises(Refused, match="something else"):
        zero_shot_folder.ask(Refusing(), str(folder), LABELS, str(tmp_path / "answers.jsonl"), 2)


def test_missing_pictures_and_unwritable_output_are_reported(folder, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="none holds no file that ends with"):
        zero_shot_folder.ask(Fake(), str(tmp_path / "none"), LABELS, str(tmp_path / "answers.jsonl"), 2)
    with pytest.raises(ValueError, match="absent is no folder"):
        zero_shot_folder.ask(Fake(), str(tmp_path / "absent"), LABELS, str(tmp_path / "answers.jsonl"), 2)
    with pytest.raises(ValueError, match=r"--output=gs://b/answers\.jsonl is not a path of this"):
        zero_shot_folder.ask(Fake(), str(folder), LABELS, "gs://b/answers.jsonl", 2)
    with pytest.raises(ValueError, match="is a folder; name a file in it"):
        zero_shot_folder.ask(Fake(), str(folder), LABELS, str(tmp_path), 2)
    with pytest.raises(ValueError, match=r"answers\.jsonl cannot be written"):
        zero_shot_folder.ask(Fake(), str(folder), LABELS, str(tmp_path / "nowhere" / "answers.jsonl"), 2)
