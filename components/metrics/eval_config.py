"""The gate as a TFMA EvalConfig: value thresholds, change thresholds and slices."""

import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from google.protobuf import wrappers_pb2
from tensorflow_model_analysis.proto import config_pb2

from components.metrics import tfma_metrics
from components.metrics.settings import GateSettings
from models import features
from models.evaluation import metrics
from models.evaluation.metrics import CLASSES_PER_RIGHT, PICTURES
from models.evaluation.rules import Rule

SIGNATURE = "evaluate"
CANDIDATE, BASELINE = "candidate", "baseline"

# The smallest ratio between a metric's smallest allowed value and chance.
_RECALL_OVER_CHANCE, _ACCURACY_OVER_CHANCE = 3.0, 1.1


def create(gate: GateSettings, not_retrieved: Sequence[str] = ()) -> config_pb2.EvalConfig:
    """Makes the EvalConfig with thresholds and slices of the gate.

    Args:
      gate: the rules; rules on change are ignored while there is no baseline.
      not_retrieved: evaluation sets without retrieval metrics, such as sets of classes.
    """
    thresholds: dict[str, list[config_pb2.PerSliceMetricThreshold]] = defaultdict(list)
    sliced = set(gate.slice_by)
    for text, value in sorted(gate.min_value.items()):
        rule = Rule.parse(text)
        sliced |= {rule.feature} - {""}
        thresholds[f"{rule.metric}_low"].append(_threshold(rule, value_threshold=_at_least(value)))
    for text, value in sorted(gate.max_value.items()):
        rule = Rule.parse(text, metrics.GAPS)
        sliced |= {rule.feature} - {""}
        thresholds[f"{rule.metric}_high"].append(_threshold(rule, value_threshold=_at_most(value)))
    for text, drop in sorted(gate.max_drop.items()):
        rule = Rule.parse(text)
        sliced |= {rule.feature} - {""}
        bound = f"{rule.metric}_{'slice_' if rule.feature else ''}change_high"
        thresholds[bound].append(_threshold(rule, change_threshold=_falls_at_most(drop)))
    for rule, needed in needed_counts(gate.min_value).items():
        thresholds[rule.metric].append(_threshold(rule, value_threshold=_at_least(needed)))
    config = {
        "not_retrieved": list(not_retrieved),
        "confidence": gate.confidence,
        "slice_confidence": gate.slice_confidence,
    }
    image_text = config_pb2.MetricConfig(
        class_name=tfma_metrics.ImageTextMetrics.__name__, module=tfma_metrics.__name__, config=json.dumps(config)
    )
    each_set = features.EVALUATION_SET
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(name=CANDIDATE, signature_name=SIGNATURE),
            config_pb2.ModelSpec(name=BASELINE, signature_name=SIGNATURE, is_baseline=True),
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(feature_keys=[each_set]),
            *(config_pb2.SlicingSpec(feature_keys=[each_set, feature]) for feature in sorted(sliced)),
        ],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[image_text, config_pb2.MetricConfig(class_name="ExampleCount")],
                per_slice_thresholds={
                    name: config_pb2.PerSliceMetricThresholds(thresholds=rules)
                    for name, rules in sorted(thresholds.items())
                },
            )
        ],
    )


def confidence_of(config: config_pb2.EvalConfig) -> metrics.Confidence:
    """Returns the confidence that `create` put into the configuration."""
    image_text = json.loads(config.metrics_specs[0].metrics[0].config)
    return metrics.Confidence(image_text["confidence"], image_text["slice_confidence"])


def needed_counts(min_value: Mapping[str, float]) -> dict[Rule, int]:
    """Returns the smallest number of pictures or classes for which each smallest value lies well above chance.

    Chance is k / pictures for recall at k, and right classes / classes for zero-shot accuracy. The gate blocks a model
    on a smaller set or slice, because an untrained model could pass there.

    Returns:
      {Rule(PICTURES or CLASSES_PER_RIGHT, set, slice key): smallest number}.
    """
    counts: dict[Rule, int] = {}
    for text, value in min_value.items():
        rule = Rule.parse(text)
        if value <= 0 or rule.metric in metrics.CHANCES:  # whose chance does not depend on the number of pictures
            continue
        if "_recall_at_" in rule.metric:
            count, over_chance = PICTURES, _RECALL_OVER_CHANCE * int(rule.metric.rsplit("_", 1)[1])
        else:
            count, over_chance = CLASSES_PER_RIGHT, _ACCURACY_OVER_CHANCE * (5 if "top_5" in rule.metric else 1)
        key = dataclasses.replace(rule, metric=count)
        counts[key] = max(counts.get(key, 1), math.ceil(over_chance / value))
    return counts


def _threshold(rule: Rule, **threshold: object) -> config_pb2.PerSliceMetricThreshold:
    """Makes a threshold that TFMA applies to the rule's slices only; it applies a plain one to every slice."""
    slices = config_pb2.SlicingSpec(
        feature_values={features.EVALUATION_SET: rule.evaluation_set},
        feature_keys=[rule.feature] if rule.feature else [],
    )
    return config_pb2.PerSliceMetricThreshold(slicing_specs=[slices], threshold=config_pb2.MetricThreshold(**threshold))


def _at_least(value: float) -> config_pb2.GenericValueThreshold:
    return config_pb2.GenericValueThreshold(lower_bound=wrappers_pb2.DoubleValue(value=value))


def _at_most(value: float) -> config_pb2.GenericValueThreshold:
    return config_pb2.GenericValueThreshold(upper_bound=wrappers_pb2.DoubleValue(value=value))


def _falls_at_most(drop: float) -> config_pb2.GenericChangeThreshold:
    return config_pb2.GenericChangeThreshold(
        absolute=wrappers_pb2.DoubleValue(value=-drop), direction=config_pb2.MetricDirection.HIGHER_IS_BETTER
    )
