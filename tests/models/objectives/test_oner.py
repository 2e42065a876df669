"""Oner equals a dense NumPy reference, in terms, loss and gradients by every weight; known faults are seen."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from models.distribution.collectives import OneDevice
from models.layers import patch_targets
from models.objectives import oner as oner_module
from models.objectives.oner_parts import masked_prediction
from models.optimizers.parameters import name
from models.towers.one_tower import OneTower
from models.training import gradients
from tests.dense_losses import complex_step_gradients
from tests.models.objectives import oner_reference, oners
from tests.models.objectives.oners import CONFIGS

ROWS = 5
FAST = "everything"  # all terms, with the predictor
CASES = [FAST, *(pytest.param(case, marks=pytest.mark.slow) for case in CONFIGS if case != FAST)]


@functools.cache
def expected(case: str) -> tuple[float, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The loss, its gradients by the trained weights, and the terms before their weights."""
    objective, config = oners.made(CONFIGS[case]), CONFIGS[case]
    arrays, rows = oners.weights(objective), oners.with_masks(config, oners.batch(ROWS))
    learned = {name(variable) for variable in objective.trainable_variables}
    fixed = {key: value for key, value in arrays.items() if key not in learned}

    def loss(**given: np.ndarray) -> np.ndarray:
        return oner_reference.loss(config, {**fixed, **given}, rows)

    found = complex_step_gradients(loss, {key: value for key, value in arrays.items() if key in learned})
    return *found, oner_reference.terms(config, arrays, rows)


def differences(case: str, objective=None, batch=None) -> tuple[float, float]:
    """Relative errors of the loss and of all gradients."""
    objective = objective or oners.made(CONFIGS[case])
    batch = batch or oners.batch(ROWS)
    variables = objective.trainable_variables
    loss, _, by, _ = gradients.of_batch(objective, objective.encode, batch, variables, OneDevice())
    right, right_by, _ = expected(case)
    assert {name(variable) for variable in variables} == set(right_by)
    largest = max(np.abs(value).max() for value in right_by.values())
    worst = max(np.abs(g.numpy() - right_by[name(v)]).max() for v, g in zip(variables, by, strict=True))
    return abs(float(loss) / right - 1), worst / largest


@pytest.mark.parametrize("case", CASES)
def test_terms_loss_and_all_gradients_equal_the_reference(case):
    assert max(differences(case)) < 1e-10
    _, metrics, _, _ = gradients.of_batch(
        objective := oners.made(CONFIGS[case]), objective.encode, oners.batch(ROWS), [], OneDevice()
    )
    found = {key.removesuffix("_loss"): float(value) for key, value in metrics.items() if key.endswith("_loss")}
    wanted = {term: getattr(CONFIGS[case], term) * float(value) for term, value in expected(case)[2].items()}
    assert found == pytest.approx(wanted, rel=1e-10)


def test_control_a_gradient_through_the_keys_differs(monkeypatch):
    """With the online tower in place of its copy, and no stop of the gradient, the loss is that of equal weights."""
    objective, config = oners.made(CONFIGS[FAST]), CONFIGS[FAST]
    momentum = objective._parts().momentum
    objective.start()
    variables = objective.trainable_variables
    arguments = (objective, objective.encode, oners.batch(ROWS), variables, OneDevice())
    loss, _, by, _ = gradients.of_batch(*arguments)
    rows = oners.with_masks(config, oners.batch(ROWS))
    assert float(loss) == pytest.approx(float(oner_reference.loss(config, oners.weights(objective), rows)), rel=1e-10)
    monkeypatch.setattr(tf, "stop_gradient", tf.identity)
    usual = oner_module.one_way_softmax_loss
    monkeypatch.setattr(oner_module, "one_way_softmax_loss", lambda *a, **_: usual(*a, keys_learn=True))
    monkeypatch.setattr(momentum, "image", objective.tower.image)
    monkeypatch.setattr(momentum, "text", objective.tower.text)
    other, _, others, _ = gradients.of_batch(*arguments)
    assert float(other) == pytest.approx(float(loss), rel=1e-10)
    assert max(float(tf.reduce_max(tf.abs(a - b))) for a, b in zip(by, others, strict=True)) > 1e-3


def test_control_padding_unmasked_differs(monkeypatch):
    monkeypatch.setattr(OneTower, "_seen", lambda self, ids: tf.ones(tf.shape(ids), tf.bool))
    assert differences(FAST)[0] > 1e-6


def test_control_patches_of_the_wrong_grid_order_differ(monkeypatch):
    usual = patch_targets.normalized_patches

    def by_columns(images: tf.Tensor, patch: int) -> tf.Tensor:
        return usual(tf.transpose(images, [0, 2, 1, 3]), patch)

    monkeypatch.setattr(masked_prediction, "normalized_patches", by_columns)
    assert differences(FAST)[0] > 1e-4


def test_control_masks_of_other_seeds_differ():
    batch = oners.batch(ROWS)
    assert differences(FAST, batch={**batch, "seeds": tf.reverse(batch["seeds"], [0])})[0] > 1e-4


@pytest.mark.parametrize("case", ["light", *(pytest.param(one, marks=pytest.mark.slow) for one in (FAST, "sigmoid"))])
def test_micro_batches_equal_the_whole_batch(case):
    """In float64, so that only the order of sums differs."""
    objective = oners.made(CONFIGS[case])
    batch = oners.batch(8)
    common = (objective, objective.encode, batch, objective.trainable_variables, OneDevice())
    loss, metrics, right, _ = gradients.of_batch(*common)
    other, others, found, _ = gradients.of_micro_batches(*common, 4)
    assert float(other) == pytest.approx(float(loss), rel=1e-10)
    assert set(metrics) == set(others)
    largest = max(float(tf.reduce_max(tf.abs(g))) for g in right)
    for variable, mine, theirs in zip(objective.trainable_variables, found, right, strict=True):
        assert float(tf.reduce_max(tf.abs(mine - theirs))) < 1e-10 * largest, variable.name


def test_control_the_masked_term_of_each_micro_batch_alone_differs():
    """The number of masked places is that of the whole batch, not of a part of it."""
    objective = oners.made(CONFIGS["mlm"])
    encoded = objective.encode(oners.batch(8))
    whole, _ = objective.loss(encoded, OneDevice())
    parts = [objective.loss({k: v[i : i + 2] for k, v in encoded.items()}, OneDevice())[0] for i in range(0, 8, 2)]
    assert abs(float(sum(parts)) / 4 / float(whole) - 1) > 1e-3


def test_each_row_is_encoded_alone():
    objective, batch = oners.made(CONFIGS[FAST]), oners.batch(4)
    whole = objective.encode(batch)
    halves = [objective.encode({key: value[i : i + 2] for key, value in batch.items()}) for i in (0, 2)]
    for key, value in whole.items():
        np.testing.assert_allclose(np.concatenate([half[key] for half in halves]), value, atol=1e-12, err_msg=key)
