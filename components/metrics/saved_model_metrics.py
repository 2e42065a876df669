"""The metrics of an exported model on the shards of a split, in this process."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from models.evaluation import metrics
from models.evaluation.collector import Collector
from models.inputs import tfrecords

_BATCH = 64
_TEXTS = 256


class Signatures(Protocol):
    """The signatures of models.serving.export, such as those of a SavedModel (beam.exported_model.ExportedModel)."""

    def call(self, signature: str, **inputs: tf.Tensor | Sequence[str] | Sequence[bytes]) -> dict[str, np.ndarray]:
        """Calls a signature by its name."""


def measure(
    model: Signatures, split: str, max_rows: int, not_retrieved: frozenset[str] = frozenset()
) -> dict[str, float]:
    """Every metric of models.evaluation.metrics.NAMES on the first rows of a split.

    Args:
      model: the model.
      split: folder of the shards.
      max_rows: number of rows to read, in the shards' order; -1 reads all.
      not_retrieved: evaluation sets without retrieval metrics.
    """
    collector = Collector()
    for _, answer in evaluated(model, split, max_rows):
        collector.add(answer)
    return metrics.measure(collector.rows(not_retrieved))


def evaluated(model: Signatures, split: str, max_rows: int) -> Iterator[tuple[tf.Tensor, dict[str, np.ndarray]]]:
    """Batches of at most `max_rows` serialised rows in the shards' order, with the outputs of signature evaluate."""
    for examples in tfrecords.read_shards([os.path.join(split, "*")]).take(max_rows).batch(_BATCH):
        yield examples, model.call("evaluate", examples=examples)


def text_embedder(model: Signatures) -> Callable[[Sequence[str]], np.ndarray]:
    """Texts -> their embeddings by the model's signature embed_text, float32 [N, D]."""

    def embed_texts(texts: Sequence[str]) -> np.ndarray:
        blocks = (texts[start : start + _TEXTS] for start in range(0, len(texts), _TEXTS))
        return np.concatenate([model.call("embed_text", text=list(block))["text_embedding"] for block in blocks])

    return embed_texts
