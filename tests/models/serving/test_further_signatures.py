"""Further signatures of an objective are served, warmed up and checked; a model without any is as before."""

import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.infra_validator import runners, serving_check, serving_requests
from components.infra_validator.settings import InfraValidatorSettings
from components.model_packager import warm_up
from components.serving_clients import LocalClient, NoAnswer, Refused, RestClient
from models import features, objectives
from models.inputs import images, tfrecords
from models.inputs.tokenizer import Tokenizer
from models.objectives.signatures import IMAGE_BYTES, TEXT, Signature
from models.serving import contract, export
from tests import saved_graph
from tests.models.objectives.toy_objectives import OneTowerSettings
from tests.pictures import shape_pairs
from tests.rest_server import rest_server
from tests.served import ThreadRunner

PICTURES, CAPTIONS = (list(column) for column in list(zip(*shape_pairs()[::20], strict=True))[:2])
TEXTS = [caption.encode() for caption in CAPTIONS]
CONFIG = OneTowerSettings()
COMMON = {"embed_image", "embed_text", "serving_default", "evaluate"}
FURTHER = {
    "embed_pair": (("image_bytes", "text"), ("pair_embedding",)),
    "keywords": (("image_bytes",), ("pieces", "probability")),
    "length": (("text",), ("length",)),
    "localize": (("image_bytes", "text"), ("heat",)),
}


def made(vocabulary: str):
    keras.utils.set_random_seed(0)
    tokenizer = Tokenizer(vocabulary, CONFIG)
    return objectives.create(CONFIG, tokenizer.vocabulary_size), tokenizer


@pytest.fixture(scope="module")
def trained(vocabulary):
    return made(vocabulary)


@pytest.fixture(scope="module")
def folder(exported_one_tower, tmp_path_factory) -> str:
    """A SavedModel with the weights of `trained`, to which a test adds warm-up requests."""
    return str(shutil.copytree(exported_one_tower, tmp_path_factory.mktemp("further") / "served"))


@pytest.fixture(scope="module")
def client(folder) -> LocalClient:
    return LocalClient(folder)


def test_the_file_of_a_model_names_all_signatures(folder, exported):
    found = contract.signatures(folder)
    assert {name: (one.inputs, one.outputs) for name, one in contract.further(found).items()} == FURTHER
    assert set(found) == COMMON | set(FURTHER)
    assert list(contract.served(exported)) == ["embed_image", "embed_text", "serving_default"]  # as before
    assert contract.served(exported)["serving_default"].inputs == ("image_bytes", "labels")


def test_answers_are_those_of_the_objective(trained, client):
    objective, tokenizer = trained
    pixels = images.decode_batch(tf.constant(PICTURES), CONFIG)
    ids = tokenizer(tf.constant(CAPTIONS))
    pair = {"image_bytes": PICTURES, "text": TEXTS}
    for signature, expected in (
        ("embed_pair", objective.pairs(pixels, ids)),
        ("localize", objective.heat(pixels, ids)),
    ):
        (name,) = expected
        np.testing.assert_allclose(client.predict(signature, pair)[name], expected[name], atol=1e-5)
    said = client.predict("keywords", {"image_bytes": PICTURES})
    expected = objective.keywords(pixels)
    np.testing.assert_allclose(said["probability"], expected["probability"], atol=1e-5)
    np.testing.assert_array_equal(said["pieces"], tokenizer.pieces(expected["pieces"]))
    assert said["pieces"].dtype == object
    np.testing.assert_array_equal(client.predict("length", {"text": TEXTS})["length"], np.sum(ids != 1, axis=1))


def test_each_function_of_pictures_is_stored_once_though_evaluate_calls_two_of_them(folder):
    of_pictures = [name for name, (inputs, _) in FURTHER.items() if IMAGE_BYTES in inputs]
    assert saved_graph.copies(folder, "Conv2D") == 1 + len(of_pictures)  # and the tower of `embed_image`


def test_a_single_output_over_rest_has_its_name_by_the_servers_metadata(client):
    pair = {"image_bytes": PICTURES, "text": TEXTS}
    expected = client.predict("localize", pair)["heat"]
    with rest_server(client, outputs={"localize": ["heat"]}) as url:
        np.testing.assert_allclose(RestClient(url).predict("localize", pair)["heat"], expected, atol=1e-6)
    with rest_server(client) as url, pytest.raises(NoAnswer, match="metadata does not name the output of localize"):
        RestClient(url).predict("localize", pair)


@pytest.mark.parametrize("signature", ["embed_pair", "localize"])
def test_bad_pairs_are_refused_and_an_empty_text_is_answered(client, signature):
    with pytest.raises(Refused, match=r"image_bytes has 3 rows, but text has 2 ; send one text for each picture"):
        client.predict(signature, {"image_bytes": PICTURES[:3], "text": TEXTS[:2]})
    with pytest.raises(Refused) as refused:
        client.predict(signature, {"image_bytes": [PICTURES[0], b"junk"], "text": TEXTS[:2]})
    assert refused.value.rows == [1]
    (answer,) = client.predict(signature, {"image_bytes": PICTURES[:2], "text": [b"", TEXTS[1]]}).values()
    assert np.isfinite(answer).all()


