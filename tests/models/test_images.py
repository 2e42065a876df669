import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models import images
from tests.pictures import encode


def decoded(picture: Image.Image, image_format: str = "PNG", size: int = 4) -> np.ndarray:
    return images.decode_and_resize(tf.constant(encode(picture, image_format)), size).numpy()


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
    stripes[::2] = 255  # every other row white: without antialiasing, sampling would give pure black or white
    pixels = decoded(Image.fromarray(stripes))
    assert pixels.shape == (4, 4, 3)
    assert np.all((pixels > 110) & (pixels < 145))


def test_pixels_span_minus_one_to_one():
    np.testing.assert_allclose(images.to_unit_range(tf.constant([0, 255], tf.uint8)), [-1.0, 1.0])


def test_serving_names_every_broken_row(red_png):
    batch = images.decode_batch(tf.constant([red_png, red_png]), 4)
    np.testing.assert_allclose(batch, np.tile([1.0, -1.0, -1.0], (2, 4, 4, 1)))
    truncated = red_png[: len(red_png) // 2]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not pictures.*\[1 3\].*of.*4"):
        images.decode_batch(tf.constant([red_png, b"junk", red_png, truncated]), 4)


def test_serving_answers_an_empty_batch():
    assert images.decode_batch(tf.constant([], tf.string), 4).shape == (0, 4, 4, 3)


def test_boxes_depend_on_the_seed_only_and_keep_their_bounds():
    boxes = [images.random_box(0.5, 1.2, tf.constant([0, seed], tf.int64)).numpy() for seed in range(200)]
    np.testing.assert_array_equal(boxes[7], images.random_box(0.5, 1.2, tf.constant([0, 7], tf.int64)))
    assert len({box.tobytes() for box in boxes}) == 200
    top, left, bottom, right = np.array(boxes).T
    np.testing.assert_allclose(bottom - top, right - left, atol=1e-6)
    assert 0.5 <= (bottom - top).min() < 0.55
    assert 1.15 < (bottom - top).max() <= 1.2001


def test_crops_are_those_of_tensorflows_crop_and_resize_compiled_or_not():
    pixels = tf.random.stateless_uniform([3, 16, 16, 3], [1, 2], -1, 1)
    boxes = tf.stack([images.random_box(0.5, 1.2, tf.constant([0, seed], tf.int64)) for seed in range(3)])
    expected = tf.image.crop_and_resize(pixels, boxes, tf.range(3), [16, 16], extrapolation_value=images.WHITE)
    np.testing.assert_allclose(images.crop(pixels, boxes), expected, atol=2e-5)
    np.testing.assert_allclose(tf.function(images.crop, jit_compile=True)(pixels, boxes), expected, atol=2e-5)
    whole = tf.constant([[0.0, 0.0, 1.0, 1.0]] * 3)
    np.testing.assert_allclose(images.crop(pixels, whole), pixels, atol=1e-5)
