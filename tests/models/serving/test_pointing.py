"""`evaluate` says for rows with a box whether the largest heat lies in it."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from PIL import Image

from beam.records import ImageText
from models import objectives
from models.evaluation.pointing import area
from models.inputs import images
from models.inputs.tokenizer import Tokenizer
from models.serving import export, keywords, pointing
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
    assert np.mean(found) == pytest.approx(np.mean(area(boxes)), abs=4 * np.sqrt(0.1 / 4000))


def test_the_place_is_the_middle_of_the_largest_heat_and_lies_in_the_box_that_it_points_at():
    warm = heat((1, 2), (3, 5), (0, 0))
    warm[2, 1, 1] = np.nan
    found = pointing.place(warm).numpy()
    np.testing.assert_allclose(found, [[1.5 / 4, 2.5 / 6], [3.5 / 4, 5.5 / 6], [np.nan, np.nan]], rtol=1e-6)
    generator = np.random.default_rng(2)
    corners = generator.uniform(0, 0.6, [500, 2])
    boxes = np.concatenate([corners, corners + 0.4], axis=1).astype(np.float32)
    warm = generator.random([500, 4, 6]).astype(np.float32)
    (top, left, bottom, right), (row, column) = boxes.T, pointing.place(warm).numpy().T
    inside = (row >= top) & (row < bottom) & (column >= left) & (column < right)
    assert 0 < inside.sum() < 500
    np.testing.assert_array_equal(pointing.pointed(warm, boxes).numpy(), inside)


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
    np.testing.assert_allclose(area(said["box"]), [1, np.nan, 1 / 9, 1 / 9, np.nan], rtol=1e-6)
    middles = [[(row.argmax() // 3 + 0.5) / 3, (row.argmax() % 3 + 0.5) / 3] for row in warm]
    np.testing.assert_allclose(said["place"][[0, 2, 3]], np.array(middles)[[0, 2, 3]], rtol=1e-6)
    assert np.isnan(said["place"][[1, 4]]).all()
    without = evaluated(objective, tokenizer, rows((), ()))
    assert np.isnan(without["pointed"]).all()


def test_a_model_that_does_not_localize_answers_nan(vocabulary):
    said = evaluated(*tiny_objective(vocabulary), rows(WHOLE, ()))
    assert np.isnan(said["pointed"]).all()
    np.testing.assert_array_equal(area(said["box"]), [1, np.nan])
    assert not {"keywords", "words"} & set(said)


def test_evaluate_answers_keywords_beside_the_words_of_the_caption(vocabulary):
    keras.utils.set_random_seed(0)
    config = OneTowerSettings()
    tokenizer = Tokenizer(vocabulary, config)
    objective = objectives.create(config, tokenizer.vocabulary_size)
    asked = rows((), (), WHOLE)
    asked[2] = dataclasses.replace(asked[0], key="2", caption=asked[1].caption)  # one picture with two captions
    said = evaluated(objective, tokenizer, asked)
    pixels = images.decode_batch(tf.constant([row.image for row in asked]), config)
    np.testing.assert_array_equal(said["keywords"], objective.keywords(pixels)["pieces"])
    for row, words in zip(asked, said["words"], strict=True):
        pieces = tokenizer.pieces(tf.constant(words[words >= 0])).numpy()
        assert row.caption.lower().startswith(b"".join(pieces).replace("▁".encode(), b" ").decode().strip())
        assert 5 <= len(pieces) < config.length  # one place is the end of sentence
    nan = {"pieces": tf.constant([[3, 4]]), "probability": tf.constant([[np.nan, 0.5]])}
    found = keywords.outputs(nan, tf.constant([[1, 5]]), np.array([4, 5]), 6)
    assert [found[name].numpy().tolist() for name in ("keywords", "words")] == [[[-1, 4]], [[-1, 5]]]
