"""Micro-batches of Simla equal the whole batch; a term that is off has no layers, no passes and no operations."""

import numpy as np
import pytest
import tensorflow as tf

from models.distribution.collectives import OneDevice
from models.objectives.objective import Run
from models.objectives.simla_terms import itm
from models.optimizers.parameters import name
from models.towers import flops
from models.training import gradients
from tests.benchmarks import simla_memory
from tests.models.objectives import simlas


@pytest.mark.slow  # two compiled steps of all terms
def test_micro_batches_equal_the_whole_batch():
    objective = simlas.made(simlas.config())
    batch = simlas.batch(8)
    common = (objective, objective.encode, batch, objective.trainable_variables, OneDevice())

    def of(function, *more):
        return tf.function(lambda: function(*common, *more), autograph=False)()

    loss, metrics, right, encoded = of(gradients.of_batch)
    other, others, found, again = of(gradients.of_micro_batches, 4)
    for queued in ("image_key", "text_key"):
        np.testing.assert_allclose(again[queued], encoded[queued], atol=2e-5)
    assert float(other) == pytest.approx(float(loss), rel=2e-5)
    assert set(metrics) == set(others)
    largest = max(float(tf.reduce_max(tf.abs(g))) for g in right)
    for variable, mine, theirs in zip(objective.trainable_variables, found, right, strict=True):
        assert float(tf.reduce_max(tf.abs(mine - theirs))) < 2e-5 * largest, variable.name


@pytest.mark.slow
def test_micro_batches_take_less_memory():
    found = simla_memory.measure(128)
    print({key: f"{size / 1e6:.0f} MB" for key, size in found.items()})
    for terms in ("all terms", "without itm"):
        assert found[terms, 4] < found[terms, 1]


@pytest.mark.parametrize("term", simlas.TERMS)
def test_a_term_that_is_off_has_no_layers_and_no_passes(term):
    objective = simlas.made(simlas.config(*(other for other in simlas.TERMS if other != term)))
    names = {name(variable) for variable in objective.variables}
    assert not [one for one in names if f"{term}_head" in one]
    assert any("queues" in one for one in names) == (term != "itc")
    assert any("text_mask" in one for one in names) == (term != "mlm")
    assert any("image_mask" in one for one in names) == (term != "mim")
    assert term not in [one.name for one in objective._terms()]


def test_the_operations_are_those_of_the_passes_that_run():
    def forward(*terms: str) -> float:
        config = simlas.config(*terms)
        return (simlas.made(config).step_flops(2) / 2 - 6.0 * 2 * config.projection_dim) / 3

    image, text = simlas.IMAGE_TOWER, simlas.TEXT_TOWER
    picture, words = flops.image_tower(image), 1 + text.length
    pair, reverse = flops.fusion(text, words, 1 + image.patches), flops.fusion(text, 1 + image.patches, words)
    assert forward("mim") == pytest.approx(4 / 3 * (picture + reverse))  # the masked picture alone, also in the copy
    assert forward("itm") == pytest.approx(picture + 3 * pair)
    assert forward("psl") == pytest.approx(4 / 3 * picture + pair / 3)
    assert forward("itm", "mim") == pytest.approx(forward("itm") + forward("mim"))


def test_without_itc_the_log_says_that_the_draw_is_uniform():
    objective = simlas.made(simlas.config("itm"))
    assert float(objective.loss(objective.encode(simlas.batch(6)), OneDevice())[1]["uniform_negatives"]) == 1.0
    objective = simlas.made(simlas.config("itc", "itm"))
    assert "uniform_negatives" not in objective.loss(objective.encode(simlas.batch(6)), OneDevice())[1]


def test_a_batch_of_one_caption_has_no_other_pair_and_a_finite_loss():
    objective = simlas.made(simlas.config("itc", "itm"))
    batch = simlas.batch(4)
    batch["token_ids"] = tf.repeat(batch["token_ids"][:1], 4, axis=0)
    encoded = objective.encode(batch)
    (matching,) = [term for term in objective._terms() if isinstance(term, itm.Itm)]
    assert not np.any(matching.drawn(encoded, OneDevice())[2])
    share = matching.loss(encoded, OneDevice())
    assert float(share) == pytest.approx(float(tf.reduce_mean(encoded["itm"])), rel=1e-6)


def test_a_pair_is_the_same_whatever_else_is_in_its_batch():
    """`encode` computes row by row."""
    objective = simlas.made(simlas.config())
    batch = simlas.batch(6)
    whole = objective.encode(batch)
    half = objective.encode({key: value[3:] for key, value in batch.items()})
    for key, value in half.items():
        np.testing.assert_allclose(np.float64(whole[key][3:]), np.float64(value), rtol=2e-5, atol=1e-5, err_msg=key)


def test_mim_without_a_codebook_is_refused():
    objective = simlas.made(simlas.config("mim"))
    with pytest.raises(
        ValueError, match=r"Simla.mim needs visual codes, but Run.codebook is None; give Run a codebook, or"
    ):
        objective.prepare(Run(1000, lambda: simlas.WORDS, None))
    simlas.made(simlas.config("mlm")).prepare(Run(1000, lambda: simlas.WORDS, None))
