"""The gate as a TFMA EvalConfig: value thresholds, change thresholds and slices."""

import math
from collections.abc import Mapping, Sequence

from google.protobuf import wrappers_pb2
from tensorflow_model_analysis.proto import config_pb2

from components.metrics import tfma_metrics

SIGNATURE = "evaluate"
CANDIDATE, BASELINE = "candidate", "baseline"
PICTURES, CLASSES = "pictures", "zero_shot_classes"

# How far above chance a smallest value must lie. A recall of few pictures is noisy, so that it needs more.
_RECALL_OVER_CHANCE, _ACCURACY_OVER_CHANCE = 3.0, 1.4


def create(
    min_value: Mapping[str, float], max_drop: Mapping[str, float], slice_by: Sequence[str]
) -> config_pb2.EvalConfig:
    """Makes the configuration.

    Args:
      min_value: {metric: smallest value that is blessed}.
      max_drop: {metric: largest fall against the last blessed model that is blessed}; ignored while there is none.
      slice_by: features to slice by, beside the overall slice. Thresholds hold for the overall slice.
    """
    thresholds = {
        metric: _overall(
            config_pb2.MetricThreshold(
                value_threshold=_at_least(min_value[metric]) if metric in min_value else None,
                change_threshold=_falls_at_most(max_drop[metric]) if metric in max_drop else None,
            )
        )
        for metric in sorted({*min_value, *max_drop})
    }
    for count, needed in needed_counts(min_value).items():
        thresholds[count] = _overall(config_pb2.MetricThreshold(value_threshold=_at_least(needed)))
    metrics = [
        config_pb2.MetricConfig(class_name=tfma_metrics.ImageTextMetrics.__name__, module=tfma_metrics.__name__),
        config_pb2.MetricConfig(class_name="ExampleCount"),
    ]
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(name=CANDIDATE, signature_name=SIGNATURE),
            config_pb2.ModelSpec(name=BASELINE, signature_name=SIGNATURE, is_baseline=True),
        ],
        slicing_specs=[config_pb2.SlicingSpec(), *(config_pb2.SlicingSpec(feature_keys=[key]) for key in slice_by)],
        metrics_specs=[config_pb2.MetricsSpec(metrics=metrics, per_slice_thresholds=thresholds)],
    )


def needed_counts(min_value: Mapping[str, float]) -> dict[str, int]:
    """The smallest evaluation set on which the smallest values mean something: {"pictures": number, ...}.

    Chance is k / pictures for recall at k and 1 / classes for zero-shot accuracy; below these counts an untrained model
    could pass, so the gate blocks.
    """
    counts = {PICTURES: 1}
    for metric, value in min_value.items():
        if "_recall_at_" in metric and value > 0:
            pictures = math.ceil(_RECALL_OVER_CHANCE * int(metric.rsplit("_", 1)[1]) / value)
            counts[PICTURES] = max(counts[PICTURES], pictures)
        elif metric == "zero_shot_accuracy" and value > 0:
            counts[CLASSES] = math.ceil(_ACCURACY_OVER_CHANCE / value)
    return counts


def _overall(threshold: config_pb2.MetricThreshold) -> config_pb2.PerSliceMetricThresholds:
    """A threshold for the overall slice only: TFMA would hold a plain one against every slice."""
    only = config_pb2.PerSliceMetricThreshold(slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold)
    return config_pb2.PerSliceMetricThresholds(thresholds=[only])


def _at_least(value: float) -> config_pb2.GenericValueThreshold:
    return config_pb2.GenericValueThreshold(lower_bound=wrappers_pb2.DoubleValue(value=value))


def _falls_at_most(drop: float) -> config_pb2.GenericChangeThreshold:
    return config_pb2.GenericChangeThreshold(
        absolute=wrappers_pb2.DoubleValue(value=-drop), direction=config_pb2.MetricDirection.HIGHER_IS_BETTER
    )
