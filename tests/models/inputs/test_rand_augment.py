"""Every operation of RandAugment equals Pillow's, and the seed alone decides which ones are drawn."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from models.inputs.rand_augment import OPERATIONS, rand_augment

SIDE = 32
PICTURE = np.random.default_rng(3).integers(20, 220, (4, 4, 3)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
PICTURE = np.clip(PICTURE + np.random.default_rng(4).integers(0, 30, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
PLUS, MINUS = [0.9, 0.4], [0.1, 0.4]  # draws for a positive and a negative sign


def ours(name: str, strength: float, draws: list[float] = PLUS) -> np.ndarray:
    arguments = tf.constant(PICTURE), tf.constant(strength), tf.constant(draws)
    return OPERATIONS[name](*arguments).numpy().astype(int)


def affine(coefficients: tuple[float, ...]) -> np.ndarray:
    white = (255, 255, 255)
    moved = Image.fromarray(PICTURE).transform(
        (SIDE, SIDE), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR, fillcolor=white
    )
    return np.asarray(moved).astype(int)


def of_pillow(name: str, strength: float) -> np.ndarray:
    picture = Image.fromarray(PICTURE)
    enhancers = {"color": ImageEnhance.Color, "contrast": ImageEnhance.Contrast,
                 "brightness": ImageEnhance.Brightness, "sharpness": ImageEnhance.Sharpness}  # fmt: skip
    if name in enhancers:
        return np.asarray(enhancers[name](picture).enhance(1 + 0.9 * strength)).astype(int)
    made = {
        "autocontrast": lambda: ImageOps.autocontrast(picture),
        "equalize": lambda: ImageOps.equalize(picture),
        "invert": lambda: ImageOps.invert(picture),
        "posterize": lambda: ImageOps.posterize(picture, 8 - round(4 * strength)),
        "solarize": lambda: ImageOps.solarize(picture, 256 * (1 - strength)),
    }[name]()
    return np.asarray(made).astype(int)


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("name", ["autocontrast", "equalize", "invert", "posterize", "solarize", "color", "contrast",
                                  "brightness", "sharpness"])  # fmt: skip
def test_colour_operations_equal_pillows(name, strength):
    assert np.abs(ours(name, strength) - of_pillow(name, strength)).max() <= 1
    assert np.abs(ours(name, strength) - PICTURE).max() > 2  # control: the operation changes the picture


@pytest.mark.parametrize("name", ["color", "contrast", "brightness", "sharpness"])
def test_enhancements_work_in_both_directions(name):
    assert np.abs(ours(name, 1.0, MINUS) - ours(name, 1.0, PLUS)).max() > 20


@pytest.mark.parametrize(("name", "matrix"), [
    ("shear_x", (1, 0.3, -0.3 * SIDE / 2, 0, 1, 0)),
    ("shear_y", (1, 0, 0, 0.3, 1, -0.3 * SIDE / 2)),
    ("translate_x", (1, 0, 100 / 224 * SIDE, 0, 1, 0)),
    ("translate_y", (1, 0, 0, 0, 1, 100 / 224 * SIDE)),
])  # fmt: skip
def test_shears_and_translations_equal_pillows_inside_the_picture(name, matrix):
    """At the border, Pillow drops pixels that lie partly outside, while ours fade to white; inside, both agree."""
    found, expected = ours(name, 1.0), affine(matrix)
    inside = (expected != 255).all(axis=-1) & (found != 255).all(axis=-1)
    inside[1:-1, 1:-1] &= inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    inside[[0, -1]] = inside[:, [0, -1]] = False
    assert inside.mean() > 0.3
    assert np.abs(found - expected)[inside].max() <= 2
    assert np.abs(ours(name, 1.0, MINUS) - expected)[inside].max() > 20


def test_rotation_equals_pillows_inside_the_picture():
    found = ours("rotate", 1.0)
    angles = [np.asarray(Image.fromarray(PICTURE).rotate(angle, Image.Resampling.BILINEAR)).astype(int)
              for angle in (-30, 30)]  # fmt: skip
    middle = slice(8, -8)
    differences = [np.abs(found - turned)[middle, middle].mean() for turned in angles]
    assert min(differences) < 3
    assert max(differences) > 20


def test_solarize_add_lightens_the_dark_half_only():
    found = ours("solarize_add", 0.5)
    np.testing.assert_array_equal(found, np.where(PICTURE < 128, PICTURE.astype(int) + 55, PICTURE))


def test_cutout_covers_a_square_around_the_drawn_point():
    found = ours("cutout", 1.0, [0.5, 0.25])
    white = (found == 255).all(axis=-1)
    rows, columns = np.where(white)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 21, 2, 13)  # 80 / 224 of 32 is 11.4
    np.testing.assert_array_equal(found[~white], PICTURE[~white])


def test_pictures_do_not_change_at_strength_zero():
    still = set(OPERATIONS) - {"autocontrast", "equalize", "invert"}
    for name in still:
        assert np.abs(ours(name, 0.0) - PICTURE).max() == 0, name


def test_the_seed_draws_the_operations_and_the_magnitude_scales_them():
    run = tf.function(rand_augment, autograph=False)
    seeds = [tf.constant([5, seed], tf.int64) for seed in range(40)]
    first = [run(tf.constant(PICTURE), 2, 10.0, seed).numpy() for seed in seeds]
    again = [run(tf.constant(PICTURE), 2, 10.0, seed).numpy() for seed in seeds]
    np.testing.assert_array_equal(first, again)
    assert len({picture.tobytes() for picture in first}) > 30
    weak = [run(tf.constant(PICTURE), 1, 1.0, seed).numpy() for seed in seeds]
    strong = [run(tf.constant(PICTURE), 1, 10.0, seed).numpy() for seed in seeds]
    assert np.median(np.abs(np.int32(weak) - PICTURE)) < 0.3 * np.median(np.abs(np.int32(strong) - PICTURE))
