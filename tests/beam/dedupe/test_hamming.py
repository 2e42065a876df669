"""Bands lose no near pair at any distance; brute force is the reference."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam.dedupe import clusters, hamming
from tests.beam.dedupe.in_memory import near_edges


def near_pairs(values: np.ndarray, distance: int, agreeing_bands: int, colours: np.ndarray, **limits: int) -> set:
    edges = near_edges(values, [bytes(row) for row in colours], distance, agreeing_bands, chunk=50, **limits)
    return {tuple(sorted(edge)) for edge in edges.tolist()}


def brute_force(values: np.ndarray, distance: int) -> set:
    return {
        (i, j)
        for i, j in itertools.combinations(range(len(values)), 2)
        if bin(int(values[i]) ^ int(values[j])).count("1") <= distance
    }


def around(count: int, flips: int, seed: int) -> np.ndarray:
    """Distinct hashes in families: each differs in some bits from one of a few."""
    draw = np.random.default_rng(seed)
    values = draw.integers(0, 2**64, max(1, count // 8), dtype=np.uint64)[draw.integers(0, max(1, count // 8), count)]
    for _ in range(flips):
        values = values ^ (np.uint64(1) << draw.integers(0, 64, count).astype(np.uint64))
    return np.unique(values)


@settings(max_examples=40, deadline=None)
@given(
    distance=st.integers(0, 12),
    agreeing=st.integers(1, 3),
    flips=st.integers(0, 7),
    seed=st.integers(0, 999),
)
def test_bands_find_all_near_pairs_and_no_others(distance, agreeing, flips, seed):
    values = around(120, flips, seed)
    no_colours = np.zeros([len(values), 0], np.uint8)
    assert near_pairs(values, distance, agreeing, no_colours) == brute_force(values, distance)


def test_control_too_few_bands_lose_pairs(monkeypatch):
    values = around(200, 4, 1)
    enough = hamming.masks(4, 1)
    monkeypatch.setattr(hamming, "masks", lambda distance, agreeing: enough[:2])
    assert near_pairs(values, 4, 1, np.zeros([len(values), 0], np.uint8)) < brute_force(values, 4)


def test_masks_cover_every_choice_of_bands():
    assert len(hamming.masks(4, 2)) == 15
    assert hamming.masks(0, 1) == [2**64 - 1]
    together = 0
    for mask in hamming.masks(4, 1):
        assert not together & mask
        together |= mask
    assert together == 2**64 - 1


def test_colours_separate_pictures_with_near_hashes():
    values = np.array([5, 5, 7], np.uint64)
    colours = np.array([[10, 10], [10, 40], [12, 9]], np.uint8)
    everything = {(0, 1), (0, 2), (1, 2)}
    assert near_pairs(values, 1, 2, colours) == everything
    assert near_pairs(values, 1, 2, colours, colour_tolerance=5) == {(0, 2)}


def test_truncated_bucket_still_gives_one_cluster():
    values = np.arange(64, dtype=np.uint64)  # equal upper bits; all differ in at most 6 bits
    none = np.zeros([64, 0], np.uint8)
    cut = near_pairs(values, 6, 2, none, max_bucket=3)
    assert cut < near_pairs(values, 6, 2, none)
    stars = clusters.stars(np.array(sorted(cut), np.uint64))
    assert set(stars[:, 1].tolist()) == {0}


@pytest.mark.parametrize("parts", [1, 3, 50])
def test_clusters_do_not_depend_on_order_and_a_chain_is_one_cluster(parts):
    chain = np.array([[i, i + 1] for i in range(100)], np.uint64)
    other = np.array([[500, 700], [700, 600], [900, 900]], np.uint64)
    edges = np.random.default_rng(parts).permutation(np.concatenate([chain, other]))
    combine = clusters.Clusters()
    accumulators = []
    for part in np.array_split(edges, parts):
        accumulator = combine.add_input(combine.create_accumulator(), part)
        accumulators.append(combine.compact(accumulator))
    stars = combine.extract_output(combine.merge_accumulators([*accumulators, combine.create_accumulator()]))
    roots = dict(stars.tolist())
    assert roots == {**dict.fromkeys(range(101), 0), **dict.fromkeys((500, 600, 700), 500), 900: 900}
    assert len(combine.extract_output(combine.create_accumulator())) == 0
