"""Pointing and its two values by chance, on planted heats: at the named object, at any object, at any place."""

import dataclasses

import numpy as np
import pytest

from models.evaluation import metrics, pointing
from models.evaluation.pointing import AMONG_OBJECTS, Places, share_of_boxes
from tests.models.evaluation.outputs import collected, random_outputs

NAN = float("nan")


def scenes(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The scene and the box of each object: two to four boxes a scene, in cells of a 2 x 2 grid."""
    scene, boxes = [], []
    for number in range(count):
        for cell in generator.permutation(4)[: generator.integers(2, 5)]:
            side = generator.uniform(0.2, 0.4)
            top, left = (0.5 * place + generator.uniform(0, 0.5 - side) for place in divmod(int(cell), 2))
            scene.append(number)
            boxes.append((top, left, top + side, left + side))
    return np.array(scene), np.float32(boxes)


def looked_at(boxes: np.ndarray, place: np.ndarray) -> Places:
    top, left, bottom, right = boxes.T
    y, x = np.float32(place).T
    return Places(np.float32((y >= top) & (y < bottom) & (x >= left) & (x < right)), np.float32(place), boxes)


def middle(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def model(kind: str, scene: np.ndarray, boxes: np.ndarray, generator: np.random.Generator) -> Places:
    """Places of a model that looks at the named object, at the largest one, at any one, or anywhere."""
    place = generator.random((len(scene), 2))
    if kind == "named":
        return looked_at(boxes, middle(boxes))
    size = pointing.area(boxes)
    for number in range(scene.max() + 1):
        rows = np.flatnonzero(scene == number)
        if kind == "largest":
            place[rows] = middle(boxes[rows[[size[rows].argmax()]]])
        elif kind == "any":
            place[rows] = middle(boxes[generator.choice(rows, len(rows))])
    return looked_at(boxes, place)


def measured(places: Places, scene: np.ndarray) -> dict[str, float]:
    outputs = random_outputs(len(scene), 4, 0, captions=10**9)
    outputs["picture"] = np.array([f"scene {i}" for i in scene]).astype(bytes)
    outputs |= {"pointed": places.pointed, "place": places.place, "box": places.box}
    return metrics.measure(collected(outputs, 3).rows(frozenset({"eval"})))


def test_a_model_that_looks_at_any_object_is_above_the_box_area_but_not_above_the_other_objects():
    generator = np.random.default_rng(0)
    scene, boxes = scenes(200, generator)
    found = {
        kind: measured(model(kind, scene, boxes, generator), scene) for kind in ("named", "largest", "any", "none")
    }
    for kind, one in found.items():
        area, among = one["pointing_accuracy_chance"], one["pointing_among_objects_chance"]
        assert area == pytest.approx(np.mean(pointing.area(boxes)), rel=1e-6)
        assert (one["pointing_accuracy_low"] > area) == (kind != "none")
        assert (one["pointing_among_objects_low"] > among) == (kind == "named")  # control: the named one alone
        if kind != "named":
            assert one["pointing_among_objects_low"] <= among <= one["pointing_among_objects_high"]
    assert found["named"]["pointing_among_objects"] == 1
    of_a_scene = 1 / np.bincount(scene)
    for kind in ("named", "largest", "any"):  # all rows point at an object, so chance is the mean of 1 / objects
        assert found[kind]["pointing_among_objects_chance"] == pytest.approx(np.mean(of_a_scene[scene]))
    assert found["largest"]["pointing_among_objects"] == pytest.approx(np.mean(of_a_scene[scene]))
    share = found["none"]["pointing_accuracy"] / found["none"]["pointing_among_objects"]
    assert share == pytest.approx(np.mean(share_of_boxes(model("none", scene, boxes, generator), scene) > 0), abs=0.08)


def test_chance_among_objects_is_that_of_exchanged_texts():
    """The reference exchanges the texts of each scene in all ways; boxes may overlap, and two rows may share one."""
    boxes = np.float32([[0, 0, 0.5, 0.5], [0.4, 0.4, 1, 1], [0, 0, 0.5, 0.5], [0, 0, 1, 0.5], [0.5, 0.5, 1, 1]])
    scene = np.array([0, 0, 0, 1, 1])
    places = looked_at(boxes, np.array([[0.45, 0.45], [0.1, 0.1], [0.9, 0.2], [0.2, 0.7], [0.7, 0.7]]))
    y, x = places.place.T[:, :, None]
    inside = (y >= boxes[:, 0]) & (y < boxes[:, 2]) & (x >= boxes[:, 1]) & (x < boxes[:, 3])
    expected = [np.mean([inside[row, other] for other in np.flatnonzero(scene == scene[row])]) for row in range(5)]
    np.testing.assert_allclose(share_of_boxes(places, scene), expected)
    np.testing.assert_allclose(expected, [1, 2 / 3, 0, 0, 1 / 2])
    figures, chances = pointing.figures(places, scene, 2)
    assert chances[AMONG_OBJECTS] == pytest.approx(np.mean([1, 2 / 3, 1 / 2]))
    assert float(figures[AMONG_OBJECTS](np.ones([1, 2]))[0]) == pytest.approx(2 / 3)  # rows 0 and 4, not 1


def test_rows_without_a_box_do_not_count_and_nan_counts_against_the_model():
    boxes = np.float32([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [NAN] * 4])
    places = Places(np.float32([1, 0, NAN]), np.float32([[0.2, 0.2], [NAN, NAN], [0.1, 0.1]]), boxes)
    np.testing.assert_allclose(share_of_boxes(places, np.zeros(3, int)), [1 / 2, 1 / 2, 0])
    figures, chances = pointing.figures(places, np.zeros(3, int), 1)
    assert {name: float(one(np.ones([1, 1]))[0]) for name, one in figures.items()} == dict.fromkeys(pointing.NAMES, 0.5)
    assert chances == {"pointing_accuracy": pytest.approx(0.25), "pointing_among_objects": 0.5}
    unknown = dataclasses.replace(places, pointed=np.float32([NAN] * 3))
    assert pointing.figures(unknown, np.zeros(3, int), 1) == ({}, {})
    nowhere = Places(np.float32([0, 0]), np.float32([[0.1, 0.9]] * 2), boxes[:2])  # between the objects
    assert set(pointing.figures(nowhere, np.zeros(2, int), 1)[0]) == {"pointing_accuracy"}


def test_pointing_is_measured_over_bundles_and_has_intervals():
    outputs = random_outputs(40, 8, 0, captions=40)
    box = np.full((40, 4), np.nan, np.float32)
    box[:20] = 0, 0, 0.25, 0.4
    pointed = np.where(np.arange(40) < 20, np.float32(np.arange(40) < 15), np.nan).astype(np.float32)
    said = {"pointed": pointed, "place": np.full((40, 2), 0.1, np.float32), "box": box}
    one = metrics.measure(collected({**outputs, **said}, 4).rows())
    assert one["pointing_accuracy"] == 0.75
    assert one["pointing_accuracy_low"] < 0.75 < one["pointing_accuracy_high"]
    assert metrics.chance(40, 3, one)["pointing_accuracy"] == pytest.approx(0.1)
    assert metrics.chance(40, 3, one)["pointing_among_objects"] == 1  # one object a picture
    without = metrics.measure(collected(outputs, 4).rows())  # an older model answers none of them
    assert all(np.isnan(without[name]) for name in (*pointing.NAMES, *metrics.CHANCES.values()))


def test_the_interval_of_a_model_that_points_at_random_holds_chance():
    """In 40 draws, each 90% interval misses about 4 times; it holds chance for no model that looks at the named one."""
    generator, missed, found = np.random.default_rng(5), dict.fromkeys(pointing.NAMES, 0), 0
    rows = collected(random_outputs(1, 4, 0, captions=1), 1).rows(frozenset({"eval"}))
    for _ in range(40):
        scene, boxes = scenes(60, generator)
        count, names = len(scene), np.array([b"%d" % i for i in scene])
        for kind, name in (("none", pointing.ACCURACY), ("any", AMONG_OBJECTS), ("named", AMONG_OBJECTS)):
            places = model(kind, scene, boxes, generator)
            some = {"image": np.full((count, 4), 0.5), "text": np.full((count, 4), 0.5), "caption": names}
            some |= {"picture": names, "class_index": np.full(count, -1), "right_classes": None, "places": places}
            of_scenes = dataclasses.replace(rows, **some)
            one = metrics.measure(of_scenes)
            holds = one[f"{name}_low"] <= one[f"{name}_chance"] <= one[f"{name}_high"]
            if kind == "named":
                found += not holds
            else:
                missed[name] += not holds
    print(f"\n90% intervals that miss chance, of 40: {missed}")
    assert max(missed.values()) <= 9
    assert found == 40
