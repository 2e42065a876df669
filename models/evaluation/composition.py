"""Composed retrieval: find the picture that differs from a given one as a text says."""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from models.evaluation import bootstrap, retrieval

_TONES = re.compile(r"\b(?:medium-light|medium-dark|light|medium|dark) skin tone\b")
_GENDERS = re.compile(r"\b(?:man|men|woman|women|boy|girl|person|people|child)\b")
PAIR, PICTURE, TEXT, SUM = "picture and words together", "picture alone", "words alone", "sum of both"
"""Kinds of query: the embedding of picture and words together, and three simpler ones beside it."""
_SHORT = {PAIR: "pair", PICTURE: "picture", TEXT: "words", SUM: "sum"}
METRICS = tuple(f"composed_{name}_recall_at_{k}" for name in _SHORT.values() for k in retrieval.RECALL_AT)
"""What `as_metrics` gives."""
Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Query:
    """A picture A, the words that B's name has and A's name lacks, and the picture B to find.

    Attributes:
      source: number of A's row.
      words: what B's name has in place of A's, such as "dark skin tone" or "woman".
      target: number of B's row.
    """

    source: int
    words: str
    target: int


@dataclasses.dataclass(frozen=True)
class Recall:
    """Recall at k of the targets, with the ends of its interval."""

    value: float
    low: float
    high: float


def queries(names: Sequence[str]) -> list[Query]:
    """All ordered pairs of names that differ in one skin tone or in one word of gender.

    A name without a skin tone and the same name with one also differ in one. The pair from the name with the tone to
    the one without has no words, and is left out.
    """
    by_rest = defaultdict(list)
    for row, name in enumerate(names):
        tones = _TONES.findall(name)
        genders = _GENDERS.findall(_TONES.sub(" ", name))
        rest = " ".join(_GENDERS.sub("*", _TONES.sub(" ", name)).split())
        by_rest[rest].append((row, tones, genders))
    found = []
    for rows in by_rest.values():
        for source, tones, genders in rows:
            for target, other_tones, other_genders in rows:
                words = _only_difference([*genders, *tones], [*other_genders, *other_tones])
                if source != target and words and (len(tones) == len(other_tones) or len(other_tones) == 1):
                    found.append(Query(source, words, target))
    return sorted(found, key=lambda one: (one.source, one.target))


def _only_difference(first: Sequence[str], second: Sequence[str]) -> str:
    """What `second` has in place of, or besides, what `first` has, if they differ in one place; else ""."""
    if len(first) == len(second):
        changed = [b for a, b in zip(first, second, strict=True) if a != b]
        return changed[0] if len(changed) == 1 else ""
    return second[-1] if list(first) == list(second[:-1]) else ""


def ranks(asked: Sequence[Query], query: Array, image: Array) -> Array:
    """How many wrong pictures are at least as near to each query as its target: int [Q].

    Args:
      asked: the queries.
      query: float [Q, D], unit norm, the embedding of each query.
      image: float [N, D], unit norm, the candidates. The picture A of a query is none of its candidates.
    """
    scores = query.astype(np.float64) @ image.astype(np.float64).T
    rows = np.arange(len(asked))
    right = np.zeros(scores.shape, bool)
    right[rows, [one.target for one in asked]] = True
    scores[rows, [one.source for one in asked]] = -np.inf
    return retrieval.rank(scores, right)


def recalls(asked: Sequence[Query], rank: Array, confidence: float = 0.9) -> dict[int, Recall]:
    """{k: recall at k} for each k of `retrieval.RECALL_AT`; the bootstrap draws pictures A with all their queries."""
    sources, picture = np.unique([one.source for one in asked], return_inverse=True)
    count = len(sources)
    figures = {str(k): bootstrap.share(rank < k, picture, count) for k in retrieval.RECALL_AT}
    samples = bootstrap.resample(figures, count)
    found = {}
    for k in retrieval.RECALL_AT:
        value, margin = float(np.mean(rank < k)), bootstrap.margin(samples[str(k)], count, confidence)
        found[k] = Recall(value, max(0.0, value - margin), min(1.0, value + margin))
    return found


def as_metrics(found: Mapping[str, Mapping[int, Recall]]) -> dict[str, float]:
    """{kind of query: {k: recall}} -> {such as "composed_pair_recall_at_5": value}."""
    return {f"composed_{_SHORT[kind]}_recall_at_{k}": one.value for kind, by in found.items() for k, one in by.items()}
