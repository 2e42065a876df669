"""The metrics of a SavedModel on the shards of a split, in this process."""

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from beam.exported_model import ExportedModel
from models.evaluation import metrics
from models.evaluation.collector import Collector
from models.inputs import tfrecords

_BATCH = 64
_TEXTS = 256


def measure(model_path: str, split: str, max_rows: int) -> dict[str, float]:
    """Every metric of models.evaluation.metrics.NAMES on at most `max_rows` rows, in the shards' order."""
    collector = Collector()
    for _, answer in evaluated(ExportedModel(model_path), split, max_rows):
        collector.add(answer)
    return metrics.measure(collector.rows())


def evaluated(model: ExportedModel, split: str, max_rows: int) -> Iterator[tuple[tf.Tensor, dict[str, np.ndarray]]]:
    """Batches of at most `max_rows` serialised rows in the shards' order, with the outputs of signature evaluate."""
    for examples in tfrecords.read_shards([os.path.join(split, "*")]).take(max_rows).batch(_BATCH):
        yield examples, model.call("evaluate", examples=examples)


def text_embedder(model_path: str) -> Callable[[Sequence[str]], np.ndarray]:
    """Texts -> their embeddings by the model's signature embed_text, float32 [N, D]."""
    model = ExportedModel(model_path)

    def embed_texts(texts: Sequence[str]) -> np.ndarray:
        blocks = (texts[start : start + _TEXTS] for start in range(0, len(texts), _TEXTS))
        return np.concatenate([model.call("embed_text", text=list(block))["text_embedding"] for block in blocks])

    return embed_texts
