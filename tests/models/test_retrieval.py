"""Recall and zero-shot accuracy against a slow reference, with ties, and through TFMA over many bundles."""

import apache_beam
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.metrics import tfma_metrics
from models import retrieval


def random_outputs(rows: int, dim: int, seed: int, captions: int, classes: int = 3) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)

    def unit() -> np.ndarray:
        values = generator.normal(size=(rows, dim)).astype(np.float32)
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    names = generator.integers(0, classes + 1, rows)
    class_vectors = np.concatenate([unit()] * 2)[: classes + 1]
    return {
        "image_embedding": unit(),
        "text_embedding": unit(),
        "class_embedding": class_vectors[names],
        "caption": np.array([f"caption {i}" for i in generator.integers(0, captions, rows)]).astype(bytes),
        "class_name": np.array(["" if i == 0 else f"class {i}" for i in names]).astype(bytes),
        "picture": np.array([f"picture {i}" for i in range(rows)]).astype(bytes),
    }


def slow_recall(image: np.ndarray, text: np.ndarray, captions: np.ndarray, k: int) -> float:
    hits = 0
    for i in range(len(image)):
        scores = [float(np.dot(image[i].astype(np.float64), t.astype(np.float64))) for t in text]
        best = max(scores[j] for j in range(len(text)) if captions[j] == captions[i])
        above = sum(scores[j] >= best for j in range(len(text)) if captions[j] != captions[i])
        hits += above < k
    return hits / len(image)


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 24), dim=st.integers(2, 4), seed=st.integers(0, 99), captions=st.integers(1, 24))
def test_recall_equals_the_reference(rows, dim, seed, captions):
    outputs = random_outputs(rows, dim, seed, captions, classes=min(3, rows))
    image, text = outputs["image_embedding"], outputs["text_embedding"]
    ours = retrieval.recall_at_k(image, text, outputs["caption"], outputs["picture"])
    for k in retrieval.RECALL_AT:
        assert ours[f"image_to_text_recall_at_{k}"] == pytest.approx(slow_recall(image, text, outputs["caption"], k))
        assert ours[f"text_to_image_recall_at_{k}"] == pytest.approx(slow_recall(text, image, outputs["caption"], k))


def test_a_model_that_answers_the_same_always_has_recall_zero():
    same = np.tile([[1.0, 0.0]], (20, 1))
    captions = np.array([f"{i}" for i in range(20)])
    assert set(retrieval.recall_at_k(same, same, captions, captions).values()) == {0.0}
    names = np.array(["a", "b"] * 10)
    assert retrieval.zero_shot_accuracy(same, same, names)["zero_shot_accuracy"] == 0.0


def test_perfect_embeddings_have_recall_one_and_rolled_ones_zero():
    eye = np.eye(12)
    captions = np.array([f"{i}" for i in range(12)])
    assert set(retrieval.recall_at_k(eye, eye, captions, captions).values()) == {1.0}
    rolled = retrieval.recall_at_k(eye, np.roll(eye, 1, axis=0), captions, captions)
    assert rolled["image_to_text_recall_at_1"] == 0.0


def test_a_picture_with_several_captions_is_one_query_and_one_candidate():
    """Two pictures, three captions each: every caption of a picture is right, and a copy of it is no rival."""
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


def test_random_embeddings_score_what_chance_says():
    rows = 400
    outputs = random_outputs(rows, 64, 5, captions=10**9)
    names = ("image_embedding", "text_embedding", "caption", "picture")
    ours = retrieval.recall_at_k(*(outputs[name] for name in names))
    by_chance = retrieval.chance(rows, classes=3)
    for metric, value in ours.items():
        assert abs(value - by_chance[metric]) < 4 * np.sqrt(by_chance[metric] / rows)


def test_zero_shot_leaves_rows_without_a_class_out():
    image = np.array([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    classes = np.array([[1.0, 0], [0, 1], [0, 1], [0.6, 0.8]])
    names = np.array(["x", "y", "y", ""])
    assert retrieval.zero_shot_accuracy(image, classes, names) == {
        "zero_shot_accuracy": pytest.approx(2 / 3),
        "zero_shot_classes": 2.0,
    }
    alone = retrieval.zero_shot_accuracy(image[:1], classes[:1], names[:1])
    assert np.isnan(alone["zero_shot_accuracy"])


class _Inputs:
    def __init__(self, outputs: dict[str, np.ndarray]) -> None:
        self._outputs = outputs

    def get_predictions(self, model_name: str) -> dict[str, np.ndarray]:
        assert model_name == "candidate"
        return self._outputs


@pytest.mark.parametrize("bundles", [1, 3, 40])
def test_tfma_combiner_equals_the_functions_over_any_bundles(bundles):
    outputs = random_outputs(40, 8, 1, captions=35)
    (computation,) = tfma_metrics._computations("image_text", model_name="candidate")
    combiner = computation.combiner
    parts = []
    for indices in np.array_split(np.arange(40), bundles):
        accumulator = combiner.create_accumulator()
        for i in indices:
            accumulator = combiner.add_input(accumulator, _Inputs({k: v[i : i + 1] for k, v in outputs.items()}))
        parts.append(combiner.compact(accumulator))
    result = combiner.extract_output(combiner.merge_accumulators([combiner.create_accumulator(), *parts]))
    expected = tfma_metrics.all_metrics(outputs)
    assert {key.name for key in result} == set(retrieval.METRIC_NAMES)
    for key, value in result.items():
        assert value == pytest.approx(expected[key.name], abs=1e-9)
        assert key.model_name == "candidate"


def test_combiner_survives_beams_pickling():
    (computation,) = tfma_metrics._computations("image_text")
    assert apache_beam.internal.pickler.loads(apache_beam.internal.pickler.dumps(computation.combiner)) is not None
