"""The commands find the same picture files, and say what they leave out."""

import os

import numpy as np
import pytest
from PIL import Image

from beam.filters import pictures
from pipeline import picture_files, zero_shot_folder
from pipeline.demo import collection


class Fake:
    def predict(self, _, inputs):
        logit = np.zeros((len(inputs["image_bytes"]), len(inputs["labels"])))
        return {"probability": logit + 0.5, "logit": logit}


@pytest.fixture
def folder(tmp_path):
    """One picture of each suffix, half of them in capital letters, and files that are left out."""
    path = tmp_path / "pictures"
    path.mkdir()
    for number, suffix in enumerate(picture_files.SUFFIXES):
        name = f"{number:02}{suffix.upper() if number % 2 else suffix}"
        Image.new("RGB", (40, 30), "red").save(path / name, "PNG")
    (path / "._00.jpg").write_bytes(b"of macOS")
    (path / ".hidden.png").write_bytes(b"")
    (path / "notes.TXT").write_text("")
    (path / "README").write_text("")
    os.mkfifo(path / "pipe.png")
    return path


def test_zero_shot_and_demo_find_every_suffix_and_count_the_others(folder, tmp_path):
    line = zero_shot_folder.ask(Fake(), str(folder), ["a"], str(tmp_path / "answers"), 4)
    count = len(picture_files.SUFFIXES)
    assert f"{count} pictures answered, 0 broken, 5 other files left out (2 begin with a dot, " in line
    for reason in ("1 end with .txt", "1 have no suffix", "1 are no regular files"):
        assert reason in line
    searched = collection.ImageFolder(str(folder))
    assert searched.total == count
    assert searched.left_out.startswith("5 other files left out (2 begin with a dot")


def test_suffixes_are_those_of_the_formats_that_the_data_plane_reads():
    Image.init()
    known = {suffix for suffix, name in Image.EXTENSION.items() if name in (*pictures._FORMATS, "MPO")}
    assert known - {".pfm"} <= {*picture_files.SUFFIXES}
    assert all(Image.EXTENSION[suffix] in (*pictures._FORMATS, "MPO") for suffix in picture_files.SUFFIXES)


def test_folder_without_pictures_says_what_it_holds(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match=r"holds no file that ends with .*\.webp; 1 other files left out \(1 end with"):
        zero_shot_folder.ask(Fake(), str(tmp_path), ["a"], str(tmp_path / "answers"), 4)
    with pytest.raises(ValueError, match=r"has no picture \(1 other files left out .*; name a folder of files in JPEG"):
        collection.ImageFolder(str(tmp_path))
