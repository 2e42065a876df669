"""Without antialiasing, pictures are resized as big_vision's resize() does it."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models import settings
from models.inputs import images

TOWER = settings.ImageTowerSettings(size=16, patch=16)
ROUNDING = 1  # big_vision drops the fraction of a level; ours rounds


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_squash_equals_big_vision(interpolation, record_property):
    generator = np.random.default_rng(0)
    sides = [(40, 90), (16, 16), (7, 5), (200, 33), (3, 100)]
    for height, width in sides:
        picture = generator.integers(0, 256, [height, width, 3], dtype=np.uint8)
        expected = tf.image.resize(picture, [16, 16], method=interpolation, antialias=False)
        expected = tf.cast(tf.clip_by_value(expected, 0, 255), tf.uint8).numpy().astype(int)
        for antialias in (False, True):
            tower = dataclasses.replace(TOWER, interpolation=interpolation, antialias=antialias)
            found = images.decode_and_resize(tf.io.encode_png(picture), tower).numpy().astype(int)
            near = np.abs(found - expected).max() <= ROUNDING
            assert near == (not antialias or max(height, width) <= 16)
    record_property("pictures", len(sides))


@pytest.mark.parametrize("resize", ["squash", "crop", "letterbox"])
def test_each_resize_obeys_the_switch(resize):
    """Every fifth row is black, and without antialiasing only these rows are sampled."""
    stripes = np.full([80, 80, 3], 255, np.uint8)
    stripes[2::5] = 0
    png = tf.io.encode_png(stripes)
    sampled = images.decode_and_resize(png, dataclasses.replace(TOWER, resize=resize, antialias=False)).numpy()
    averaged = images.decode_and_resize(png, dataclasses.replace(TOWER, resize=resize)).numpy()
    assert (sampled == 0).all()
    assert (averaged > 100).all()
