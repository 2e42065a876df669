"""The signature `evaluate` gives all right classes of a row, and keeps its answers for rows with one class."""

import numpy as np
import pytest

from beam.records import ImageText
from models.serving.export import ServedModel
from models.serving.label_sets import LabelSet
from tests.pictures import shape_pairs
from tests.tiny_model import tiny_objective

PICTURES = [picture for picture, _, _ in shape_pairs()[:4]]
LABELS = ("cat", "dog", "pet")


@pytest.fixture(scope="module")
def model(vocabulary) -> ServedModel:
    objective, tokenizer = tiny_objective(vocabulary)
    embedding = np.eye(3, 32, dtype=np.float32)
    sets = {"real": LabelSet(LABELS, ("{}",), embedding), "eval": LabelSet(("pet", "cat"), ("{}",), embedding[:2])}
    return ServedModel(objective, tokenizer, sets, "float32")


def evaluated(model, *classes: tuple[str, ...], listed: bool = True) -> dict[str, np.ndarray]:
    rows = [
        ImageText(
            f"{i}", PICTURES[i], "a", "x:1", "test", evaluation_set="real",
            class_name=names[0] if names else "", class_names=names if listed else (),
        )
        for i, names in enumerate(classes)
    ]  # fmt: skip
    return model.call("evaluate", examples=[row.to_example() for row in rows])


def test_all_right_classes_are_among_those_of_the_set(model):
    said = evaluated(model, ("pet", "cat"), (), ("dog",), ("bird", "dog"))
    assert said["class_indices"].tolist() == [[2, 0], [-1, -1], [1, -1], [-1, 1]]
    assert said["class_index"].tolist() == [2, -1, 1, -1]


def test_one_class_rows_give_one_column(model):
    said = evaluated(model, ("pet",), (), listed=False)
    assert (said["class_index"].tolist(), said["class_indices"].tolist()) == ([2, -1], [[2], [-1]])
