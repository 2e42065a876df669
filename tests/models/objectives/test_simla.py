"""Each term of Simla and its gradients equal a dense float64 reference; known faults are seen."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from models import draws
from models.distribution.collectives import OneDevice
from models.layers import keyword_votes
from models.layers.block_masks import block_masks
from models.objectives.objective import IMAGES, SEEDS, TOKEN_IDS
from models.objectives.simla_terms import itc, itm, mim, mlm, psl, term
from models.optimizers.parameters import name
from models.towers.fusion import Fusion
from models.training import gradients
from tests.models.objectives import simla_reference, simlas
from tests.models.objectives.simlas import TERMS

ROWS = 6
NEAR = 1e-10
BATCH = simlas.batch(ROWS, "float64")
IDS, PICTURES = BATCH[TOKEN_IDS].numpy(), BATCH[IMAGES].numpy()


@functools.cache
def made(*terms: str):
    return simlas.made(simlas.config(*terms), "float64")


def weights(objective) -> dict[str, tf.Tensor]:
    return {name(variable): variable.read_value() for variable in objective.variables}


def ours(objective, batch=BATCH) -> tuple[float, dict[str, np.ndarray]]:
    variables = objective.trainable_variables
    loss, _, by, _ = gradients.of_batch(objective, objective.encode, batch, variables, OneDevice())
    return float(loss), {name(v): g.numpy() for v, g in zip(variables, by, strict=True)}


def planted(objective) -> simla_reference.Planted:
    """Masks and draws of the model; keywords of the reference's attention, by the votes alone."""
    config, seeds = objective.config, BATCH[SEEDS]
    words = objective._aids().words or simlas.made(simlas.config("mlm"))._aids().words
    masked = words.draw(BATCH[TOKEN_IDS], seeds, term.WORDS)
    patches = block_masks(draws.streams(seeds, term.BLOCKS), 2, config.patches_to_mask, config.smallest_block)
    nothing = np.zeros(ROWS, np.int32)
    picture, text, fits = nothing, nothing, nothing > 0
    if config.itm:
        (matching,) = [one for one in objective._terms() if one.name == "itm"]
        picture, text, fits = (one.numpy() for one in matching.drawn(objective.encode(BATCH), OneDevice()))
    attention = simla_reference.class_attention(weights(objective), PICTURES, IDS)
    places = keyword_votes.voted(tf.constant(attention), tf.constant(IDS >= 3), config.votes, config.keywords)
    queues = objective._aids().queues
    kept = {m: getattr(queues, m).numpy() for m in simla_reference.MODALITIES} if queues else {}
    alpha = float(objective._ramp().now())
    return simla_reference.Planted(
        masked.hidden.numpy(), masked.places.numpy(), masked.token_ids.numpy(), patches.numpy(),
        picture, text, fits, places.numpy(), kept, alpha,
    )  # fmt: skip


@functools.cache
def expected(*terms: str) -> tuple[float, dict[str, np.ndarray]]:
    objective = made(*terms)
    w = weights(objective)
    with tf.GradientTape() as tape:
        tape.watch(w)
        loss = simla_reference.loss(objective.config, w, PICTURES, IDS, planted(objective))
    by = tape.gradient(loss, w, unconnected_gradients="zero")
    learned = {name(variable) for variable in objective.trainable_variables}
    return float(loss), {key: tf.convert_to_tensor(by[key]).numpy() for key in learned}


def differences(*terms: str) -> tuple[float, float]:
    """Relative errors of the loss and of all gradients."""
    (loss, by), (right, right_by) = ours(made(*terms)), expected(*terms)
    assert set(by) == set(right_by)
    return abs(loss / right - 1), error(by, right_by)


def loss_error(term: str) -> float:
    """The relative error of the loss of one term alone, without gradients."""
    objective = made(term)
    found, _ = objective.loss(objective.encode(BATCH), OneDevice())
    return abs(float(found) / reference_loss(term) - 1)


@functools.cache
def reference_loss(term: str) -> float:
    return reference_of(made(term))


def reference_of(objective) -> float:
    return float(simla_reference.loss(objective.config, weights(objective), PICTURES, IDS, planted(objective)))


ALONE = [pytest.param((one,), marks=pytest.mark.slow) for one in TERMS]


@pytest.mark.parametrize("terms", [*ALONE, ()], ids=[*TERMS, "all"])
def test_loss_and_gradients_equal_the_reference(terms):
    assert max(differences(*terms)) < NEAR


def test_the_batch_tells_duplicates_and_padding():
    drawn = planted(made())
    assert drawn.fits.all()
    assert drawn.picture[0] not in (0, 1)
    assert drawn.text[1] not in (0, 1)
    assert drawn.picture[2] not in (2, 3)
    assert drawn.text[3] not in (2, 3)
    assert drawn.word_places.any()
    assert not (drawn.word_places & (IDS < 3)).any()
    assert not (drawn.keywords & (IDS < 3)).any()
    assert (drawn.patches.sum(axis=1) == 1).all()


def _codes_of_another_crop(self, images, places):
    return usual_codes(self, tf.roll(images, 1, axis=1), places)


usual_codes = mim.Mim._codes


