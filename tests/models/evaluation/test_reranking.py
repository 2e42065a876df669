"""Re-ranked recall against cases that can be worked out by hand."""

import numpy as np
import pytest

from models.evaluation import reranking
from models.evaluation.retrieval import Pairs, recall_at_k

ROWS = 30


def made(noise: float) -> tuple[Pairs, dict]:
    """Rows whose names are in the reverse order."""
    rng = np.random.default_rng(0)
    text = rng.normal(size=(ROWS, 6))
    image = text + noise * rng.normal(size=text.shape)
    image, text = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (image, text))
    names = np.array([f"{ROWS - number:02d}" for number in range(ROWS)])
    return Pairs.of(image, text, names, names), recall_at_k(image, text, names, names)


def perfect(pictures, texts):
    """Pairs.of sorts pictures by name."""
    return np.array([float(a == ROWS - 1 - b) for a, b in zip(pictures, texts, strict=True)])


def test_depth_0_is_retrieval_by_embeddings():
    pairs, usual = made(2.0)
    (row,) = reranking.measure(pairs, perfect, ROWS, (0,))
    assert row.recalls == {name: usual[name] for name in reranking.RECALLS}
    assert 0 < row.recalls["image_to_text_recall_at_1"] < 1


def test_a_perfect_match_gives_the_recall_of_the_candidates():
    """What is among the k nearest comes first; what is not never does."""
    pairs, _ = made(2.0)
    rows = reranking.measure(pairs, perfect, ROWS, (0, 5, ROWS))
    for way in reranking.WAYS:
        assert rows[1].recalls[f"{way}_recall_at_1"] == rows[0].recalls[f"{way}_recall_at_5"]
        assert rows[2].recalls[f"{way}_recall_at_1"] == 1.0


def test_a_match_that_errs_lowers_the_recall():
    pairs, _ = made(0.1)
    rows = reranking.measure(pairs, lambda pictures, texts: 1 - perfect(pictures, texts), ROWS, (0, 8))
    assert rows[0].recalls["text_to_image_recall_at_1"] > 0.9
    assert rows[1].recalls["text_to_image_recall_at_1"] == 0.0


def test_only_the_candidates_are_asked_and_the_others_keep_their_order():
    scores, asked = np.array([[0.1, 0.9, 0.5, 0.7]]), []

    def ask(query, candidates):
        asked.extend((query, int(one)) for one in candidates)
        return np.array([0.2, 0.8])

    found = reranking.reranked(scores, 2, ask)
    assert asked == [(0, 1), (0, 3)]
    assert list(np.argsort(-found[0])) == [3, 1, 2, 0]
    np.testing.assert_array_equal(scores, [[0.1, 0.9, 0.5, 0.7]])


@pytest.mark.parametrize("queries", [1, 7])
def test_the_first_rows_are_the_queries(queries):
    pairs, _ = made(2.0)
    calls = []

    def match(pictures, texts):
        calls.append((list(pictures), list(texts)))
        return perfect(pictures, texts)

    reranking.measure(pairs, match, queries, (4,))
    assert calls.pop(0) == ([0], [0])  # before the time counts
    seen: dict[str, set] = {"pictures": set(), "texts": set()}
    for asked, written in calls:
        one = len(set(asked)) == 1
        seen["pictures" if one else "texts"].update(asked if one else written)
    assert seen == {"pictures": {ROWS - 1 - row for row in range(queries)}, "texts": set(range(queries))}
