"""Keyword precision: how many of the keywords that a model gives a picture are words of the picture's caption."""

import dataclasses

import numpy as np

from models.evaluation import bootstrap

AT = (1, 5)
NAMES = tuple(f"keyword_precision_at_{k}" for k in AT)
Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Keywords:
    """Keywords of pictures, and the pieces of their captions.

    Attributes:
      predicted: int [N, K], ids of the keywords, the most probable one first; negative for none.
      words: int [N, L], ids of the caption's pieces; negative at padding, end of sentence and control pieces.
    """

    predicted: Array
    words: Array


def figures(
    keywords: Keywords, picture: Array, pictures: int
) -> tuple[dict[str, bootstrap.Statistic], dict[str, float]]:
    """The statistics of NAMES, and their values by chance.

    keyword_precision_at_k: the share of the first k keywords that are pieces of the row's own caption. A caption of
    fewer than k pieces cannot reach 1. Chance is the same share, with the captions of all rows exchanged at random: so
    a model that gives each picture the most frequent words has no more than chance.

    Args:
      keywords: of each row.
      picture: int [N], the picture of each row, a number below `pictures`.
      pictures: the number of pictures.
    """
    predicted, words = keywords.predicted, keywords.words
    right = (predicted[:, :, None] == words[:, None, :]).any(axis=2) & (predicted >= 0)
    rows, _ = np.nonzero(words >= 0)
    pairs = np.unique(np.stack([rows, words[words >= 0]]), axis=1)  # a piece counts once in a caption
    most = 1 + max(int(predicted.max(initial=0)), int(words.max(initial=0)))
    having = np.bincount(pairs[1], minlength=most) / len(words)
    by_chance = np.where(predicted >= 0, having[np.maximum(predicted, 0)], 0.0)
    found: dict[str, bootstrap.Statistic] = {}
    chances: dict[str, float] = {}
    for k, name in zip(AT, NAMES, strict=True):
        found[name] = bootstrap.share(right[:, :k].mean(axis=1), picture, pictures)
        chances[name] = float(np.mean(by_chance[:, :k]))
    return found, chances
