"""An Oner is exported without what only training needs, served, compressed, rebuilt and trained on."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from components.serving_clients import LocalClient, Refused
from models import objectives, settings
from models.inputs import images
from models.inputs.tokenizer import Tokenizer
from models.objectives.training_only import exported_variables
from models.optimizers.parameters import name
from models.pretrained import PretrainedError, load_fitting, saved_model
from models.serving import export
from models.settings import configuration
from tests.models.training.shapes import CONFIG, ONER, fit, margin, write_shards
from tests.pictures import shape_pairs

TRAINING = dataclasses.replace(CONFIG, objective=ONER)
PICTURES, CAPTIONS, _ = (list(column) for column in zip(*shape_pairs()[:6], strict=True))


@pytest.fixture(scope="module")
def trained(vocabulary, tmp_path_factory):
    """An objective whose variables are all moved, as in training, and the path of its SavedModel."""
    folder = tmp_path_factory.mktemp("trained")
    tokenizer, rng = Tokenizer(vocabulary, ONER.text_input), np.random.default_rng(0)
    objective = objectives.create(ONER, tokenizer.vocabulary_size)
    for variable in objective.variables:
        if variable.dtype.is_floating:
            variable.assign_add(rng.uniform(0.0, 0.1, variable.shape))
    export.save(objective, tokenizer, configuration.to_gin(TRAINING), str(folder / "model"))
    return objective, str(folder / "model")


def embeddings(path: str) -> tuple[np.ndarray, np.ndarray]:
    signatures = tf.saved_model.load(path).signatures
    image = signatures["embed_image"](image_bytes=tf.constant(PICTURES))["image_embedding"].numpy()
    return image, signatures["embed_text"](text=tf.constant([*CAPTIONS, ""]))["text_embedding"].numpy()


def test_the_saved_model_holds_the_tower_alone_and_answers_as_the_objective(trained, vocabulary):
    objective, path = trained
    stored = set(saved_model._weights(path))
    assert stored == {name(variable) for variable in exported_variables(objective)}
    assert {one.split("/")[0] for one in stored} == {"one_tower"}
    assert "momentum_tower/class_token" in {name(variable) for variable in objective.training_only.variables}
    image, text = embeddings(path)
    pixels = tf.stack([tf.image.resize(tf.io.decode_png(one), [24, 24], antialias=True) for one in PICTURES])
    np.testing.assert_allclose(image, objective.embed_image(tf.round(pixels) / 127.5 - 1.0), atol=1e-5)
    ids = Tokenizer(vocabulary, ONER.text_input)(tf.constant([*CAPTIONS, ""]))
    np.testing.assert_allclose(text, objective.embed_text(ids), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(text, axis=1), 1, atol=1e-6)


@pytest.mark.slow
def test_a_rebuilt_model_answers_alike_and_is_compressed(trained, tmp_path):
    _, path = trained
    objective, tokenizer, gin_text = saved_model.rebuild(path)
    assert gin_text == configuration.to_gin(TRAINING)
    for weights, near in (("float32", 1e-6), ("int8", 0.1)):
        export.save(objective, tokenizer, gin_text, str(tmp_path / weights), weights=weights)
        for one, other in zip(embeddings(str(tmp_path / weights)), embeddings(path), strict=True):
            np.testing.assert_allclose(one, other, atol=near)


def test_pairs_and_heat_are_served(trained, vocabulary):
    """The reference computes each cosine by NumPy; a heat of turned rows and columns is not it."""
    objective, path = trained
    client = LocalClient(path)
    texts = [*CAPTIONS[:5], ""]  # an empty text is answered
    given = {"image_bytes": PICTURES, "text": [text.encode() for text in texts]}
    ids = Tokenizer(vocabulary, ONER.text_input)(tf.constant(texts))
    pixels = images.decode_batch(tf.constant(PICTURES), ONER.image_input)
    pair = client.predict("embed_pair", given)["pair_embedding"]
    np.testing.assert_allclose(pair, objective.embed_pair(pixels, ids), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(pair, axis=1), 1, atol=1e-5)
    heat = client.predict("localize", given)["heat"]
    patches, text = objective.embed_patches(pixels).numpy(), objective.embed_text(ids).numpy()
    expected = [[[patches[n, i, j] @ text[n] for j in range(3)] for i in range(3)] for n in range(6)]
    np.testing.assert_allclose(heat, expected, atol=1e-5)
    assert np.abs(heat - np.swapaxes(expected, 1, 2)).max() > 1e-3
    with pytest.raises(Refused, match="image_bytes has 6 rows, but text has 2"):
        client.predict("localize", {**given, "text": given["text"][:2]})
    with pytest.raises(Refused) as refused:
        client.predict("embed_pair", {**given, "image_bytes": [*PICTURES[:5], b"junk"]})
    assert refused.value.rows == [5]


def started_from(path: str, vocabulary: str, folder, config):
    shards = write_shards(folder / "shards", 1)
    start = settings.PretrainedSettings(path)
    return fit(vocabulary, shards, folder, dataclasses.replace(config, steps=0, pretrained=start))


def test_training_starts_from_a_model_of_the_same_objective(trained, vocabulary, tmp_path):
    """The momentum copy starts as the tower."""
    before, path = trained
    objective = started_from(path, vocabulary, tmp_path, TRAINING)
    for mine, theirs in zip(exported_variables(objective), exported_variables(before), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.name)
    for copy in objective.state[:-1]:
        original = next(v for v in objective.tower.variables if name(v) == name(copy).replace("momentum_", "one_"))
        np.testing.assert_array_equal(copy.numpy(), original.numpy(), err_msg=copy.name)


def test_two_towers_are_refused_by_name(vocabulary):
    with pytest.raises(PretrainedError, match=r"Training.pretrained is siglip.npz, but Oner has no image tower and"):
        load_fitting(settings.PretrainedSettings("siglip.npz"), ONER, vocabulary)


@pytest.mark.slow
def test_it_learns_and_with_the_predictor_embeddings_draw_together(vocabulary, tmp_path):
    """The mean logit of positive pairs rises above that of negative pairs; docs/objectives.md has both differences."""
    plain = dataclasses.replace(TRAINING, objective=dataclasses.replace(ONER, predictor=False), steps=200)
    assert _margin(vocabulary, tmp_path / "plain", plain) > 0.5
    predictor = dataclasses.replace(TRAINING, steps=200)
    assert abs(_margin(vocabulary, tmp_path / "predictor", predictor)) < 0.5


def _margin(vocabulary: str, folder: pathlib.Path, config: settings.TrainingSettings) -> float:
    """That of the trained model."""
    objective = fit(vocabulary, write_shards(folder / "shards", 2), folder, config)
    assert int(objective.state[-1]) == config.steps
    return margin(objective, Tokenizer(vocabulary, ONER.text_input))
