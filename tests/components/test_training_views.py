"""The report's sheet of what training sees: each visit of each kind of views, and nothing if no row changes."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from components.run_report import training_views
from models import settings
from tests.models.training.shapes import EXAMPLES, OBJECTIVE, write_shards
from tests.pictures import shape_pairs

CAPTION = shape_pairs()[0][1]


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("Split-train")
    write_shards(folder, 1, EXAMPLES[:4])
    return str(folder)


def pixels(address: str) -> np.ndarray:
    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    return np.asarray(picture.convert("RGB")).astype(int)


def test_each_kind_of_views_is_drawn_with_its_own_augmentation(split):
    objective = settings.ClipRocketSettings(
        OBJECTIVE.image_tower,
        OBJECTIVE.text_tower,
        global_images=settings.AugmentationSettings(),
        local_images=settings.AugmentationSettings(grey_probability=1.0, min_area=0.6, source_size=48),
        local_texts=settings.TextAugmentationSettings(1.0, {"swap": 1.0}),
    )
    first, second = training_views.sheet(settings.TrainingSettings(objective), split, 2)
    assert (first.caption, second.caption) == (CAPTION, shape_pairs()[1][1])
    assert [visit.kind for visit in first.visits] == ["global"] * 3 + ["local"] * 3
    whole, local = first.visits[:3], first.visits[3:]
    assert {visit.image for visit in whole} == {whole[0].image}
    assert {visit.caption for visit in whole} == {CAPTION}
    assert pixels(whole[0].image).shape == (24, 24, 3)
    assert np.ptp(pixels(whole[0].image), axis=-1).max() > 100
    assert len({visit.image for visit in local}) == 3
    for visit in local:
        assert np.ptp(pixels(visit.image), axis=-1).max() <= 1  # grey
        assert visit.caption != CAPTION
        assert sorted(visit.caption.split()) == sorted(word for word in CAPTION.split() if word not in ("a", "the"))


def test_the_augmentation_of_training_is_shown_and_none_shows_nothing(split):
    training = settings.TrainingSettings(OBJECTIVE)
    assert training_views.sheet(training, split, 2) == []
    cropped = settings.TrainingSettings(OBJECTIVE, augmentation=settings.AugmentationSettings(0.8))
    (row,) = training_views.sheet(cropped, split, 1)
    assert len({visit.image for visit in row.visits}) == 3
