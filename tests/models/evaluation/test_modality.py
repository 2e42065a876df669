"""The gap and the probe are what their definitions say."""

import numpy as np
import pytest

from models.evaluation import bootstrap, metrics, modality
from tests.models.evaluation.outputs import collected, random_outputs, unit

PICTURES = 200
NAMES = np.array([b"p%d" % i for i in range(PICTURES)])


def values(image: np.ndarray, text: np.ndarray, picture: np.ndarray | None = None) -> dict[str, float]:
    picture = np.arange(len(image)) if picture is None else picture
    names = NAMES[: picture.max() + 1]
    figures = modality.figures(image, text, picture, names)
    return {name: float(one(np.ones([1, len(names)]))[0]) for name, one in figures.items()}


def shifted(rows: np.ndarray, by: float) -> np.ndarray:
    moved = rows + by * np.eye(rows.shape[1])[0]
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def test_equal_embeddings_have_no_gap_and_tell_nothing():
    image = unit(np.random.default_rng(0), PICTURES, 16)
    assert values(image, image) == {"modality_gap": 0.0, "modality_probe": 0.5}


def test_the_gap_is_the_distance_of_the_means():
    generator = np.random.default_rng(1)
    image, text = unit(generator, PICTURES, 16), shifted(unit(generator, PICTURES, 16), 0.5)
    expected = np.linalg.norm(image.astype(np.float64).mean(axis=0) - text.astype(np.float64).mean(axis=0))
    assert values(image, text)["modality_gap"] == pytest.approx(expected, abs=1e-12)


def test_a_picture_with_several_texts_counts_once_and_each_text_counts():
    generator = np.random.default_rng(2)
    picture = np.array([0, 0, 0, 1, 2, 3])
    image, text = unit(generator, 4, 8), unit(generator, 6, 8)
    expected = np.linalg.norm(image.astype(np.float64).mean(axis=0) - text.astype(np.float64).mean(axis=0))
    assert values(image[picture], text, picture)["modality_gap"] == pytest.approx(expected, abs=1e-12)


def test_the_probe_is_a_least_squares_classifier_on_the_other_half():
    """The reference solves the same problem by NumPy's lstsq and one loop over rows."""
    generator = np.random.default_rng(3)
    image = unit(generator, PICTURES, 6)
    text = shifted(unit(generator, PICTURES, 6), 0.4)
    order = np.argsort([modality.hashlib.sha256(name).digest() for name in NAMES])
    fits, scores = order[:100], order[100:]
    rows = np.concatenate([image[fits], text[fits]]).astype(np.float64)
    solved = np.linalg.lstsq(np.c_[rows, np.ones(200)], np.repeat([1.0, -1.0], 100), rcond=None)[0]
    right = [np.r_[image[i], 1] @ solved > 0 for i in scores] + [np.r_[text[i], 1] @ solved < 0 for i in scores]
    found = values(image, text)["modality_probe"]
    assert found == pytest.approx(np.mean(right), abs=1e-12)
    assert 0.55 < found < 0.95  # control: neither blind nor perfect


def test_the_number_of_rows_at_once_changes_nothing(monkeypatch):
    generator = np.random.default_rng(5)
    picture = np.concatenate([np.arange(PICTURES), generator.integers(0, PICTURES, 99)])
    image, text = unit(generator, PICTURES, 16)[picture], shifted(unit(generator, len(picture), 16), 0.4)
    whole = bootstrap.resample(modality.figures(image, text, picture, NAMES), PICTURES)
    monkeypatch.setattr(modality, "_ROWS", 7)
    blocks = bootstrap.resample(modality.figures(image, text, picture, NAMES), PICTURES)
    for name in modality.NAMES:
        np.testing.assert_allclose(blocks[name], whole[name], rtol=0, atol=1e-12)
        assert np.ptp(whole[name]) > 0.01  # control


def test_far_clusters_are_told_apart_and_shuffled_modalities_are_not():
    generator = np.random.default_rng(4)
    image, text = (shifted(unit(generator, PICTURES, 16), by) for by in (-3.0, 3.0))
    assert values(image, text)["modality_probe"] == 1.0
    swapped = generator.random(PICTURES) < 0.5
    mixed = np.where(swapped[:, None], text, image), np.where(swapped[:, None], image, text)
    samples = bootstrap.resample(modality.figures(*mixed, np.arange(PICTURES), NAMES), PICTURES)["modality_probe"]
    assert np.quantile(samples, 0.005) < 0.5 < np.quantile(samples, 0.995)


def test_gaps_have_intervals_and_changes_and_need_four_pictures():
    outputs = random_outputs(60, 8, 0, captions=60)
    measured = metrics.measure(collected(outputs, 1).rows(), collected(outputs, 1).rows())
    for name in metrics.GAPS:
        assert measured[f"{name}_low"] <= measured[name] <= measured[f"{name}_high"]
        assert measured[f"{name}_change"] == 0
    few = {name: value[:3] for name, value in outputs.items()} | {"class_index": np.full(3, -1)}
    assert all(np.isnan(metrics.measure(collected(few, 1).rows())[name]) for name in metrics.GAPS)
