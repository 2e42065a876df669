"""Measures the test split, which neither training nor the gate reads: the headline figures and the gallery."""

import dataclasses

import numpy as np

from beam import thumbnails
from beam.exported_model import ExportedModel
from components.metrics import reranking
from components.metrics.saved_model_metrics import evaluated
from models import features
from models.evaluation import metrics
from models.evaluation.calibration import sigmoid
from models.evaluation.collector import Collector
from models.inputs import tfrecords
from models.objectives.signatures import PROBABILITY
from models.serving import keywords

_NEAREST = 5
_BLANK = "\u2581"  # SentencePiece's sign for a blank


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A caption near a picture.

    Attributes:
      caption: the caption.
      score: the sigmoid probability that it belongs to the picture, or their cosine similarity; see `TestSplit`.
      right: whether it belongs to the picture.
    """

    caption: str
    score: float
    right: bool


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """One picture of the gallery.

    Attributes:
      image: data: URL of a PNG.
      caption: its own.
      nearest: the captions with the most similar embeddings.
      keywords: pieces of the vocabulary and their probabilities; empty if the model has no signature `keywords`.
    """

    image: str
    caption: str
    nearest: list[Neighbour]
    keywords: list[tuple[str, float]]


@dataclasses.dataclass(frozen=True)
class TestSplit:
    """Metrics of the test split, their values at chance, and the gallery.

    Attributes:
      rows: number of rows.
      metrics: of `models.evaluation.metrics`.
      chance: their values by chance.
      gallery: the first pictures.
      calibrated: whether scores of the gallery are sigmoid probabilities. An objective without a bias trains the order
        of its logits alone: its probabilities are all near 1, so the scores are cosine similarities.
      image, text: the embeddings of the rows, float32 [N, D].
    """

    rows: int
    metrics: dict[str, float]
    chance: dict[str, float]
    gallery: list[Exhibit]
    calibrated: bool
    image: np.ndarray
    text: np.ndarray


def measure(model: ExportedModel, split: str, max_rows: int, gallery: int) -> TestSplit:
    """Embeds at most `max_rows` rows of the split's shards with the exported model.

    The gallery shows the first `gallery` rows in the shards' order; that is hash order, so nobody has chosen them.
    """
    collector = Collector()
    captions: list[str] = []
    shown_as: list[bytes] = []
    pictures: list[bytes] = []
    for examples, answer in evaluated(model, split, max_rows):
        collector.add(answer)
        captions.extend(caption.decode() for caption in answer["caption"])
        shown_as.extend(answer["picture"])
        pictures.extend(tfrecords.parse(examples, (features.IMAGE,))[features.IMAGE].numpy()[: gallery - len(pictures)])
    rows = collector.rows()
    measured = metrics.measure(rows)
    scores = rows.image[: len(pictures)] @ rows.text.T
    if calibrated := rows.bias != 0:
        scores = sigmoid(rows.scale * scores + rows.bias)
    own = np.array(shown_as)
    words = _keywords(model, pictures)
    exhibits = [
        Exhibit(
            thumbnails.data_address(picture),
            captions[i],
            _nearest(captions[i], captions, own == own[i], scores[i]),
            words[i],
        )
        for i, picture in enumerate(pictures)
    ]
    counts = int(measured[metrics.PICTURES]), int(measured[metrics.CLASSES])
    chance = metrics.chance(*counts, measured)
    return TestSplit(len(captions), measured, chance, exhibits, calibrated, rows.image, rows.text)


def reranked(model: ExportedModel, split: str, max_rows: int, queries: int) -> list[dict[str, float]]:
    """Two-stage retrieval at each depth: `depth`, recalls and `seconds`; [] if the model has no signature `match`."""
    if reranking.MATCH not in model.signatures:
        return []
    rows = reranking.measure(model, split, max_rows, queries)
    return [{"depth": row.depth, **row.recalls, "seconds": row.seconds} for row in rows]


def _nearest(caption: str, captions: list[str], own: np.ndarray, scores: np.ndarray) -> list[Neighbour]:
    return [
        Neighbour(captions[j], float(scores[j]), bool(own[j]) or captions[j] == caption)
        for j in np.argsort(-scores, kind="stable")[:_NEAREST]
    ]


def _keywords(model: ExportedModel, pictures: list[bytes]) -> list[list[tuple[str, float]]]:
    """The keywords of each picture with their probabilities; a blank before a word is not shown."""
    if keywords.SIGNATURE not in model.signatures or not pictures:
        return [[] for _ in pictures]
    told = model.call(keywords.SIGNATURE, image_bytes=pictures)
    return [
        [(piece.decode().replace(_BLANK, ""), float(share)) for piece, share in zip(pieces, shares, strict=True)]
        for pieces, shares in zip(told[keywords.PIECES], told[PROBABILITY], strict=True)
    ]
