"""A ClipRocket is exported without what only training needs, served, compressed, rebuilt and trained on."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models import objectives, pretrained, settings
from models.inputs.tokenizer import Tokenizer
from models.objectives.training_only import TrainingOnly, exported_variables
from models.objectives.two_towers import normalized
from models.optimizers.parameters import name
from models.pretrained import PretrainedError, saved_model
from models.serving import export, label_sets
from models.serving.compression import CompressedWeights
from models.settings import configuration
from tests.models.objectives import rocket_reference, rockets
from tests.models.training.shapes import CONFIG, OBJECTIVE, ROCKET, fit, write_shards
from tests.pictures import shape_pairs

TRAINING = dataclasses.replace(CONFIG, objective=ROCKET)
PICTURES, CAPTIONS, _ = (list(column) for column in zip(*shape_pairs()[:6], strict=True))


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    return write_shards(tmp_path_factory.mktemp("shards"), 1)


@pytest.fixture(scope="module")
def trained(vocabulary, tmp_path_factory):
    """An objective whose variables are all moved, as in training, and the path of its SavedModel."""
    folder = tmp_path_factory.mktemp("trained")
    tokenizer, rng = Tokenizer(vocabulary, ROCKET.text_tower), np.random.default_rng(0)
    objective = objectives.create(ROCKET, tokenizer.vocabulary_size)
    for variable in objective.variables:
        variable.assign_add(rng.uniform(0.0, 0.1, variable.shape))
    objective.ensemble_weight.assign(0.7)
    export.save(objective, tokenizer, configuration.to_gin(TRAINING), str(folder / "model"))
    return objective, str(folder / "model")


def stored(path: str) -> set[str]:
    """Names of the variables of a SavedModel."""
    return set(saved_model._weights(path))


def test_the_saved_model_holds_no_variable_that_only_training_needs(trained):
    objective, path = trained
    left_out = {name(variable) for variable in objective.training_only.variables}
    assert {"byolip_image_predictor/dense_0/kernel", "byolip_momentum_text_tower/head/kernel"} <= left_out
    assert stored(path) == {name(variable) for variable in exported_variables(objective)}
    assert not stored(path) & left_out
    assert {"ensemble_weight", "local_text_projector/norm_1/running_variance"} <= stored(path)


def test_control_parts_that_keras_tracks_are_exported(vocabulary, tmp_path):
    objective = objectives.create(ROCKET, Tokenizer(vocabulary, ROCKET.text_tower).vocabulary_size)
    (term,) = objective.training_only.parts
    objective.tracked = term._layers
    objective.training_only = TrainingOnly()
    export.save(objective, Tokenizer(vocabulary, ROCKET.text_tower), "", str(tmp_path / "model"))
    assert "byolip_image_predictor/dense_0/kernel" in stored(str(tmp_path / "model"))


def embeddings(path: str) -> tuple[np.ndarray, np.ndarray]:
    signatures = tf.saved_model.load(path).signatures
    image = signatures["embed_image"](image_bytes=tf.constant(PICTURES))["image_embedding"].numpy()
    return image, signatures["embed_text"](text=tf.constant(CAPTIONS))["text_embedding"].numpy()


def test_served_similarities_are_the_mix_of_both(trained, vocabulary):
    objective, path = trained
    image, text = embeddings(path)
    pixels = tf.stack([tf.image.resize(tf.io.decode_png(one), [24, 24], antialias=True) for one in PICTURES])
    features = {
        "image": objective.image_tower(tf.round(pixels) / 127.5 - 1.0),
        "text": objective.text_tower(Tokenizer(vocabulary, ROCKET.text_tower)(tf.constant(CAPTIONS))),
    }
    z = {m: normalized(objective.projectors[m](rows)).numpy() for m, rows in features.items()}
    h = {m: rocket_reference.served(rockets.arrays(objective, {}), m, rows.numpy()) for m, rows in features.items()}
    weight = float(objective.ensemble_weight)
    mix = weight * z["image"] @ z["text"].T + (1 - weight) * h["image"] @ h["text"].T
    np.testing.assert_allclose(image @ text.T, mix, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(image, axis=1), 1, atol=1e-6)
    assert np.abs(0.5 * z["image"] @ z["text"].T + 0.5 * h["image"] @ h["text"].T - mix).max() > 1e-4  # control


@pytest.mark.slow
@pytest.mark.parametrize(("weights", "near"), [("float32", 1e-6), ("int8", 0.1)])
def test_a_rebuilt_model_answers_alike_and_is_packaged(trained, tmp_path, weights, near):
    _, path = trained
    objective, tokenizer, gin_text = saved_model.rebuild(path)
    assert gin_text == configuration.to_gin(TRAINING)
    labels = label_sets.embed(["red", "blue"], ["{}"], lambda texts: embeddings_of(path, texts))
    export.save(objective, tokenizer, gin_text, str(tmp_path / weights), {"two": labels}, weights)
    for one, other in zip(embeddings(str(tmp_path / weights)), embeddings(path), strict=True):
        np.testing.assert_allclose(one, other, atol=near)
    answer = tf.saved_model.load(str(tmp_path / weights)).signatures["classify_two"]
    assert answer(image_bytes=tf.constant(PICTURES))["probability"].shape == (6, 2)


def embeddings_of(path: str, texts) -> np.ndarray:
    embed = tf.saved_model.load(path).signatures["embed_text"]
    return embed(text=tf.constant(list(texts)))["text_embedding"].numpy()


def test_compression_keeps_nothing_that_only_training_needs(trained):
    objective, _ = trained
    compressed = CompressedWeights(objective, "int8")
    names = {name(v) for v in (*compressed.kept, *(part for stored in compressed.stored for part in stored))}
    assert not [one for one in names if "byolip" in one]
    assert "local_image_projector/norm_0/running_mean" in names


def started_from(path: str, vocabulary: str, shards, folder, config, **chosen):
    start = settings.PretrainedSettings(path, **chosen)
    return fit(vocabulary, shards, folder, dataclasses.replace(config, steps=0, pretrained=start))


def test_training_starts_from_a_model_of_the_same_objective(trained, vocabulary, shards, tmp_path):
    """What is not exported is drawn anew, except for the momentum copy, which is a copy."""
    before, path = trained
    objective = started_from(path, vocabulary, shards, tmp_path, TRAINING)
    for mine, theirs in zip(exported_variables(objective), exported_variables(before), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.name)
    weights = {name(variable): variable.numpy() for variable in objective.variables}
    copies = [key for key in weights if key.startswith("byolip_momentum_")]
    assert copies
    for key in copies:
        np.testing.assert_array_equal(weights[key], weights[key.removeprefix("byolip_momentum_")], err_msg=key)
    old = {name(variable): variable.numpy() for variable in before.training_only.variables}  # control
    assert (
        np.abs(old["byolip_momentum_text_tower/head/kernel"] - weights["text_tower/head/kernel"]).max() > 0
    )  # control


TERMS = {
    "barlip": {"terms": (settings.BarlipSettings(projector=(12, 12, 16)),)},
    "siamlip": {"terms": (settings.SiamlipSettings(projector=(24, 16), predictor=(24, 16)),)},
    "swalip": {"terms": (settings.SwalipSettings(),), "label_smoothing": 0.0},
    "prototypes": {
        "terms": (settings.SwalipSettings(prototypes=7, projector=(24, 16)),),
        "local_views": 0,
        "global_texts": None,
        "text_tower": OBJECTIVE.text_tower,
    },
}


@pytest.mark.parametrize(
    "term", [term if term == "swalip" else pytest.param(term, marks=pytest.mark.slow) for term in TERMS]
)
def test_training_starts_from_a_model_with_each_term(term, vocabulary, shards, tmp_path):
    """Parts of a term are drawn anew: they are neither missing nor those of the first training."""
    config = dataclasses.replace(TRAINING, objective=dataclasses.replace(ROCKET, **TERMS[term]))
    tokenizer, rng = Tokenizer(vocabulary, ROCKET.text_tower), np.random.default_rng(0)
    before = objectives.create(config.objective, tokenizer.vocabulary_size)
    for variable in before.variables:
        variable.assign_add(tf.cast(rng.uniform(1.0, 1.1, variable.shape), variable.dtype))
    export.save(before, tokenizer, configuration.to_gin(config), str(tmp_path / "model"))
    assert stored(str(tmp_path / "model")) == {name(variable) for variable in exported_variables(before)}
    after = started_from(str(tmp_path / "model"), vocabulary, shards, tmp_path, config)
    for mine, theirs in zip(exported_variables(after), exported_variables(before), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.name)
    drawn = list(zip(after.training_only.variables, before.training_only.variables, strict=True))
    assert bool(drawn) == (term != "swalip")  # with local views, SwaLIP has no part of its own
    for mine, theirs in drawn:
        assert np.isfinite(mine.numpy()).all()
        assert mine.shape == theirs.shape
        assert not np.array_equal(mine.numpy(), theirs.numpy()), mine.name


def test_towers_start_from_siglip_and_from_another_objective(trained, vocabulary, shards, tmp_path):
    _, path = trained
    towers = ("image_tower", "text_tower")
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
    siglip = objectives.create(OBJECTIVE, tokenizer.vocabulary_size)
    export.save(siglip, tokenizer, configuration.to_gin(OBJECTIVE), str(tmp_path / "siglip"))
    rocket = started_from(str(tmp_path / "siglip"), vocabulary, shards, tmp_path, TRAINING, parts=towers)
    np.testing.assert_array_equal(rocket.text_tower.head.kernel, siglip.text_tower.head.kernel)
    other = started_from(path, vocabulary, shards, tmp_path / "other", CONFIG, parts=towers)
    np.testing.assert_array_equal(other.text_tower.head.kernel, trained[0].text_tower.head.kernel)


SOFTMAX = dataclasses.replace(CONFIG, objective=settings.SoftmaxSettings(OBJECTIVE.image_tower, OBJECTIVE.text_tower))


@pytest.fixture(scope="module")
def saved_softmax(vocabulary, tmp_path_factory):
    """A Softmax and the path of its SavedModel."""
    tokenizer, path = Tokenizer(vocabulary, OBJECTIVE.text_tower), str(tmp_path_factory.mktemp("softmax") / "model")
    softmax = objectives.create(SOFTMAX.objective, tokenizer.vocabulary_size)
    softmax.log_scale.assign(1.25)
    export.save(softmax, tokenizer, configuration.to_gin(SOFTMAX), path)
    return softmax, path


@pytest.mark.parametrize("fits", [True, False])
def test_softmax_starts_from_softmax(saved_softmax, vocabulary, shards, tmp_path, fits):
    softmax, path = saved_softmax
    if fits:
        again = started_from(path, vocabulary, shards, tmp_path, SOFTMAX)
        assert float(again.log_scale) == 1.25
        np.testing.assert_array_equal(again.text_tower.head.kernel, softmax.text_tower.head.kernel)
    else:
        with pytest.raises(PretrainedError, match=r"is a model of Softmax, but Training.objective is ClipRocket; name"):
            started_from(path, vocabulary, shards, tmp_path, TRAINING)


def test_a_model_of_other_sizes_is_refused_with_names_and_shapes(trained, vocabulary):
    _, path = trained
    wider = dataclasses.replace(ROCKET, local_hidden=32)
    loaded = pretrained.load_fitting(settings.PretrainedSettings(path), wider, vocabulary)
    objective = objectives.create(wider, loaded.weights["text_tower/token_embedding/embeddings"].shape[0])
    with pytest.raises(PretrainedError, match=r"local_image_projector/dense_0/kernel is \[32, 24\] in the checkpoint"):
        pretrained.restore(exported_variables(objective), loaded)
    tower = dataclasses.replace(ROCKET.text_tower, causal=True)
    with pytest.raises(PretrainedError, match=r"text_tower's causal is False in the checkpoint and True in the model"):
        pretrained.load_fitting(
            settings.PretrainedSettings(path), dataclasses.replace(ROCKET, text_tower=tower), vocabulary
        )
