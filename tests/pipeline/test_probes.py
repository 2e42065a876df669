"""Probes on planted embeddings: known answers, chance on random ones, and what cannot be fitted."""

import pathlib

import numpy as np
import pytest

from beam.evaluation_sets import EvaluationSetSettings
from models.evaluation import metrics
from models.evaluation.calibration import PairCounts
from models.evaluation.metrics import Rows
from pipeline.evaluation import evaluation, probes, report
from pipeline.evaluation.probes import Embedded
from pipeline.evaluation.scores import Scores
from pipeline.settings.run import PipelineSettings

NAMES = np.array(["cat", "dog", "pet"])


def drawn(count: int, seed: int, noise: float) -> Embedded:
    """Pictures near the vector of their class; noise 0 is on it."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 3, count)
    image = np.eye(3, 8)[label] + noise * generator.normal(size=[count, 8])
    return Embedded((image / np.linalg.norm(image, axis=1, keepdims=True)).astype(np.float32), NAMES[label])


def test_both_know_classes_that_lie_apart_and_neither_knows_shuffled_ones():
    fitted, scored = drawn(120, 1, 0.1), drawn(90, 2, 0.1)
    found = probes.measure(fitted, scored, 0.9)
    assert (found[probes.LINEAR], found[probes.NEAREST]) == (1, 1)
    assert found[f"{probes.LINEAR}_low"] < 1
    shuffled = Embedded(fitted.image, np.random.default_rng(3).permutation(fitted.label))  # control
    found = probes.measure(shuffled, scored, 0.9)
    assert max(found[probes.LINEAR], found[probes.NEAREST]) < 0.7


def test_a_class_that_was_not_fitted_counts_as_wrong():
    fitted, scored = drawn(120, 1, 0.1), drawn(90, 2, 0.1)
    known = fitted.label != "pet"
    found = probes.measure(Embedded(fitted.image[known], fitted.label[known]), scored, 0.9)
    assert found[probes.LINEAR] == found[probes.NEAREST] == np.mean(scored.label != "pet")


def test_neighbours_vote_by_their_weight():
    """One picture of class cat is nearer than two of class dog, which outvote it only if they are near enough."""
    angle = np.radians([0, 20, 20, 60, 60])
    image = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    label = np.array(["cat", "dog", "dog", "dog", "dog"])
    weight = np.exp((np.cos(angle) - 1) / probes.TEMPERATURE)
    votes = {"cat": weight[0], "dog": weight[1:].sum()}
    assert probes.nearest(Embedded(image, label), image[:1])[0] == max(votes, key=votes.get) == "cat"
    assert probes.nearest(Embedded(image[[0, 1, 1, 3]], label[:4]), image[1:2])[0] == "dog"


def rows(index: list[int], right: list[int]) -> Rows:
    count = len(index)
    image = np.eye(count, dtype=np.float32)
    names = np.array([b"%d" % (i // 2) for i in range(count)])
    none = np.zeros(count, int)
    return Rows(image, image, names, names, np.array(index), none, 3, PairCounts(), 1, 0, right_classes=np.array(right))


def test_a_set_is_scored_with_probes_of_the_set_that_it_names():
    """The two sets list their classes in another order."""
    classes = {"fitted": NAMES, "scored": NAMES[::-1]}
    drawn_sets = {"fitted": drawn(120, 1, 0.1), "scored": drawn(90, 2, 0.1)}
    found = {}
    for name, one in drawn_sets.items():
        index = np.array([classes[name].tolist().index(label) for label in one.label])
        names, zeros = np.array([b"%03d" % i for i in range(len(index))]), np.zeros(len(index), int)
        outputs = Rows(one.image, one.image, names, names, index, zeros, 3, PairCounts(), 1, 0)
        found[name] = Scores(len(index), {}, {}, outputs)
    scored = EvaluationSetSettings("scored", examples="folder", fitted_on="fitted")
    probed = evaluation._probed(scored, found, classes, PipelineSettings())
    assert probed == probes.measure(drawn_sets["fitted"], drawn_sets["scored"], 0.9)
    fitted = EvaluationSetSettings("fitted", examples="folder")
    assert evaluation._probed(fitted, found, classes, PipelineSettings()) == {}


def test_table_and_page_show_the_probes_of_a_set_and_none_of_another(tmp_path):
    index, names = np.zeros(3, int), np.array([b"a", b"b", b"c"])
    outputs = Rows(np.eye(3), np.eye(3), names, names, index, index, 3, PairCounts(), 1, 0)
    found = {name: Scores(3, metrics.measure(outputs), {}) for name in ("pets", "trained")}
    probed = {"pets": {probes.LINEAR: 0.625, f"{probes.LINEAR}_low": 0.5, f"{probes.LINEAR}_high": 0.75}, "trained": {}}
    facts = report.facts("model", found, {name: {"dropped": {}} for name in found}, probed, 0.9)
    lines = [line.split() for line in report.table(facts) if "linear probe accuracy" in line]
    assert lines == [["linear", "probe", "accuracy", "0.6250", "0.5000-0.7500"]]
    page = pathlib.Path(report.write(facts, str(tmp_path))).read_text()
    assert page.count("linear probe accuracy") == 1
    of_pets, of_trained = page.split("<h2>")[1:]
    assert "0.6250" in of_pets
    assert "linear probe" not in of_trained


def test_each_picture_with_a_class_counts_once():
    taken = Embedded.of(rows([0, 0, 2, 2, -1, -1], [1, 1, 1, 1, 0, 0]), NAMES, "pets")
    assert taken.label.tolist() == ["cat", "pet"]
    assert taken.image.argmax(axis=1).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("index", "right", "message"),
    [
        ([0, 0], [2, 2], "'pets' has a picture with several"),
        ([-1, -1], [0, 0], "'pets' has no picture with a class"),
    ],
)
def test_a_set_without_one_class_per_picture_is_refused(index, right, message):
    with pytest.raises(ValueError, match=message):
        Embedded.of(rows(index, right), NAMES, "pets")
    with pytest.raises(ValueError, match=r"have the classes \['cat'\], but must have two or more"):
        probes.measure(Embedded(np.eye(2), np.array(["cat", "cat"])), drawn(9, 1, 0.1), 0.9)


def test_a_probe_on_a_set_without_classes_is_refused_before_any_set_is_scored():
    wanted = [EvaluationSetSettings("a", examples="x", fitted_on="b"), EvaluationSetSettings("b", examples="y")]
    one_each = {"a": False, "b": False}
    evaluation._require_measurable(wanted, {"a": ["cat"], "b": ["cat", "dog"]}, one_each)
    with pytest.raises(ValueError, match=r"EvaluationSet 'b' has no picture with a class, but a probe needs one right"):
        evaluation._require_measurable(wanted, {"a": ["cat"], "b": []}, one_each)
    with pytest.raises(ValueError, match=r"'b' has the classes \['cat'\], but a probe is fitted on 2 or more; name an"):
        evaluation._require_measurable(wanted, {"a": ["cat"], "b": ["cat"]}, one_each)
    for name in "ab":
        with pytest.raises(ValueError, match=f"EvaluationSet '{name}' has a picture with several right classes, but a"):
            evaluation._require_measurable(wanted, {"a": ["cat"], "b": ["cat", "dog"]}, {**one_each, name: True})