def _narrow(parts, tokens):
    """Logits of the embedding, in place of the full-width class output."""
    z = parts.projections["image"](tokens[:, 0])
    return parts.heads["psl"](tf.pad(z, [[0, 0], [0, simlas.WIDTH - simlas.DIM]]))


def _own_pair(self, encoded, within):
    picture, text, fits = usual_draw(self, encoded, within)
    return tf.range(ROWS) if within.num_replicas == 1 else picture, text, fits


usual_draw = itm.Itm.drawn


def _of_one_picture(encoded, within):
    return usual_same({**encoded, "itm_picture_ids": tf.range(ROWS)}, within)


usual_same = itm._same


def _for_everything(attention, may_count, per_head, chosen):
    return keyword_votes.voted(attention, may_count, 20, chosen)


def _of_padding_too(self, embeddings, seen, image_tokens):
    return usual_weights(self, embeddings, tf.ones_like(seen), image_tokens)


usual_weights = Fusion.last_weights

CONTROLS = {
    "codes_of_another_crop": ("mim", mim.Mim, "_codes", _codes_of_another_crop),
    "psl_from_the_projection": ("psl", psl, "keyword_logits", _narrow),
    "own_pair_drawn": ("itm", itm.Itm, "drawn", _own_pair),
    "duplicate_picture_drawn": ("itm", itm, "_same", _of_one_picture),
    "heads_vote_for_everything": ("psl", psl, "voted", _for_everything),
    "padding_seen_by_the_copy": ("psl", Fusion, "last_weights", _of_padding_too),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_control_of_a_known_fault_differs(control, monkeypatch):
    terms, owner, attribute, broken = CONTROLS[control]
    assert loss_error(terms) < NEAR
    monkeypatch.setattr(owner, attribute, broken)
    assert loss_error(terms) > 1e-4


@pytest.mark.parametrize("piece", [simlas.PAD, simlas.END], ids=["padding", "end_of_sentence"])
def test_control_a_vote_for_what_is_no_word_differs(piece):
    """The paper's votes are more than the words of a short caption, so the heads also vote for what else may count."""
    objective = simlas.made(simlas.config("psl", votes=4, keywords=5), "float64")
    right = reference_of(objective)

    def found() -> float:
        return float(objective.loss(objective.encode(BATCH), OneDevice())[0])

    assert abs(found() / right - 1) < NEAR
    objective._aids().is_word[piece] = True
    assert abs(found() / right - 1) > 1e-4


def _plain(queries, keys, log_scale, collectives, targets, queue, keys_learn):
    """The loss of one way, without a gradient of its own; `tf.stop_gradient` is looked up when it runs."""
    logits = tf.matmul(queries, tf.concat([keys, queue], axis=0), transpose_b=True) * tf.exp(log_scale)
    losses = tf.nn.softmax_cross_entropy_with_logits(tf.stop_gradient(targets), logits)
    return tf.reduce_sum(losses) / len(queries)


@pytest.mark.slow
def test_control_a_gradient_through_the_soft_targets_of_the_contrast_differs(monkeypatch):
    """Targets of the trained layers, as if these were their own momentum copy."""
    objective = made("itc")
    monkeypatch.setattr(objective, "_copy", objective._own)
    right = ours(objective)[1]
    monkeypatch.setattr(itc, "one_way_softmax_loss", _plain)
    assert error(ours(objective)[1], right) < NEAR
    monkeypatch.setattr(tf, "stop_gradient", tf.identity)
    assert error(ours(objective)[1], right) > 1e-3


def error(found: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> float:
    largest = max(np.abs(value).max() for value in right.values())
    return max(np.abs(found[key] - value).max() for key, value in right.items()) / largest


@pytest.mark.slow
@pytest.mark.parametrize("module", [mlm, mim, psl], ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_control_a_gradient_through_the_targets_differs(module, monkeypatch):
    """Targets of the trained layers, as if these were their own momentum copy, and learned from."""
    case = module.__name__.rsplit(".", 1)[1]
    objective = made(case)
    monkeypatch.setattr(objective, "_copy", objective._own)
    right = ours(objective)[1]
    monkeypatch.setattr(tf, "stop_gradient", tf.identity)
    assert error(ours(objective)[1], right) > 1e-3


@pytest.mark.parametrize("case", ["itc", "mlm", "mim", "psl"])
def test_control_alpha_of_another_step_differs(case):
    objective = made(case)
    assert loss_error(case) < NEAR
    objective._ramp().step.assign(6)
    try:
        assert loss_error(case) > 1e-4
    finally:
        objective._ramp().step.assign(5)


def test_heat_equals_the_cross_attention_of_the_reference():
    objective = made()
    heat = objective.localize(tf.constant(PICTURES), tf.constant(IDS))["heat"].numpy()
    weights_of_words = simla_reference.cross_attention(weights(objective), PICTURES, IDS)
    shown = IDS != simlas.PAD
    expected_heat = (weights_of_words.mean(axis=1) * shown[..., None]).sum(axis=1) / shown.sum(axis=1)[:, None]
    np.testing.assert_allclose(heat.reshape(ROWS, -1), expected_heat, rtol=NEAR)
    with_padding = weights_of_words.mean(axis=(1, 2))  # control
    assert np.abs(with_padding / expected_heat - 1).max() > 1e-4
