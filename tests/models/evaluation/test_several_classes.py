"""Rows with several right classes: a planted model has the exact accuracy, and a wrong mapping another one."""

import statistics

import numpy as np
import pytest
from tensorflow_model_analysis.slicer import slicer_lib

from models.evaluation import metrics
from models.evaluation.collector import Collector
from models.evaluation.rules import Rule

# The answer of the planted model, and the right classes of each picture; the last two have none, as in ImageNet ReaL.
ANSWERS = (0, 1, 2, 3, 0, 1, 2, 3) * 20
RIGHT = ((0, 2), (1,), (0, 2), (0, 1), (1, 2, 3), (1,), (), ()) * 20
RIGHT_ANSWERS, COUNTED = 80, 120


def planted(right=RIGHT, answers=ANSWERS) -> dict[str, np.ndarray]:
    rows, most = len(answers), max(map(len, right))
    indices = np.array([[*one, *[-1] * (most - len(one))] for one in right], np.int32).reshape(rows, most)
    image = np.eye(rows, dtype=np.float32)
    return {
        "image_embedding": image,
        "text_embedding": image,
        "caption": np.array([b"%d" % i for i in range(rows)]),
        "picture": np.array([b"%d" % i for i in range(rows)]),
        "evaluation_set": np.array([b"real"] * rows),
        "class_similarity": np.eye(4, dtype=np.float32)[list(answers)] * 0.5,
        "class_index": indices[:, 0],
        "class_indices": indices,
        "logit_scale": np.full(rows, 8.0, np.float32),
        "logit_bias": np.full(rows, -2.0, np.float32),
    }


def rows_of(outputs) -> metrics.Rows:
    collector = Collector()
    collector.add(outputs)
    return collector.rows(frozenset({"real"}))


def test_an_answer_is_right_if_it_is_one_of_the_right_classes_and_rows_without_one_do_not_count():
    measured = metrics.measure(rows_of(planted()))
    assert measured["zero_shot_accuracy"] == RIGHT_ANSWERS / COUNTED
    assert measured["zero_shot_top_5_accuracy"] == 1
    assert measured["zero_shot_right_classes"] == 20 * (2 + 1 + 2 + 2 + 3 + 1) / COUNTED
    by_chance = metrics.chance(1, int(measured["zero_shot_classes"]), measured)["zero_shot_accuracy"]
    assert measured["zero_shot_classes_per_right_class"] == pytest.approx(1 / by_chance)
    assert np.isnan(measured["zero_shot_mean_per_class_accuracy"])  # a picture would count in several means
    chance = metrics.chance(160, 4, measured)
    assert chance["zero_shot_accuracy"] == pytest.approx(11 / 6 / 4)


def test_bounds_of_accuracy_are_those_of_a_bootstrap_over_pictures_that_have_a_class():
    """A resample of this reference draws pictures one by one, and leaves out those without a class."""
    measured = metrics.measure(rows_of(planted()), confidence=metrics.Confidence(0.9))
    hits = np.array([answer in right for answer, right in zip(ANSWERS, RIGHT, strict=True) if right])
    drawn = np.random.default_rng(1).choice(hits, [20_000, COUNTED]).mean(axis=1)
    margin = statistics.NormalDist().inv_cdf(0.95) * drawn.std()
    value = RIGHT_ANSWERS / COUNTED
    assert measured["zero_shot_accuracy_low"] == pytest.approx(value - margin, abs=0.1 * margin)
    assert measured["zero_shot_accuracy_high"] == pytest.approx(value + margin, abs=0.1 * margin)
    fewer = metrics.measure(rows_of(planted(RIGHT[:40], ANSWERS[:40])), confidence=metrics.Confidence(0.9))  # control
    assert fewer["zero_shot_accuracy"] == value
    assert fewer["zero_shot_accuracy_low"] < value - 1.7 * margin


@pytest.mark.parametrize(
    "wrong",
    [
        [tuple((c + 1) % 4 for c in one) for one in RIGHT],  # off by one
        [one or (0,) for one in RIGHT],  # pictures without a class counted
        [one[:1] for one in RIGHT],  # the first class only
    ],
    ids=["off by one", "empty rows", "first only"],
)
def test_control_a_wrong_mapping_has_another_accuracy(wrong):
    measured = metrics.measure(rows_of(planted(wrong)))
    assert measured["zero_shot_accuracy"] != RIGHT_ANSWERS / COUNTED


def test_class_calibration_counts_every_right_pair():
    counted = rows_of(planted()).class_counts
    labelled = [bool(one) for one in RIGHT]
    logits = 8 * planted()["class_similarity"][labelled].astype(float) - 2
    right = np.array([[c in one for c in range(4)] for one in RIGHT if one])
    assert counted.pairs == right.size
    assert counted.figures()["brier_score"] == pytest.approx(np.mean((1 / (1 + np.exp(-logits)) - right) ** 2))


def test_one_class_rows_have_the_same_metrics_with_and_without_the_list_of_right_classes():
    right = [(c,) for c in (0, 1, 2, 3, 1, 1, 0, 2) * 20]
    listed = planted(right)
    alone = {name: value for name, value in listed.items() if name != "class_indices"}
    np.testing.assert_equal(metrics.measure(rows_of(listed)), metrics.measure(rows_of(alone)))
    assert metrics.measure(rows_of(listed))["zero_shot_mean_per_class_accuracy"] == np.mean([1 / 2, 2 / 3, 1 / 2, 1])


def test_change_of_accuracy_needs_the_same_right_classes():
    rows = rows_of(planted())
    same = metrics.measure(rows, rows_of(planted()))
    assert (same["zero_shot_accuracy_change"], same["zero_shot_accuracy_change_low"] < 0) == (0, True)
    older = {name: value for name, value in planted().items() if name != "class_indices"}
    assert metrics.measure(rows, rows_of(older))["zero_shot_accuracy_change_low"] == -1  # it knows one each


def test_a_row_counts_in_the_slice_of_each_of_its_classes():
    assert Rule.parse("real/zero_shot_accuracy by class_names").feature == "class_names"
    row = {"evaluation_set": np.array(["real"]), "class_names": np.array(["cat", "pet"])}
    spec = slicer_lib.SingleSliceSpec(columns=["evaluation_set", "class_names"])
    slices = set(slicer_lib.get_slices_for_features_dicts([row], None, [spec]))
    assert slices == {(("class_names", name), ("evaluation_set", "real")) for name in ("cat", "pet")}
