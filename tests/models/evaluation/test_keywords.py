"""Keyword precision, its interval and its value by chance, on planted keywords."""

import numpy as np
import pytest

from models.evaluation import keywords, metrics
from models.evaluation.keywords import Keywords
from tests.models.evaluation.outputs import collected, random_outputs

GENERATOR = np.random.default_rng(0)
ROWS, MOST = 120, 30
WORDS = np.array(
    [np.append(GENERATOR.choice(MOST, 6, p=np.arange(1, 31) / 465, replace=False), -1) for _ in range(ROWS)]
)
FREQUENT = np.argsort(-np.bincount(WORDS[WORDS >= 0], minlength=MOST))[:10]


def measured(predicted: np.ndarray, words: np.ndarray = WORDS) -> dict[str, float]:
    outputs = random_outputs(len(words), 4, 0, captions=10**9)
    return metrics.measure(collected({**outputs, "keywords": predicted, "words": words}, 3).rows(frozenset({"eval"})))


def test_precision_and_chance_equal_loops():
    predicted = np.array([GENERATOR.permutation(MOST)[:10] for _ in range(ROWS)])
    predicted[3, 0] = -1  # NaN
    found, captions = measured(predicted), [set(words) - {-1} for words in WORDS]
    for k in (1, 5):
        right = [np.mean([one in captions[i] for one in predicted[i, :k]]) for i in range(ROWS)]
        exchanged = [
            np.mean([[one in caption for one in predicted[i, :k]] for caption in captions]) for i in range(ROWS)
        ]
        assert found[f"keyword_precision_at_{k}"] == pytest.approx(np.mean(right))
        assert found[f"keyword_precision_at_{k}_chance"] == pytest.approx(np.mean(exchanged))


def test_the_most_frequent_words_alone_are_no_better_than_chance_and_own_words_are():
    own = np.concatenate([WORDS[:, :6], np.full((ROWS, 4), -1)], axis=1)
    for predicted, kind in (
        (own, "own"),
        (np.tile(FREQUENT, (ROWS, 1)), "frequent"),
        (np.roll(own, 1, axis=0), "other"),
    ):
        found = measured(predicted)
        for name in keywords.NAMES:
            low, high, chance = (found[name + end] for end in ("_low", "_high", "_chance"))
            assert (found[name] == 1) == (kind == "own")
            assert (low > chance) == (kind == "own"), (name, kind)  # control: captions of other pictures
            assert low <= found[name] <= high
            if kind == "frequent":
                assert found[name] == pytest.approx(chance)
                assert found[name] > 0.2


def test_a_caption_of_few_words_cannot_reach_1_and_repeated_words_count_once():
    words = np.array([[4, 4, -1], [5, 4, -1]])
    predicted = np.array([[4, 6, 7, 8, 9], [5, 4, 7, 8, 9]])
    figures, chances = keywords.figures(Keywords(predicted, words), np.array([0, 1]), 2)
    found = {name: float(one(np.ones([1, 2]))[0]) for name, one in figures.items()}
    assert found == {"keyword_precision_at_1": 1, "keyword_precision_at_5": pytest.approx(0.3)}
    assert chances == {"keyword_precision_at_1": 0.75, "keyword_precision_at_5": pytest.approx(0.25)}


def test_a_model_without_keywords_has_none():
    outputs = random_outputs(40, 4, 0, captions=40)
    found = metrics.measure(collected(outputs, 2).rows())
    assert all(np.isnan(found[name]) for name in keywords.NAMES)
