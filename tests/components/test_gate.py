"""The gate's configuration, its messages, and how often its decision is right."""

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_specs

from components.metrics import eval_config
from components.metrics.settings import GateSettings
from components.run_report.gate import Line
from models.evaluation import metrics
from models.evaluation.calibration import PairCounts
from models.evaluation.metrics import Rows
from models.evaluation.rules import Rule

MIN = {"image_to_text_recall_at_1": 0.2, "coco/zero_shot_accuracy": 0.3}
DROP = {"text_to_image_recall_at_5": 0.03, "coco/image_to_text_recall_at_1 by language": 0.01}


@pytest.mark.parametrize("has_baseline", [True, False])
def test_every_threshold_finds_its_metric_for_its_slices_only(has_baseline):
    confidence = metrics.Confidence(0.8, 0.99)
    config = eval_config.create(GateSettings(MIN, DROP, ("category",), confidence.overall, confidence.slices))
    assert eval_config.confidence_of(config) == confidence
    config = tfma.utils.update_eval_config_with_defaults(config, has_baseline=has_baseline, rubber_stamp=True)
    tfma.utils.verify_eval_config(config)
    computed = {key for c in metric_specs.to_computations(config.metrics_specs, config) for key in c.keys}
    thresholds = metric_specs.metric_thresholds_from_metrics_specs(config.metrics_specs, config)
    changes = {"text_to_image_recall_at_5_change_high", "image_to_text_recall_at_1_slice_change_high"}
    values = {"image_to_text_recall_at_1_low", "zero_shot_accuracy_low", "pictures", metrics.CLASSES_PER_RIGHT}
    assert {key.name for key in thresholds} == values | (changes if has_baseline else set())
    assert {key for key in thresholds if not key.is_diff} <= computed
    assert {key.make_diff_key() for key in computed} >= {key for key in thresholds if key.is_diff}
    by_name = {key.name: [spec for spec, _ in rules] for key, rules in thresholds.items()}
    (own,), (coco,) = by_name["image_to_text_recall_at_1_low"], by_name["zero_shot_accuracy_low"]
    assert (dict(own.feature_values), dict(coco.feature_values)) == (
        {"evaluation_set": "eval"},
        {"evaluation_set": "coco"},
    )
    if has_baseline:
        (languages,) = by_name["image_to_text_recall_at_1_slice_change_high"]
        assert (list(languages.feature_keys), dict(languages.feature_values)) == (
            ["language"],
            {"evaluation_set": "coco"},
        )
    sliced = [set(spec.feature_keys) for spec in config.slicing_specs]
    assert sliced == [{"evaluation_set"}, {"evaluation_set", "category"}, {"evaluation_set", "language"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [("recall", "'recall' is no metric; use one of image_to_text"), ("a/b/c", "must be of the form"),
     ("zero_shot_accuracy by caption", "'caption' is no slice key; use one of source")],
)  # fmt: skip
def test_an_invalid_rule_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Rule.parse(text)


def test_thresholds_need_enough_rows_to_lie_well_above_chance():
    needed = eval_config.needed_counts({"image_to_text_recall_at_5": 0.2, "coco/zero_shot_accuracy": 0.3})
    assert needed == {Rule("pictures"): 75, Rule(metrics.CLASSES_PER_RIGHT, "coco"): 4}
    by_language = eval_config.needed_counts({"image_to_text_recall_at_5 by language": 0.2})
    assert by_language == {Rule("pictures", feature="language"): 75}
    assert metrics.chance(75, 5)["image_to_text_recall_at_5"] == pytest.approx(0.2 / 3)


def line(low: float, change: tuple[float, float] | None = None, rules: tuple[float | None, float | None] = (0.5, 0.1)):
    before = None if change is None else 0.8
    return Line(
        "eval", "recall", low + 0.1, low, low + 0.2, 0.01, rules[0], before, *(change or (None, None)), rules[1]
    )


@pytest.mark.parametrize(
    ("checked", "reasons"),
    [
        (line(0.5), []),
        (line(0.45), ["recall is 0.550 (0.450 to 0.650), but the whole interval must be at least 0.500"]),
        (line(0.6, (-0.3, -0.05)), []),
        (line(0.6, (-0.3, -0.15)), ["recall changed by -0.100 (-0.300 to -0.150) against the last blessed model (0.8"]),
        (line(float("nan")), ["recall is nan"]),
        (line(0.6, (float("nan"), float("nan"))), ["recall changed by"]),
        (line(0.1, rules=(None, None)), []),
    ],
)  # fmt: skip
def test_messages_have_value_interval_rule_and_comparison(checked, reasons):
    assert len(checked.failures) == len(reasons)
    for got, expected in zip(checked.failures, reasons, strict=True):
        assert got.startswith(expected)


def test_chance_is_known_for_every_share_metric():
    assert set(metrics.chance(10, 2)) == set(metrics.BOUNDED)
    assert set(metrics.BOUNDED) < set(metrics.NAMES)


def test_a_largest_value_is_a_threshold_of_the_interval_s_upper_end():
    gate = GateSettings(MIN, max_value={"coco/modality_probe": 0.8, "modality_gap by category": 1.2})
    config = tfma.utils.update_eval_config_with_defaults(
        eval_config.create(gate), has_baseline=False, rubber_stamp=True
    )
    tfma.utils.verify_eval_config(config)
    thresholds = metric_specs.metric_thresholds_from_metrics_specs(config.metrics_specs, config)
    by_name = {key.name: rules for key, rules in thresholds.items()}
    ((where, rule),) = by_name["modality_probe_high"]
    assert dict(where.feature_values) == {"evaluation_set": "coco"}
    assert rule.upper_bound.value == 0.8
    ((where, rule),) = by_name["modality_gap_high"]
    assert (list(where.feature_keys), rule.upper_bound.value) == (["category"], 1.2)


@pytest.mark.parametrize(
    ("field", "rule", "value", "message"),
    [
        ("max_value", "modality_gap", 2.5, r"Gate.max_value\['modality_gap'\] is 2.5, but must be in \[0, 2\]"),
        ("max_value", "modality_probe", 80, r"is 80, but must be in \[0, 1\]"),
        ("max_value", "pointing_accuracy", 0.5, "is better if it is higher; set it in Gate.min_value"),
        ("min_value", "modality_gap", 0.5, "'modality_gap' is better if it is lower; set it in Gate.max_value"),
        ("min_value", "pointing_accuracy", 30, r"is 30, but must be in \[0, 1\]"),
    ],
)  # fmt: skip
def test_each_metric_has_its_kind_of_limit(field, rule, value, message):
    with pytest.raises(ValueError, match=message):
        GateSettings(**{field: {rule: value}})


def test_a_gap_above_its_largest_value_blocks_and_one_below_passes():
    assert not Line("eval", "modality_probe", 0.7, 0.6, 0.8, 0.5, max_value=0.8).failures
    (reason,) = Line("eval", "modality_probe", 0.7, 0.6, 0.8, 0.5, max_value=0.79).failures
    assert reason == "modality_probe is 0.700 (0.600 to 0.800), but the whole interval must be at most 0.790"
    assert Line("eval", "modality_gap", float("nan"), float("nan"), float("nan"), 0.0, max_value=1.0).failures


DIM, PER_PICTURE, WATCHED = 24, 5, ("image_to_text_recall_at_1", "text_to_image_recall_at_1")


def off(rows: np.ndarray, by: float, generator: np.random.Generator) -> np.ndarray:
    return rows + by * generator.normal(size=rows.shape) / np.sqrt(rows.shape[1])


def drawn_model(generator: np.random.Generator, pictures: np.ndarray, captions: np.ndarray, noise: float) -> Rows:
    """Draws a model whose embeddings deviate by `noise` from the true ones of pictures and captions."""

    def embed(rows: np.ndarray) -> np.ndarray:
        shifted = off(rows, noise, generator)
        return (shifted / np.linalg.norm(shifted, axis=1, keepdims=True)).astype(np.float32)

    shown = np.repeat(np.arange(len(pictures)), PER_PICTURE)
    names = np.array([b"p%06d" % i for i in shown])
    texts = np.array([b"c%06d" % i for i in range(len(shown))])
    none = np.full(len(shown), -1)
    image, text = embed(pictures)[shown], embed(captions)
    return Rows(image, text, texts, names, none, none, 0, PairCounts(), 10.0, -10.0, calibrates=False)


def blessings(pictures: int, pairs: int, noises: tuple[float, float], max_drop: float) -> tuple[float, list[float]]:
    """Returns (share of model pairs blessed, mean change of each of WATCHED); `noises` are of baseline and candidate.

    The captions deviate from their pictures in the same way for both models, because that belongs to the data.
    """
    generator = np.random.default_rng(1)
    blessed, changes = 0, []
    for _ in range(pairs):
        truth = generator.normal(size=[pictures, DIM])
        truth /= np.linalg.norm(truth, axis=1, keepdims=True)
        captions = off(np.repeat(truth, PER_PICTURE, axis=0), 1.0, generator)
        baseline, candidate = (drawn_model(generator, truth, captions, noise) for noise in noises)
        measured = metrics.measure(candidate, baseline)
        blessed += all(measured[f"{name}_change_high"] >= -max_drop for name in WATCHED)
        changes.append([measured[f"{name}_change"] for name in WATCHED])
    return blessed / pairs, [float(change) for change in np.mean(changes, axis=0)]


@pytest.mark.slow
def test_the_gate_blesses_95_of_100_equal_models_and_blocks_95_of_100_that_are_3_points_worse():
    """At the size of COCO's test split, 5,000 pictures with 5 captions each; the gate allows a fall of half a point."""
    equal, (image, text) = blessings(5000, 40, (0.4, 0.4), 0.005)
    print(f"\nequal pairs (image to text {image:+.3f}, text to image {text:+.3f}) blessed: {equal:.0%}")
    worse, (image, text) = blessings(5000, 40, (0.4, 0.42), 0.005)
    print(f"worse pairs (image to text {image:+.3f}, text to image {text:+.3f}) blocked: {1 - worse:.0%}", flush=True)
    assert -0.035 < image < -0.025
    assert -0.035 < text < 0
    assert equal >= 0.95
    assert 1 - worse >= 0.95
