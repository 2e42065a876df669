"""ClipRocket asks for weak global and strong local views; evaluation sees neither."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from beam.records import ImageText
from models import features, objectives, settings
from models.distribution.collectives import OneDevice
from models.distribution.strategies import Distribution
from models.inputs import images, tfrecords
from models.inputs.tokenizer import Tokenizer
from models.serving.export import ServedModel
from models.training.held_out import HeldOut
from tests.models.objectives import rockets
from tests.models.training.shapes import OBJECTIVE, write_shards
from tests.pictures import shape_pairs

WEAK = settings.AugmentationSettings(min_area=0.5)
STRONG = settings.AugmentationSettings(
    min_area=0.08, source_size=16, jitter_probability=1.0, grey_probability=1.0, blur_probability=1.0, flip=True
)
STOP = settings.TextAugmentationSettings(stop_words=1.0)
REWRITE = settings.TextAugmentationSettings(1.0, {"swap": 1.0}, dropout=True)
VIEWS = {"global_images": WEAK, "local_images": STRONG, "global_texts": STOP, "local_texts": REWRITE}


def test_each_view_has_the_augmentation_of_its_kind():
    views = rockets.made(rockets.config(**VIEWS)).views
    assert views.images == {"images": WEAK, "local_images_0": STRONG, "local_images_1": STRONG}
    assert views.texts == {"token_ids": STOP, "local_token_ids_0": REWRITE, "local_token_ids_1": REWRITE}
    basic = rockets.made(rockets.config(local_views=0, **VIEWS))
    assert (dict(basic.views.images), dict(basic.views.texts)) == ({"images": WEAK}, {"token_ids": STOP})
    assert set(basic.config.image_views) == set(basic.config.text_views) == {"global"}


ALWAYS = settings.AugmentationSettings(
    min_area=0.08,
    source_size=32,
    jitter_probability=1.0,
    grey_probability=1.0,
    blur_probability=1.0,
    solarise_probability=1.0,
    flip=True,
    rand_augment_layers=2,
)
ROWS = [
    ImageText(caption, picture, caption, "x:1", "test", more_captions=("another",)).to_example()
    for picture, caption, _ in shape_pairs()[::40]
]


def created(vocabulary: str, dropout: float = 0.0, **views: object):
    """An objective with always the same weights, and its tokenizer."""
    towers = {
        "image_tower": OBJECTIVE.image_tower,
        "text_tower": dataclasses.replace(OBJECTIVE.text_tower, dropout=dropout),
    }
    keras.utils.set_random_seed(0)
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
    config = settings.ClipRocketSettings(**towers, projection_dim=8, local_hidden=8, **views)
    return objectives.create(config, tokenizer.vocabulary_size), tokenizer


def plain_and_augmented(vocabulary: str):
    always = {name: REWRITE if "texts" in name else ALWAYS for name in VIEWS}
    return created(vocabulary)[0], *created(vocabulary, 0.5, **always)


def test_held_out_rows_are_embedded_bit_for_bit_as_without_augmentation(vocabulary, tmp_path):
    plain, augmented, tokenizer = plain_and_augmented(vocabulary)
    paths, devices = write_shards(tmp_path, 1, ROWS), Distribution(tf.distribute.get_strategy(), OneDevice())
    found, expected = (HeldOut(paths, tokenizer, one, devices, 6).embed() for one in (augmented, plain))

    @tf.function(autograph=False)
    def by_hand():
        parsed = tfrecords.parse(tf.constant(ROWS), (features.IMAGE, features.CAPTION))
        pictures = images.decode_batch(parsed[features.IMAGE], plain.config.image_input)
        return plain.embed_image(pictures), plain.embed_text(tokenizer(parsed[features.CAPTION]))

    for one, other, third in zip(found, expected, by_hand(), strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, third)
        assert np.abs(one[1:] - one[:-1]).max(axis=1).min() > 1e-3  # control: rows differ


@pytest.mark.slow
def test_the_signature_evaluate_answers_bit_for_bit_as_without_augmentation(vocabulary):
    plain, augmented, tokenizer = plain_and_augmented(vocabulary)
    one, other = (
        ServedModel(objective, tokenizer, {}, "float32").call("evaluate", examples=ROWS)
        for objective in (augmented, plain)
    )
    for name in ("image_embedding", "text_embedding"):
        np.testing.assert_array_equal(one[name], other[name])