def test_warm_up_and_serving_check_ask_further_signatures(folder, monkeypatch):
    rows = {features.IMAGE: tf.constant(PICTURES), features.CAPTION: tf.constant(CAPTIONS)}
    warm_up.write(folder, rows)
    file = str(pathlib.Path(folder) / export.EXTRA / warm_up.FILE)
    logs = [warm_up.prediction_log_pb2.PredictionLog.FromString(one.numpy()) for one in tfrecords.read_shards([file])]
    asked = {one.predict_log.request.model_spec.signature_name: one.predict_log.request for one in logs}
    assert set(asked) == COMMON - {"evaluate"} | set(FURTHER)
    assert {name: tuple(sorted(asked[name].inputs)) for name in FURTHER} == {n: one for n, (one, _) in FURTHER.items()}
    monkeypatch.setattr(runners, "create", lambda _, path: ThreadRunner(path))
    found = serving_check.serve_and_check(folder, PICTURES, TEXTS, InfraValidatorSettings(leak_requests=20))
    assert found["problem"] == ""
    assert set(found["request_seconds"]) == set(asked)


class Faulty:
    """An objective whose further signature has one fault."""

    def __init__(self, objective, name: str, signature: Signature) -> None:
        self._objective, self._signatures = objective, {name: signature}

    def __getattr__(self, name):
        return getattr(self._objective, name)

    def signatures(self):
        return self._signatures


PAIR = contract.Names(("image_bytes", "text"), ("x",))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("two_embedding", np.full([4, 2], 2.0), "must have length 1"),
        ("probability", np.full([4], 1.5), "probabilities lie in [0, 1]"),
        ("heat", np.full([4, 3, 3], np.nan), "a heat that is NaN or infinite for rows 0, 1, 2, 3"),
        ("heat", np.zeros([3, 3, 3]), "a heat of shape (3, 3, 3)"),
        ("pieces", np.array([b"a", b"b"], object), "a pieces of shape (2,)"),
    ],
)
def test_a_further_answer_that_breaks_the_contract_is_blocked(name, value, problem):
    rows = serving_requests.Rows(PICTURES[:4], TEXTS[:4], {"mine": PAIR}, {})
    with pytest.raises(serving_requests.NotServable, match=re.escape(problem)):
        serving_requests.require_valid("mine", {name: value}, rows)
    good = {"two_embedding": np.eye(4), "probability": np.zeros([4]), "heat": np.zeros([4, 3, 3])}
    serving_requests.require_valid("mine", good | {"pieces": np.array([b"a"] * 4, object)}, rows)  # control


class Lenient:
    """A client that refuses a broken picture or unequal numbers, or only one of both."""

    def __init__(self, *, refuses_pictures: bool, refuses_numbers: bool) -> None:
        self.refuses_pictures, self.refuses_numbers = refuses_pictures, refuses_numbers

    def predict(self, _, inputs):
        pictures, texts = inputs["image_bytes"], inputs["text"]
        if self.refuses_numbers and len(pictures) != len(texts):
            raise Refused("numbers differ")
        if self.refuses_pictures and pictures[-1] == serving_requests.NO_PICTURE:
            raise Refused(f"these rows are not pictures: {len(pictures) - 1}")
        return {"heat": np.zeros([len(pictures), 3, 3])}


def test_a_further_signature_must_refuse_broken_pictures_and_unequal_numbers():
    rows = serving_requests.Rows(PICTURES[:4], TEXTS[:4], {"mine": PAIR}, {})
    serving_requests.require_refusal(Lenient(refuses_pictures=True, refuses_numbers=True), rows)
    with pytest.raises(serving_requests.NotServable, match="mine answered a broken picture in row 4 with a heat"):
        serving_requests.require_refusal(Lenient(refuses_pictures=False, refuses_numbers=True), rows)
    with pytest.raises(serving_requests.NotServable, match="mine answered 5 pictures with 4 texts, but must refuse"):
        serving_requests.require_refusal(Lenient(refuses_pictures=True, refuses_numbers=False), rows)


def test_names_and_inputs_of_signatures_are_checked(vocabulary):
    objective, tokenizer = made(vocabulary)
    for name in ("embed_text", "classify_mine"):
        faulty = Faulty(objective, name, Signature(objective.pairs, (IMAGE_BYTES, TEXT)))
        with pytest.raises(ValueError, match=f"names '{name}', but a signature of this name is, or may be,"):
            export.ServedModel(faulty, tokenizer, {}, "float32")
    with pytest.raises(ValueError, match=r"Signature.inputs is \('text', 'image_bytes'\), but must be one of"):
        Signature(objective.pairs, (TEXT, IMAGE_BYTES))
