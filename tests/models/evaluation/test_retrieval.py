"""Compares recall with a slow reference, with ties, NaN and several captions a picture, in blocks of any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation import metrics, retrieval
from models.evaluation.calibration import PairCounts
from tests.models.evaluation.outputs import random_outputs

ROWS = ("image_embedding", "text_embedding", "caption", "picture")


def slow_ranks(image, text, captions, pictures) -> tuple[list[int], list[int]]:
    """Rank of the best right caption for each picture, and of the best right picture for each row's caption."""
    names = sorted(set(pictures))
    first = [list(pictures).index(name) for name in names]
    scores = image[first].astype(np.float64) @ text.astype(np.float64).T
    right = np.array([[any(captions[j] == captions[i] for i in np.flatnonzero(pictures == name))
                       for j in range(len(text))] for name in names])  # fmt: skip
    both = []
    for oriented, answers in ((scores, right), (scores.T, right.T)):
        best = [max(s for s, r in zip(row, ok, strict=True) if r) for row, ok in zip(oriented, answers, strict=True)]
        wrong = [sum(s >= b for s, r in zip(row, ok, strict=True) if not r)
                 for row, ok, b in zip(oriented, answers, best, strict=True)]  # fmt: skip
        both.append(wrong)
    return both[0], both[1]


@pytest.mark.parametrize("block", [1, 30, 1 << 22])
@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 24), dim=st.integers(2, 4), seed=st.integers(0, 99), few=st.integers(1, 24))
def test_ranks_equal_the_reference_in_any_blocks(block, rows, dim, seed, few):
    outputs = random_outputs(rows, dim, seed, captions=few, pictures=few)
    before = retrieval._BLOCK
    retrieval._BLOCK = block
    try:
        ours = retrieval.ranks(retrieval.Pairs.of(*(outputs[name] for name in ROWS)))
    finally:
        retrieval._BLOCK = before
    image_to_text, text_to_image = slow_ranks(*(outputs[name] for name in ROWS))
    assert ours.image_to_text.tolist() == image_to_text
    assert ours.text_to_image.tolist() == text_to_image


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_a_model_with_equal_or_nan_scores_has_recall_zero(value):
    same = np.tile([[value, 0.0]], (20, 1))
    captions = np.array([f"{i}" for i in range(20)])
    assert set(retrieval.recall_at_k(same, same, captions, captions).values()) == {0.0}


@pytest.mark.parametrize("dim", [64, 768])
def test_ties_do_not_depend_on_the_rounding_of_a_matrix_product(dim):
    generator = np.random.default_rng(0)
    image, text = (np.tile(generator.normal(size=dim) / dim**0.5, (353, 1)) for _ in range(2))
    names = np.array([f"{i}" for i in range(353)])
    assert set(retrieval.recall_at_k(image, text, names, names).values()) == {0.0}


def test_perfect_embeddings_have_recall_one_and_shifted_ones_zero():
    eye = np.eye(12)
    captions = np.array([f"{i}" for i in range(12)])
    assert set(retrieval.recall_at_k(eye, eye, captions, captions).values()) == {1.0}
    rolled = retrieval.recall_at_k(eye, np.roll(eye, 1, axis=0), captions, captions)
    assert rolled["image_to_text_recall_at_1"] == 0.0


def test_a_picture_with_several_captions_is_one_query_and_one_candidate():
    """Two pictures have three captions each: all captions of a picture are right, and none of its rows is wrong."""
    pictures = np.array(["a", "a", "a", "b", "b", "b"])
    captions = np.array([f"{i}" for i in range(6)])
    image = np.eye(2)[[0, 0, 0, 1, 1, 1]]
    good, bad, middling = [1.0, 0.1], [0.1, 1.0], [0.4, 0.9]
    text = np.array([good, middling, good, bad, bad, bad])
    recalls = retrieval.recall_at_k(image, text, captions, pictures)
    assert recalls["image_to_text_recall_at_1"] == 1.0
    assert recalls["text_to_image_recall_at_1"] == pytest.approx(5 / 6)
    apart = retrieval.recall_at_k(image, text, captions, captions)  # control: as if each row were a picture
    assert apart["text_to_image_recall_at_1"] == 0.0
    swapped = retrieval.recall_at_k(image, text[::-1], captions, pictures)
    assert swapped["image_to_text_recall_at_1"] == 0.0


def test_random_embeddings_score_at_chance():
    rows = 400
    outputs = random_outputs(rows, 64, 5, captions=10**9)
    ours = retrieval.recall_at_k(*(outputs[name] for name in ROWS))
    by_chance = metrics.chance(rows, classes=3)
    for metric, value in ours.items():
        assert abs(value - by_chance[metric]) < 4 * np.sqrt(by_chance[metric] / rows)


def test_the_matrix_of_all_pairs_is_never_in_memory(monkeypatch):
    """20,000 x 20,000 scores take 3.2 GB; the peak of NumPy's allocations stays below a tenth of that."""
    import tracemalloc

    outputs = random_outputs(20_000, 4, 0, captions=10**9)
    pairs = retrieval.Pairs.of(*(outputs[name] for name in ROWS))
    counts = PairCounts()
    tracemalloc.start()
    next(iter(pairs.blocks()))
    one_block = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"\na block of 20,000 x 20,000 pairs takes {one_block / 1e6:.0f} MB")
    assert one_block < 3.2e8
    assert counts.pairs == 0


@pytest.mark.parametrize("up", [False, True])
def test_texts_that_differ_by_the_rounding_of_a_batch_are_tied(up):
    """A wrong text with the same tokens as the right one counts as scored equally, whichever is larger by rounding."""
    image = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    text = np.array([[0.6, 0.8, 0.0], [0.6, 0.8, 0.0]], np.float32)
    text[1] = np.nextafter(text[1], np.float32(2 if up else 0))
    found = ranked(image, text)
    assert (found.image_to_text.tolist(), found.text_to_image.tolist()) == ([1, 1], [1, 0])
    text[1, 0] += np.float32(1e-4 if up else -1e-4)  # control: no tie
    assert ranked(image, text).image_to_text.tolist() == ([1, 1] if up else [0, 1])


def ranked(image: np.ndarray, text: np.ndarray) -> retrieval.Ranks:
    names = np.array([b"a", b"b"])
    return retrieval.ranks(retrieval.Pairs.of(image, text, names, names))
