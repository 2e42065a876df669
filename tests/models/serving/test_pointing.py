"""`evaluate` says for rows with a box whether the largest heat lies in it."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from PIL import Image

from beam.records import ImageText
from models import objectives
from models.inputs import images
from models.inputs.tokenizer import Tokenizer
from models.serving import export, pointing
from tests.models.objectives.toy_objectives import OneTowerSettings
from tests.pictures import encode, shape_pairs
from tests.tiny_model import tiny_objective

WHOLE = (0.0, 0.0, 1.0, 1.0)


def heat(*places: tuple[int, int]) -> np.ndarray:
    rows = np.random.default_rng(0).random([len(places), 4, 6]).astype(np.float32)
    for row, place in zip(rows, places, strict=True):
        row[place] = 2
    return rows


def test_the_largest_heat_must_lie_in_the_box():
    boxes = np.float32([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5], WHOLE, [0.25, 1 / 6, 0.5, 2 / 6], [0, 0, 0.01, 0.01]])
    found = pointing.pointed(heat((1, 2), (2, 2), (3, 5), (1, 1), (0, 0)), boxes)
    assert found.numpy().tolist() == [1, 0, 1, 1, 0]  # the last box has the middle of no place


def test_ties_and_nan_count_against_the_model():
    box = np.float32([[0, 0, 0.5, 1]])
    assert pointing.pointed(np.zeros([1, 4, 4], np.float32), box).numpy().tolist() == [0]
    broken = np.zeros([1, 4, 4], np.float32)
    broken[0, 0, 0] = 1
    assert pointing.pointed(broken, box).numpy().tolist() == [1]  # control
    broken[0, 3, 3] = np.nan
    assert pointing.pointed(broken, box).numpy().tolist() == [0]


def test_a_random_place_is_in_a_box_as_often_as_the_box_is_large():
    generator = np.random.default_rng(1)
    sides, corners = generator.uniform(0.2, 0.45, [4000, 1]), generator.uniform(0, 0.55, [4000, 2])
    boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.float32)
    found = pointing.pointed(generator.random([4000, 6, 6]).astype(np.float32), boxes).numpy()
    assert np.mean(found) == pytest.approx(np.mean(pointing.area(boxes)), abs=4 * np.sqrt(0.1 / 4000))


@pytest.mark.parametrize("resize", ["squash", "crop", "letterbox"])
@pytest.mark.parametrize("shape", [(40, 80), (80, 40), (60, 60)])
def test_boxes_move_with_the_resized_picture(resize, shape):
    """A black square in a white picture is where its moved box says."""
    height, width = shape
    top, left, bottom, right = height // 4, width // 2 - 10, height // 4 + 20, width // 2 + 6
    pixels = np.full([height, width, 3], 255, np.uint8)
    pixels[top:bottom, left:right] = 0
    box = np.float32([[top / height, left / width, bottom / height, right / width]])
    prepared = OneTowerSettings(size=24, resize=resize)
    picture = encode(Image.fromarray(pixels))
    seen = images.decode_and_resize(tf.constant(picture), prepared).numpy()
    dark = np.argwhere(seen[:, :, 0] < 128)
    (found,) = 24 * images.placed(tf.constant(box), tf.constant([picture]), prepared).numpy()
    np.testing.assert_allclose(found, [*dark.min(axis=0), *(dark.max(axis=0) + 1)], atol=1.01)


def evaluated(objective, tokenizer, rows: list[ImageText]) -> dict[str, np.ndarray]:
    served = export.ServedModel(objective, tokenizer, {}, "float32")
    return served.call("evaluate", examples=[row.to_example() for row in rows])


def rows(*boxes: tuple[float, ...]) -> list[ImageText]:
    return [
        ImageText(f"{i}", picture, caption, "x:1", "t", boxes=box)
        for i, (box, (picture, caption, _)) in enumerate(zip(boxes, shape_pairs()[::9], strict=False))
    ]


def test_evaluate_answers_pointed_for_rows_with_a_box_only(vocabulary):
    keras.utils.set_random_seed(0)
    config = OneTowerSettings()
    tokenizer = Tokenizer(vocabulary, config)
    objective = objectives.create(config, tokenizer.vocabulary_size)
    asked = rows(WHOLE, (), (0, 0, 1 / 3, 1 / 3), (0, 0, 1 / 3, 1 / 3), ())
    said = evaluated(objective, tokenizer, asked)
    pixels = images.decode_batch(tf.constant([row.image for row in asked]), config)
    warm = objective.heat(pixels, tokenizer(tf.constant([row.caption for row in asked])))["heat"].numpy()
    first = [float(row.argmax() == 0) for row in warm]
    np.testing.assert_array_equal(said["pointed"], [1, np.nan, first[2], first[3], np.nan])
    np.testing.assert_allclose(said["box_area"], [1, np.nan, 1 / 9, 1 / 9, np.nan], rtol=1e-6)
    without = evaluated(objective, tokenizer, rows((), ()))
    assert np.isnan(without["pointed"]).all()


def test_a_model_that_does_not_localize_answers_nan(vocabulary):
    said = evaluated(*tiny_objective(vocabulary), rows(WHOLE, ()))
    assert np.isnan(said["pointed"]).all()
    np.testing.assert_array_equal(said["box_area"], [1, np.nan])
