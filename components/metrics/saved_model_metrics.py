"""The metrics of a SavedModel on the shards of a split, in this process."""

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's ops)

from models.evaluation import metrics
from models.evaluation.collector import Collector
from models.inputs import tfrecords

_BATCH = 64
_TEXTS = 256


def measure(model_path: str, split: str, max_rows: int) -> dict[str, float]:
    """Every metric of models.evaluation.metrics.NAMES on at most `max_rows` rows, in the shards' order."""
    model = tf.saved_model.load(model_path)
    collector = Collector()
    for _, answer in evaluated(model, split, max_rows):
        collector.add(answer)
    return metrics.measure(collector.rows())


def evaluated(model: tf.Module, split: str, max_rows: int) -> Iterator[tuple[tf.Tensor, dict[str, np.ndarray]]]:
    """Batches of at most `max_rows` serialised rows, in the shards' order, with what signature evaluate answers."""
    for examples in tfrecords.read_shards([os.path.join(split, "*")]).take(max_rows).batch(_BATCH):
        answer = model.signatures["evaluate"](examples=examples)
        yield examples, {name: value.numpy() for name, value in answer.items()}


def text_embedder(model_path: str) -> Callable[[Sequence[str]], np.ndarray]:
    """Texts -> their embeddings by the model's signature embed_text, float32 [N, D]."""
    embed = tf.saved_model.load(model_path).signatures["embed_text"]

    def embed_texts(texts: Sequence[str]) -> np.ndarray:
        blocks = (texts[start : start + _TEXTS] for start in range(0, len(texts), _TEXTS))
        return np.concatenate([embed(text=tf.constant(list(block)))["text_embedding"].numpy() for block in blocks])

    return embed_texts
