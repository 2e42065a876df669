"""Objectives that tests register are trained, exported and served, and nothing in models/ knows of them."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from models import objectives, pretrained, settings
from models.distribution.collectives import OneDevice
from models.inputs.batches import Batches
from models.inputs.tokenizer import Tokenizer
from models.objectives.objective import SEEDS, TOKEN_IDS, Views
from models.serving import export
from models.settings import configuration
from models.training import gradients
from tests.models.objectives.toy_objectives import FusionSettings, OneTower, OneTowerSettings
from tests.models.training.shapes import CONFIG, EXAMPLES, OBJECTIVE, fit, margin, write_shards
from tests.pictures import shape_pairs

ONE_TOWER = dataclasses.replace(CONFIG, objective=OneTowerSettings())
FUSION = dataclasses.replace(CONFIG, objective=FusionSettings(OBJECTIVE.image_tower, OBJECTIVE.text_tower))
LEARNS = {"steps": 400}


@pytest.fixture(scope="module")
def one_tower(vocabulary, tmp_path_factory) -> tuple[OneTower, OneTower]:
    """The untrained objective, and one that is trained for a few steps.

    Tests make their tokenizer: another training sets the seed, which frees the resources of earlier ones.
    """
    folder = tmp_path_factory.mktemp("one_tower")
    trained = fit(vocabulary, write_shards(folder, 2), folder, dataclasses.replace(ONE_TOWER, steps=50))
    keras.utils.set_random_seed(ONE_TOWER.seed)
    tokenizer = Tokenizer(vocabulary, ONE_TOWER.objective.text_input)
    return objectives.create(ONE_TOWER.objective, tokenizer.vocabulary_size), trained


@pytest.mark.slow
def test_one_shared_tower_learns(one_tower, vocabulary, tmp_path):
    drawn, _ = one_tower
    trained = fit(vocabulary, write_shards(tmp_path, 2), tmp_path, dataclasses.replace(ONE_TOWER, **LEARNS))
    tokenizer = Tokenizer(vocabulary, ONE_TOWER.objective.text_input)
    assert margin(trained, tokenizer) > 1.5
    assert margin(drawn, tokenizer) < 0.5


def test_one_shared_tower_is_served(one_tower, vocabulary, tmp_path):
    _, trained = one_tower
    tokenizer = Tokenizer(vocabulary, ONE_TOWER.objective.text_input)
    export.save(trained, tokenizer, configuration.to_gin(ONE_TOWER.objective), str(tmp_path / "served"))
    served = tf.saved_model.load(str(tmp_path / "served"))
    picture, caption, _ = shape_pairs()[0]
    answer = served.signatures["serving_default"](image_bytes=tf.constant([picture]), labels=tf.constant([caption]))
    assert answer["probability"].shape == (1, 1)
    embedding = served.signatures["embed_text"](text=tf.constant([caption]))["text_embedding"]
    np.testing.assert_allclose(embedding, trained.embed_text(tokenizer(tf.constant([caption]))), atol=1e-5)


def test_a_momentum_copy_follows_its_tower_without_gradients(one_tower):
    drawn, trained = one_tower
    assert not any("momentum" in variable.name for variable in trained.trainable_variables)
    for copy, now, before in zip(trained.state, trained.tower.variables, drawn.tower.variables, strict=True):
        assert 0 < float(tf.norm(copy - now)) < float(tf.norm(copy - before))


def step_inputs() -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    pictures = [tf.constant(rng.uniform(-1, 1, (24, 24, 24, 3)), tf.float32) for _ in range(2)]
    texts = [tf.constant(rng.integers(0, 60, (24, 12)), tf.int32) for _ in range(2)]
    seeds = tf.constant(rng.integers(0, 2**31 - 1, (24, 2)), tf.int32)
    return {
        "images": pictures[0], "momentum_images": pictures[1], TOKEN_IDS: texts[0], "momentum_token_ids": texts[1],
        SEEDS: seeds,
    }  # fmt: skip


@pytest.mark.parametrize("config", [ONE_TOWER, FUSION], ids=["one tower", "fusion"])
def test_micro_batches_give_the_gradient_of_the_whole_batch(config):
    keras.utils.set_random_seed(0)
    objective = objectives.create(config.objective, 64)
    objective.bias.assign(0.0)
    batch = step_inputs()
    if config is FUSION:
        batch = {name: batch[name] for name in ("images", TOKEN_IDS)}
    common = (objective, objective.encode, batch, objective.trainable_variables, OneDevice())
    loss, _, expected, _ = gradients.of_batch(*common)
    other, metrics, found, _ = gradients.of_micro_batches(*common, 4)
    assert float(other) == pytest.approx(float(loss), rel=1e-5)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    largest = max(float(tf.reduce_max(tf.abs(gradient))) for gradient in expected)
    for variable, mine, theirs in zip(objective.trainable_variables, found, expected, strict=True):
        assert float(tf.reduce_max(tf.abs(mine - theirs))) < 2e-5 * largest, variable.name
    moved = [variable.name for variable, gradient in zip(common[3], expected, strict=True) if np.any(gradient)]
    assert any("words" in name for name in moved)


@pytest.mark.slow
def test_the_fusion_in_the_loss_learns_to_reject_hard_negatives(vocabulary, tmp_path):
    shards = write_shards(tmp_path, 2)
    log = tmp_path / "log"
    fit(vocabulary, shards, tmp_path, dataclasses.replace(FUSION, **LEARNS))
    events = [
        (event.step, value.tag, tf.make_ndarray(value.tensor).item())
        for file in sorted(log.glob("**/events*"))
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.tag.endswith("matching")
    ]
    assert len(events) >= 2
    assert events[-1][2] < 0.7 * events[0][2]


def test_each_text_view_gets_a_caption_and_each_visit_a_seed(vocabulary, tmp_path):
    shards = write_shards(tmp_path, 1, EXAMPLES[:48])
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
    views = Views({}, {"first": None, "second": None}, seeds=True)
    batches = Batches(shards, tokenizer, CONFIG, views)
    first, second = batches.read(48).take(2)
    assert set(first) == {"first", "second", SEEDS, "position"}
    seen = np.concatenate([first[SEEDS].numpy(), second[SEEDS].numpy()])
    assert len({tuple(seed) for seed in seen}) == 96
    position = [int(number) for number in first["position"]]
    (resumed,) = batches.read(48, start=position).take(1)
    for name, value in second.items():
        np.testing.assert_array_equal(value, resumed[name])


def test_an_objective_without_two_towers_refuses_their_checkpoint(vocabulary):
    chosen = settings.PretrainedSettings("weights.npz")
    with pytest.raises(pretrained.PretrainedError, match=r"Training.pretrained is weights.npz, but OneTower has no"):
        pretrained.load_fitting(chosen, OneTowerSettings(), vocabulary)
