"""The load test blocks models whose answers go wrong by request, row, number of rows, concurrency or signature."""

import itertools
import json

import numpy as np
import pytest
import tensorflow as tf

from components.infra_validator import load_test, runners, serving_check
from components.infra_validator.serving_requests import NotServable, Rows
from components.infra_validator.settings import InfraValidatorSettings
from components.serving_clients import Refused
from models.serving import contract, export
from tests.components.toy_models import COLOURS, FaultyModel, ToyModel
from tests.pictures import shape_pairs
from tests.served import ThreadRunner

NAMES = {
    "embed_image": contract.Names(("image_bytes",), ("image_embedding",)),
    "embed_text": contract.Names(("text",), ("text_embedding",)),
    "serving_default": contract.Names(("image_bytes", "labels"), ("probability",)),
}
PICTURES, CAPTIONS = zip(*[(picture, caption.encode()) for picture, caption, _ in shape_pairs()[:4]], strict=True)
SIGNATURES = ("embed_image", "embed_text", "serving_default", "classify_colours")
CONDITIONS = (("request", 9), ("row", 2), ("size", 3), ("together", 0))
FAULTS = [
    (signature, condition, number, wrong)
    for (signature, (condition, number)), wrong in zip(
        itertools.product(SIGNATURES, CONDITIONS), itertools.cycle(["nan", "other", "other"])
    )
]


def problem(model: ToyModel, folder, monkeypatch) -> str:
    """The problem that the check of a toy model reports; its server runs in this process."""
    monkeypatch.setattr(runners, "create", lambda _, path: ThreadRunner(path))
    path = str(folder / "toy")
    tf.saved_model.save(model, path, signatures=model.signatures())
    labels = folder / "toy" / export.EXTRA / export.LABELS_FOLDER
    labels.mkdir(parents=True)
    (labels / "colours.json").write_text(json.dumps({"labels": COLOURS}))
    settings = InfraValidatorSettings(leak_requests=40)
    return serving_check.serve_and_check(path, list(PICTURES), list(CAPTIONS), settings)["problem"]


@pytest.mark.parametrize(("signature", "condition", "number", "wrong"), FAULTS)
def test_a_model_that_goes_wrong_is_blocked(tmp_path, monkeypatch, signature, condition, number, wrong):
    found = problem(FaultyModel(signature, condition, wrong, number), tmp_path, monkeypatch)
    assert found.startswith(signature)
    assert "is NaN or infinite" in found if wrong == "nan" else "than at first to the same rows" in found


def test_control_a_toy_whose_fault_never_shows_passes(tmp_path, monkeypatch):
    assert problem(FaultyModel("embed_text", "request", "nan", 10_000), tmp_path, monkeypatch) == ""


class Answers:
    """A client whose answers a function of the signature, the number of the request and the rows can replace."""

    def __init__(self, change=lambda signature, number, answer: answer):
        self.change, self.sent, self.numbers = change, [], itertools.count(1)  # next() is safe between threads

    def predict(self, signature, inputs):
        first = next(iter(inputs.values()))
        if b"not a picture" in first:
            raise Refused(f"these rows are no pictures: {len(first) - 1}")
        self.sent.append((signature, tuple(first)))
        value = np.array([[int(one[-3:]) / 1000] for one in first])
        embedding = np.concatenate([value, np.sqrt(1 - value**2)], axis=1)
        if signature == "serving_default":
            answer = {"probability": value @ np.array([[int(one[-3:]) / 1000 for one in inputs["labels"]]])}
        else:
            answer = {"image_embedding" if signature == "embed_image" else "text_embedding": embedding}
        return self.change(signature, next(self.numbers), answer)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_every_number_of_rows_and_several_orders_are_sent_to_every_signature(count):
    client = Answers()
    rows = Rows([b"%03d" % one for one in range(count)], [b"%03d" % (500 + one) for one in range(count)], NAMES, {})
    load_test.LoadTest(client, rows).send_mixed(60 * count)
    for signature in ("embed_image", "embed_text", "serving_default"):
        sent = [one for name, one in client.sent if name == signature]
        assert {len(one) for one in sent} == set(range(1, count + 1))
        assert len({one for one in sent if len(one) == count}) >= min(count, 4)
        assert {one[0] for one in sent if len(one) == 1} == {one[0] for one in sent}


def test_every_one_of_300_changed_answers_is_found(record_property):
    """Changes one answer, of any signature and at any request, in one of four ways."""
    random = np.random.default_rng(7)
    rows = Rows([b"%d00" % one for one in range(1, 6)], [b"%d00" % one for one in range(3, 8)], NAMES, {})  # all differ
    ways = {
        "nan": lambda value: value * np.nan,
        "turned": lambda value: value[:, ::-1] if value.shape[1] == 2 else value * 0.9,
        "cut": lambda value: value[:, :-1] if value.shape[1] > 2 else value[:-1],
        "renamed": lambda value: value,
    }
    for _ in range(300):
        at, way = int(random.integers(4, 60)), str(random.choice(list(ways)))

        def change(signature, number, answer, at=at, way=way):
            if number != at:
                return answer
            return {name + ("s" if way == "renamed" else ""): ways[way](value) for name, value in answer.items()}

        load = load_test.LoadTest(Answers(change), rows)
        with pytest.raises(NotServable):
            load.send_mixed(60)
    record_property("changed answers", 300)
    load_test.LoadTest(Answers(), rows).send_mixed(60)  # control
