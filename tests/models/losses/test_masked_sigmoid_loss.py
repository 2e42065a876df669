"""Compares the loss over a part of the negatives with a dense float64 reference; checks which negatives it keeps."""

import functools
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from models import settings
from models.losses.masked_sigmoid import masked_sigmoid_loss
from tests.models.losses.test_sigmoid_loss import unit_rows

KINDS = ("random", "hard", "easy")
LOG_SCALE, BIAS = np.log(7.0), -3.0


ONE_RATIO = "2 4.0"  # two replicas, four negatives a positive
MANY = [pytest.param(arguments, marks=pytest.mark.slow) for arguments in (ONE_RATIO, "2", "4", "8")]  # minutes each


@functools.cache
def on_devices(arguments: str) -> dict[str, dict[str, float]]:
    """Errors of the loss on logical CPUs, in a separate process; `arguments` are those of the script."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.distribution.masked_on_devices", *arguments.split()],
        cwd=pathlib.Path(__file__).parents[3], capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("arguments", ["1", *MANY])
def test_loss_and_gradients_equal_the_dense_reference_on_any_number_of_devices(arguments):
    found = {case: errors for case, errors in on_devices(arguments).items() if not case.endswith("within each replica")}
    assert len(found) >= (1 if arguments == ONE_RATIO else 3) * len(KINDS)  # N = 1: four negatives are all
    assert {case.split(",")[0] for case in found} == set(KINDS)
    wrong = {case: errors for case, errors in found.items() if max(errors.values()) > 1e-12}
    assert not wrong


@pytest.mark.parametrize("arguments", MANY)
def test_control_a_choice_within_each_replica_differs(arguments):
    within = {case: errors for case, errors in on_devices(arguments).items() if case.endswith("within each replica")}
    assert len(within) == 2  # hard and easy
    for case, errors in within.items():
        assert min(errors[name] for name in ("x", "y", "loss")) > 1e-5, case


def loss_of(x: np.ndarray, y: np.ndarray, kind: str, per_positive: float, seeds: np.ndarray | None = None):
    drawn = None if seeds is None else tf.constant(seeds)
    share, metrics = masked_sigmoid_loss(
        tf.constant(x), tf.constant(y), LOG_SCALE, BIAS, settings.NegativesSettings(kind, per_positive), drawn
    )
    return float(share), {name: float(value) for name, value in metrics.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("per_positive", [0.01, 1.6, 4.0, 29.0])
def test_hard_keeps_the_largest_logits_and_easy_the_smallest(dtype, per_positive):
    x, y = (unit_rows(30, 8, seed).astype(dtype) for seed in (0, 1))
    logits = np.sort((np.exp(LOG_SCALE) * x @ y.T + BIAS)[~np.eye(30, dtype=bool)])
    count = round(per_positive * 30)
    for kind, kept in (("hard", logits[len(logits) - count :]), ("easy", logits[:count])):
        metrics = loss_of(x, y, kind, per_positive)[1]
        assert metrics["kept_negatives"] == pytest.approx(count / 30)
        expected = kept.mean() if count else 0.0
        assert metrics["kept_negative_logit"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["hard", "easy"])
def test_equal_logits_share_the_places_that_are_left(kind):
    """The embeddings of a collapsed model are all equal: then each negative counts as r / (|B| - 1)."""
    x = np.repeat(unit_rows(1, 8, 0), 20, axis=0)
    y = np.repeat(unit_rows(1, 8, 1), 20, axis=0)
    loss, metrics = loss_of(x, y, kind, 1.6)
    logit = float(np.exp(LOG_SCALE) * x[0] @ y[0] + BIAS)
    assert metrics["kept_negatives"] == pytest.approx(1.6)
    assert loss == pytest.approx(np.logaddexp(0, -logit) + 1.6 * np.logaddexp(0, logit))


def test_random_keeps_each_negative_with_the_same_probability_and_draws_from_the_seeds_of_the_rows():
    rows, ratio = 200, 10.0
    x, y = unit_rows(rows, 8, 0), unit_rows(rows, 8, 1)
    seeds = np.random.default_rng(2).integers(-(2**31), 2**31, (rows, 2)).astype(np.int32)
    loss, metrics = loss_of(x, y, "random", ratio, seeds)
    low, high = scipy.stats.binom.interval(1 - 1e-6, rows * (rows - 1), ratio / (rows - 1))
    assert low / rows <= metrics["kept_negatives"] <= high / rows
    all_logits = loss_of(x, y, "random", rows - 1.0, seeds)[1]
    assert all_logits["kept_negatives"] == rows - 1
    assert metrics["kept_negative_logit"] == pytest.approx(all_logits["kept_negative_logit"], abs=0.3)
    assert loss_of(x, y, "random", ratio, seeds)[0] == loss
    assert loss_of(x, y, "random", ratio, seeds + 1)[0] != loss


def test_random_without_seeds_is_refused():
    with pytest.raises(ValueError, match=r"Negatives.kind is 'random', but there are no seeds"):
        loss_of(unit_rows(4, 8, 0), unit_rows(4, 8, 1), "random", 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_that_xla_compiles_keeps_the_same_negatives(kind):
    x, y = (tf.constant(unit_rows(24, 8, seed), tf.float32) for seed in (0, 1))
    seeds = tf.constant(np.random.default_rng(2).integers(0, 2**31, (24, 2)), tf.int32)

    def loss(x, y):
        return masked_sigmoid_loss(x, y, LOG_SCALE, BIAS, settings.NegativesSettings(kind, 4.0), seeds)

    expected, metrics = loss(x, y)
    compiled, same = tf.function(loss, jit_compile=True)(x, y)
    assert float(compiled) == pytest.approx(float(expected), rel=1e-6)
    assert float(same["kept_negatives"]) == float(metrics["kept_negatives"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "hardest"}, r"Negatives.kind is 'hardest', but must be one of random, hard, easy"),
        ({"per_positive": 0.0}, r"Negatives.per_positive is 0.0, but must be a number above 0"),
        (
            {"per_positive": 16.0, "batch_size": 16},
            r"Negatives.per_positive is 16.0, but must be at most Training.batch_size - 1 \(15\), .*; lower it",
        ),
        ({"batch_size": 65_536}, r"Training.batch_size is 65536, but must be at most 46,340 with Negatives"),
    ],
)
def test_unusable_negatives_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        training(**changes)


def test_the_largest_ratio_and_batch_are_accepted():
    for size, ratio in ((16, 15.0), (46_340, 16.0)):
        assert training(size, per_positive=ratio).batch_size == size


def training(batch_size: int = 256, **negatives: object) -> settings.TrainingSettings:
    objective = settings.SiglipSettings(negatives=settings.NegativesSettings(**negatives))
    return settings.TrainingSettings(objective=objective, batch_size=batch_size)
