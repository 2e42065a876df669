"""The gate's configuration and its reasons."""

import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_specs

from components.metrics import eval_config
from components.run_report.gate import Line
from models import retrieval

MIN, DROP = {"image_to_text_recall_at_1": 0.2}, {"text_to_image_recall_at_5": 0.03}


@pytest.mark.parametrize("has_baseline", [True, False])
def test_every_threshold_finds_its_metric_for_the_overall_slice_only(has_baseline):
    config = eval_config.create(MIN, DROP, ("category",))
    config = tfma.utils.update_eval_config_with_defaults(config, has_baseline=has_baseline, rubber_stamp=True)
    tfma.utils.verify_eval_config(config)
    computed = {key for c in metric_specs.to_computations(config.metrics_specs, config) for key in c.keys}
    thresholds = metric_specs.metric_thresholds_from_metrics_specs(config.metrics_specs, config)
    names = {key.name for key in thresholds}
    assert names == {*MIN, "pictures", *(DROP if has_baseline else ())}
    plain = {key for key in thresholds if not key.is_diff}
    assert plain <= computed
    assert {key.make_diff_key() for key in computed} >= {key for key in thresholds if key.is_diff}
    for rules in thresholds.values():
        assert all(spec is not None and not spec.feature_keys for spec, _ in rules)


def test_thresholds_need_as_many_rows_as_keep_chance_well_below_them():
    needed = eval_config.needed_counts({"image_to_text_recall_at_5": 0.2, "zero_shot_accuracy": 0.3})
    assert needed == {"pictures": 75, "zero_shot_classes": 5}
    assert retrieval.chance(75, 5)["image_to_text_recall_at_5"] == pytest.approx(0.2 / 3)


def line(value: float, last_blessed: float | None = None, min_value: float | None = 0.5, max_drop: float | None = 0.1):
    return Line("recall", value, 0.01, min_value, last_blessed, max_drop)


@pytest.mark.parametrize(
    ("checked", "reasons"),
    [
        (line(0.6), []),
        (line(0.4), ["recall is 0.400, but must be at least 0.500"]),
        (line(0.6, last_blessed=0.65), []),
        (line(0.6, last_blessed=0.8), ["recall changed by -0.200 against the last blessed model (0.800)"]),
        (line(float("nan")), ["recall is nan"]),
        (line(0.1, min_value=None, max_drop=None), []),
    ],
)
def test_reasons_say_value_rule_and_comparison(checked, reasons):
    assert len(checked.failures) == len(reasons)
    for got, expected in zip(checked.failures, reasons, strict=True):
        assert got.startswith(expected)


def test_metric_names_are_the_ones_that_chance_and_metrics_know():
    assert set(retrieval.chance(10, 2)) == set(retrieval.METRIC_NAMES) - {"zero_shot_classes", "pictures"}
