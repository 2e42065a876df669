"""Each change of colour equals Pillow's or a formula to 1 of 255, and is drawn with its probability."""

import colorsys

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from models import settings
from models.inputs import colours

SIDE = 16
PICTURES = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.uint8)
PICTURES[0, :, :8] = PICTURES[0, :1, :1]  # a flat part, and an edge
NOTHING = np.array([1, 1, 1, 0, 0, 0, 0, 0], np.float32)
PLACES = {"brightness": 0, "contrast": 1, "saturation": 2, "hue": 3, "jitter": 4, "grey": 5, "blur": 6, "solarise": 7}
STRONG = settings.AugmentationSettings(
    jitter_probability=0.8, grey_probability=0.2, blur_probability=0.5, solarise_probability=0.3
)
DRAWS = 10_000
COMPILED = tf.function(colours.recolour, jit_compile=True, autograph=False)


def row(**changes: float) -> np.ndarray:
    """The draws of one picture."""
    drawn = NOTHING.copy()
    for name, value in changes.items():
        drawn[PLACES[name]] = value
    return drawn


def ours(*rows: np.ndarray, pictures: np.ndarray = PICTURES) -> np.ndarray:
    """Pictures in bytes, whole numbers."""
    drawn = np.stack(rows * (len(pictures) if len(rows) == 1 else 1))
    values = tf.constant(pictures / 127.5 - 1, tf.float32)
    changed = COMPILED(values, tf.constant(drawn)).numpy()
    return np.rint((changed + 1) * 127.5).astype(int)


def of_pillow(change) -> np.ndarray:
    return np.stack([np.asarray(change(Image.fromarray(picture)).convert("RGB")) for picture in PICTURES]).astype(int)


