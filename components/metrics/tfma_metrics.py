"""The TFMA metric: collects the model's outputs over all bundles and workers, then calls models.evaluation.

This module imports tensorflow_text so that a worker can load a SavedModel with its ops.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_text  # noqa: F401
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from models.evaluation import metrics
from models.evaluation.collector import Collector

_VECTORS = ("embedding", "similarity", "indices", "place", "box", "keywords", "words")
"""Ends of the names of outputs that have several numbers a row."""
Accumulator = list[Collector]  # one Collector for each model


class ImageTextMetrics(metric_types.Metric):
    """All of models.evaluation.metrics.NAMES for a slice; retrieval searches the rows of the same slice.

    The candidate model's metrics include the changes against the baseline; the baseline's own changes are 0. TFMA
    compares the difference of the two with a change threshold, and this difference is then the bound of the change.
    """

    def __init__(
        self,
        name: str = "image_text",
        not_retrieved: Sequence[str] = (),
        confidence: float = metrics.Confidence.overall,
        slice_confidence: float = metrics.Confidence.slices,
    ) -> None:
        """Makes the metric.

        Args:
          name: name of the metric.
          not_retrieved: evaluation sets without retrieval metrics, such as sets of classes.
          confidence: confidence of the intervals.
          slice_confidence: confidence of the bounds of a change in a slice.
        """
        super().__init__(
            metric_util.merge_per_key_computations(_computations),
            name=name,
            not_retrieved=list(not_retrieved),
            confidence=confidence,
            slice_confidence=slice_confidence,
        )


metric_types.register_metric(ImageTextMetrics)


def _computations(
    name: str,
    not_retrieved: Sequence[str],
    confidence: float,
    slice_confidence: float,
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    **_: Any,
) -> list[metric_types.MetricComputation]:
    # TFMA looks the metric of a threshold up by example_weighted=None; the default is False.
    keys = [
        metric_types.MetricKey(name=metric, model_name=model_name, output_name=output_name, example_weighted=None)
        for metric in metrics.NAMES
    ]
    specs = eval_config.model_specs if eval_config else []
    baselines = [spec.name for spec in specs if spec.is_baseline]
    is_baseline = model_name in baselines
    models = [model_name] if is_baseline else [model_name, *baselines]
    combiner = _Combiner(
        keys, models, is_baseline, frozenset(not_retrieved), metrics.Confidence(confidence, slice_confidence)
    )
    return [metric_types.MetricComputation(keys=keys, preprocessors=None, combiner=combiner)]


class _Combiner(beam.CombineFn):
    """Keeps the embeddings of every row of a slice for each of its models."""

    def __init__(
        self,
        keys: list[metric_types.MetricKey],
        models: list[str],
        is_baseline: bool,
        not_retrieved: frozenset[str],
        confidence: metrics.Confidence,
    ) -> None:
        self._keys, self._models, self._is_baseline = keys, models, is_baseline
        self._not_retrieved, self._confidence = not_retrieved, confidence

    def create_accumulator(self) -> Accumulator:
        return [Collector() for _ in self._models]

    def add_input(self, accumulator: Accumulator, element: metric_types.StandardMetricInputs) -> Accumulator:
        for model, collector in zip(self._models, accumulator, strict=True):
            outputs = element.get_predictions(model_name=model)
            collector.add({name: _as_batch(name, value) for name, value in outputs.items()})
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Accumulator]) -> Accumulator:
        merged = self.create_accumulator()
        for accumulator in accumulators:
            for collector, other in zip(merged, accumulator, strict=True):
                collector.merge(other)
        return merged

    def compact(self, accumulator: Accumulator) -> Accumulator:
        for collector in accumulator:
            collector.compact()
        return accumulator

    def extract_output(self, accumulator: Accumulator) -> dict[metric_types.MetricKey, float]:
        candidate, *baselines = (collector.rows(self._not_retrieved) for collector in accumulator)
        values = metrics.measure(candidate, next(iter(baselines), None), self._confidence)
        if self._is_baseline:
            values |= {name: 0.0 for name in values if "_change" in name}
        return {key: values[key.name] for key in self._keys}


def _as_batch(name: str, value: Any) -> np.ndarray:
    """Returns one row's output as a batch of one, whether TFMA has kept the batch axis or not."""
    array = np.asarray(value)
    return array.reshape([1, -1] if name.endswith(_VECTORS) else [1])
