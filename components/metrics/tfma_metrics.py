"""The TFMA metric: collects embeddings over all bundles and workers, then asks models.retrieval.

Importing tensorflow_text here is what lets a worker load a SavedModel with its ops.
"""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_text  # noqa: F401
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from models import retrieval

_OUTPUTS = ("image_embedding", "text_embedding", "class_embedding", "caption", "class_name", "picture")
Accumulator = dict[str, list[np.ndarray]]


class ImageTextMetrics(metric_types.Metric):
    """All of retrieval.METRIC_NAMES for a slice; candidates of a retrieval are in the same slice."""

    def __init__(self, name: str = "image_text") -> None:
        super().__init__(metric_util.merge_per_key_computations(_computations), name=name)


metric_types.register_metric(ImageTextMetrics)


def _computations(
    name: str,
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    **_: Any,
) -> list[metric_types.MetricComputation]:
    # example_weighted=None (its default is False) is how TFMA looks a threshold's metric up.
    keys = [
        metric_types.MetricKey(name=metric, model_name=model_name, output_name=output_name, example_weighted=None)
        for metric in retrieval.METRIC_NAMES
    ]
    return [metric_types.MetricComputation(keys=keys, preprocessors=None, combiner=_Combiner(keys, model_name))]


class _Combiner(beam.CombineFn):
    """Keeps float32 embeddings of every row of a slice, 3 x D x 4 bytes a row."""

    def __init__(self, keys: list[metric_types.MetricKey], model_name: str) -> None:
        self._keys = keys
        self._model_name = model_name

    def create_accumulator(self) -> Accumulator:
        return {name: [] for name in _OUTPUTS}

    def add_input(self, accumulator: Accumulator, element: metric_types.StandardMetricInputs) -> Accumulator:
        outputs = element.get_predictions(model_name=self._model_name)
        for name in _OUTPUTS:
            value = np.asarray(outputs[name])
            accumulator[name].append(value.reshape([1, -1] if name.endswith("embedding") else [1]))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Accumulator]) -> Accumulator:
        merged = self.create_accumulator()
        for accumulator in accumulators:
            for name in _OUTPUTS:
                merged[name].extend(accumulator[name])
        return merged

    def compact(self, accumulator: Accumulator) -> Accumulator:
        return {name: [np.concatenate(parts)] if parts else [] for name, parts in accumulator.items()}

    def extract_output(self, accumulator: Accumulator) -> dict[metric_types.MetricKey, float]:
        values = all_metrics({name: np.concatenate(parts) for name, parts in accumulator.items() if parts})
        return {key: values[key.name] for key in self._keys}


def all_metrics(outputs: dict[str, np.ndarray]) -> dict[str, float]:
    """Every metric of retrieval.METRIC_NAMES from the outputs of the `evaluate` signature."""
    captions, class_names, pictures = (
        np.asarray(outputs[name]).astype(bytes) for name in ("caption", "class_name", "picture")
    )
    return {
        "pictures": float(len(np.unique(pictures))),
        **retrieval.recall_at_k(outputs["image_embedding"], outputs["text_embedding"], captions, pictures),
        **retrieval.zero_shot_accuracy(outputs["image_embedding"], outputs["class_embedding"], class_names),
    }
