"""zero_shot and the demo send no picture to a model that the data plane rejects."""

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image

from beam.filters.pictures import PictureSettings
from pipeline import zero_shot, zero_shot_folder
from pipeline.demo import collection
from tests import picture_writers as writers
from tests.pictures import encode


def huge_second_frame() -> bytes:
    """A GIF of 32 x 32 whose second frame has 400 megapixels; TensorFlow decodes all frames."""
    draw = np.random.default_rng(0)
    second = b"," + struct.pack("<HHHHB", 0, 0, 20_000, 20_000, 0) + b"\2\1\5\0"
    return writers.gif(draw, (32, 32), [writers.gif_frame(draw, (0, 0, 32, 32)), second])


def floats() -> bytes:
    tags = {258: (3, [32]), 262: (3, [1]), 277: (3, [1]), 339: (3, [3])}
    return writers.tiff(32, 32, np.full((32, 32), 7, "<f4").tobytes(), tags)


class Recording:
    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def predict(self, _, inputs):
        self.asked += inputs["image_bytes"]
        logit = np.full((len(inputs["image_bytes"]), len(inputs["labels"])), 40.0)
        return {"probability": np.ones_like(logit), "logit": logit}


BAD = {"bomb.gif": (huge_second_frame(), "20000 x 20000 is more than"), "float.png": (floats(), "floats")}


def test_folder_names_the_rejected_pictures_and_asks_about_the_others(tmp_path):
    (tmp_path / "pictures").mkdir()
    good = encode(Image.new("RGB", (32, 32), "red"))
    for name, image in {"good.png": good, **{name: image for name, (image, _) in BAD.items()}}.items():
        (tmp_path / "pictures" / name).write_bytes(image)
    client = Recording()
    zero_shot_folder.ask(client, str(tmp_path / "pictures"), ["a"], str(tmp_path / "answers"), 8)
    rows = {row["image"]: row for row in map(json.loads, (tmp_path / "answers").read_text().splitlines())}
    assert client.asked == [good]
    assert rows["good.png"]["probability"] == {"a": 1.0}
    for name, (_, reason) in BAD.items():
        assert reason in rows[name]["error"]


@pytest.mark.parametrize("name", BAD)
def test_single_picture_is_refused_with_the_reason(tmp_path, name):
    image, reason = BAD[name]
    (tmp_path / name).write_bytes(image)
    client = Recording()
    with pytest.raises(ValueError, match=f"{name}: .*{reason}"):
        zero_shot.ask(client, [str(tmp_path / name)], ["a"])
    assert not client.asked


@pytest.mark.parametrize("name", BAD)
def test_demo_refuses_with_the_reason(name):
    image, reason = BAD[name]
    with pytest.raises(collection.BadPicture, match=f"{name}: .*{reason}"):
        collection.checked(name, image, PictureSettings(min_side=1, max_pixels=50 * 10**6))


def test_animation_reaches_the_model_as_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    (tmp_path / "moving.gif").write_bytes(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    client = Recording()
    zero_shot.ask(client, [str(tmp_path / "moving.gif")], ["a"])
    with Image.open(io.BytesIO(client.asked[0])) as sent:
        assert (sent.format, sent.getpixel((0, 0))) == ("PNG", (255, 0, 0))
