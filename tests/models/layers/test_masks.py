"""Masked words and patches: their distribution, what is never masked, and the seeds that decide them."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from models.layers.patch_targets import normalized_patches, patch_masks
from models.layers.word_masks import MaskedWords, WordMasks

VOCABULARY, LENGTH, ROWS = 12, 16, 400
CONTROL = (0, 1, 2)  # end of sentence, padding and unknown
TEXT_IDS = tuple(range(3, VOCABULARY))
_RNG = np.random.default_rng(0)
SEEDS = tf.constant(_RNG.integers(-(2**31), 2**31, (ROWS, 2)), tf.int32)
TOKEN_IDS = tf.constant(_RNG.integers(0, VOCABULARY, (ROWS, LENGTH)), tf.int32)
ERROR = 1e-6  # probability that a right distribution fails a test


def drawn(share: float = 0.15, seeds: tf.Tensor = SEEDS, token_ids: tf.Tensor = TOKEN_IDS, stream: int = 7):
    masks = WordMasks(TEXT_IDS, VOCABULARY, share)
    draw = tf.function(lambda: masks.draw(token_ids, seeds, stream), autograph=False)
    return MaskedWords(*(one.numpy() for one in draw()))


def drawn_patches(count: int, share: float, stream: int, seeds: tf.Tensor = SEEDS) -> np.ndarray:
    return tf.function(lambda: patch_masks(seeds, count, share, stream), autograph=False)().numpy()


def fits(count: int, of: int, share: float) -> bool:
    """Whether `count` hits of `of` lie within the exact binomial bounds."""
    low, high = scipy.stats.binom.interval(1 - ERROR, of, share)
    return low <= count <= high


def is_text() -> np.ndarray:
    return ~np.isin(TOKEN_IDS.numpy(), CONTROL)


def test_the_share_of_masked_words_and_their_kinds_are_those_of_the_paper():
    masked, ids = drawn(), TOKEN_IDS.numpy()
    count = int(masked.places.sum())
    assert fits(count, int(is_text().sum()), 0.15)
    assert not fits(count, int(is_text().sum()), 0.2)  # control
    other = masked.places & (masked.token_ids != ids)
    itself = masked.places & ~masked.hidden & ~other
    for kind, share in ((masked.hidden, 0.8), (other, 0.1), (itself, 0.1)):
        assert fits(int(kind.sum()), count, share)
    assert not (masked.hidden & other).any()
    assert (masked.hidden <= masked.places).all()


def test_only_pieces_of_texts_are_masked_or_drawn_and_other_places_stay():
    masked, ids = drawn(0.9), TOKEN_IDS.numpy()
    assert not masked.places[~is_text()].any()
    assert np.array_equal(masked.token_ids[~masked.places], ids[~masked.places])
    assert np.isin(masked.token_ids[masked.places], TEXT_IDS).all()


def test_another_piece_is_each_other_piece_alike():
    token_ids = tf.fill([ROWS, LENGTH], 5)
    masked = drawn(0.9, token_ids=token_ids)
    others = masked.token_ids[masked.token_ids != 5]
    counts = np.bincount(others, minlength=VOCABULARY)
    assert set(np.flatnonzero(counts)) == {*TEXT_IDS} - {5}
    assert all(fits(int(counts[piece]), len(others), 1 / 8) for piece in TEXT_IDS if piece != 5)


def test_a_row_draws_from_its_own_seed_and_a_stream_from_itself():
    whole, half = drawn(), drawn(seeds=SEEDS[200:], token_ids=TOKEN_IDS[200:])
    for one, other in zip(whole, half, strict=True):
        np.testing.assert_array_equal(one[200:], other)
    assert not np.array_equal(whole.places, drawn(stream=8).places)
    assert not np.array_equal(whole.places, drawn(seeds=tf.reverse(SEEDS, [0])).places)
    patches = drawn_patches(9, 0.5, 7)
    np.testing.assert_array_equal(patches[200:], drawn_patches(9, 0.5, 7, SEEDS[200:]))
    assert not np.array_equal(patches, drawn_patches(9, 0.5, 8))


def test_the_share_of_masked_patches():
    masked = drawn_patches(36, 0.3, 1)
    assert masked.shape == (ROWS, 36)
    assert fits(int(masked.sum()), masked.size, 0.3)
    assert not fits(int(masked.sum()), masked.size, 0.35)  # control
    assert all(fits(int(column.sum()), ROWS, 0.3) for column in masked.T)


def test_masks_need_two_pieces():
    with pytest.raises(ValueError, match="the vocabulary has 1 pieces that texts consist of, but masking words needs"):
        WordMasks([3], VOCABULARY, 0.15)


def test_patches_are_normalised_in_the_order_of_a_convolution():
    images = np.random.default_rng(1).uniform(-1, 1, (2, 6, 6, 3))
    images[0, :3, 3:] = 0.25  # one colour
    found = normalized_patches(tf.constant(images), 3).numpy()
    assert found.shape == (2, 4, 27)
    for number, (y, x) in enumerate([(0, 0), (0, 3), (3, 0), (3, 3)]):
        pixels = images[:, y : y + 3, x : x + 3].reshape(2, 27)
        centred = pixels - pixels.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(
            found[:, number], centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6), atol=1e-12
        )
    assert (found[0, 1] == 0).all()
    np.testing.assert_allclose(found[1].std(axis=-1), 1, atol=1e-4)
