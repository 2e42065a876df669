"""Labels are embedded as the mean over their templates, a bounded number of texts at a time."""

import hashlib
from collections.abc import Sequence

import numpy as np

from models.serving import label_sets

LABELS, TEMPLATES = tuple(f"label {i}" for i in range(11)), ("{}", "a photo of {}", "{} in the wild")


class Embedder:
    """Unit vectors that follow from the text, and the number of texts of each call."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(len(texts))
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts]
        found = np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds]).astype(np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_each_label_is_the_normalised_mean_over_its_own_templates():
    found = label_sets.embed(LABELS, TEMPLATES, Embedder())
    for label, row in zip(LABELS, found.embedding, strict=True):
        mean = Embedder()([template.replace("{}", label) for template in TEMPLATES]).mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)
    others = np.roll(found.embedding, 1, axis=0)  # control
    assert np.abs(others - found.embedding).max() > 0.1


def test_the_texts_in_memory_at_once_are_bounded_and_change_nothing(monkeypatch):
    whole, parts = Embedder(), Embedder()
    expected = label_sets.embed(LABELS, TEMPLATES, whole)
    monkeypatch.setattr(label_sets, "_TEXTS", 8)  # two labels of three texts
    found = label_sets.embed(LABELS, TEMPLATES, parts)
    assert (whole.calls, parts.calls) == ([33], [6, 6, 6, 6, 6, 3])
    np.testing.assert_array_equal(found.embedding, expected.embedding)
    monkeypatch.setattr(label_sets, "_TEXTS", 1)  # less than one label
    np.testing.assert_array_equal(label_sets.embed(LABELS, TEMPLATES, Embedder()).embedding, expected.embedding)
