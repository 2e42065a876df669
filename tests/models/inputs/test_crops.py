"""Random boxes depend on the seed only and keep their bounds; crops equal TensorFlow's."""

import numpy as np
import pytest
import tensorflow as tf

from models import settings
from models.inputs import crops

SQUARES = settings.AugmentationSettings(0.5, 1.2)


def drawn(config: settings.AugmentationSettings, count: int = 200) -> np.ndarray:
    """[count, 4]."""
    return np.array([crops.random_box(config, tf.constant([0, seed], tf.int64)).numpy() for seed in range(count)])


def test_square_boxes_depend_on_the_seed_only_and_keep_their_bounds():
    boxes = drawn(SQUARES)
    np.testing.assert_array_equal(boxes, drawn(SQUARES))
    assert len({box.tobytes() for box in boxes}) == 200
    top, left, bottom, right = boxes.T
    np.testing.assert_allclose(bottom - top, right - left, atol=1e-6)
    assert 0.5 <= (bottom - top).min() < 0.55
    assert 1.15 < (bottom - top).max() <= 1.2001


def test_random_resized_crops_keep_area_and_aspect_and_stay_inside():
    top, left, bottom, right = drawn(settings.AugmentationSettings(min_area=0.3, max_aspect=2.0), 400).T
    height, width = bottom - top, right - left
    assert min(top.min(), left.min()) >= 0
    assert max(bottom.max(), right.max()) <= 1 + 1e-6
    assert 0.29 < (height * width).min() < 0.36
    assert (height * width).max() > 0.9
    ratio = np.maximum(height / width, width / height)
    assert 1.6 < ratio.max() <= 2.0001
    assert ratio.min() < 1.1
    assert 0.4 < (height > width).mean() < 0.6


def test_a_wide_aspect_keeps_the_smallest_area():
    top, left, bottom, right = drawn(settings.AugmentationSettings(min_area=0.3, max_aspect=10.0), 400).T
    height, width = bottom - top, right - left
    assert (height * width).min() > 0.299
    assert np.maximum(height / width, width / height).max() > 2.5


def test_half_of_the_pictures_are_mirrored_in_the_same_box():
    plain, flipped = drawn(SQUARES), drawn(settings.AugmentationSettings(0.5, 1.2, flip=True))
    mirrored = flipped[:, 1] > flipped[:, 3]
    assert 0.4 < mirrored.mean() < 0.6
    np.testing.assert_array_equal(np.sort(flipped[:, [1, 3]], axis=1), plain[:, [1, 3]])
    assert crops.draws_boxes(settings.AugmentationSettings(flip=True))
    assert not crops.draws_boxes(settings.AugmentationSettings())


def test_crops_equal_tensorflows_crop_and_resize_compiled_or_not():
    pixels = tf.random.stateless_uniform([3, 16, 16, 3], [1, 2], -1, 1)
    boxes = tf.constant(drawn(settings.AugmentationSettings(0.5, 1.0, flip=True), 3))
    boxes += tf.constant([[0.0], [0.4], [-0.4]])  # inside, and partly outside
    expected = tf.image.crop_and_resize(pixels, boxes, tf.range(3), [16, 16], extrapolation_value=crops.WHITE)
    np.testing.assert_allclose(crops.crop(pixels, boxes), expected, atol=2e-5)
    np.testing.assert_allclose(tf.function(crops.crop, jit_compile=True)(pixels, boxes), expected, atol=2e-5)
    whole = tf.constant([[0.0, 0.0, 1.0, 1.0]] * 3)
    np.testing.assert_allclose(crops.crop(pixels, whole), pixels, atol=1e-5)
    mirror = tf.constant([[0.0, 1.0, 1.0, 0.0]] * 3)
    np.testing.assert_allclose(crops.crop(pixels, mirror), pixels[:, :, ::-1], atol=1e-5)


def test_shrinking_is_antialiased():
    checkered = tf.tile(tf.cast((tf.range(32)[:, None] + tf.range(32)) % 2, tf.float32)[None, :, :, None], [1, 1, 1, 3])
    box = tf.constant([[-16 / 31, -16 / 31, 46 / 31, 46 / 31]])  # every other pixel
    shrunk = crops.crop(checkered, box)[0].numpy()
    assert (shrunk[:8] == crops.WHITE).all()
    assert abs(shrunk[9:23, 9:23] - 0.5).max() < 0.02
    unfiltered = tf.image.crop_and_resize(checkered, box, [0], [32, 32])[0, 9:23, 9:23].numpy()
    assert abs(unfiltered - 0.5).max() > 0.4  # control: the pattern that antialiasing removes
    far = crops.crop(checkered, tf.constant([[3.0, 3.0, 4.0, 4.0]]))
    np.testing.assert_array_equal(far, np.full((1, 32, 32, 3), crops.WHITE))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"min_area": 0.5, "min_crop": 0.5},
            r"min_area is 0.5, but must be 1 if Augmentation.min_crop or max_crop is not 1",
        ),
        ({"min_area": 0.0}, "min_area"),
        ({"max_aspect": 0.5}, "max_aspect is 0.5, but must be 1 or more"),
        ({"rand_augment_magnitude": 11.0}, r"rand_augment_magnitude is 11.0, but must be in \[0, 10\]"),
    ],
)
def test_invalid_augmentations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings.AugmentationSettings(**changes)
