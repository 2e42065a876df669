"""Two-stage retrieval of a model that has the signature `match`, on the rows of a split."""

from collections.abc import Sequence

import numpy as np

from components.metrics.saved_model_metrics import Signatures, evaluated
from models import features
from models.evaluation import reranking
from models.evaluation.retrieval import Array, Pairs
from models.inputs import tfrecords

MATCH = "match"
_BATCH = 64


def measure(model: Signatures, split: str, max_rows: int, queries: int) -> list[reranking.Row]:
    """The table of `models.evaluation.reranking.measure` on the first rows of a split.

    Args:
      model: a model with the signature `match`.
      split: folder of the shards.
      max_rows: number of rows that are candidates.
      queries: number of pictures, and of texts, that are queries.
    """
    image: list[Array] = []
    text: list[Array] = []
    captions: list[bytes] = []
    names: list[bytes] = []
    stored: list[bytes] = []
    for examples, answer in evaluated(model, split, max_rows):
        image.append(answer["image_embedding"])
        text.append(answer["text_embedding"])
        captions.extend(answer["caption"])
        names.extend(answer["picture"])
        stored.extend(tfrecords.parse(examples, (features.IMAGE,))[features.IMAGE].numpy())
    pairs = Pairs.of(np.concatenate(image), np.concatenate(text), np.array(captions), np.array(names))
    first = [names.index(name) for name in sorted({*names})]  # of each picture, in the order of Pairs.of

    def match(pictures: Sequence[int], texts: Sequence[int]) -> Array:
        encoded = [stored[first[one]] for one in pictures]
        written = [captions[one] for one in texts]
        found = [
            model.call(MATCH, image_bytes=encoded[start : start + _BATCH], text=written[start : start + _BATCH])
            for start in range(0, len(encoded), _BATCH)
        ]
        return np.concatenate([one["probability"] for one in found])

    return reranking.measure(pairs, match, queries)
