"""ClipRocket asks for weak global and strong local views; evaluation sees neither."""

import numpy as np
import tensorflow as tf

from models import settings
from tests.models.objectives import rockets

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


def test_evaluation_is_bit_for_bit_that_of_a_model_without_augmentation():
    plain, augmented = (rockets.made(rockets.config(**views)) for views in ({}, VIEWS))
    batch = rockets.batch(plain, 3)
    image, text = batch["images"], batch["token_ids"]
    np.testing.assert_array_equal(augmented.embed_image(image), plain.embed_image(image))
    np.testing.assert_array_equal(augmented.embed_text(text), plain.embed_text(text))
    assert float(tf.reduce_max(tf.abs(plain.embed_image(image)))) > 0.1
