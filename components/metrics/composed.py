"""Composed retrieval with an exported model: queries of a picture and words, and three simpler queries beside them."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from beam.records import ImageText
from components.metrics.saved_model_metrics import Signatures, text_embedder
from models.evaluation import composition, retrieval
from models.evaluation.composition import PAIR, PICTURE, SUM, TEXT, Query, Recall
from models.inputs import tfrecords

EMBED_PAIR = "embed_pair"
_BATCH = 64
_HELD_OUT = ("eval", "test")


@dataclasses.dataclass(frozen=True)
class Composed:
    """Composed retrieval over some pictures.

    Attributes:
      rows: the candidates, one for each picture.
      queries: the queries.
      recalls: {kind of query: {k: recall at k}}. PAIR is missing if the model has no signature `embed_pair`.
      similarity: float64 [Q, N], the similarity of each query of kind `shown` with each candidate.
      shown: PAIR, or SUM if the model has no `embed_pair`.
    """

    rows: list[ImageText]
    queries: list[Query]
    recalls: dict[str, dict[int, Recall]]
    similarity: np.ndarray
    shown: str

    def chance(self, k: int) -> float:
        """Recall at k of a random order."""
        return min(1.0, k / (len(self.rows) - 1))

    def nearest(self, query: int, count: int) -> list[int]:
        """The candidates that are nearest to a query, best first, without its own picture."""
        scores = self.similarity[query].copy()
        scores[self.queries[query].source] = -np.inf
        return [int(row) for row in np.argsort(-scores, kind="stable")[:count]]


def held_out_rows(examples: str, max_rows: int = -1) -> list[ImageText]:
    """One row for each picture of a split's folder, or of the eval and test splits of an Examples artifact.

    It reads the first `max_rows` rows only; -1 reads all.

    Raises:
      NotEnoughRows: there is no shard.
    """
    folder = examples.rstrip("/")
    held_out = [f"{folder}/Split-{split}" for split in _HELD_OUT]
    if folder.rpartition("/")[2].startswith("Split-"):
        splits = [folder]
    else:
        splits = [split for split in held_out if tf.io.gfile.isdir(split)] or held_out
    by_picture: dict[str, ImageText] = {}
    rows = tfrecords.read_shards([f"{split}/*" for split in splits]).take(max_rows).as_numpy_iterator()
    for number, example in enumerate(rows, start=1):
        row = ImageText.from_example(example, f"{folder}:{number}")
        by_picture.setdefault(row.split_key, row)
    return [by_picture[name] for name in sorted(by_picture)]


def measure(model: Signatures, rows: Sequence[ImageText], has_pairs: bool, confidence: float = 0.9) -> Composed | None:
    """Asks the model all queries of `composition.queries` over the rows' captions; None if there is no query.

    Args:
      model: an exported model.
      rows: the candidates, one for each picture.
      has_pairs: whether the model has the signature `embed_pair`.
      confidence: confidence of the intervals.
    """
    asked = composition.queries([row.caption for row in rows])
    if not asked:
        return None
    image = _in_batches(
        [row.image for row in rows], lambda some: model.call("embed_image", image_bytes=some)["image_embedding"]
    )
    words = sorted({one.words for one in asked})
    by_words = dict(zip(words, text_embedder(model)(words), strict=True))
    alone, text = image[[one.source for one in asked]], np.stack([by_words[one.words] for one in asked])
    kinds = {PICTURE: alone, TEXT: text, SUM: _normalized(alone + text)}
    if has_pairs:
        pairs = [(rows[one.source].image, one.words.encode()) for one in asked]
        kinds = {PAIR: _normalized(_in_batches(pairs, lambda some: _embed_pairs(model, some))), **kinds}
    recalls = {
        kind: composition.recalls(asked, composition.ranks(asked, query, image), confidence)
        for kind, query in kinds.items()
    }
    shown = next(kind for kind in (PAIR, SUM) if kind in kinds)
    return Composed(list(rows), asked, recalls, kinds[shown].astype(np.float64) @ image.T, shown)


def table(composed: Composed) -> list[str]:
    """The lines of a table: a kind of query each, with its recalls and intervals, and chance."""
    ks = retrieval.RECALL_AT
    lines = [f"{'query':<28}" + "".join(f"{f'recall@{k}':>22}" for k in ks)]
    for kind, by_k in composed.recalls.items():
        cells = (f"{one.value:.3f} ({one.low:.3f}-{one.high:.3f})" for one in by_k.values())
        lines.append(f"{kind:<28}" + "".join(f"{cell:>22}" for cell in cells))
    return [*lines, f"{'chance':<28}" + "".join(f"{composed.chance(k):>22.3f}" for k in ks)]


def _embed_pairs(model: Signatures, pairs: Sequence[tuple[bytes, bytes]]) -> np.ndarray:
    images, texts = zip(*pairs, strict=True)
    return model.call(EMBED_PAIR, image_bytes=list(images), text=list(texts))["pair_embedding"]


def _in_batches(values: Sequence, embed: Callable[[list], np.ndarray]) -> np.ndarray:
    return np.concatenate([embed(list(values[at : at + _BATCH])) for at in range(0, len(values), _BATCH)])


def _normalized(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
