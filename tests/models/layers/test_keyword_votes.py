"""Votes of heads against a loop in Python; what must not count never does."""

import numpy as np
import tensorflow as tf

from models.layers import keyword_votes

ROWS, HEADS, LENGTH = 40, 3, 12


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    attention = rng.dirichlet(np.ones(LENGTH), (ROWS, HEADS)).astype(np.float32)
    return attention, rng.uniform(size=(ROWS, LENGTH)) < 0.7


def expected(attention, may_count, per_head, chosen) -> np.ndarray:
    found = np.zeros(may_count.shape, bool)
    for row in range(len(may_count)):
        votes = dict.fromkeys(range(LENGTH), 0)
        for head in attention[row]:
            allowed = [place for place in np.argsort(-head) if may_count[row, place]]
            for place in allowed[:per_head]:
                votes[place] += 1
        mean = attention[row].mean(axis=0)
        ranked = sorted((p for p in votes if votes[p]), key=lambda p: (-votes[p], -mean[p], p))
        found[row, ranked[:chosen]] = True
    return found


def test_votes_equal_a_loop_in_python():
    attention, may_count = drawn()
    for per_head, chosen in ((4, 5), (1, 5), (20, 20)):
        ours = keyword_votes.voted(tf.constant(attention), tf.constant(may_count), per_head, chosen)
        np.testing.assert_array_equal(ours, expected(attention, may_count, per_head, chosen))
    assert not np.any(ours & ~may_count)


def test_control_padding_that_may_count_is_voted_for():
    attention, may_count = drawn()
    everywhere = keyword_votes.voted(tf.constant(attention), tf.ones_like(may_count), 4, 5).numpy()
    assert np.any(everywhere & ~may_count)


def test_a_row_without_words_has_no_keyword():
    attention, may_count = drawn()
    assert not np.any(keyword_votes.voted(tf.constant(attention), tf.zeros_like(may_count), 4, 5))


def test_pieces_are_those_at_the_places_and_a_piece_that_stands_twice_counts_once():
    ids = tf.constant([[3, 5, 3, 1], [0, 2, 2, 4]])
    places = tf.constant([[True, False, True, False], [False, True, False, False]])
    found = keyword_votes.pieces_at(ids, places, 6, tf.float64)
    np.testing.assert_array_equal(found, [[0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0]])
