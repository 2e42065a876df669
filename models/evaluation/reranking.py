"""Two-stage retrieval: the k candidates with the nearest embeddings are ranked again by a slower, better score."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np

from models.evaluation.retrieval import Array, Pairs, rank

DEPTHS = (0, 8, 16, 64)
RECALL_AT = (1, 5)
WAYS = ("image_to_text", "text_to_image")
RECALLS = tuple(f"{way}_recall_at_{k}" for way in WAYS for k in RECALL_AT)

METRICS = tuple(f"reranked_{depth}_{name}" for depth in DEPTHS for name in RECALLS)
"""What `as_metrics` gives."""

Match = Callable[[Sequence[int], Sequence[int]], Array]
"""Numbers of n pictures and n texts -> the score of each pair, [n], in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class Row:
    """How retrieval does at one depth.

    Attributes:
      depth: k, the candidates that are ranked again; 0 ranks by embeddings alone.
      recalls: {name of RECALLS: share of queries with a right answer in the top 1 or 5}.
      seconds: of a query, on average over both ways; embeddings are there already.
    """

    depth: int
    recalls: dict[str, float]
    seconds: float


def measure(pairs: Pairs, match: Match, queries: int, depths: Sequence[int] = DEPTHS) -> list[Row]:
    """Recall of the pictures and texts of the first rows among all texts and pictures, at each depth.

    Args:
      pairs: pictures and texts.
      match: scores pairs; called with the candidates of one query at a time. One call before them does not count as
        time, because it prepares the model.
      queries: largest number of pictures, and of texts, that are queries.
      depths: the depths.
    """
    scores = pairs.image @ pairs.text.T
    captions: list[set[int]] = [set() for _ in pairs.image]
    for picture, caption in zip(pairs.picture, pairs.caption, strict=True):
        captions[picture].add(int(caption))
    right = np.array([np.isin(pairs.caption, list(own)) for own in captions])
    _, first = np.unique(pairs.picture, return_index=True)
    pictures, texts = np.argsort(first)[:queries], np.arange(len(pairs.text))[:queries]
    tables = {"image_to_text": (pictures, scores, right), "text_to_image": (texts, scores.T, right.T)}
    rows = []
    if any(depths):
        match([0], [0])
    for depth in depths:
        recalls: dict[str, float] = {}
        seconds, asked = 0.0, 0
        for way, (chosen, of_way, wanted) in tables.items():
            start = time.perf_counter()
            ranked = reranked(of_way[chosen], depth, _ask(way, match, chosen))
            seconds, asked = seconds + time.perf_counter() - start, asked + len(chosen)
            wrong = rank(ranked, wanted[chosen])
            recalls |= {f"{way}_recall_at_{k}": float(np.mean(wrong < k)) for k in RECALL_AT}
        rows.append(Row(depth, recalls, seconds / asked))
    return rows


def as_metrics(rows: Sequence[Row]) -> dict[str, float]:
    """{such as "reranked_16_image_to_text_recall_at_1": recall}."""
    return {f"reranked_{row.depth}_{name}": recall for row in rows for name, recall in row.recalls.items()}


def reranked(scores: Array, depth: int, ask: Callable[[int, Array], Array]) -> Array:
    """Scores, [N, K], in which the `depth` best of each row are above all others, in the order of what `ask` says.

    Args:
      scores: similarities of N queries and K candidates.
      depth: number of candidates to rank again; 0 changes nothing.
      ask: query and its candidates, int [depth] -> their scores in [0, 1].
    """
    found = np.array(scores, np.float64)
    depth = min(depth, found.shape[1])
    if not depth:
        return found
    above = found.max() + 1.0
    for query, row in enumerate(found):
        best = np.argsort(-row, kind="stable")[:depth]
        row[best] = above + ask(query, best)
    return found


def _ask(way: str, match: Match, chosen: Array) -> Callable[[int, Array], Array]:
    def ask(query: int, candidates: Array) -> Array:
        queries = [chosen[query]] * len(candidates)
        pair = (queries, candidates) if way == "image_to_text" else (candidates, queries)
        return match(*([int(one) for one in numbers] for numbers in pair))

    return ask
