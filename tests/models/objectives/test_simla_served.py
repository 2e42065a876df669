"""A Simla is exported without what only training needs, served, rebuilt, compressed and trained on."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models import objectives, settings
from models.inputs.tokenizer import Tokenizer
from models.layers.visual_codes import Codebook
from models.objectives.objective import Run
from models.objectives.training_only import exported_variables
from models.optimizers.parameters import name
from models.pretrained import saved_model
from models.serving import export
from models.settings import configuration
from tests.models.training.shapes import CONFIG, OBJECTIVE, SIMLA, fit, write_shards
from tests.pictures import shape_pairs

TRAINING = dataclasses.replace(CONFIG, objective=SIMLA)
PICTURES, CAPTIONS, _ = (list(column) for column in zip(*shape_pairs()[:6], strict=True))


@pytest.fixture(scope="module")
def trained(vocabulary, tmp_path_factory):
    """An objective whose variables are all moved, as in training, its tokenizer, and the path of its SavedModel."""
    path = str(tmp_path_factory.mktemp("trained") / "model")
    tokenizer, rng = Tokenizer(vocabulary, SIMLA.text_tower), np.random.default_rng(0)
    objective = objectives.create(SIMLA, tokenizer.vocabulary_size)
    for variable in objective.variables:
        if variable.dtype.is_floating:
            variable.assign_add(rng.uniform(0.0, 0.1, variable.shape))
    export.save(objective, tokenizer, configuration.to_gin(TRAINING), path)
    return objective, tokenizer, path


@pytest.fixture(scope="module")
def signatures(trained):
    return tf.saved_model.load(trained[2]).signatures


def pixels(objective) -> tf.Tensor:
    drawn = [tf.image.resize(tf.io.decode_png(one), [24, 24], antialias=True) for one in PICTURES]
    return tf.round(tf.stack(drawn)) / 127.5 - 1.0


def test_the_saved_model_holds_no_queue_no_momentum_copy_and_no_codebook(trained):
    objective, _, path = trained
    stored = set(saved_model._weights(path))
    print(*sorted(stored), sep="\n")
    assert stored == {name(variable) for variable in exported_variables(objective)}
    assert not [one for one in stored if one.startswith(("queues", "momentum_", "training", "ramp", "ml", "mi"))]
    assert {"temperature", "itm_head/kernel", "psl_head/kernel", "fusion/class_token"} <= stored
    left_out = {name(variable) for variable in objective.training_only.variables}
    assert {"queues/image", "momentum_fusion/norm/gamma", "training/centres", "mlm_head/kernel"} <= left_out


def test_served_match_equals_the_training_graph(trained, signatures):
    """The logits of a pair, as `encode` computes its match."""
    objective, tokenizer, _ = trained
    ids = tokenizer(tf.constant(CAPTIONS))
    served = signatures["match"](image_bytes=tf.constant(PICTURES), text=tf.constant(CAPTIONS))["probability"]
    patch = objective.config.image_tower.patch
    book = Codebook(np.zeros((1, 3 * patch * patch + 1), np.float32), np.ones(1, np.float32), patch)
    objective.prepare(Run(1000, tokenizer.text_ids, book))
    batch = {"images": pixels(objective), "token_ids": ids, "picture_ids": tf.range(6)}
    encoded = objective.encode(batch | {"seeds": tf.zeros([6, 2], tf.int32)})
    np.testing.assert_allclose(served, np.exp(-encoded["itm"]), atol=1e-5)
    swapped = signatures["match"](image_bytes=tf.constant(PICTURES[::-1]), text=tf.constant(CAPTIONS))["probability"]
    assert np.abs(swapped - served).max() > 1e-4  # control: the picture counts


def test_localize_is_a_share_of_attention_and_ignores_padding(trained, signatures):
    objective, tokenizer, _ = trained
    ask = {"image_bytes": tf.constant(PICTURES), "text": tf.constant(CAPTIONS)}
    heat = signatures["localize"](**ask)["heat"].numpy()
    assert heat.shape == (6, 3, 3)
    assert heat.min() >= 0
    assert (heat.sum(axis=(1, 2)) <= 1 + 1e-6).all()
    ids = tokenizer(tf.constant(CAPTIONS)).numpy()
    fusion, tokens = objective.fusion, objective.image_tower.tokens(pixels(objective))
    _, weights = fusion.last_weights(fusion.embed(ids), fusion.seen(ids), tokens)
    row = weights.numpy()[2][:, 1:][:, ids[2] != 1].mean(axis=(0, 1))[1:]
    np.testing.assert_allclose(heat[2].ravel(), row, atol=1e-5)


def test_keywords_are_the_most_probable_pieces_of_the_class_output(trained, signatures):
    objective, tokenizer, _ = trained
    found = signatures["keywords"](image_bytes=tf.constant(PICTURES))
    kernel, bias = (variable.numpy() for variable in objective.heads["psl"].variables)
    logits = objective.image_tower.tokens(pixels(objective)).numpy()[:, 0] @ kernel + bias
    probability = 1 / (1 + np.exp(-logits))
    best = np.argsort(-probability, axis=1)[:, :10]
    np.testing.assert_allclose(found["probability"], np.take_along_axis(probability, best, axis=1), atol=1e-5)
    names = tokenizer.pieces(tf.constant(best, tf.int32)).numpy()
    ids = {name: number for number, name in enumerate(tokenizer.pieces(tf.range(logits.shape[1])).numpy())}
    told = np.vectorize(ids.get)(found["pieces"].numpy())  # of nearly equal probabilities, either may come first
    np.testing.assert_allclose(np.take_along_axis(probability, told, axis=1), found["probability"], atol=1e-5)
    assert (found["pieces"].numpy() == names).mean() > 0.9


@pytest.mark.parametrize("signature", ["match", "localize"])
def test_unequal_numbers_of_pictures_and_texts_are_refused_with_both(signatures, signature):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"6.*rows, but.*text.*has.*2"):
        signatures[signature](image_bytes=tf.constant(PICTURES), text=tf.constant(CAPTIONS[:2]))


@pytest.mark.slow
def test_a_rebuilt_and_a_compressed_model_answer_alike(trained, tmp_path):
    _, _, path = trained
    objective, tokenizer, gin_text = saved_model.rebuild(path)
    assert gin_text == configuration.to_gin(TRAINING)
    ask = {"image_bytes": tf.constant(PICTURES), "text": tf.constant(CAPTIONS)}
    right = tf.saved_model.load(path).signatures["match"](**ask)["probability"].numpy()
    for weights, near in (("float32", 1e-6), ("int8", 0.1)):
        export.save(objective, tokenizer, gin_text, str(tmp_path / weights), {}, weights)
        other = tf.saved_model.load(str(tmp_path / weights)).signatures["match"](**ask)["probability"]
        np.testing.assert_allclose(other, right, atol=near)


@pytest.mark.slow
def test_the_image_tower_starts_from_any_tower_with_a_class_token(trained, vocabulary, tmp_path):
    """From a SavedModel of another objective; the copy starts as a copy."""
    config = dataclasses.replace(OBJECTIVE, image_tower=SIMLA.image_tower)
    tokenizer = Tokenizer(vocabulary, config.text_tower)
    siglip = objectives.create(config, tokenizer.vocabulary_size)
    export.save(siglip, tokenizer, configuration.to_gin(config), str(tmp_path / "siglip"))
    start = settings.PretrainedSettings(str(tmp_path / "siglip"), parts=("image_tower",))
    shards = write_shards(tmp_path / "shards", 1)
    objective = fit(vocabulary, shards, tmp_path, dataclasses.replace(TRAINING, steps=0, pretrained=start))
    weights = {name(variable): variable.numpy() for variable in objective.variables}
    for variable in siglip.image_tower.variables:
        for prefix in ("", "momentum_"):
            np.testing.assert_array_equal(weights[prefix + name(variable)], variable.numpy(), err_msg=variable.name)


@pytest.mark.slow
def test_training_starts_from_a_model_of_the_same_objective(trained, vocabulary, tmp_path):
    before, _, path = trained
    start = settings.PretrainedSettings(path)
    shards = write_shards(tmp_path / "shards", 1)
    objective = fit(vocabulary, shards, tmp_path, dataclasses.replace(TRAINING, steps=0, pretrained=start))
    for mine, theirs in zip(exported_variables(objective), exported_variables(before), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.name)
