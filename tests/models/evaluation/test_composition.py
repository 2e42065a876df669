"""Queries are the pairs of names with one difference, and recall counts each target's rank."""

import numpy as np

from models.evaluation import composition
from models.evaluation.composition import Query
from tests.models.evaluation.outputs import unit

NAMES = [
    "man astronaut",
    "woman astronaut",
    "man astronaut dark skin tone",
    "man astronaut light skin tone",
    "woman astronaut dark skin tone",
    "pizza",
    "woman and man holding hands dark skin tone light skin tone",
    "woman and man holding hands dark skin tone medium skin tone",
    "human",  # holds "man", but not as a word
    "huwoman",
]


def test_queries_are_all_pairs_with_one_difference():
    found = {(one.source, one.target): one.words for one in composition.queries(NAMES)}
    assert found == {
        (0, 1): "woman", (1, 0): "man",
        (0, 2): "dark skin tone", (0, 3): "light skin tone", (1, 4): "dark skin tone",
        (2, 3): "light skin tone", (3, 2): "dark skin tone",
        (2, 4): "woman", (4, 2): "man",
        (6, 7): "medium skin tone", (7, 6): "light skin tone",
    }  # fmt: skip


def test_ranks_equal_a_loop_over_candidates():
    generator = np.random.default_rng(0)
    image, query = unit(generator, 12, 4), unit(generator, 5, 4)
    asked = [Query(i, "x", i + 3) for i in range(5)]
    expected = [
        sum(query[i] @ image[j] >= query[i] @ image[one.target] for j in range(12) if j not in (one.source, one.target))
        for i, one in enumerate(asked)
    ]
    assert composition.ranks(asked, query, image).tolist() == expected
    # Without leaving out the query's own picture, it would be found instead of the target (control).
    own = image[[one.source for one in asked]]
    near = [Query(one.source, "x", int(np.argsort(-image @ image[one.source])[1])) for one in asked]
    assert composition.ranks(near, own, image).tolist() == [0] * 5


def test_recall_has_an_interval_over_query_pictures():
    asked = [Query(i // 2, "x", 99) for i in range(40)]
    found = composition.recalls(asked, np.repeat([0, 3, 7, 20], 10))
    assert [round(found[k].value, 3) for k in (1, 5, 10)] == [0.25, 0.5, 0.75]
    for one in found.values():
        assert 0 <= one.low < one.value < one.high <= 1
    assert all(one.value == 0 for one in composition.recalls(asked, np.full(40, 100)).values())