def turned(picture: np.ndarray, turn: float) -> np.ndarray:
    """The hue of HSV, turned, by Python's colorsys."""
    made = np.empty(picture.shape)
    for place in np.ndindex(picture.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*picture[place] / 255)
        made[place] = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
    return np.rint(made * 255)


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian over both sides, whose weights inside the picture add up to 1, in float64."""
    places = np.arange(SIDE)
    weights = np.exp(-((places[:, None] - places) ** 2) / (2 * sigma**2))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.rint(np.einsum("yi,xj,ijc->yxc", weights, weights, picture.astype(float)))


def enhanced(kind: type, factor: float) -> np.ndarray:
    return of_pillow(lambda picture: kind(picture).enhance(factor))


CASES = {
    "brightness .6": (row(jitter=1, brightness=0.6), lambda: enhanced(ImageEnhance.Brightness, 0.6)),
    "brightness 1.4": (row(jitter=1, brightness=1.4), lambda: enhanced(ImageEnhance.Brightness, 1.4)),
    "contrast .6": (row(jitter=1, contrast=0.6), lambda: enhanced(ImageEnhance.Contrast, 0.6)),
    "contrast 1.4": (row(jitter=1, contrast=1.4), lambda: enhanced(ImageEnhance.Contrast, 1.4)),
    "saturation .6": (row(jitter=1, saturation=0.6), lambda: enhanced(ImageEnhance.Color, 0.6)),
    "saturation 1.4": (row(jitter=1, saturation=1.4), lambda: enhanced(ImageEnhance.Color, 1.4)),
    "hue .1": (row(jitter=1, hue=0.1), lambda: np.stack([turned(picture, 0.1) for picture in PICTURES])),
    "hue -.37": (row(jitter=1, hue=-0.37), lambda: np.stack([turned(picture, -0.37) for picture in PICTURES])),
    "grey": (row(grey=1), lambda: of_pillow(lambda picture: picture.convert("L"))),
    "blur .4": (row(blur=0.4), lambda: np.stack([blurred(picture, 0.4) for picture in PICTURES])),
    "blur 2": (row(blur=2.0), lambda: np.stack([blurred(picture, 2.0) for picture in PICTURES])),
    "solarise": (row(solarise=1), lambda: of_pillow(lambda picture: ImageOps.solarize(picture, 128))),
}


@pytest.mark.parametrize("case", CASES)
def test_each_change_equals_its_reference_to_1_of_255(case):
    drawn, reference = CASES[case]
    expected = reference()
    assert np.abs(ours(drawn) - expected).max() <= 1
    assert np.abs(PICTURES - expected).max() > 20  # control: the change is visible


def test_rows_that_are_not_drawn_stay_bit_for_bit_and_others_do_not_touch_them():
    pictures = tf.constant(PICTURES / 127.5 - 1, tf.float32)
    drawn = np.stack([NOTHING, row(jitter=1, brightness=1.4, hue=0.1, grey=1, blur=1.0, solarise=1), NOTHING])
    changed = COMPILED(pictures, tf.constant(drawn)).numpy()
    np.testing.assert_array_equal(changed[[0, 2]], pictures.numpy()[[0, 2]])
    assert np.abs(changed[1] - pictures.numpy()[1]).max() > 0.3
    alone = COMPILED(pictures[1:2], tf.constant(drawn[1:2])).numpy()  # as in a micro-batch or on another replica
    np.testing.assert_allclose(alone, changed[1:2], atol=1e-6)


def test_the_order_is_jitter_grey_blur_solarise():
    drawn = row(jitter=1, brightness=1.3, hue=0.2, grey=1, blur=1.5, solarise=1)
    steps = PICTURES
    for one in (row(jitter=1, brightness=1.3, hue=0.2), row(grey=1), row(blur=1.5), row(solarise=1)):
        steps = ours(one, pictures=steps)
    at_once = ours(drawn)
    near = np.abs(steps - at_once) <= 3
    assert near.mean() > 0.99  # a value at the threshold of solarise may differ by rounding
    other = PICTURES
    for one in (row(solarise=1), row(blur=1.5), row(grey=1), row(jitter=1, brightness=1.3, hue=0.2)):
        other = ours(one, pictures=other)
    assert (np.abs(other - at_once) <= 3).mean() < 0.5  # control


def test_mirroring_commutes_with_every_change():
    drawn = row(jitter=1, brightness=0.7, contrast=1.3, saturation=0.8, hue=0.1, blur=1.0, solarise=1)
    mirrored = ours(drawn, pictures=PICTURES[:, :, ::-1])[:, :, ::-1]
    assert np.abs(mirrored - ours(drawn)).max() <= 1


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """[DRAWS, 8] of STRONG for a tower of 112 px."""
    rows = tf.data.Dataset.range(DRAWS).map(
        lambda row: colours.random_colours(STRONG, tf.stack([tf.constant(7, tf.int64), row]), 112)
    )
    return rows.batch(DRAWS).get_single_element().numpy()


@pytest.mark.parametrize(("name", "probability"), [("jitter", 0.8), ("grey", 0.2), ("blur", 0.5), ("solarise", 0.3)])
def test_each_change_has_its_probability(drawn, name, probability):
    hits = int((drawn[:, PLACES[name]] > 0).sum())
    assert scipy.stats.binomtest(hits, DRAWS, probability).pvalue > 1e-4
    assert scipy.stats.binomtest(hits, DRAWS, probability + 0.05).pvalue < 1e-6  # control


def test_strengths_fill_their_ranges_and_sigma_is_scaled_to_the_tower(drawn):
    for name in ("brightness", "contrast", "saturation"):
        values = drawn[:, PLACES[name]]
        assert 0.6 <= values.min() < 0.61
        assert 1.39 < values.max() <= 1.4001
    hue = drawn[:, PLACES["hue"]]
    assert -0.1001 < hue.min() < -0.099
    assert 0.099 < hue.max() < 0.1001
    sigma = drawn[drawn[:, PLACES["blur"]] > 0, PLACES["blur"]]
    assert 0.05 <= sigma.min() < 0.06
    assert 0.99 < sigma.max() <= 1.0001
    assert np.abs(np.corrcoef(drawn[:, :4].T) - np.eye(4)).max() < 0.05


def test_one_seed_draws_the_same_and_nothing_is_drawn_without_a_probability():
    seed = tf.constant([3, 5], tf.int64)
    first, again = (colours.random_colours(STRONG, seed, 48).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert colours.draws_colours(STRONG)
    assert not colours.draws_colours(settings.AugmentationSettings(min_area=0.5, flip=True))
