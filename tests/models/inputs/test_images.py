"""Encoded pictures become squares of bytes; each way to resize equals Pillow's."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models import settings
from models.inputs import images
from tests.pictures import encode

TOWER = settings.ImageTowerSettings(size=4, patch=4)


def decoded(picture: Image.Image, image_format: str = "PNG", tower: settings.ImageTowerSettings = TOWER) -> np.ndarray:
    return images.decode_and_resize(tf.constant(encode(picture, image_format)), tower).numpy()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("L", 77, (77, 77, 77)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
        ("LA", (0, 0), (255, 255, 255)),
    ],
)
def test_every_png_becomes_rgb_on_white(mode, colour, expected):
    np.testing.assert_array_equal(decoded(Image.new(mode, (8, 6), colour)), np.full((4, 4, 3), expected))


@pytest.mark.parametrize("image_format", ["JPEG", "GIF", "BMP"])
def test_other_formats_decode(image_format):
    pixels = decoded(Image.new("RGB", (8, 8), (200, 0, 0)), image_format)
    assert np.abs(pixels.astype(int) - [200, 0, 0]).max() < 8


def test_resize_squashes_and_antialiases():
    stripes = np.zeros((64, 32, 3), np.uint8)
    stripes[::2] = 255  # every other row is white: without antialiasing, pixels would be pure black or white
    pixels = decoded(Image.fromarray(stripes))
    assert pixels.shape == (4, 4, 3)
    assert np.all((pixels > 110) & (pixels < 145))


def test_pixels_span_minus_one_to_one():
    np.testing.assert_allclose(images.to_unit_range(tf.constant([0, 255], tf.uint8)), [-1.0, 1.0])


def test_serving_names_every_broken_row(red_png):
    batch = images.decode_batch(tf.constant([red_png, red_png]), TOWER)
    np.testing.assert_allclose(batch, np.tile([1.0, -1.0, -1.0], (2, 4, 4, 1)))
    truncated = red_png[: len(red_png) // 2]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not pictures.*\[1 3\].*of.*4"):
        images.decode_batch(tf.constant([red_png, b"junk", red_png, truncated]), TOWER)


def test_serving_answers_an_empty_batch():
    assert images.decode_batch(tf.constant([], tf.string), TOWER).shape == (0, 4, 4, 3)


def drawn(width: int, height: int) -> Image.Image:
    """Smooth colours and a sharp edge, so that all ways to resize give different pixels."""
    rows, columns = np.mgrid[0:height, 0:width]
    channels = [127 + 127 * np.sin(rows / 5), 255 * columns / width, np.where(rows + columns > height, 230, 20)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 96), (16, 32)])
def test_each_resize_equals_pillows(interpolation, width, height):
    """Pillow rounds to bytes between its two passes, which changes a pixel by at most 1 of 255."""
    picture, method = drawn(width, height), FILTERS[interpolation]
    short, side = min(width, height), 16

    def ours(resize: str) -> np.ndarray:
        tower = settings.ImageTowerSettings(size=side, patch=16, resize=resize, interpolation=interpolation)
        return decoded(picture, tower=tower).astype(int)

    squashed = np.asarray(picture.resize((side, side), method)).astype(int)
    whole = picture.resize((width * side // short, height * side // short), method)
    left, top = (whole.width - side) // 2, (whole.height - side) // 2
    cropped = np.asarray(whole.crop((left, top, left + side, top + side))).astype(int)
    scale = side / max(width, height)
    inner = picture.resize((round(width * scale), round(height * scale)), method)
    boxed = Image.new("RGB", (side, side), "white")
    boxed.paste(inner, ((side - inner.width) // 2, (side - inner.height) // 2))
    found = {resize: ours(resize) for resize in ("squash", "crop", "letterbox")}
    expected = {"squash": squashed, "crop": cropped, "letterbox": np.asarray(boxed).astype(int)}
    for resize, pixels in found.items():
        assert np.abs(pixels - expected[resize]).max() <= 1, resize
        for other in expected:
            assert other == resize or np.abs(pixels - expected[other]).max() > 20


def test_control_the_two_interpolations_differ():
    towers = [dataclasses.replace(TOWER, size=16, patch=16, interpolation=name) for name in FILTERS]
    one, other = (decoded(drawn(96, 64), tower=tower).astype(int) for tower in towers)
    assert np.abs(one - other).max() > 8


@pytest.mark.parametrize("resize", ["squash", "crop", "letterbox"])
@pytest.mark.parametrize(("width", "height"), [(1, 3000), (3000, 1), (1, 1)])
def test_extreme_pictures_are_resized(resize, width, height):
    tower = settings.ImageTowerSettings(size=32, patch=16, resize=resize)
    pixels = decoded(Image.new("RGB", (width, height), (200, 0, 0)), tower=tower)
    assert pixels.shape == (32, 32, 3)
    assert (pixels[15, 15] == (200, 0, 0)).all()
    margins = resize == "letterbox" and width != height
    assert (pixels[0, 0] == (255 if margins else (200, 0, 0))).all()
