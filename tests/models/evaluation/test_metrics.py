"""Compares metrics with NumPy references on random data, over any bundles, and through TFMA's combiners."""

import apache_beam
import numpy as np
import pytest

from components.metrics import eval_config, tfma_metrics
from components.metrics.settings import GateSettings
from models.evaluation import calibration, metrics
from tests.models.evaluation.outputs import collected, random_outputs
from tests.models.evaluation.test_retrieval import ROWS, slow_ranks

ROWS_OF_PICTURES = random_outputs(60, 8, 1, captions=45, classes=7, pictures=25)


def reference(outputs) -> dict[str, float]:
    """Every metric that has no interval, computed without the functions under test."""
    image_to_text, text_to_image = slow_ranks(*(outputs[name] for name in ROWS))
    expected = {f"image_to_text_recall_at_{k}": np.mean(np.array(image_to_text) < k) for k in (1, 5, 10)}
    expected |= {f"text_to_image_recall_at_{k}": np.mean(np.array(text_to_image) < k) for k in (1, 5, 10)}
    index, similarity = outputs["class_index"], outputs["class_similarity"].astype(np.float64)
    _, once = np.unique(outputs["picture"], return_index=True)  # a picture with several captions counts once
    ranks = {i: int(np.sum(similarity[i] >= similarity[i, index[i]])) - 1 for i in once if index[i] >= 0}
    expected["zero_shot_accuracy"] = np.mean([rank == 0 for rank in ranks.values()])
    expected["zero_shot_top_5_accuracy"] = np.mean([rank < 5 for rank in ranks.values()])
    by_class = [np.mean([ranks[i] == 0 for i in ranks if index[i] == c]) for c in sorted({index[i] for i in ranks})]
    expected["zero_shot_mean_per_class_accuracy"] = np.mean(by_class)
    _, first = np.unique(outputs["picture"], return_index=True)
    image, text = outputs["image_embedding"][first].astype(np.float64), outputs["text_embedding"].astype(np.float64)
    own = [{outputs["caption"][j] for j in np.flatnonzero(outputs["picture"] == outputs["picture"][i])} for i in first]
    right = np.array([[caption in captions for caption in outputs["caption"]] for captions in own])
    expected |= calibrated("caption", 8 * (image @ text.T) - 2, right)
    rows = np.flatnonzero(index >= 0)
    expected |= calibrated("class", 8 * similarity[rows] - 2, index[rows][:, None] == np.arange(7))
    return expected


def calibrated(kind: str, logits, right) -> dict[str, float]:
    probability, right = 1 / (1 + np.exp(-logits.ravel())), right.ravel()
    error = 0.0
    for low in np.arange(15) / 15:
        inside = (probability >= low) & (probability < low + 1 / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - probability[inside].mean())
    values = {"calibration_error": error, "brier_score": np.mean((probability - right) ** 2)}
    for threshold in calibration.THRESHOLDS:
        chosen = logits.ravel() >= threshold
        if chosen.any() and right[chosen].mean() >= 0.9:
            values["threshold_at_precision_90"] = 1 / (1 + np.exp(-threshold))
            values["recall_at_precision_90"] = right[chosen].sum() / right.sum()
            break
    return {f"{kind}_{name}": value for name, value in values.items()}


@pytest.mark.parametrize("bundles", [1, 3, 60])
def test_metrics_equal_the_reference_over_any_bundles(bundles):
    expected = reference(ROWS_OF_PICTURES)
    measured = metrics.measure(collected(ROWS_OF_PICTURES, bundles).rows())
    for name, value in expected.items():
        assert measured[name] == pytest.approx(value, abs=1e-9), name
    whole = metrics.measure(collected(ROWS_OF_PICTURES, 1).rows())
    assert measured == pytest.approx(whole, abs=1e-9, nan_ok=True)  # intervals, too


def test_control_a_wrong_class_or_a_shifted_bias_changes_a_metric():
    expected = reference(ROWS_OF_PICTURES)
    for change in ({"class_index": (ROWS_OF_PICTURES["class_index"] + 1) % 7},
                   {"logit_bias": ROWS_OF_PICTURES["logit_bias"] + 1}):  # fmt: skip
        measured = metrics.measure(collected({**ROWS_OF_PICTURES, **change}, 1).rows())
        assert any(abs(measured[name] - value) > 1e-3 for name, value in expected.items())


def test_metrics_are_nan_for_rows_without_a_class_and_sets_without_retrieval():
    outputs = {**ROWS_OF_PICTURES, "class_index": np.full(60, -1, np.int32)}
    measured = metrics.measure(collected(outputs, 1).rows(frozenset({"eval"})))
    assert all(np.isnan(measured[name]) for name in (*metrics.SHARES, *metrics.CALIBRATIONS))
    assert measured["pictures"] == len(set(ROWS_OF_PICTURES["picture"]))


@pytest.mark.parametrize("everywhere", [False, True])
def test_nan_counts_against_the_model(everywhere):
    labelled = np.flatnonzero(ROWS_OF_PICTURES["class_index"] >= 0)[0]
    where = (ROWS_OF_PICTURES["picture"] == ROWS_OF_PICTURES["picture"][labelled]) | everywhere
    broken = {name: value.copy() for name, value in ROWS_OF_PICTURES.items()}
    for name in ("image_embedding", "class_similarity"):
        broken[name][where] = np.nan
    whole, measured = (metrics.measure(collected(rows, 2).rows()) for rows in (ROWS_OF_PICTURES, broken))
    for kind in ("caption", "class"):
        assert measured[f"{kind}_brier_score"] > whole[f"{kind}_brier_score"]
    if everywhere:
        assert all(measured[name] == 0 for name in metrics.SHARES if name not in metrics.CHANCES)
        assert [measured[name] for name in metrics.GAPS] == [2.0, 1.0]
        assert measured["class_brier_score"] == 1


