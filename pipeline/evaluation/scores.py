"""The metrics of a model on one evaluation set, in blocks of rows, as the Evaluator computes them."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.metrics.saved_model_metrics import Signatures, evaluated
from models import features
from models.evaluation import metrics
from models.evaluation.collector import Collector
from models.evaluation.metrics import Rows
from models.inputs import tfrecords
from models.serving.label_sets import LabelSet

Progress = Any
"""A tqdm bar, or what has its method `update`."""
Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Scores:
    """The metrics of a set.

    Attributes:
      rows: number of its rows.
      metrics: {name of metrics.NAMES: value}.
      slices: {slice key: {value: metrics}}.
      outputs: the model's outputs for all rows; None if nobody asked for them.
    """

    rows: int
    metrics: dict[str, float]
    slices: dict[str, dict[str, dict[str, float]]]
    outputs: Rows | None = None

    def means(self) -> dict[str, dict[str, float]]:
        """{slice key: {metric of metrics.BOUNDED: its mean over the values of the key that have one}}."""
        return {key: _mean(by_value.values()) for key, by_value in self.slices.items()}

    def chance(self) -> dict[str, float]:
        """{metric of metrics.BOUNDED: its value by chance}."""
        pictures, classes = (int(self.metrics[name]) for name in (metrics.PICTURES, metrics.CLASSES))
        return metrics.chance(pictures, classes, self.metrics)


def measure(
    model: Signatures,
    split: str,
    labels: LabelSet | None,
    progress: Progress,
    slice_by: Sequence[str] = (),
    retrieves: bool = True,
    confidence: metrics.Confidence | None = None,
    keeps_outputs: bool = False,
) -> Scores:
    """Computes the metrics of a set and of its slices.

    Memory: 8 x D bytes for each row and each of its slices, 4 x D more while they are joined, and one block of
    [64, K] similarities for K classes. Retrieval makes float64 copies of one slice at a time, 16 x D.

    Args:
      model: has the signature `evaluate`.
      split: folder of the set's shards.
      labels: the classes of the set; None takes the answers of the model, whose own label set has these classes.
      progress: is told the number of rows of each block.
      slice_by: slice keys.
      retrieves: whether to compute retrieval metrics.
      confidence: confidence levels of the intervals.
      keeps_outputs: whether to return the outputs, too.
    """
    whole, rows = Collector(), 0
    parts: dict[str, dict[str, Collector]] = {key: defaultdict(Collector) for key in slice_by}
    for examples, outputs in evaluated(model, split, -1):
        if labels is not None:
            outputs = {**outputs, **_among(labels, outputs["image_embedding"], examples)}
        whole.add(outputs)
        for key in slice_by:
            for value, chosen in _slices(examples, key).items():
                parts[key][value].add({name: output[chosen] for name, output in outputs.items()})
        count = len(outputs["picture"])
        rows += count
        progress.update(count)

    def measured(collector: Collector) -> dict[str, float]:
        found = dataclasses.replace(collector.rows(), retrieves=retrieves)
        return metrics.measure(found, confidence=confidence)

    sliced = {key: {value: measured(by_value[value]) for value in sorted(by_value)} for key, by_value in parts.items()}
    return Scores(rows, measured(whole), sliced, whole.rows() if keeps_outputs else None)


def _among(labels: LabelSet, image: Array, examples: tf.Tensor) -> dict[str, Array]:
    """The outputs of the signature `evaluate` about classes, for the classes of a label set."""
    place = {label.encode(): index for index, label in enumerate(labels.labels)}
    right = [[place.get(name, -1) for name in names] for names in tfrecords.parse_class_names(examples).to_list()]
    indices: Array = np.full([len(right), max(map(len, right))], -1, np.int32)
    for row, found in enumerate(right):
        indices[row, : len(found)] = found
    return {
        "class_similarity": image @ labels.embedding.T,
        "class_index": indices[:, 0],
        "class_indices": indices,
    }


def _slices(examples: tf.Tensor, key: str) -> dict[str, list[int]]:
    """{value of a slice key: the rows that have it}; a row with several classes has several values."""
    if key == features.CLASS_NAMES:
        values = tfrecords.parse_several_class_names(examples).to_list()
    else:
        values = [[one] for one in tfrecords.parse(examples, (key,))[key].numpy()]
    found: dict[str, list[int]] = defaultdict(list)
    for row, of_row in enumerate(values):
        for value in of_row:
            found[value.decode()].append(row)
    return found


def _mean(measured: Iterable[Mapping[str, float]]) -> dict[str, float]:
    every = list(measured)
    known = {name: [one[name] for one in every if one[name] == one[name]] for name in metrics.BOUNDED}
    return {name: float(np.mean(values)) for name, values in known.items() if values}
