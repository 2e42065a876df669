"""Views of a row: texts and colours are drawn anew at each visit, equally after a restart, and detail is kept."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from PIL import Image

from beam.records import ImageText
from models import settings
from models.inputs import images, row_views
from models.inputs.batches import Batches
from models.inputs.tokenizer import Tokenizer
from models.objectives.objective import Views
from tests.models.training.shapes import CONFIG, OBJECTIVE, write_shards
from tests.pictures import encode

CAPTIONS = ["a red disc on the left", "the small blue ring is here", "green", "three yellow crosses"]
STRONG = settings.AugmentationSettings(
    min_area=0.3,
    jitter_probability=0.8,
    grey_probability=0.3,
    blur_probability=0.5,
    solarise_probability=0.1,
    flip=True,
)
WORDS = settings.TextAugmentationSettings(stop_words=0.5, rewrites={"swap": 1.0, "delete": 1.0})
PLAIN = dataclasses.replace(CONFIG, augmentation=settings.AugmentationSettings(), batch_size=4)
VIEWS = Views({"images": None, "local": STRONG}, {"token_ids": None, "local_ids": WORDS})


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    noise = np.random.default_rng(0).integers(0, 256, (len(CAPTIONS), 96, 96, 3)).astype(np.uint8)
    rows = [
        ImageText(str(i), encode(Image.fromarray(noise[i])), caption, "x:1", "test").to_example()
        for i, caption in enumerate(CAPTIONS)
    ]
    return write_shards(tmp_path_factory.mktemp("views"), 1, rows)


def batches(vocabulary: str, shards: list[str], views: Views = VIEWS, **changes) -> Batches:
    config = dataclasses.replace(PLAIN, **changes)
    return Batches(shards, Tokenizer(vocabulary, OBJECTIVE.text_tower), config, views)


@pytest.mark.parametrize("cache", [pytest.param(False, marks=pytest.mark.slow), True])
def test_each_visit_draws_anew_and_a_resumed_run_draws_the_same(vocabulary, shards, cache):
    source = batches(vocabulary, shards, cache=cache)
    taken = [{name: value.numpy() for name, value in batch.items()} for batch in source.read(4).take(40)]
    plain = {row.tobytes() for batch in taken for row in batch["token_ids"]}
    local = {row.tobytes() for batch in taken for row in batch["local_ids"]}
    assert len(plain) == len(CAPTIONS)
    assert len(local) > 25
    green = source.tokenizer(tf.constant(["green"]))[0].numpy().tobytes()
    assert green in local  # a text of one word stays
    colours = {row.tobytes() for batch in taken for row in batch["local_colours"]}
    assert len(colours) == 160
    assert "images_colours" not in taken[0]
    again = source.read(4, start=taken[19]["position"].tolist()).take(20)
    for batch, expected in zip(again, taken[20:], strict=True):
        for name, value in expected.items():
            np.testing.assert_array_equal(batch[name], value, err_msg=name)
    other = next(iter(batches(vocabulary, shards, cache=cache, seed=1).read(4)))
    assert not np.array_equal(other["local_colours"], taken[0]["local_colours"])


def has_share(hits: np.ndarray, share: float) -> bool:
    """Whether so many are True that an exact binomial test accepts this share."""
    return scipy.stats.binomtest(int(hits.sum()), hits.size, share).pvalue > 1e-4


@pytest.mark.parametrize("cache", [False, True])
def test_each_text_view_draws_its_caption_anew_at_each_visit(vocabulary, tmp_path, cache):
    """Of three captions, two views show different ones in two visits of three, and so do two visits of a row."""
    captions = ["".join(letters) for letters in itertools.product("abdegilmnost", repeat=2)]
    count, passes = len(captions) // 3, 12
    rows = [
        ImageText(str(i), b"", captions[3 * i], "x:1", "test", more_captions=tuple(captions[3 * i + 1 : 3 * i + 3]))
        for i in range(count)
    ]
    shards = write_shards(tmp_path, 1, [row.to_example() for row in rows])
    views = Views({}, {"token_ids": None, "other_ids": None})
    source = batches(vocabulary, shards, views, cache=cache)
    numbers = {ids.tobytes(): i for i, ids in enumerate(source.tokenizer(tf.constant(captions)).numpy())}
    assert len(numbers) == len(captions)
    (batch,) = source.read(count * passes).take(1)
    one, other = (np.array([numbers[ids.tobytes()] for ids in batch[name].numpy()]) for name in views.texts)
    np.testing.assert_array_equal(one // 3, other // 3)  # both are of the same row
    assert has_share(one != other, 2 / 3)
    assert not has_share(one != one.copy(), 2 / 3)  # control: views that share a draw
    for drawn in (one, other):
        assert all(has_share(drawn % 3 == caption, 1 / 3) for caption in range(3))
        visits = drawn[np.argsort(drawn // 3, kind="stable")].reshape(count, passes)
        assert has_share(visits[:, 1:] != visits[:, :-1], 2 / 3)


def test_a_source_size_keeps_the_detail_of_small_crops(vocabulary, shards):
    small = settings.AugmentationSettings(min_area=0.0625, max_aspect=1.0)
    fine = dataclasses.replace(small, source_size=96)
    (batch,) = batches(vocabulary, shards, Views({"images": None, "small": small, "fine": fine})).read(4).take(1)
    assert [batch[name].shape[1] for name in ("images", "small", "fine")] == [24, 24, 96]
    boxes = tf.constant([[24 / 95, 24 / 95, 47 / 95, 47 / 95]] * 4)  # 24 of 96 pixels of a side
    seen = {
        name: row_views.picture({name: batch[name], f"{name}_boxes": boxes}, name, 24) for name in ("small", "fine")
    }
    exact = images.to_unit_range(batch["fine"])[:, 24:48, 24:48]
    assert float(tf.reduce_max(tf.abs(seen["fine"] - exact))) < 1e-4
    assert float(tf.reduce_mean(tf.abs(seen["small"] - exact))) > 0.3  # control: the detail is lost
    whole = row_views.picture(
        {"fine": batch["fine"], "fine_boxes": tf.constant([[0.0, 0.0, 1.0, 1.0]] * 4)}, "fine", 24
    )
    assert float(tf.reduce_mean(tf.abs(whole - images.to_unit_range(batch["images"])))) < 0.2  # antialiased


def test_a_larger_source_is_always_cropped_to_the_size_of_the_tower(vocabulary, shards):
    view = settings.AugmentationSettings(source_size=48)
    (batch,) = batches(vocabulary, shards, Views({"images": view})).read(4).take(1)
    np.testing.assert_array_equal(batch["images_boxes"], [[0.0, 0.0, 1.0, 1.0]] * 4)
    assert row_views.picture(batch, "images", 24).shape == (4, 24, 24, 3)


def test_a_view_changes_only_as_its_settings_say(vocabulary, shards):
    (batch,) = batches(vocabulary, shards).read(4).take(1)
    np.testing.assert_array_equal(row_views.picture(batch, "images", 24), images.to_unit_range(batch["images"]))
    changed = row_views.picture(batch, "local", 24).numpy()
    assert (
        np.abs(changed - images.to_unit_range(batch["images"]).numpy()).mean(axis=(1, 2, 3)).min() > 0.03
    )  # 0 without an augmentation
    assert np.abs(changed).max() <= 1 + 1e-5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: settings.ClipRocketSettings(local_images=settings.AugmentationSettings(source_size=100)),
            r"Augmentation.source_size is 100, but must be 0, or at least the size of the image tower \(224\); set it",
        ),
        (
            lambda: settings.TrainingSettings(augmentation=settings.AugmentationSettings(source_size=100)),
            r"Augmentation.source_size is 100, but must be 0, or at least the size of the image tower \(224\); set it",
        ),
        (
            lambda: settings.AugmentationSettings(grey_probability=1.5),
            r"Augmentation.grey_probability is 1.5, but must be in \[0, 1\]",
        ),
        (
            lambda: settings.AugmentationSettings(jitter=(0.4, 0.4, 0.4)),
            r"Augmentation.jitter is \(0.4, 0.4, 0.4\), but must be strengths of brightness, .* use such as",
        ),
        (lambda: settings.AugmentationSettings(jitter=(0.4, 0.4, 0.4, 0.6)), r"and of hue in \[0, 0.5\]"),
        (
            lambda: settings.AugmentationSettings(blur_sigma=(2.0, 0.1)),
            r"Augmentation.blur_sigma is \(2.0, 0.1\), but must be a smallest and a largest sigma",
        ),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