def test_accuracies_are_not_compared_with_a_model_made_for_other_classes():
    other = {**ROWS_OF_PICTURES, "class_similarity": ROWS_OF_PICTURES["class_similarity"][:, :5]}
    other["class_index"] = np.where(other["class_index"] < 5, other["class_index"], -1)
    measured = metrics.measure(collected(ROWS_OF_PICTURES, 1).rows(), collected(other, 1).rows())
    assert np.isnan(measured["zero_shot_accuracy_change"])
    assert measured["zero_shot_accuracy_change_high"] == measured["zero_shot_accuracy_slice_change_high"] == 1.0
    assert measured["image_to_text_recall_at_1_change"] == 0.0


def test_intervals_cover_the_truth_as_often_as_their_confidence_says():
    """In 60 draws of 100 rows with a true accuracy of .3, the 95% interval misses about 3 times."""
    generator = np.random.default_rng(0)
    missed = 0
    for seed in range(60):
        outputs = random_outputs(100, 4, seed, captions=10**9, classes=2)
        index = outputs["class_index"] = np.zeros(100, np.int32)
        right = generator.random(100) < 0.3
        outputs["class_similarity"] = np.where(right[:, None], [[1.0, 0.0]], [[0.0, 1.0]])
        assert not index.any()
        measured = metrics.measure(collected(outputs, 1).rows(frozenset({"eval"})), None, metrics.Confidence(0.95))
        missed += not measured["zero_shot_accuracy_low"] <= 0.3 <= measured["zero_shot_accuracy_high"]
    print(f"\n95% intervals that miss the truth: {missed} of 60")
    assert missed <= 8


def test_a_change_is_measured_on_the_same_rows():
    """Two models that err on the same pictures have a narrow interval of the change, though each has a wide one."""
    outputs = random_outputs(200, 4, 3, captions=10**9, classes=2)
    outputs["class_index"] = np.zeros(200, np.int32)
    right = np.arange(200) < 120
    outputs["class_similarity"] = np.where(right[:, None], [[1.0, 0.0]], [[0.0, 1.0]])
    worse = dict(outputs, class_similarity=np.where((np.arange(200) < 112)[:, None], [[1.0, 0.0]], [[0.0, 1.0]]))
    none = frozenset({"eval"})
    measured = metrics.measure(collected(worse, 1).rows(none), collected(outputs, 1).rows(none))
    own = measured["zero_shot_accuracy_high"] - measured["zero_shot_accuracy_low"]
    change = measured["zero_shot_accuracy_change_high"] - measured["zero_shot_accuracy_change_low"]
    assert measured["zero_shot_accuracy_change"] == pytest.approx(-0.04)
    assert measured["zero_shot_accuracy_change_high"] < 0
    assert change < own / 2
    assert measured["zero_shot_accuracy_slice_change_high"] > measured["zero_shot_accuracy_change_high"]


class _Inputs:
    def __init__(self, outputs: dict[str, dict[str, np.ndarray]]) -> None:
        self._outputs = outputs

    def get_predictions(self, model_name: str) -> dict[str, np.ndarray]:
        return self._outputs[model_name]


def test_tfma_combines_candidate_and_baseline_over_bundles():
    outputs = ROWS_OF_PICTURES
    before = {**outputs, "image_embedding": outputs["image_embedding"][:, ::-1]}
    before["class_similarity"] = outputs["class_similarity"][:, ::-1]
    config = eval_config.create(GateSettings({"zero_shot_accuracy": 0.1}))
    results = {}
    for model in ("candidate", "baseline"):
        (computation,) = tfma_metrics._computations("image_text", (), 0.8, 0.99, config, model)
        combiner = apache_beam.internal.pickler.loads(apache_beam.internal.pickler.dumps(computation.combiner))
        parts = []
        for indices in np.array_split(np.arange(60), 7):
            accumulator = combiner.create_accumulator()
            for i in indices:
                by_model = {
                    name: {k: v[i] for k, v in of.items()}
                    for name, of in (("candidate", outputs), ("baseline", before))
                }
                accumulator = combiner.add_input(accumulator, _Inputs(by_model))
            parts.append(combiner.compact(accumulator))
        result = combiner.extract_output(combiner.merge_accumulators([combiner.create_accumulator(), *parts]))
        assert {key.model_name for key in result} == {model}
        results[model] = {key.name: value for key, value in result.items()}
    expected = metrics.measure(collected(outputs, 1).rows(), collected(before, 1).rows(), metrics.Confidence(0.8, 0.99))
    assert results["candidate"] == pytest.approx(expected, abs=1e-9, nan_ok=True)
    changes = [name for name in metrics.NAMES if "_change" in name]
    assert {results["baseline"][name] for name in changes} == {0.0}
    alone = metrics.measure(collected(before, 1).rows())
    assert results["baseline"]["zero_shot_accuracy"] == pytest.approx(alone["zero_shot_accuracy"], abs=1e-9)
