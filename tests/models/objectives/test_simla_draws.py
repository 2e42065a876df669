"""What the term itm draws: texts and pictures follow the softmax of the contrast, and no duplicate is ever drawn."""

import functools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from models.distribution.collectives import OneDevice
from models.objectives.simla_terms import itm
from tests.models.objectives import simlas

ROWS, TRIALS, TEMPERATURE = 6, 10_000, 0.2
BOTH = ("picture", "text")
PLANTED = np.random.default_rng(3)
IDS = PLANTED.integers(3, simlas.VOCABULARY, (ROWS, simlas.LENGTH)).astype(np.int32)
IDS[4] = IDS[1]
PICTURES = np.int32([10, 11, 12, 12, 14, 15])
VECTORS = {
    name: np.float32(0.4 * row / np.linalg.norm(row, axis=1, keepdims=True))
    for name in ("image", "text", "image_key", "text_key")
    for row in [PLANTED.normal(size=(ROWS, simlas.DIM))]
}
SAME = np.array(
    [[i == j or np.array_equal(IDS[i], IDS[j]) or PICTURES[i] == PICTURES[j] for j in range(ROWS)] for i in range(ROWS)]
)


def planted(seeds: tf.Tensor) -> dict[str, tf.Tensor]:
    rows = {"itm_token_ids": IDS, "itm_picture_ids": PICTURES, "itm_seeds": seeds, **VECTORS}
    return {name: tf.convert_to_tensor(row) for name, row in rows.items()}


def drawn(*terms: str) -> dict[str, np.ndarray]:
    """{"picture" or "text": the drawn places in every trial, int [TRIALS, ROWS]}; each trial has seeds of its own."""
    objective = simlas.made(simlas.config(*terms))
    assert float(objective.temperature) == pytest.approx(TEMPERATURE)
    (matching,) = [term for term in objective._terms() if isinstance(term, itm.Itm)]

    @tf.function(jit_compile=True, autograph=False)
    def run(seeds: tf.Tensor) -> tf.Tensor:
        def trial(one: tf.Tensor) -> tf.Tensor:
            return tf.stack(matching.drawn(planted(one), OneDevice())[:2])

        return tf.map_fn(trial, seeds, fn_output_signature=tf.TensorSpec([2, ROWS], tf.int32))

    seeds = np.random.default_rng(1).integers(-(2**31), 2**31, (TRIALS, ROWS, 2))
    return dict(zip(BOTH, run(tf.constant(seeds, tf.int32)).numpy().transpose(1, 0, 2), strict=True))


usual = functools.cache(functools.partial(drawn, "itc", "itm"))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of the rows that may be drawn, [ROWS, ROWS]."""
    weights = np.where(SAME, 0.0, np.exp(logits))
    return weights / weights.sum(axis=1, keepdims=True)


def shares(factor: float = 1 / TEMPERATURE) -> dict[str, np.ndarray]:
    """For each text the probability of each picture, and the mirror; q . k of the batch."""
    pictures, texts = VECTORS["text"] @ VECTORS["image_key"].T, VECTORS["image"] @ VECTORS["text_key"].T
    return {"picture": softmax(factor * pictures), "text": softmax(factor * texts)}


def p_value(counted: np.ndarray, expected: np.ndarray) -> float:
    """Of tables of counts, [ROWS, K], each with a given total; where none is expected, none may be."""
    assert not counted[expected == 0].any()
    kept = expected > 0
    assert expected[kept].min() > 5
    statistic = (np.square(counted - expected)[kept] / expected[kept]).sum()
    return scipy.stats.chi2.sf(statistic, kept.sum() - len(expected))


def counts(places: np.ndarray, kinds: int = ROWS) -> np.ndarray:
    """How often each of `kinds` numbers is in each column."""
    return np.stack([np.bincount(places[:, row], minlength=kinds) for row in range(ROWS)])


def test_drawn_pictures_and_texts_follow_the_softmax_of_the_contrast():
    right = shares()
    for what in BOTH:
        assert p_value(counts(usual()[what]), TRIALS * right[what]) > 1e-3


@pytest.mark.parametrize("control", ["swapped", "no temperature", "negated", "uniform"])
def test_control_other_probabilities_do_not_fit(control):
    factor = {"no temperature": 1.0, "negated": -1 / TEMPERATURE, "uniform": 0.0}.get(control, 1 / TEMPERATURE)
    wrong = shares(factor)
    if control == "swapped":
        wrong = {"picture": wrong["text"], "text": wrong["picture"]}
    for what in BOTH:
        assert p_value(counts(usual()[what]), TRIALS * wrong[what]) < 1e-9


def independence(found: dict[str, np.ndarray]) -> float:
    """The p-value of the pairs of drawn picture and drawn text, under the product of both probabilities."""
    joint, right = counts(found["picture"] * ROWS + found["text"], ROWS * ROWS), shares()
    product = right["picture"][:, :, None] * right["text"][:, None]
    return p_value(joint, TRIALS * product.reshape(ROWS, -1))


def test_the_picture_and_the_text_of_a_row_are_drawn_independently(monkeypatch):
    assert independence(usual()) > 1e-3
    monkeypatch.setattr(itm, "CAPTION", itm.PICTURE)  # control: one stream for both
    assert independence(drawn("itc", "itm")) < 1e-9


def test_without_itc_every_other_pair_is_drawn_equally_often():
    found, right = drawn("itm"), shares(0.0)
    for what in BOTH:
        assert p_value(counts(found[what]), TRIALS * right[what]) > 1e-3


def test_no_duplicate_is_drawn_in_all_trials():
    for what in BOTH:
        assert counts(usual()[what])[SAME].sum() == 0
    assert SAME.sum() == ROWS + 4  # two rows have one caption, two others one picture


def test_the_same_rows_are_those_of_a_loop():
    np.testing.assert_array_equal(itm._same(planted(tf.zeros([ROWS, 2], tf.int32)), OneDevice()), SAME)


class Replica(OneDevice):
    """One of two replicas. The first pass keeps what each sends; `all_gather` of the second pass finds all of it."""

    num_replicas = 2

    def __init__(self, number: int, sent: list[list[tf.Tensor]]) -> None:
        self.number, self.calls, self.sent = number, iter(range(99)), sent

    def replica_id(self) -> tf.Tensor:
        return tf.constant(self.number)

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        call = next(self.calls)
        if len(self.sent[self.number]) == call:
            self.sent[self.number].append(tensor)
        return tf.concat([mine[call] if call < len(mine) else tensor for mine in self.sent], axis=0)


def test_the_same_rows_of_two_replicas_are_those_of_a_loop():
    """Rows 1 and 4 have one caption, in different replicas."""
    sent: list[list[tf.Tensor]] = [[], []]
    halves = [
        {key: row[start : start + ROWS // 2] for key, row in planted(tf.zeros([ROWS, 2], tf.int32)).items()}
        for start in (0, ROWS // 2)
    ]
    for _ in range(2):
        found = [itm._same(half, Replica(number, sent)) for number, half in enumerate(halves)]
    np.testing.assert_array_equal(tf.concat(found, axis=0), SAME)
