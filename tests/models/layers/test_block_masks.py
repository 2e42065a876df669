"""Block masks have a fixed number of patches, and the statistics of BEiT's sampler in plain Python."""

import math
import random

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from models.layers import block_masks

SIDE, COUNT, SMALLEST, ROWS = 16, 75, 16, 3000
in_graph = tf.function(block_masks.block_masks, autograph=False)  # loops over rows are slow outside of graphs
rectangles = tf.function(block_masks.blocks, autograph=False)
SEEDS = tf.constant(np.random.default_rng(0).integers(-(2**31), 2**31, (ROWS, 2)), tf.int32)


def plain(rng: random.Random, side: int, count: int, smallest: int, fit_one: bool = False) -> np.ndarray:
    """BEiT's sampler: rectangles until one fails ten times in a row, as bool [side, side]."""
    mask, tries = np.zeros((side, side), bool), 0
    while mask.sum() < count and tries < 10 and not (fit_one and mask.any()):
        left = count - int(mask.sum())
        area = rng.uniform(smallest, left)
        aspect = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        tries += 1
        if height >= side or width >= side:
            continue
        top, left_edge = rng.randint(0, side - height), rng.randint(0, side - width)
        block = np.zeros_like(mask)
        block[top : top + height, left_edge : left_edge + width] = True
        if 0 < (block & ~mask).sum() <= left:
            mask, tries = mask | block, 0
    return mask


@pytest.fixture(scope="module")
def samples() -> tuple[np.ndarray, np.ndarray]:
    """Rectangles of the graph, and of the sampler in Python, [ROWS, SIDE, SIDE] each."""
    rng = random.Random(1)
    ours = rectangles(SEEDS, SIDE, COUNT, SMALLEST).numpy().reshape(ROWS, SIDE, SIDE)
    return ours, np.stack([plain(rng, SIDE, COUNT, SMALLEST) for _ in range(ROWS)])


def test_the_number_of_patches_is_fixed_and_a_row_draws_from_its_own_seed():
    masks = in_graph(SEEDS[:200], SIDE, COUNT, SMALLEST)
    assert set(np.sum(masks, axis=1)) == {COUNT}
    np.testing.assert_array_equal(masks[150:], in_graph(SEEDS[150:200], SIDE, COUNT, SMALLEST))
    assert len({row.tobytes() for row in masks.numpy()}) == 200


def test_patches_of_the_rectangles_are_as_many_as_those_of_the_plain_sampler(samples):
    """How far a mask is short of COUNT before single patches fill it up."""
    ours, theirs = (mask.sum(axis=(1, 2)) for mask in samples)
    assert scipy.stats.ks_2samp(ours, theirs).pvalue > 1e-4
    assert ours.max() <= COUNT
    narrow = rectangles(SEEDS, SIDE, COUNT, SMALLEST, proposals=8).numpy().sum(axis=1)
    assert scipy.stats.ks_2samp(narrow, theirs).pvalue < 1e-9  # control: fewer rectangles


def test_coverage_of_each_patch_is_that_of_the_plain_sampler(samples):
    ours, theirs = (mask.mean(axis=0) for mask in samples)
    deviation = np.sqrt(theirs * (1 - theirs) * 2 / ROWS)
    assert np.abs((ours - theirs) / deviation).max() < 5
    assert theirs[SIDE // 2, SIDE // 2] > 2 * theirs[0, 0]  # the middle is masked more often, so that this tells


def test_sizes_of_a_rectangle_are_those_of_the_plain_sampler():
    rng = random.Random(2)
    ours = rectangles(SEEDS, SIDE, COUNT, SMALLEST, proposals=1).numpy().reshape(ROWS, SIDE, SIDE)
    theirs = np.stack([plain(rng, SIDE, COUNT, SMALLEST, fit_one=True) for _ in range(ROWS)])
    for axis in (1, 2):
        sides = [mask.any(axis=axis).sum(axis=1) for mask in (ours, theirs)]
        table = [np.bincount(one[one > 0], minlength=SIDE)[2:SIDE] for one in sides]
        kept = np.sum(table, axis=0) > 10
        assert scipy.stats.chi2_contingency(np.array(table)[:, kept]).pvalue > 1e-4
    assert all(mask.sum() == mask.any(0).sum() * mask.any(1).sum() for mask in ours[:200])  # one rectangle


def test_xla_draws_the_same():
    compiled = tf.function(block_masks.block_masks, jit_compile=True, autograph=False)
    arguments = (SEEDS[:50], SIDE, COUNT, SMALLEST)
    np.testing.assert_array_equal(compiled(*arguments), in_graph(*arguments))


@pytest.mark.parametrize(("side", "count"), [(2, 1), (3, 2), (3, 9)])
def test_small_pictures(side, count):
    masks = in_graph(SEEDS[:50], side, count, 1).numpy()
    assert set(masks.sum(axis=1)) == {count}
